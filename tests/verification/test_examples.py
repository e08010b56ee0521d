"""The examples' audits: users and ledger transactions, in order and not."""
# ruff: noqa: F811 - fixtures are imported by their names

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from examples.ledger_orders.models import Buyer
from examples.ledger_orders.providers import modern_treasury
from examples.registrations.providers import supabase
from pipeline.models import Pipeline
from pipeline.reconciliation import reconcile
from pipeline.testing import ScriptedBroker, drain
from tests.examples.conftest import balance, buyer, buyers, generous, order, outside, register  # noqa: F401 - fixtures
from tests.postings.conftest import Outside
from tests.verification.conftest import found, only, sql

Make = Callable[..., uuid.UUID]


@pytest.fixture(autouse=True)
def both_audits(outside: Outside, settings: Any) -> None:
    audits = ("examples.registrations.audit.audit", "examples.ledger_orders.audit.audit")
    settings.PIPELINE = settings.PIPELINE | {"AUDITS": audits}


def _user(reference: str) -> str:
    made = str(uuid.uuid4())
    supabase.create(id=made, email=f"{made}@example.com", reference=reference, password="correct horse battery")
    return made


def _transaction(buyer: Buyer, reference: str, status: str, step: str = "item_1") -> str:
    entries = [
        {"amount": 7, "direction": "debit", "ledger_account_id": buyer.account},
        {"amount": 7, "direction": "credit", "ledger_account_id": buyer.payables},
    ]
    made = modern_treasury._send(
        lambda client: client.ledger_transactions.create(
            status=status,
            external_id=f"{reference}:{step}",
            metadata={"pipeline_id": reference},
            ledger_entries=entries,
        )
    )
    return made.id


@pytest.fixture
def registered(register: Make, broker: ScriptedBroker) -> uuid.UUID:
    pipeline = register()
    assert drain(pipeline, broker) == "committed"
    return pipeline


@pytest.fixture
def refused(registered: uuid.UUID, register: Make, broker: ScriptedBroker) -> uuid.UUID:
    pipeline = register(director_email=_address(registered))
    assert drain(pipeline, broker) == "rolled_back"
    return pipeline


def _address(pipeline: uuid.UUID) -> str:
    return str(Pipeline.objects.get(pk=pipeline).input["director_email"])


@pytest.fixture
def ordered(order: Make, broker: ScriptedBroker) -> uuid.UUID:
    pipeline = order(100, 200)
    assert drain(pipeline, broker) == "committed"
    return pipeline


def test_examples_in_order_are_quiet_at_every_moment(registered, refused, ordered, register, order, broker, settings):
    settings.PIPELINE = settings.PIPELINE | {"GO_ON": False}
    moving = [register(), order(50, 60, 70)]
    for _ in range(40):
        assert found() == set()
        broker.deliver()
    assert [drain(each, broker) for each in moving] == ["committed", "committed"]
    assert found(settled=True) == set()


def test_i2_a_director_who_is_not_there(registered: uuid.UUID) -> None:
    (user,) = supabase.users()
    supabase.delete(user.id)
    assert only("I2", registered).found == "there is none"


def test_i2_a_director_who_is_still_banned(outside: Outside, registered: uuid.UUID, refused: uuid.UUID) -> None:
    (user,) = supabase.users()
    supabase.delete(user.id)
    _user(str(registered))
    assert "still banned" in only("I2", registered).found


def test_i2_an_institution_that_is_not_in_its_trial(registered: uuid.UUID) -> None:
    sql("UPDATE registrations_institution SET state = 'pending'")
    assert only("I2", registered).expected == "an institution in its trial"


def test_i2_somebody_let_in_before_the_decision(register: Make) -> None:
    pipeline = register()
    supabase.admit(_user(str(pipeline)), reference=str(pipeline))
    assert only("I2", pipeline).expected == "nobody let in before the decision"


def test_i3_a_user_and_an_institution_that_were_left(registered: uuid.UUID, refused: uuid.UUID) -> None:
    user = _user(str(refused))
    assert only("I3", refused).found == user
    supabase.delete(user)
    sql("UPDATE registrations_institution SET pipeline_id = %s", refused)
    assert ("I3", refused) in found()


