import pytest

from benchmarks import saturation
from benchmarks.contenders import seconds_for
from benchmarks.cpu import difference
from benchmarks.peers.environments import LeftOutError
from benchmarks.saturation import Amount, Best, Round, compare
from benchmarks.workers import Setting

ONE, FOUR = Setting("prefork", 2, 1), Setting("prefork", 2, 4)


class Steady:
    """Ends so many a second, by setting."""

    def __init__(self, name, rates):
        self.name, self.rates, self.settings = name, rates, tuple(rates)


@pytest.fixture
def taken(monkeypatch):
    """The rounds that were taken, in order: each contender is as fast as it says."""
    rounds = []

    def one_round(place, contender, setting, count, at_once=None):
        rate = contender.rates[setting]
        if isinstance(rate, Exception):
            raise rate
        rounds.append((contender.name, setting, count))
        return Round(rate, {"client": 1.0}, 2.0)

    monkeypatch.setattr(saturation, "one_round", one_round)
    monkeypatch.setenv("BENCH_QUIET", "1")
    return rounds


def test_a_contender_is_measured_with_the_setting_in_which_it_was_fastest(taken):
    found = compare(None, "W0", [Steady("ours", {ONE: 20, FOUR: 40})], Amount(rounds=3, count=10, choosing=5))
    assert (found["ours"].setting, found["ours"].rate.values) == (FOUR, (40, 40, 40))
    assert taken[:2] == [("ours", ONE, 5), ("ours", FOUR, 5)]


def test_contenders_take_their_rounds_in_turn(taken):
    compare(None, "W0", [Steady("ours", {ONE: 1}), Steady("theirs", {FOUR: 1})], Amount(2, 10, 0))
    assert [name for name, _, _ in taken] == ["ours", "theirs"] * 2


def test_without_time_to_choose_the_first_setting_is_taken(taken):
    found = compare(None, "W0", [Steady("ours", {ONE: 20, FOUR: 40})], Amount(1, 10, 0))
    assert found["ours"].setting == ONE


@pytest.mark.parametrize("choosing", [0, 5])
def test_a_peer_that_does_not_run_here_is_left_out(taken, choosing):
    no = LeftOutError("theirs is left out: no server")
    broken = Steady("theirs", {ONE: no, FOUR: no})
    found = compare(None, "W0", [Steady("ours", {ONE: 20}), broken], Amount(2, 10, choosing))
    assert list(found) == ["ours"]


def test_what_one_costs_is_told_by_part_without_what_it_does_not_use():
    best = Best("things", ONE, [Round(10.0, {"client": 1.0, "workers": 2.0, "Redis": 0.0}, 0.0)])
    assert str(best) == "10.0 things/s, prefork 2, prefetch 1, 3.00 ms of processor each (client 1.00, workers 2.00)"


def test_what_was_spent_is_told_by_part():
    assert difference({"client": 1.0, "workers": 2.0}, {"client": 1.5, "workers": 4.0}) == {
        "client": 0.5,
        "workers": 2.0,
    }


class Stuck:
    name = "stuck things"

    def submit(self, count):
        self.count = count

    def left(self):
        return self.count


def test_a_round_that_does_not_end_says_so():
    times = iter([0.0, 100.0])
    with pytest.raises(TimeoutError, match="7 of 7 stuck things had not ended after 10 s"):
        seconds_for(Stuck(), 7, 10, clock=lambda: next(times))


class Slow:
    """One ends each time it is asked."""

    name = "slow things"

    def __init__(self):
        self.under_way, self.most = 0, 0

    def submit(self, count):
        self.under_way += count
        self.most = max(self.most, self.under_way)

    def left(self):
        self.under_way -= min(self.under_way, 1)
        return self.under_way


def test_no_more_are_under_way_than_may_be(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    slow = Slow()
    seconds_for(slow, 9, 60, at_once=3)
    assert (slow.most, slow.under_way) == (3, 0)


def test_a_setting_names_its_workers_and_asks_for_fairness_only_of_a_pool_that_has_it():
    threads = Setting("threads", 100, 4, 2)
    assert str(threads) == "2 x threads 100, prefetch 4"
    assert "fair" not in threads.arguments()
    assert "fair" in ONE.arguments()
