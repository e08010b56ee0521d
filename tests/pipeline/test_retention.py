"""Personal data has an end; the key, the fingerprint, the id and the end state have none."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.db.models import F
from psycopg import RawCursor

from pipeline import retention
from pipeline.conf import conf
from pipeline.errors import IllegalAction
from pipeline.models import Attachment, Event, Inbox, Pipeline, Step
from pipeline.start import KeyReused, start
from pipeline.testing import drain, together
from pipeline.workflow import Refused

PERSON = "Ada.Canary@example.com"
SUBMISSION = {"key": "the-key-for-ever", "fingerprint": "f" * 64, "input": {"contact": {"email": PERSON}}}


@pytest.fixture(autouse=True)
def of_the_engine_alone(tune):
    tune(ALSO_REAP=[], ALSO_ERASE=[])


@pytest.fixture
def ended(begin, broker, posting):
    """An ended pipeline of somebody, as old as the test wants it."""

    def make(age=timedelta(days=181), state="committed", **given):
        pipeline = begin(posting, **({"client": "c" * 64, "attachments": {"logo": b"bytes"}} | SUBMISSION | given))
        assert drain(pipeline, broker) == state
        Pipeline.objects.filter(pk=pipeline).update(finished_at=F("finished_at") - age)
        return pipeline

    return make


def everything_of(pipeline):
    """All that the database knows of it, as one text."""
    rows = [*Pipeline.objects.filter(pk=pipeline).values(), *Step.objects.filter(pipeline=pipeline).values()]
    return repr([rows, *Event.objects.filter(pipeline=pipeline).values()])


def test_what_is_old_is_erased_and_the_key_still_finds_it(ended, posting):
    pipeline = ended()
    assert PERSON in everything_of(pipeline)
    before = Pipeline.objects.get(pk=pipeline)
    assert retention.reap() == {"pipelines": 1, "webhook events": 0}
    after = Pipeline.objects.get(pk=pipeline)
    assert PERSON not in everything_of(pipeline)
    assert (after.input, after.secrets, after.client, after.user) == ({}, {}, "", None)
    for model in (Step, Event, Attachment):
        assert not model.objects.filter(pipeline=pipeline).exists()
    for kept in ("key", "scope", "fingerprint", "state", "result", "error", "finished_at", "created_at", "step_count"):
        assert getattr(after, kept) == getattr(before, kept)
    again = start(posting, **SUBMISSION)
    assert (again.id, again.is_new) == (pipeline, False)
    with pytest.raises(KeyReused):
        start(posting, **SUBMISSION | {"fingerprint": "other"})


def test_what_is_young_or_unfinished_stays(ended, begin, posting):
    young, unfinished = ended(age=timedelta(days=179)), begin(posting)
    Pipeline.objects.filter(pk=unfinished).update(created_at=F("created_at") - timedelta(days=900))
    assert retention.reap()["pipelines"] == 0
    assert not Pipeline.objects.exclude(reaped_at=None).exists()
    assert PERSON in everything_of(young)


@pytest.mark.parametrize("off", [None, timedelta(0)])
def test_without_a_period_everything_stays(off, ended, tune):
    tune(RETENTION=off)
    pipeline = ended(age=timedelta(days=9000))
    assert retention.reap() == {}
    assert PERSON in everything_of(pipeline)


def test_many_are_reaped_in_batches_oldest_first(ended, tune, monkeypatch):
    tune(REAP_BATCH=2)
    old = [ended(age=timedelta(days=200 + number), key=f"key-{number}-of-many") for number in range(5)]
    left_at_pauses = []
    monkeypatch.setattr(
        retention.time,
        "sleep",
        lambda seconds: left_at_pauses.append(
            set(Pipeline.objects.filter(reaped_at=None).values_list("pk", flat=True))
        ),
    )
    assert retention.reap()["pipelines"] == 5
    assert left_at_pauses == [set(old[:3]), set(old[:1])]


def test_two_that_reap_at_once_do_not_wait_for_each_other(ended, tune):
    tune(REAP_BATCH=1)
    for number in range(6):
        ended(key=f"key-{number}-at-once")
    counts = together(retention.reap, retention.reap)
    assert sum(count["pipelines"] for count in counts) == 6


def test_a_batch_that_somebody_holds_is_left_for_later(ended):
    pipeline = ended()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 FROM pipeline_pipeline WHERE id = %s FOR UPDATE", [pipeline])
        try:
            assert together(retention.reap) == [{"pipelines": 0, "webhook events": 0}]
        finally:
            cursor.execute("ROLLBACK")
    assert retention.reap()["pipelines"] == 1


def test_candidates_are_found_by_their_index(ended):
    """Among many pipelines, of which almost all are reaped already."""
    pipeline = ended()
    with connection.cursor() as cursor:
        columns = [f.column for f in Pipeline._meta.concrete_fields]
        fresh = {"id": "gen_random_uuid()", "key": "'key-' || n", "input": "'{}'", "client": "''", "reaped_at": "now()"}
        cursor.execute(
            f"INSERT INTO pipeline_pipeline ({', '.join(columns)})"
            f" SELECT {', '.join(fresh.get(column, column) for column in columns)}"
            " FROM pipeline_pipeline, generate_series(1, 3000) n WHERE id = %s",
            [pipeline],
        )
        cursor.execute("ANALYZE pipeline_pipeline")
        plan = plan_of(retention.REAP, {"retention": conf().RETENTION, "batch": 100})
        # The fixture looks at each pipeline that is left.
        cursor.execute("DELETE FROM pipeline_pipeline WHERE id <> %s", [pipeline])
    assert "pipeline_to_reap" in plan, plan
    assert "Seq Scan on pipeline_pipeline" not in plan, plan


def plan_of(statement, params):
    with RawCursor(connection.connection) as cursor:
        cursor.execute(b"EXPLAIN " + statement._sql, [params[name] for name in statement.names])
        return "\n".join(line[0] for line in cursor.fetchall())


def test_old_webhook_events_are_forgotten(ended):
    for age in (1, 179, 181):
        event = Inbox.objects.create(provider="stripe", event_id=f"evt_{age}", kind="x")
        Inbox.objects.filter(pk=event.pk).update(received_at=F("received_at") - timedelta(days=age))
    assert retention.reap()["webhook events"] == 1
    assert set(Inbox.objects.values_list("event_id", flat=True)) == {"evt_1", "evt_179"}


def test_a_reaped_pipeline_cannot_hold_anything(ended):
    pipeline = ended()
    retention.reap()
    with pytest.raises(IntegrityError, match="pipeline_reaped_holds_nothing"):
        Pipeline.objects.filter(pk=pipeline).update(input={"email": PERSON})


def test_an_unfinished_pipeline_cannot_be_reaped(begin, posting):
    pipeline = begin(posting)
    with pytest.raises(IntegrityError, match="pipeline_reaped_holds_nothing"):
        Pipeline.objects.filter(pk=pipeline).update(reaped_at=F("created_at"))


# --- erasing on request --------------------------------------------------------------------------


def test_one_is_erased_at_once_with_who_and_why(ended):
    pipeline = ended(age=timedelta(0))
    assert retention.erase(pipeline, by="olga", reason="asked for by mail")
    assert PERSON not in everything_of(pipeline)
    event = Event.objects.get(pipeline=pipeline)
    assert (event.type, event.data) == (
        "operator_action",
        {"action": "erase", "by": "olga", "reason": "asked for by mail"},
    )
    assert not retention.erase(pipeline, by="olga", reason="asked for by mail")


def test_an_unfinished_one_is_to_be_cancelled_first(begin, broker, posting):
    pipeline = begin(posting, **SUBMISSION)
    with pytest.raises(IllegalAction, match=f"Pipeline {pipeline} is staging: cancel it first"):
        retention.erase(pipeline, by="olga", reason="asked")
    assert PERSON in everything_of(pipeline)


def test_a_decided_one_is_to_be_waited_for(hand):
    for step in ("logo", "posting", "payment", "email"):
        hand.do(step)
    with pytest.raises(IllegalAction, match="is committing and decided: wait until it has ended"):
        retention.erase(hand.pipeline, by="olga", reason="asked")


def test_an_application_may_refuse(ended, tune, monkeypatch):
    def refuse(pipeline):
        raise IllegalAction(f"{pipeline} is needed")

    monkeypatch.setattr(retention, "refuse_for_the_test", refuse, raising=False)
    tune(ALSO_ERASE=["pipeline.retention.refuse_for_the_test"])
    pipeline = ended()
    with pytest.raises(IllegalAction, match=f"{pipeline} is needed"):
        retention.erase(pipeline, by="olga", reason="asked")
    assert PERSON in everything_of(pipeline)


def test_the_command_erases_by_address_whatever_its_case(ended, capsys):
    theirs = ended(key="key-of-theirs")
    others = ended(key="key-of-others", input={"contact": {"email": "x" + PERSON}})
    call_command("erase", email=PERSON.lower())
    assert capsys.readouterr().out == f"{theirs}: erased\n"
    assert PERSON not in everything_of(theirs)
    assert PERSON in everything_of(others)


def test_the_command_finds_what_a_user_has_submitted(ended, django_user_model, capsys):
    user = django_user_model.objects.create_user("ada", email=PERSON)
    theirs = ended(input={}, user=user.pk)
    call_command("erase", email=PERSON)
    assert capsys.readouterr().out == f"{theirs}: erased\n"
    assert Pipeline.objects.get(pk=theirs).user is None


def test_the_command_erases_what_it_can_and_fails_for_the_rest(ended, begin, posting, capsys):
    done = ended()
    open_ = begin(posting, input=SUBMISSION["input"])
    with pytest.raises(CommandError, match=f"Pipeline {open_} is staging: cancel it first") as refused:
        call_command("erase", email=PERSON)
    out = capsys.readouterr().out
    assert out == f"{done}: erased\n"
    assert PERSON.lower() not in (out + str(refused.value)).lower()


def test_the_command_erases_by_id(ended, capsys):
    pipeline = ended()
    call_command("erase", "--pipeline", str(pipeline), "--by", "olga", "--reason", "letter of 3 May")
    call_command("erase", "--pipeline", str(pipeline))
    assert capsys.readouterr().out == f"{pipeline}: erased\n{pipeline}: was erased before\n"
    assert Event.objects.get(pipeline=pipeline).data["reason"] == "letter of 3 May"


def test_more_inputs_than_a_page_are_searched(ended, monkeypatch):
    monkeypatch.setattr(retention, "_PAGE", 2)
    found = {ended(key=f"key-{number}-of-pages") for number in range(5)}
    assert set(retention.holding(f" {PERSON} ")) == found


def test_the_reap_command_says_what_it_erased(ended, tune, capsys):
    ended()
    call_command("reap")
    assert "1 pipelines, 0 webhook events" in capsys.readouterr().out
    tune(RETENTION=None)
    call_command("reap")
    assert "Nothing is erased" in capsys.readouterr().out


def test_a_rolled_back_one_keeps_its_reason(ended, world):
    world.will("payment.stage", Refused("card_declined", "no", message="Your card was declined."))
    pipeline = ended(state="rolled_back")
    retention.reap()
    row = Pipeline.objects.get(pk=pipeline)
    assert (row.state, row.error["code"]) == ("rolled_back", "card_declined")
