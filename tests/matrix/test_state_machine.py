"""Whatever order the world takes: nobody pays twice at any moment, and in the end it is all of it or nothing.

Nightly: MACHINE_EXAMPLES=3000 MACHINE_STEPS=60 MACHINE_SEED=$RANDOM make test ARGS=tests/matrix/test_state_machine.py
The seed of ten examples stands in their test's id; MACHINE_SEED=4711 MACHINE_EXAMPLES=10 plays those again.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.matrix.machine import ShopMachine
from tests.matrix.play import Shop
from tests.matrix.webhooks import SENDGRID_PUBLIC_KEY, STRIPE_SECRET

AT_ONCE = 10  # examples of one test, which has a seed of its own
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "100"))
STEPS = int(os.environ.get("MACHINE_STEPS", "30"))
FIRST = int(os.environ.get("MACHINE_SEED", "1"))
HOW = settings(
    max_examples=AT_ONCE,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(600)  # a failing example is made small first
@pytest.mark.parametrize(
    "number", range(FIRST, FIRST + EXAMPLES // AT_ONCE), ids=lambda number: f"MACHINE_SEED={number}"
)
def test_in_whatever_order_it_comes(shop: Shop, settings: Any, number: int) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = [STRIPE_SECRET]
    settings.SENDGRID_WEBHOOK_PUBLIC_KEY = SENDGRID_PUBLIC_KEY
    ShopMachine.shop = shop
    run_state_machine_as_test(seed(number)(ShopMachine), settings=HOW)
