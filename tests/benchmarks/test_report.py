import json

import pytest

from benchmarks import report
from benchmarks.__main__ import arguments, in_order, wanted_goals
from benchmarks.goals import GOALS, Measured

MACHINE = {"processor": "Test CPU", "cores": 2}
VERSIONS = {"python": "3.11"}


@pytest.mark.parametrize(
    ("goal", "ratio", "holds"),
    [
        ("G1", 1.0, True),
        ("G1", 0.99, False),
        ("G6", 1.5, True),
        ("G6", 1.51, False),
        ("G7a", 4, True),
        ("G7a", 5, False),
    ],
)
def test_a_rate_has_to_reach_its_goal_and_a_cost_must_not_exceed_it(goal, ratio, holds):
    assert GOALS[goal].holds(ratio) is holds


def test_the_kept_form_has_each_measured_goal_with_its_number_and_no_other():
    made = report.as_json(MACHINE, VERSIONS, [Measured(GOALS["G7b"], 10.0, "counted")])
    assert made == {
        "machine": MACHINE,
        "versions": VERSIONS,
        "goals": {"G7b": {"ratio": 10.0, "goal": 14, "holds": True, "detail": "counted"}},
    }


def test_the_file_is_written_whole(tmp_path):
    path = tmp_path / "latest.json"
    report.write(path, {"goals": {}})
    assert json.loads(path.read_text()) == {"goals": {}}
    assert list(tmp_path.iterdir()) == [path]


def test_the_table_names_number_goal_and_verdict_and_what_it_was_measured_on():
    lines = report.as_text(MACHINE, VERSIONS, [Measured(GOALS["G1"], 0.5, "50 against 100")]).splitlines()
    assert lines[1].split()[:5] == ["G1", "0.500", "≥", "1.00", "NO"]
    assert "G1: 50 against 100" in lines
    assert "Machine: processor Test CPU, cores 2" in lines
    assert "Versions: python 3.11" in lines


def test_goals_are_reported_in_their_own_order_whenever_they_were_measured():
    measured = [Measured(GOALS[name], 1, "") for name in ("G7c", "G6", "G1")]
    assert [one.goal.id for one in in_order(measured)] == ["G1", "G6", "G7c"]


def test_a_long_measurement_stays_when_the_others_are_measured_anew_on_the_same_machine(tmp_path):
    machine = MACHINE | {"memory_gib": 24}
    path = tmp_path / "latest.json"
    report.write(path, report.as_json(machine, VERSIONS, [Measured(GOALS[name], 1.0, "old") for name in ("G8", "G1")]))
    fresh = report.as_json(machine | {"load_before": 9}, VERSIONS, [Measured(GOALS["G1"], 2.0, "new")])
    goals = report.merged(path, fresh)["goals"]
    assert {name: goal["detail"] for name, goal in goals.items()} == {"G1": "new", "G8": "old"}
    assert list(goals) == ["G1", "G8"]


@pytest.mark.parametrize("kept", ["", "{}", '{"machine": {"processor": "Another"}, "goals": {"G8": {}}}'])
def test_a_measurement_of_another_machine_or_a_broken_file_is_not_kept(tmp_path, kept):
    path = tmp_path / "latest.json"
    path.write_text(kept)
    fresh = report.as_json(MACHINE | {"memory_gib": 24}, VERSIONS, [Measured(GOALS["G1"], 2.0, "new")])
    assert list(report.merged(path, fresh)["goals"]) == ["G1"]


@pytest.mark.parametrize(
    ("line", "goals"),
    [
        ([], ("G1", "G2", "G3", "G4", "G5", "G6", "G7")),
        (["--quick"], ("G1", "G2", "G4", "G5", "G6", "G7")),
        (["--scale", "--memory"], ["G8", "G9"]),
        (["--only", "G7"], ["G7"]),
    ],
)
def test_the_command_line_names_what_is_measured(monkeypatch, line, goals):
    monkeypatch.setattr("sys.argv", ["benchmarks", *line])
    assert wanted_goals(arguments()) == goals
