"""The retry policy: growth, caps, jitter, the provider's wishes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.conf import Conf
from pipeline.retry import RetryPolicy

seconds = st.floats(min_value=0.01, max_value=10_000).map(lambda s: timedelta(seconds=s))
policies = st.builds(
    RetryPolicy, first=seconds, factor=st.floats(min_value=1, max_value=10), cap=seconds, jitter=st.floats(0, 0.9)
)
chances = st.floats(min_value=0, max_value=1, exclude_max=True)
attempts = st.integers(min_value=0, max_value=10**9)
A_MICROSECOND = timedelta(microseconds=1)


@given(policies, attempts, chances, st.none() | seconds)
def test_no_delay_is_negative_or_over_the_cap(policy, attempt, chance, retry_after):
    assert timedelta(0) <= policy.delay(attempt, chance, retry_after) <= policy.cap + A_MICROSECOND


@given(policies, st.integers(1, 100), chances)
def test_without_jitter_a_later_attempt_never_waits_less(policy, attempt, chance):
    assert policy.delay(attempt, 0) <= policy.delay(attempt + 1, 0)
    assert policy.delay(attempt, chance) <= policy.delay(attempt, 0)


@given(policies, attempts, chances)
def test_jitter_takes_off_at_most_its_share(policy, attempt, chance):
    assert policy.delay(attempt, chance) >= policy.delay(attempt, 0) * (1 - policy.jitter) - A_MICROSECOND


@given(policies, attempts, chances, seconds)
def test_what_the_provider_asks_for_is_a_floor_up_to_the_cap(policy, attempt, chance, retry_after):
    assert policy.delay(attempt, chance, retry_after) >= min(retry_after, policy.cap) - A_MICROSECOND


def test_it_is_a_pure_function():
    policy = Conf().STAGE_RETRY
    assert policy.delay(3, 0.5) == policy.delay(3, 0.5)


@pytest.mark.parametrize(("policy", "cap"), [("STAGE_RETRY", 30), ("FINISH_RETRY", 3600), ("WAITING_POLL", 60)])
def test_the_defaults_are_the_documented_ones(policy, cap):
    assert getattr(Conf(), policy).delay(1000, 0) == timedelta(seconds=cap)
    assert Conf().WAITING_POLL.delay(1, 0) == timedelta(seconds=5)
