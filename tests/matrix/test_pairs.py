"""Two troubles in one pipeline, drawn by a seed.

MATRIX_SEED=1234 MATRIX_PAIRS=1 make test ARGS=tests/matrix/test_pairs.py plays one again.
"""

import os
import random

import pytest

from tests.matrix.play import Shop
from tests.matrix.points import Kind, Trouble, troubles

FIRST = int(os.environ.get("MATRIX_SEED", "1"))
PAIRS = int(os.environ.get("MATRIX_PAIRS", "1000"))
AT_ONCE = 25  # pairs of one test
SEEDS = [range(first, min(first + AT_ONCE, FIRST + PAIRS)) for first in range(FIRST, FIRST + PAIRS, AT_ONCE)]
# A worker stopped past its lease may send a request when its effect was undone already: the reconciler's part.
TROUBLES = troubles(Kind.CRASH, Kind.EXCEPTION, Kind.DUPLICATE)


def pair_of(chance: random.Random) -> list[Trouble]:
    """Any trouble, and another one that the same pipeline may come to."""
    first = chance.choice(TROUBLES)
    others = [each for each in TROUBLES if each.effect.scenario == first.effect.scenario and each != first]
    return [first, chance.choice(others)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"MATRIX_SEED={seeds.start}..{seeds.stop - 1}")
def test_two_troubles_in_one_pipeline(shop: Shop, seeds: range) -> None:
    struck = 0
    for seed in seeds:
        chance = random.Random(seed)
        pair = pair_of(chance)
        shop.go_on(chance.random() < 0.5)
        try:
            shop.play(pair[0].effect.scenario, pair, redeliver=chance.random() < 0.5)
        except AssertionError as error:
            raise AssertionError(f"MATRIX_SEED={seed}: {error}") from error
        struck += len(shop.armed.struck)
    # The one may leave no occasion for the other, but seldom: a run without trouble shows nothing.
    assert struck >= 1.8 * len(seeds)
    shop.verify()
