"""Ledger orders: one transaction for each item, all of them posted or all of them archived."""

import uuid
from collections import Counter
from collections.abc import Callable

from examples.ledger_orders.models import Buyer
from pipeline import actions
from pipeline.models import Event, Pipeline, Step
from pipeline.plan import Job
from pipeline.states import Verb
from pipeline.sweep import sweep_once
from pipeline.tasks import run_job
from pipeline.testing import SOON, ScriptedBroker, drain, drain_all, together
from tests.examples.conftest import balance
from tests.postings.conftest import Outside

Order = Callable[..., uuid.UUID]


def test_an_order_has_as_many_steps_as_items_and_posts_a_transaction_for_each(
    outside: Outside, broker: ScriptedBroker, order: Order, buyer: Buyer
) -> None:
    before = balance(buyer)
    pipeline = order(1200, 300, 5)
    assert drain(pipeline, broker) == "committed"
    names = list(Step.objects.filter(pipeline=pipeline).values_list("name", "label"))
    assert names == [(f"item_{n}", f"Line item {n} of 3") for n in (1, 2, 3)]
    assert Counter(outside.effects(pipeline)) == {"ledger_pending": 3, "ledger_posted": 3}
    assert balance(buyer) == before - 1505
    result = Pipeline.objects.get(pk=pipeline).result["order"]
    assert (result["buyer"], result["total"]) == (str(buyer.pk), 1505)
    posted = {entry["object_id"] for entry in outside.entries(pipeline) if entry["effect"] == "ledger_posted"}
    assert {item["ledger_transaction"] for item in result["line_items"]} == posted


def test_nothing_is_posted_before_everything_is_reserved(
    outside: Outside, broker: ScriptedBroker, order: Order
) -> None:
    pipeline = order(1200, 300)
    drain(pipeline, broker)
    assert outside.effects(pipeline)[:2] == ["ledger_pending", "ledger_pending"]


def test_an_order_that_the_balance_does_not_cover_takes_nothing(
    outside: Outside, broker: ScriptedBroker, order: Order, buyer: Buyer
) -> None:
    before = balance(buyer)
    pipeline = order(1, before - 1, 1, 1)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    error = Pipeline.objects.get(pk=pipeline).error
    assert (error["code"], error["step"], error["title"]) == ("not_enough_funds", "item_3", "Not enough funds")
    assert Counter(outside.effects(pipeline)) == {"ledger_pending": 2, "ledger_archived": 2}
    assert balance(buyer) == before
    states = Step.objects.filter(pipeline=pipeline).order_by("position").values_list("state", flat=True)
    assert list(states) == ["rolled_back", "rolled_back", "rolled_back", "skipped"]


def test_a_refused_item_is_not_tried_once_more_when_it_is_rolled_back(
    outside: Outside, broker: ScriptedBroker, order: Order, buyer: Buyer
) -> None:
    """Else it would take, for a moment, what another order could have had."""
    pipeline = order(balance(buyer) + 1)
    drain(pipeline, broker, within=SOON)
    assert outside.entries(pipeline) == []
    assert list(Step.objects.get(pipeline=pipeline).calls) == ["stage.create"]


def test_each_item_is_posted_by_a_job_of_its_own(outside: Outside, broker: ScriptedBroker, order: Order) -> None:
    outside.fault("modern_treasury", "ledger_transactions.update", "error_before", times=1)
    pipeline = order(1200, 300, 5)
    assert drain(pipeline, broker) == "committed"
    attempts = Step.objects.filter(pipeline=pipeline).values_list("commit_attempts", flat=True)
    assert sorted(attempts) == [1, 1, 2]
    assert Counter(outside.effects(pipeline))["ledger_posted"] == 3


def test_a_cancelled_order_frees_what_it_reserved(
    outside: Outside, broker: ScriptedBroker, order: Order, buyer: Buyer
) -> None:
    before = balance(buyer)
    outside.fault("modern_treasury", "ledger_transactions.create", "error_before", nth=2)
    pipeline = order(1200, 300)
    broker.deliver_all()
    assert balance(buyer) == before - 1200
    actions.cancel(pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    assert balance(buyer) == before


def test_a_reservation_whose_answer_was_lost_is_found_when_the_order_is_cancelled(
    outside: Outside, broker: ScriptedBroker, order: Order, buyer: Buyer
) -> None:
    before = balance(buyer)
    outside.fault("modern_treasury", "ledger_transactions.create", "drop_after", times=1)
    pipeline = order(1200)
    broker.deliver_all()
    assert balance(buyer) == before - 1200
    actions.cancel(pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    assert outside.effects(pipeline) == ["ledger_pending", "ledger_archived"]
    assert balance(buyer) == before


def test_a_transaction_that_somebody_else_has_archived_calls_a_person(
    outside: Outside, broker: ScriptedBroker, order: Order
) -> None:
    from examples.ledger_orders.providers import modern_treasury

    outside.fault("modern_treasury", "ledger_transactions.update", "error_before", times=1)
    pipeline = order(1200)
    broker.deliver_all()
    made = Step.objects.get(pipeline=pipeline).data["transaction"]
    modern_treasury._send(lambda client: client.ledger_transactions.update(made, status="archived"))
    for _ in range(20):
        broker.deliver_all()
        if Pipeline.objects.get(pk=pipeline).attention:
            break
        Pipeline.objects.filter(pk=pipeline).update(due_at="2020-01-01T00:00:00Z")
        Step.objects.filter(pipeline=pipeline).update(due_at=None)
        sweep_once()
    assert Event.objects.filter(pipeline=pipeline, type="attention").exists()
    assert Pipeline.objects.get(pk=pipeline).state == "committing"


def test_twenty_orders_race_for_the_funds_of_seven(
    outside: Outside, broker: ScriptedBroker, order: Order, buyer: Buyer
) -> None:
    amount = balance(buyer) // 7
    pipelines = [order(amount) for _ in range(20)]
    broker.drop_all()
    together(*[lambda p=pipeline: run_job(Job(p, "item_1", Verb.STAGE), []) for pipeline in pipelines])
    drain_all(pipelines, broker)
    ends = Counter(Pipeline.objects.filter(pk__in=pipelines).values_list("state", flat=True))
    assert ends == {"committed": 7, "rolled_back": 13}
    refused = Pipeline.objects.filter(pk__in=pipelines, state="rolled_back")
    assert set(refused.values_list("error__code", flat=True)) == {"not_enough_funds"}
    effects = Counter(effect for pipeline in pipelines for effect in outside.effects(pipeline))
    assert effects["ledger_posted"] == 7
    assert effects["ledger_pending"] - effects["ledger_archived"] == 7
    assert 0 <= balance(buyer) < amount


def test_orders_of_several_items_that_race_never_share_funds(
    outside: Outside, broker: ScriptedBroker, order: Order, buyer: Buyer
) -> None:
    part = balance(buyer) // 4
    pipelines = [order(part, part) for _ in range(6)]
    broker.drop_all()
    together(*[lambda p=pipeline: run_job(Job(p, "item_1", Verb.STAGE), []) for pipeline in pipelines])
    drain_all(pipelines, broker)
    posted = [outside.effects(pipeline).count("ledger_posted") for pipeline in pipelines]
    assert set(posted) <= {0, 2}
    assert sum(posted) <= 4
    assert balance(buyer) >= 0
