"""The parts of `make chaos` that can be told apart from its processes: schedule, mix, figures, comparisons."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from config.local import stack
from config.local.folder import DataFolder
from tests.chaos import checks, figures, hosts, killing, overload, report
from tests.chaos.acts import HANDS
from tests.chaos.mix import KINDS, PLAIN, submissions
from tests.chaos.outside import Ended, differences
from tests.chaos.peers.effects import Effects, expected
from tests.chaos.schedule import (
    POSTGRES,
    PROCESSES,
    PROVIDERS,
    RABBITMQ,
    REDIS,
    STOPPED_AT,
    ZOMBIES,
    Act,
    kills,
    kinds_of,
    schedule,
)

PRICE = {"amount": 4900, "currency": "EUR"}
WORLD = {"plans": {"starter": PRICE}, "buyer": "b", "known_email": "k@example.com", "sms": True}


def entry(effect: str, reference: str = "p1", **more: Any) -> dict[str, Any]:
    base = {"provider": "stripe", "effect": effect, "reference": reference, "replayed": False, "amount": None}
    return base | {"currency": None, "idempotency_key": None, "at": "t", "category": None} | more


MONEY = {"amount": 4900, "currency": "eur"}
RIGHT = [
    entry("object_put"),
    entry("authorised", **MONEY),
    entry("captured", **MONEY),
    entry("email_accepted", category="receipt"),
]
UNDONE = [
    entry("object_put"),
    entry("authorised", **MONEY),
    entry("voided", **MONEY),
    entry("object_deleted"),
    entry("email_accepted", category="not_published"),
]


def posting(state: str, *, is_cancelled: bool = False) -> Ended:
    facts = {"price": PRICE, "logo": True, "phone": False}
    return Ended("p1", "/api/v1/postings/", facts, state, is_cancelled)


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    assert schedule(7, 180) == schedule(7, 180)
    assert [act.chance for act in schedule(7, 180)] == [act.chance for act in schedule(7, 180)]
    assert schedule(7, 180) != schedule(8, 180)
    assert submissions(7, 50, 0.5, WORLD) == submissions(7, 50, 0.5, WORLD)
    assert submissions(7, 50, 0.5, WORLD) != submissions(8, 50, 0.5, WORLD)


@pytest.mark.parametrize("broker", [REDIS, RABBITMQ], ids=["redis", "rabbitmq"])
@pytest.mark.parametrize("seed", range(5))
def test_three_minutes_have_every_kind_of_fault(seed, broker):
    kinds = {act.kind for act in schedule(seed, 180, broker=broker)}
    assert kinds >= {*PROCESSES, *ZOMBIES, *POSTGRES, *broker}
    assert kinds >= {f"{provider} {kind}" for provider in PROVIDERS for kind in kinds_of(provider)}


def test_every_act_has_a_hand():
    assert set(HANDS) == {*PROCESSES, *ZOMBIES, *POSTGRES, *REDIS, *RABBITMQ}
    assert set(STOPPED_AT) <= set(HANDS)


def test_scenario_a_kills_every_four_seconds_and_does_nothing_else():
    acts = kills(1, 90, 4)
    assert [act.at for act in acts] == [4.0 * number for number in range(1, 23)]
    assert {act.kind for act in acts} == {"kill a worker tree"}
    assert len({act.chance < 0.5 for act in acts}) == 2, "both trees are victims"


def test_most_of_the_mix_is_healthy_and_all_of_its_kinds_come():
    assert sum(kind.share for kind in KINDS) == pytest.approx(1)
    assert sum(kind.share for kind in KINDS if kind.ends == "committed") >= 0.7
    assert {one.kind for one in submissions(1, 400, 0.1, WORLD)} == set(KINDS)
    assert {one.copies for one in submissions(1, 400, 0.1, WORLD, PLAIN, copies=False)} == {1}


@pytest.mark.parametrize(("state", "ledger"), [("committed", RIGHT), ("rolled_back", UNDONE)])
def test_a_right_end_has_no_difference(state, ledger):
    assert differences([posting(state)], ledger) == []


def without(ledger: list[dict[str, Any]], effect: str) -> list[dict[str, Any]]:
    return [each for each in ledger if each["effect"] != effect]


@pytest.mark.parametrize(
    ("state", "ledger", "invariant"),
    [
        ("committed", without(RIGHT, "captured"), "I2"),
        ("committed", without(RIGHT, "object_put"), "I2"),
        ("committed", without(RIGHT, "email_accepted"), "I2"),
        ("committed", [*RIGHT, entry("captured", **MONEY)], "I4"),
        ("committed", [*RIGHT, entry("authorised", **MONEY)], "I4"),
        ("committed", [*without(RIGHT, "captured"), entry("captured", amount=1, currency="eur")], "I2"),
        ("committed", [*RIGHT, entry("object_put", "p2")], "I5"),
        ("committed", [*RIGHT, entry("captured", "p2", **MONEY)], "I9"),
        ("rolled_back", without(UNDONE, "voided"), "I3"),
        ("rolled_back", without(UNDONE, "object_deleted"), "I3"),
        ("rolled_back", without(UNDONE, "email_accepted"), "I3"),
        ("rolled_back", [*UNDONE, entry("email_accepted", category="receipt")], "I3"),
        ("rolled_back", RIGHT, "I9"),
    ],
)
def test_each_thing_that_is_wrong_outside_is_named_by_its_invariant(state, ledger, invariant):
    found = differences([posting(state)], ledger)
    assert any(invariant in text for text in found), found


def test_whoever_cancelled_needs_no_mail():
    assert differences([posting("rolled_back", is_cancelled=True)], without(UNDONE, "email_accepted")) == []


@pytest.mark.parametrize(
    ("path", "facts", "effects", "state"),
    [
        ("/api/v1/orders/", {"amounts": [1, 2]}, ["ledger_pending", "ledger_posted"], "committed"),
        ("/api/v1/orders/", {"amounts": [1, 2]}, ["ledger_pending"], "rolled_back"),
        ("/api/v1/institutions/register/", {}, [], "committed"),
        ("/api/v1/institutions/register/", {}, ["user_created"], "rolled_back"),
    ],
)
def test_half_an_order_and_half_a_registration_are_found(path, facts, effects, state):
    assert differences([Ended("p1", path, facts, state, False)], [entry(effect) for effect in effects])


def answer(key: str, status: int, id_: str | None, which: str = "first") -> dict[str, Any]:
    return {"key": key, "status": status, "id": id_, "which": which}


@pytest.mark.parametrize(
    ("log", "rows"),
    [
        ([answer("k", 202, "a")], {}),
        ([answer("k", 202, "a")], {"k": ["b"]}),
        ([answer("k", 202, "a"), answer("k", 202, "b", "copy")], {"k": ["a", "b"]}),
        ([answer("k", 202, "a"), answer("k", 202, "a", "changed")], {"k": ["a"]}),
    ],
    ids=["no row", "another row", "two rows", "other content accepted"],
)
def test_a_customer_who_was_told_something_else_than_the_rows_say_is_named(log, rows):
    assert figures.client_differences(log, rows)


def test_answers_that_agree_with_the_rows_are_fine():
    log = [
        answer("k", 0, None),
        answer("k", 202, "a"),
        answer("k", 202, "a", "copy"),
        answer("k", 422, None, "changed"),
    ]
    assert figures.client_differences(log, {"k": ["a"]}) == []


def test_percentiles_are_by_nearest_rank():
    found = figures.spread(range(1, 201))
    assert (found.count, found.p50, found.p99, found.max) == (200, 100, 198, 200)
    assert figures.spread([]).p99 is None


def test_messages_that_nobody_began_are_lost_and_jobs_begun_again_are_counted():
    lines = [
        ["published", "m1", "pipeline.stage", ["p1", "logo"], 1, ""],
        ["published", "m2", "pipeline.stage", ["p1", "logo"], 1, ""],
        ["published", "m3", "pipeline.commit", ["p2", "logo"], 1, ""],
        ["started", "m1", "pipeline.stage", ["p1", "logo"], 2],
        ["started", "m2", "pipeline.stage", ["p1", "logo"], 2],
    ]
    assert figures.messages(lines) == figures.Messages(published=3, lost=1, lost_pipelines=1, repeated=1)


def test_a_replay_of_several_effects_is_one_request():
    replayed = [
        entry("captured", replayed=True, idempotency_key="k"),
        entry("authorised", replayed=True, idempotency_key="k"),
    ]
    mails = [entry("email_accepted", category="receipt"), entry("email_accepted", category="receipt")]
    assert figures.repeats([entry("captured", idempotency_key="k"), *replayed, *mails]) == (1, 1)


def test_a_fault_that_never_fired_fails_the_run():
    armed = [{"provider": "s3", "kind": "late", "fired": 0}, {"provider": "s3", "kind": "down", "fired": 2}]
    assert checks.unfired(armed, {"FLUSHALL": 1}, Counter({"FLUSHALL": 1, "kill Redis": 2})) == [
        "I12 s3 late never fired",
        "I12 'kill Redis' never had a victim",
    ]


def test_a_mix_of_which_little_commits_fails_the_run():
    rows = [{"state": "committed"}] * 5 + [{"state": "rolled_back"}] * 5
    assert checks.vacuous(rows)
    assert not checks.vacuous([{"state": "committed"}] * 6 + [{"state": "rolled_back"}] * 4)


def test_a_healthy_submission_that_was_rolled_back_is_named_unless_a_deadline_did_it():
    asked = [one for one in submissions(1, 60, 0.1, WORLD) if one.kind.ends == "committed"][:2]
    rows = [
        {"id": "1", "key": asked[0].key, "state": "rolled_back", "error": {"code": "staging_timed_out"}},
        {"id": "2", "key": asked[1].key, "state": "rolled_back", "error": {"code": "card_declined"}},
    ]
    wrong, late = checks.expected_ends(rows, asked)
    assert len(wrong) == 1
    assert late == {"staging_timed_out": 1}


@pytest.mark.parametrize(
    ("p99", "longest", "repeats"),
    [(2.6, 3, 0), (2.0, 7.1, 0), (2.0, 3, 6)],
    ids=["p99", "longest", "repeats"],
)
def test_whoever_misses_the_bar_is_told_so(p99, longest, repeats):
    facts = {"from accept to end": figures.Spread(600, 0.1, p99, longest), "repeats": repeats, "kills": 10}
    assert len(killing.missed(facts)) == 1


def test_who_reaches_the_bar_misses_nothing():
    facts = {"from accept to end": figures.Spread(600, 0.1, 2.5, 7.0), "repeats": 5, "kills": 10}
    assert killing.missed(facts) == []


def test_commits_that_wait_behind_new_work_are_starved():
    waits = {"accepted to staging": [100.0], "decided to committing": [30.0], "decided to rolling back": [0.1]}
    assert len(overload.starved(waits)) == 1
    assert overload.starved(waits | {"decided to committing": [5.0]}) == []


def test_only_the_worker_for_new_work_gives_way_to_the_others(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(stack.processes, "start", lambda command, **_: started.append(command))
    place = stack.Stack(DataFolder(tmp_path), None, print, None, None, workers=overload.WORKERS, nice=overload.NICE)
    for name, queues in place.workers.items():
        place._start_worker(name, queues)
    (nice,) = [command for command in started if command[0] == "nice"]
    assert nice[nice.index("--queues") + 1] == "pipeline"
    assert len(started) == 2


def test_submissions_that_come_or_are_answered_late_are_told():
    assert overload.late(66.1, 60.0) == ["accepting did not keep up: all were answered after 66.1 s instead of 60.0 s"]
    assert overload.late(65.9, 60.0) == []


def test_memory_that_grows_once_all_is_warm_is_told():
    assert overload.grown({"worker": [100, 150, 160, 250]}) == ["memory: worker grew from 150 to 250 MiB"]
    assert overload.grown({"worker": [100, 150, 160, 200], "postgres": [50, 90, 500, 900]}) == []


def test_a_peers_saga_ends_with_the_last_effect_that_it_needs():
    effects = Effects()
    places = sorted(expected(is_refused=False))
    for place in places:
        assert "s" not in effects.ends
        effects.happen(f"s/{place}")
    assert effects.ended_right("s", is_refused=False)
    assert not effects.ended_right("s", is_refused=True)
    effects.happen(f"s/{places[0]}")
    assert effects.repeats() == 1
    effects.happen("s/logo.undo")
    assert not effects.ended_right("s", is_refused=False)


def test_a_kept_run_replaces_the_one_before_in_its_own_place(tmp_path, monkeypatch):
    page = tmp_path / "chaos.md"
    page.write_text(report.PAGE.read_text())
    monkeypatch.setattr(report, "PAGE", page)
    around = {"machine": dict.fromkeys(["cores", "processor", "memory_gib", "load_before"], "?")}
    around["versions"] = dict.fromkeys(["postgresql", "redis-server", "celery"], "?")
    for seed in ("first", "second"):
        report.keep("kills", f"make chaos SEED={seed}", {"pipelines": 3}, [], around)
    kept = page.read_text()
    assert "SEED=second" in kept
    assert "SEED=first" not in kept
    assert kept.index("<!-- kills -->") < kept.index("SEED=second") < kept.index("<!-- end of kills -->")
    assert all(f"<!-- end of {mode} -->" in kept for mode in ("storm", "kills", "peers", "overload", "hosts"))


def test_acts_are_in_order():
    acts = schedule(3, 180)
    assert [act.at for act in acts] == sorted(act.at for act in acts)
    assert all(isinstance(act, Act) for act in acts)


# --- hosts of their own --------------------------------------------------------------------------


def _cut(**changed):
    given = {"jobs": [("p", "logo"), ("q", "payment")], "taken": [12.0, 13.5], "why": {"owner gone"}, "back": 3.0}
    return replace(hosts.Cut(hosts.VANISHING, datetime.now(UTC), given["jobs"]), **given | changed)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"taken": [12.0]}, ["had 1 taken over"]),
        ({"taken": [12.0, 99.0]}, ["had 2 taken over within 20 s"]),
        ({"why": {"lease ended"}}, ["was found by {'lease ended'} and not by owner gone"]),
        ({"back": None}, ["took no job within"]),
        ({"jobs": []}, ["had nothing in hand"]),
    ],
)
def test_a_cable_that_was_pulled_for_nothing_is_told(changed, told):
    found = hosts.missed([_cut(**changed)])
    assert len(found) == len(told)
    assert all(part in line for part, line in zip(told, found, strict=True))
