import pytest

from benchmarks.figures import number, percentile, spread


def test_the_middle_of_rounds_is_their_median_and_the_spread_names_both_ends():
    rounds = spread([3.0, 1.0, 200.0])
    assert rounds.middle == 3.0
    assert str(rounds) == "3.00 (1.00-200)"


def test_a_single_round_has_no_spread():
    assert str(spread([0.5])) == "0.500"


def test_no_round_is_no_figure():
    with pytest.raises(ValueError, match="at least one round"):
        spread([])


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_one_of_the_values_by_nearest_rank(share, value):
    assert percentile(list(range(100, 0, -1)), share) == value


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1], 0), ([1], 1.1)])
def test_a_percentile_of_nothing_or_beyond_everything_is_refused(values, share):
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.01234, "0.0123"), (1.0, "1.00"), (12.345, "12.3"), (123.4, "123"), (12345, "12345")],
)
def test_a_number_shows_three_figures_that_count(value, shown):
    assert number(value) == shown