def test_i4_two_users(registered: uuid.UUID) -> None:
    _user(str(registered))
    assert only("I4", registered).found == "2"


def test_i5_a_user_and_a_transaction_of_nobody(buyer: Buyer) -> None:
    nobody, other = str(uuid.uuid4()), str(uuid.uuid4())
    _user(nobody)
    _transaction(buyer, other, "pending")
    assert found() == {("I5", uuid.UUID(nobody)), ("I5", uuid.UUID(other))}


def test_i2_an_item_of_another_amount(ordered: uuid.UUID) -> None:
    sql("UPDATE pipeline_step SET args = jsonb_set(args, '{amount}', '5') WHERE name = 'item_1'")
    assert only("I2", ordered).expected == "5 posted once for item_1"


def test_i2_an_item_that_was_posted_too_early(order: Make, buyer: Buyer) -> None:
    pipeline = order(1, 2)
    _transaction(buyer, str(pipeline), "posted")
    assert only("I2", pipeline).expected == "nothing posted before the decision"


@pytest.mark.parametrize("status", ["pending", "posted"])
def test_i3_a_transaction_that_was_left(order: Make, buyer: Buyer, broker, status: str) -> None:
    pipeline = order(1, 10**9)
    assert drain(pipeline, broker) == "rolled_back"
    assert found() == set()
    made = _transaction(buyer, str(pipeline), status)
    wrong = only("I3", pipeline)
    assert wrong.found == f"{made} is {status}"
    assert ("reconcile" in wrong.next_step) == (status == "pending")


def test_more_than_a_page_is_read(buyer: Buyer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supabase, "_PAGE", 2)
    monkeypatch.setattr(modern_treasury, "PAGE", 2)
    users = {_user(str(uuid.uuid4())) for _ in range(5)}
    made = {_transaction(buyer, str(uuid.uuid4()), "pending", f"item_{number}") for number in range(5)}
    assert {each.id for each in supabase.users()} == users
    assert {each.id for each in modern_treasury.transactions()} == made
    young = sorted(each.created_at for each in modern_treasury.transactions())[2]
    assert len(list(modern_treasury.transactions(young))) == 3


# --- what slipped through ----------------------------------------------------------------------------


@pytest.fixture
def reconciled(settings: Any) -> Callable[[], list[tuple[str, str]]]:
    reconcilers = ("examples.registrations.reconcile.Users", "examples.ledger_orders.reconcile.Transactions")
    young = timedelta(seconds=-2)
    settings.PIPELINE = settings.PIPELINE | {"RECONCILERS": reconcilers, "RECONCILE_AFTER": young}
    return lambda: [(dealt.thing.id, dealt.done) for dealt in reconcile()]


def test_a_user_of_a_rolled_back_registration_is_deleted(registered, refused, reconciled) -> None:
    assert reconciled() == []
    user = _user(str(refused))
    assert reconciled() == [(user, "removed")]
    assert found(settled=True) == set()
    assert reconciled() == []


def test_a_pending_transaction_of_a_rolled_back_order_is_archived(order, buyer, broker, reconciled) -> None:
    pipeline, before = order(1, 10**9), balance(buyer)
    assert drain(pipeline, broker) == "rolled_back"
    made = _transaction(buyer, str(pipeline), "pending")
    assert reconciled() == [(made, "removed")]
    assert (found(settled=True), balance(buyer)) == (set(), before)
    assert reconciled() == []


def test_what_is_posted_or_nobodys_is_listed(order, buyer, broker, reconciled) -> None:
    pipeline = order(1, 10**9)
    assert drain(pipeline, broker) == "rolled_back"
    left = {_transaction(buyer, str(pipeline), "posted"), _transaction(buyer, str(uuid.uuid4()), "pending")}
    left.add(_user(str(uuid.uuid4())))
    assert {(each, "listed for a person") for each in left} == set(reconciled())
    assert len(list(supabase.users())) == 1


def test_what_moves_is_left_alone(register, order, broker, settings, reconciled) -> None:
    settings.PIPELINE = settings.PIPELINE | {"GO_ON": False}
    moving = [register(), order(50, 60)]
    for _ in range(20):
        assert reconciled() == []
        broker.deliver()
    assert [drain(each, broker) for each in moving] == ["committed", "committed"]
