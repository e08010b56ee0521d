import pytest

from benchmarks.contenders import seconds_for
from benchmarks.cpu import difference
from benchmarks.saturation import Round, best
from benchmarks.workers import Setting

ONE, FOUR = Setting("prefork", 2, 1), Setting("prefork", 2, 4)


def rounds(*rates):
    return [Round(rate, {"client": 1.0}, 2.0) for rate in rates]


def test_a_contender_is_judged_by_the_setting_with_its_best_median():
    found = best(
        "ours", {("ours", ONE): rounds(90, 10, 20), ("ours", FOUR): rounds(30, 40, 50), ("theirs", ONE): rounds(99)}
    )
    assert (found.setting, found.rate.middle) == (FOUR, 40)


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
