"""Card testing: however many submissions come at once and however they end, few cards are tried from one address."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from pipeline import actions
from pipeline.api.acceptance import TooManyRefused
from pipeline.models import Pipeline, Step
from pipeline.testing import ScriptedBroker, drain
from pipeline.workflow import Unavailable
from postings import card_attempts
from postings.providers import stripe
from tests.postings.conftest import Outside

Submit = Callable[..., uuid.UUID]
CLIENT = "an address"
DECLINED = "pm_card_chargeDeclined"


@pytest.fixture
def tried(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The intents whose bank was asked; the ceiling is 3."""
    settings.MAX_REFUSED_CARDS_PER_HOUR = 3
    asked: list[str] = []
    confirm = stripe.confirm
    monkeypatch.setattr(stripe, "confirm", lambda intent, call: asked.append(intent) or confirm(intent, call))
    return asked


@pytest.fixture
def begin(submit: Submit) -> Submit:
    """A submission of this address that was accepted before any ceiling was reached."""

    def make(card: str = DECLINED, client: str = CLIENT) -> uuid.UUID:
        pipeline = submit(card, has_logo=False)
        Pipeline.objects.filter(pk=pipeline).update(client=client)
        return pipeline

    return make


def _code(pipeline: uuid.UUID) -> str:
    return str((Pipeline.objects.get(pk=pipeline).error or {})["code"])


def test_beyond_the_ceiling_no_bank_is_asked_though_all_were_accepted_before(
    outside: Outside, broker: ScriptedBroker, begin: Submit, tried: list[str]
) -> None:
    pipelines = [begin() for _ in range(6)]
    assert {drain(pipeline, broker) for pipeline in pipelines} == {"rolled_back"}
    assert len(tried) == 3
    assert sorted(map(_code, pipelines)) == ["card_declined"] * 3 + ["too_many_refused"] * 3
    with pytest.raises(TooManyRefused):
        card_attempts.check(CLIENT)
    outside.assert_verified()
    card_attempts.check("another address")
    assert drain(begin("pm_card_visa", "another address"), broker) == "committed"


@pytest.mark.parametrize("card", [DECLINED, "pm_card_visa", "pm_card_authenticationRequired"])
def test_a_card_counts_though_its_pipeline_was_cancelled_while_the_bank_was_asked(
    outside: Outside, broker: ScriptedBroker, begin: Submit, tried: list[str], monkeypatch: Any, card: str
) -> None:
    pipelines = [begin(card) for _ in range(5)]
    confirm = stripe.confirm

    def cancelling(intent: str, call: Any) -> Any:
        actions.cancel(Step.objects.get(name="payment", data__intent=intent).pipeline_id)
        return confirm(intent, call)

    monkeypatch.setattr(stripe, "confirm", cancelling)
    assert {drain(pipeline, broker) for pipeline in pipelines} == {"rolled_back"}
    assert len(tried) == 3
    with pytest.raises(TooManyRefused):
        card_attempts.check(CLIENT)


def test_cards_that_are_good_count_for_nothing(
    outside: Outside, broker: ScriptedBroker, begin: Submit, tried: list[str]
) -> None:
    pipelines = [begin("pm_card_visa") for _ in range(5)]
    assert {drain(pipeline, broker) for pipeline in pipelines} == {"committed"}
    card_attempts.check(CLIENT)


class _Attempt:
    """What the ceiling sees of a payment's attempt."""

    def __init__(self, pipeline: uuid.UUID) -> None:
        self.pipeline_id = pipeline
        self.data: dict[str, Any] = {}

    def record(self, **data: Any) -> None:
        """As the engine does."""
        Step.objects.filter(pipeline_id=self.pipeline_id, name="payment").update(data=data)


def test_sixteen_at_once_are_asked_by_as_many_as_the_ceiling_allows(
    outside: Outside, begin: Submit, tried: list[str]
) -> None:
    pipelines = [begin() for _ in range(16)]
    Step.objects.filter(name="payment").update(state="staging")
    together = threading.Barrier(16)

    def ask(pipeline: uuid.UUID) -> str:
        together.wait()
        try:
            card_attempts.begin(_Attempt(pipeline))  # type: ignore[arg-type] # as much of one as is looked at
        except Unavailable as unavailable:
            return unavailable.code
        finally:
            connection.close()
        return "asked"

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, pipelines))
    assert answers.count("asked") == 3
    assert answers.count("other_cards_tried") == 13
    Step.objects.filter(name="payment").update(state="pending")


def test_the_ceiling_may_be_off_and_a_command_has_no_address(
    outside: Outside, begin: Submit, tried: list[str], settings: Any
) -> None:
    nobody = _Attempt(begin(client=""))
    card_attempts.begin(nobody)  # type: ignore[arg-type]
    settings.MAX_REFUSED_CARDS_PER_HOUR = 0
    card_attempts.begin(_Attempt(begin()))  # type: ignore[arg-type]
    assert not Step.objects.filter(data__has_key="card_asked").exists()
