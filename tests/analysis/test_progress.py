from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.progress import hypervolumes, learning_curve
from analysis.series import Lines
from data.files import write_json

LINES = Lines(teacher=2.0, unprocessed=1.0, budget_gmac=1.0)


def ended(folder: Path, **times: float) -> Path:
    for trial, when in times.items():
        write_json(folder / "students" / f"{int(trial[1:]):04d}" / "timing.json", {"ended": when})
    return folder


def test_the_hypervolume_grows_in_the_order_in_which_students_finished(
    student: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    records = [student(0, 0.01, 1.5), student(1, 0.1, 2.0), student(2, 0.1, None)]
    found = hypervolumes(ended(tmp_path, t0=2.0, t1=1.0), records, LINES, (0.01, 1.0))
    # student 1 dominates half of the axis up to the teacher; student 0 adds half of the other half
    assert [one["trial"] for one in found] == [1, 0]
    assert [one["share"] for one in found] == [pytest.approx(0.5), pytest.approx(0.75)]


def test_without_times_students_count_by_number(student: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    found = hypervolumes(tmp_path, [student(1, 0.1, 1.5), student(0, 0.2, 1.4)], LINES, None)
    assert [one["trial"] for one in found] == [0, 1]


@pytest.mark.parametrize("lines", [Lines(2.0, None, budget_gmac=1.0), Lines(2.0, 1.0)])
def test_without_a_plane_there_is_no_hypervolume(
    student: Callable[..., dict[str, Any]], tmp_path: Path, lines: Lines
) -> None:
    assert hypervolumes(tmp_path, [student(0, 0.1, 1.5)], lines, None) == []


def test_a_learning_curve_has_its_stages_and_only_finite_numbers(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(
        '{"epoch": 1, "stage": "soft", "loss_val_soft": 0.5, "loss_val_hard": null}\n'
        '{"epoch": 2, "stage": "hard", "loss_val_hard": 0.4, "pesq": 1.3, "other": 7}\n'
        '{"epoch": 2, "stage": "hard", "loss_val_hard": 0.3}\n{"epoch": 3, "sta',
        encoding="utf-8",
    )
    write_json(tmp_path / "result.json", {"best_epoch": 2})
    assert learning_curve(tmp_path) == {
        "epochs": [{"epoch": 1, "loss_val_soft": 0.5}, {"epoch": 2, "loss_val_hard": 0.3}],
        "stages": [{"first": 1, "name": "soft"}, {"first": 2, "name": "hard"}],
        "best_epoch": 2,
    }


def test_a_student_without_a_history_has_an_empty_curve(tmp_path: Path) -> None:
    assert learning_curve(tmp_path) == {"epochs": [], "stages": [], "best_epoch": None}
