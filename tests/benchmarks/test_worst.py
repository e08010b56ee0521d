"""The table of the worst inputs: each is sent, and what is over its bound is named."""

import pytest

from benchmarks import worst
from benchmarks.worst import Cost, Worst


@pytest.mark.parametrize(
    ("cost", "holds"),
    [
        (Cost(0.5, 64, 0.2, "200"), True),
        (Cost(0.51, 64, 0.2, "200"), False),
        (Cost(0.5, 64.1, 0.2, "200"), False),
        (Cost(0.5, 64, 0.21, "200"), False),
    ],
)
def test_an_input_holds_when_all_three_figures_do(cost, holds):
    assert cost.holds(Worst("any", lambda port: None)) is holds


def test_every_input_is_measured_and_shown(monkeypatch, capsys):
    costs = iter([Cost(0.1, 1, 0.1, "431"), *[Cost(9, 1, 0.1, "200")] * worst.TRIES])
    monkeypatch.setattr(worst, "_cost", lambda each: next(costs))
    inputs = (Worst("a path", lambda port: None), Worst("a cookie", lambda port: None))
    assert [each.name for each, _ in worst.measure(inputs)] == ["a path", "a cookie"]
    table = capsys.readouterr().out.splitlines()
    assert "OVER" not in table[-2]
    assert table[-1].endswith("OVER ITS BOUND")


def test_a_disturbed_measurement_is_repeated_and_the_least_counts(monkeypatch):
    costs = iter([Cost(0.7, 1, 0.1, "200"), Cost(0.4, 1, 0.1, "200"), Cost(0.1, 1, 0.1, "200")])
    monkeypatch.setattr(worst, "_cost", lambda each: next(costs))
    [(_, cost)] = worst.measure((Worst("a path", lambda port: None),))
    assert cost.processor == 0.4


def test_the_inputs_have_names_of_their_own():
    names = [each.name for each in worst.INPUTS]
    assert len(names) == len(set(names)) > 10
