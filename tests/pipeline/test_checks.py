"""Each system check is found by its id, says what to do, and is silent about this project's own settings."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.db import connections
from kombu import Exchange, Queue

from config.celery import app
from pipeline import checks, registry
from pipeline.testing import drain, throwaway
from pipeline.workflow import Workflow


def ids(messages):
    return sorted(message.id for message in messages)


def celery(**changes):
    right = {
        "broker_url": "redis://127.0.0.1/0",
        "broker_transport_options": {"visibility_timeout": 300},
        "task_soft_time_limit": 35,
        "task_time_limit": 45,
        "result_backend": None,
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "task_always_eager": False,
        "task_create_missing_queues": False,
        "task_queues": [Queue("pipeline"), Queue("commit"), Queue("rollback")],
        "task_routes": None,
    }
    return SimpleNamespace(**(right | changes))


@pytest.fixture
def check_celery(monkeypatch):
    def check(**changes):
        monkeypatch.setattr(checks, "celery_settings", lambda: celery(**changes))
        found = checks.check_celery(None)
        assert all(message.hint for message in found)
        return ids(found)

    return check


def test_this_projects_own_settings_pass():
    assert app.amqp.queues["commit"].exchange.name  # Celery gives each queue one when it is first used
    own = [message for message in run_checks() if (message.id or "").startswith("pipeline.")]
    assert own == []


def test_a_setting_that_does_not_exist(settings):
    settings.PIPELINE = {"LEESE": timedelta(seconds=60)}
    (message,) = checks.check_settings(None)
    assert message.id == "pipeline.E001"
    assert "LEESE" in message.msg
    assert "LEASE" in message.hint


def test_secrets_without_a_key(tune, world, monkeypatch):
    tune(SECRET_KEYS=())
    monkeypatch.setattr(checks, "all_workflows", list)
    assert ids(checks.check_settings(None)) == []
    with throwaway(world.step("account", secrets=("password",))) as workflow:
        monkeypatch.setattr(checks, "all_workflows", lambda: [workflow])
        assert ids(checks.check_settings(None)) == ["pipeline.E002"]
        tune(SECRET_KEYS=(Fernet.generate_key().decode(),))
        assert ids(checks.check_settings(None)) == []


def test_a_key_that_is_none(tune):
    tune(SECRET_KEYS=(Fernet.generate_key().decode(), "secret"))
    (message,) = checks.check_settings(None)
    assert message.id == "pipeline.E003"
    assert "Key 2" in message.msg
    assert "secret'" not in message.msg


@pytest.mark.parametrize("path", ["nowhere.at_all", "pipeline.conf.nothing", "pipeline.conf.__doc__"])
def test_a_teller_that_is_not_there(path, tune):
    tune(ON_ATTENTION=path)
    assert ids(checks.check_settings(None)) == ["pipeline.E004"]


@pytest.mark.parametrize("path", ["nowhere.at_all", "pipeline.conf.nothing", "pipeline.conf.__doc__"])
def test_a_chore_that_is_not_there(path, tune):
    tune(CHORES={path: timedelta(minutes=5)})
    (message,) = checks.check_settings(None)
    assert message.id == "pipeline.E006"
    assert path in message.msg


@pytest.mark.parametrize("every", [timedelta(0), timedelta(seconds=-1), 300])
def test_a_chore_without_an_interval(every, tune):
    tune(CHORES={"pipeline.sweep.sweep_once": every})
    assert ids(checks.check_settings(None)) == ["pipeline.E007"]


@pytest.mark.parametrize(
    ("proxies", "header", "expected"),
    [
        (None, None, ["pipeline.W501"]),
        (0, None, []),
        (0, ("HTTP_X_FORWARDED_PROTO", "https"), ["pipeline.W502"]),
        (1, ("HTTP_X_FORWARDED_PROTO", "https"), []),
    ],
)
def test_customers_who_cannot_be_told_apart(proxies, header, expected, settings):
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": proxies}
    settings.SECURE_PROXY_SSL_HEADER = header
    assert ids(checks.check_proxies(None)) == expected


def test_a_period_that_is_none(tune):
    tune(RETENTION=timedelta(days=-1))
    assert ids(checks.check_settings(None)) == ["pipeline.E008"]


@pytest.mark.parametrize("name", ["ALSO_REAP", "ALSO_ERASE"])
def test_a_reaper_that_is_not_there(name, tune):
    tune(**{name: ["postings.retention.rip"]})
    (message,) = checks.check_settings(None)
    assert message.id == "pipeline.E009"
    assert "postings.retention.rip" in message.msg


@pytest.mark.parametrize("setting", ["AUDITS", "RECONCILERS"])
def test_an_audit_or_a_reconciler_that_is_not_there(setting, tune):
    tune(**{setting: ("nowhere.at_all",)})
    (message,) = checks.check_settings(None)
    assert message.id == "pipeline.E010"
    assert "nowhere.at_all" in message.msg


def test_reconciling_what_a_live_worker_may_still_be_making(tune):
    tune(RECONCILERS=("pipeline.reconciliation.Reconciler",), RECONCILE_AFTER=timedelta(seconds=60))
    assert ids(checks.check_settings(None)) == ["pipeline.E011"]


@pytest.mark.parametrize("call", [30, 40])
def test_an_attempt_is_longer_than_one_of_its_calls(call, check_celery, tune):
    tune(CALL_TIME=timedelta(seconds=call), LEASE_MARGIN=timedelta(seconds=50))
    assert check_celery() == ["pipeline.E101"]


def test_an_attempt_ends_before_its_task_is_stopped(check_celery, tune):
    tune(GO_ON_FOR=timedelta(seconds=10))
    assert check_celery() == ["pipeline.E101"]


@pytest.mark.parametrize("margin", [0, 10, 60, 90])
def test_a_margin_that_leaves_no_time_or_protects_from_nothing(margin, tune):
    tune(LEASE_MARGIN=timedelta(seconds=margin))
    assert ids(checks.check_settings(None)) == ["pipeline.E005"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"task_soft_time_limit": 45},
        {"task_soft_time_limit": None},
        {"task_time_limit": 60},
        {"task_soft_time_limit": 5, "task_time_limit": 61},
        {"broker_transport_options": {"visibility_timeout": 60}},
        {"task_soft_time_limit": 30},
    ],
    ids=str,
)
def test_the_time_ladder(wrong, check_celery):
    assert set(check_celery(**wrong)) == {"pipeline.E101"}


def test_a_visibility_timeout_that_is_not_set_is_an_hour(check_celery, tune):
    assert check_celery(broker_transport_options={}) == []
    tune(LEASE=timedelta(hours=2))
    assert check_celery(broker_transport_options={}) == ["pipeline.E101"]


def test_no_hard_limit_breaks_both_rungs(check_celery):
    assert check_celery(task_time_limit=None) == ["pipeline.E101"] * 2


def test_rabbitmq_has_no_visibility_timeout(check_celery):
    assert check_celery(broker_url="amqp://127.0.0.1//", broker_transport_options={}) == []


@pytest.mark.parametrize(
    "url", ["rediss://127.0.0.1/0", "amqps://127.0.0.1//", "amqp://127.0.0.1//;amqp://localhost//"]
)
def test_a_broker_that_was_tested(url, check_celery):
    assert check_celery(broker_url=url) == []


@pytest.mark.parametrize(
    "url",
    ["sentinel://127.0.0.1:26379/0", "redis+cluster://127.0.0.1/0", "rediscluster://127.0.0.1/0", "sqs://", "", "x"],
)
def test_a_broker_that_nobody_has_tested(url, check_celery):
    assert "pipeline.E109" in check_celery(broker_url=url)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"result_backend": "redis://127.0.0.1/1"}, "pipeline.W102"),
        ({"task_acks_late": False}, "pipeline.W103"),
        ({"task_reject_on_worker_lost": True}, "pipeline.W104"),
        ({"task_always_eager": True}, "pipeline.E105"),
        ({"task_create_missing_queues": True}, "pipeline.W106"),
        ({"task_queues": [Queue("pipeline"), Queue("commit")]}, "pipeline.E107"),
        ({"task_queues": None}, "pipeline.E107"),
        ({"task_routes": {"pipeline.commit": {"exchange": "jobs", "routing_key": "commit"}}}, "pipeline.E108"),
    ],
    ids=str,
)
def test_celerys_settings(change, found, check_celery):
    assert check_celery() == []
    assert check_celery(**change) == [found]


def test_a_queue_with_an_exchange_of_its_own_on_redis(check_celery):
    queues = [
        Queue("pipeline"),
        Queue("rollback"),
        Queue("commit", Exchange("jobs", type="topic"), routing_key="commit"),
    ]
    assert check_celery(task_queues=queues) == ["pipeline.E108"]
    assert check_celery(task_queues=queues, broker_url="amqp://127.0.0.1//") == []


@pytest.fixture
def database(monkeypatch):
    def change(**changes):
        for name, value in changes.items():
            monkeypatch.setitem(connections["default"].settings_dict, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"ATOMIC_REQUESTS": True}, "pipeline.E203"),
        ({"AUTOCOMMIT": False}, "pipeline.E204"),
        ({"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": False}, "pipeline.W205"),
    ],
    ids=str,
)
def test_the_databases_settings(change, found, database):
    assert ids(checks.check_databases(None)) == []
    database(**change)
    assert ids(checks.check_databases(None)) == [found]


def test_another_database_than_postgresql(monkeypatch):
    other = SimpleNamespace(vendor="sqlite", settings_dict={"CONN_MAX_AGE": 0})
    monkeypatch.setattr(checks, "connections", {"default": other})
    assert ids(checks.check_databases(None)) == ["pipeline.E201"]


def test_an_old_psycopg(monkeypatch):
    from django.db.backends.postgresql import psycopg_any

    monkeypatch.setattr(psycopg_any, "is_psycopg3", False)
    assert ids(checks.check_databases(None)) == ["pipeline.E202"]


def test_a_workflow_without_steps(define):
    define()
    assert ids(checks.check_workflows(None)) == ["pipeline.E301"]


def test_a_workflow_that_forgot_its_steps():
    workflow = type("Forgetful", (Workflow,), {"name": "forgetful"})
    try:
        assert ids(checks.check_workflows(None)) == ["pipeline.E301"]
    finally:
        registry.forget(workflow)


def test_two_pivots(define, world):
    define(world.step("a", pivot=True), world.step("b", pivot=True))
    assert ids(checks.check_workflows(None)) == ["pipeline.E302"]


def test_two_steps_of_one_name(define, world):
    define(world.step("a"), world.step("a"))
    assert ids(checks.check_workflows(None)) == ["pipeline.E303"]


@pytest.mark.parametrize("name", ["", "a b", "a.b", "1a", "A", "ä", "a" * 61])
def test_a_steps_name(name, define, world):
    define(world.step(name, label="A step"))
    assert ids(checks.check_workflows(None)) == ["pipeline.E304"]


def test_a_step_without_a_label(define, world):
    define(world.step("a", label=""))
    assert ids(checks.check_workflows(None)) == ["pipeline.E305"]


def test_a_pivot_that_tells(define, world):
    define(world.step("a", pivot=True, tells=True))
    assert ids(checks.check_workflows(None)) == ["pipeline.E306"]


def test_the_deploy_check_names_the_unfinished_pipelines_that_a_changed_definition_would_strand(begin, broker, world):
    logo, mark = world.step("logo"), world.step("mark")
    with throwaway(logo, mark, name="changing") as workflow:
        ended = begin(workflow)
        assert drain(ended, broker) == "committed"
        stuck = begin(workflow)
        assert checks.check_unfinished(None, databases=["default"]) == []
    with throwaway(logo, name="changing"):
        (message,) = checks.check_unfinished(None, databases=["default"])
        assert message.id == "pipeline.E401"
        assert "changing version 1 step mark" in message.msg
        assert str(stuck) in message.msg
        assert str(ended) not in message.msg
        assert "another version" in message.hint
    assert len(checks.check_unfinished(None, databases=["default"])) == 2
    with throwaway(logo, mark, name="changing"):
        assert drain(stuck, broker) == "committed"
    assert checks.check_unfinished(None, databases=["default"]) == []
    assert checks.check_unfinished(None) == []
    assert checks.check_unfinished(None, databases=["other"]) == []


def test_the_deploy_check_says_nothing_before_the_first_migration(monkeypatch):
    empty = SimpleNamespace(introspection=SimpleNamespace(table_names=list))
    monkeypatch.setattr(checks, "connections", {"default": empty})
    assert checks.check_unfinished(None, databases=["default"]) == []
    assert connections["default"] is not None
