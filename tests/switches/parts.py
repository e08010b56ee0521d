"""The parts of the matrix that a broken mechanism must fail. With everything in place they pass."""

from datetime import timedelta

from pipeline import transitions
from pipeline.models import Attachment, Pipeline
from pipeline.ownership import owner
from pipeline.plan import Job
from pipeline.states import Verb
from pipeline.sweep import sweep_once
from pipeline.testing import IN_THE_END, Worker, advance, drain
from tests.matrix.play import Shop
from tests.matrix.points import EFFECTS, Kind, Point, Scenario, Trouble

_LEASE = timedelta(seconds=61)


def a_lost_create(shop: Shop) -> None:
    """The worker dies while Stripe's answer to the create is under way."""
    _play(shop, "payment create", Point.ANSWER_LOST, Kind.CRASH)
    shop.verify()


def a_lost_authorisation(shop: Shop) -> None:
    """The hold is there, the worker that asked for it is dead."""
    _play(shop, "payment authorise", Point.ANSWER_LOST, Kind.CRASH)
    shop.verify()


def a_lost_message(shop: Shop) -> None:
    """The worker dies between its record and publishing what comes next."""
    _play(shop, "logo put", Point.RECORDED, Kind.CRASH)


def a_task_that_fails_after_its_record(shop: Shop) -> None:
    """As when publishing the next link fails: the step is done, its task is not."""
    _play(shop, "logo put", Point.RECORDED, Kind.EXCEPTION)


def a_look_at_each_moment(shop: Shop) -> None:
    """Before the payment is made: what can be seen outside?"""
    _play(shop, "payment create", Point.CLAIMED, Kind.DUPLICATE)


def a_receipt_under_way(shop: Shop) -> None:
    """The message comes twice while the receipt is being sent."""
    _play(shop, "receipt", Point.STORED, Kind.DUPLICATE)


def a_late_change_of_mind(shop: Shop) -> None:
    """An operator turns it back when the money is held and the mail is being checked."""
    shop.play(Scenario.TURNED_BACK, [])


def a_late_owner(shop: Shop) -> None:
    """A worker wakes up after its lease, with its answer in hand, while another one has the job."""
    second = Worker()

    def overtaken() -> None:
        advance(_LEASE)
        transitions.release_abandoned()
        claimed = transitions.claim(Job(pipeline, "logo", Verb.STAGE), second.id)
        assert claimed is not None
        taken.append(claimed[0].fence)

    taken: list[int] = []
    pipeline = shop.sell()
    shop.armed.on_place["logo.stage.effect"] = overtaken
    try:
        shop.broker.deliver()
        assert taken
        row = Pipeline.objects.get(pk=pipeline)
        step = row.steps.get(name="logo")
        found = f"I6: logo is {step.state}, owned by {step.owner}: a late owner wrote over fence {taken[0]}"
        assert (step.owner, step.fence, step.state) == (second.id, taken[0], "staging"), found
    finally:
        second.die()
    shop.finish(pipeline, Scenario.SOLD)


def a_create_of_yesterday(shop: Shop) -> None:
    """Nobody works for a day after the answer to the create was lost; Stripe has forgotten the key."""
    pipeline = shop.sell(_trouble("payment create", Point.ANSWER_LOST, Kind.CRASH))
    shop.broker.deliver_all()
    assert shop.armed.struck
    shop.armed.end()
    advance(timedelta(hours=25))
    shop.sandbox.post("clock", {"hours": 25})
    assert drain(pipeline, shop.broker, within=IN_THE_END) == "rolled_back"
    shop.verify()


def a_sweep_while_it_sends(shop: Shop) -> None:
    """Others sweep and work while a living worker is about to send the receipt: the job is his."""

    def others_work() -> None:
        with shop.armed.other.acting():
            sweep_once()
            shop.broker.deliver_all()
        swept.append(True)

    swept: list[bool] = []
    owner().renounce()  # a worker that starts now
    pipeline = shop.sell()
    shop.armed.on_place["email.commit.send_stored"] = others_work
    shop.finish(pipeline, Scenario.SOLD)
    assert swept


def a_secret_that_was_used(shop: Shop) -> None:
    """What a step used once is gone with the write that stages it."""
    kept: list[int] = []
    pipeline = shop.sell()
    shop.armed.on_place["posting.stage.claimed"] = lambda: kept.append(
        Attachment.objects.filter(pipeline_id=pipeline).count()
    )
    shop.finish(pipeline, Scenario.SOLD)
    assert kept == [0], "I10: the upload is kept after its step is staged"


def _trouble(effect: str, point: Point, kind: Kind) -> Trouble:
    return Trouble(next(each for each in EFFECTS if each.name == effect), point, kind)


def _play(shop: Shop, effect: str, point: Point, kind: Kind) -> None:
    trouble = _trouble(effect, point, kind)
    shop.play(trouble.effect.scenario, [trouble])
    assert shop.armed.struck == [trouble]
