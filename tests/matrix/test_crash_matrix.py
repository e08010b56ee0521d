"""Every effect of the shop at each of its points, with every kind of trouble: all of it or nothing, each once.

The outcome is read from the sandbox's own ledger, never from the project's word alone. With workers that go on by
themselves all of it is played, with those that go on by message every other trouble; MATRIX=full plays both in full.
"""

import os

import pytest

from tests.matrix.play import Shop
from tests.matrix.points import EFFECTS, Effect, Kind, Trouble


def test_the_matrix_has_eight_points_of_more_than_twelve_effects() -> None:
    eight = {"due", "claimed", "request_lost", "answer_lost", "effect", "ack_lost", "recorded", "published"}
    assert len(EFFECTS) > 12
    assert len({effect.name for effect in EFFECTS}) == len(EFFECTS)
    assert sum(len(effect.points) for effect in EFFECTS) == 155
    for effect in EFFECTS:
        assert set(effect.points) - {"stored"} == eight


@pytest.mark.parametrize("go_on", [True, False], ids=["going on", "by message"])
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.name)
def test_nothing_is_lost_and_nothing_doubled(shop: Shop, effect: Effect, kind: Kind, *, go_on: bool) -> None:
    shop.go_on(go_on)
    is_sample = not go_on and os.environ.get("MATRIX") != "full"
    for number, point in enumerate(effect.points, start=EFFECTS.index(effect) + list(Kind).index(kind)):
        trouble = Trouble(effect, point, kind)
        if trouble.is_possible and not (is_sample and number % 2):
            shop.play(effect.scenario, [trouble])
            assert shop.armed.struck == [trouble], f"{trouble} never happened: the run shows nothing"
    shop.verify()
