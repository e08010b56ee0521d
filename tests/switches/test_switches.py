"""The checks must be able to fail: with any one mechanism of safety broken, a part of the matrix fails.

`make switches` prints which part noticed what.
"""

import pytest

from tests.matrix.play import Shop
from tests.switches.conftest import noticed
from tests.switches.switches import SWITCHES, Switch


def test_there_are_twelve_and_each_is_another_one() -> None:
    assert len({switch.name for switch in SWITCHES}) == len(SWITCHES) >= 12


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.name)
def test_the_checks_notice(shop: Shop, switch: Switch) -> None:
    hold_out(shop, switch)
    with pytest.MonkeyPatch.context() as patch:
        switch.breaks(patch)
        with pytest.raises(AssertionError) as failed:
            hold_out(shop, switch)
    noticed(switch, failed.value)


def hold_out(shop: Shop, switch: Switch) -> None:
    """The part, and what `manage.py verify` says afterwards."""
    switch.part(shop)
    shop.verify()
