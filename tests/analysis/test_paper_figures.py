from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.paper_figures import draw_size, draw_snr, size_figure, snr_figure
from analysis.series import NOTHING, Lines
from model.ftjnf import TABLE_1
from model.macs import paper_gmac

Student = Callable[..., dict[str, Any]]
Draw = Callable[[list[dict[str, Any]], Lines], Figure]
Write = Callable[[list[dict[str, Any]], Lines, Path], None]

MEDIANS = {"-5": 1.1, "0": 1.2, "5": 1.4, "10": 1.7, "15": 2.1}
LINES = Lines(
    2.0,
    1.2,
    teacher_name="teacher C",
    teacher_by_snr={snr: value + 0.5 for snr, value in MEDIANS.items()},
    unprocessed_by_snr=MEDIANS,
)


def lines_of(figure: Figure) -> dict[str, dict[float, float]]:
    """PESQ over position of the drawn lines, by their names in the legend."""
    found: dict[str, dict[float, float]] = {}
    for line in figure.axes[0].get_lines():
        name = str(line.get_label())
        if not name.startswith("_") and line.get_linestyle() != "None":
            found[name] = dict(zip(*(np.asarray(values).tolist() for values in line.get_data()), strict=True))
    return found


def legend(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.legends[0].get_texts()}


def said(figure: Figure) -> str:
    return "\n".join(t.get_text() for t in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def same_size(student: Student, **other: Any) -> dict[str, Any]:
    return student(0, 0.85, other.pop("pesq", 1.5), f_hidden=72, t_hidden=24, **other)


def test_snr_figure_shows_the_size_that_all_methods_have(student: Student) -> None:
    records = [
        same_size(student, kd_method="none", pesq=1.5),
        same_size(student, kd_method="linear", pesq=1.6),
        student(1, 0.95, 1.9, kd_method="linear"),  # better, but of another size
    ]
    figure = draw_snr(records, LINES)
    assert "size 72/24" in said(figure)
    assert legend(figure) == {"teacher C", "unprocessed", "no KD", "KD Linear"}
    assert lines_of(figure)["KD Linear"] == pytest.approx({-5: 1.4, 0: 1.5, 5: 1.6, 10: 1.7, 15: 1.8})
    assert lines_of(figure)["unprocessed"] == pytest.approx({float(snr): value for snr, value in MEDIANS.items()})


def test_snr_figure_without_a_common_size_shows_each_methods_best_student_with_its_size(student: Student) -> None:
    records = [
        student(0, 0.1, 1.5, kd_method="none"),
        student(1, 0.2, 1.7, kd_method="none"),
        student(2, 0.3, 1.6, kd_method="t-lstm"),
    ]
    figure = draw_snr(records, Lines(None, None))
    assert legend(figure) == {"no KD 11/8", "KD T-LSTM 12/8"}
    assert "each method's best student" in said(figure)


def test_snr_figure_of_a_given_size_shows_that_size(student: Student) -> None:
    records = [student(0, 0.1, 1.5, kd_method="none"), student(1, 0.2, 1.7, kd_method="linear")]
    assert legend(draw_snr(records, Lines(None, None), size="10/8")) == {"no KD"}


def test_snr_figure_draws_the_quartiles_beside_the_medians(student: Student) -> None:
    spread = {snr: [value - 0.1, value + 0.2] for snr, value in MEDIANS.items()}
    figure = draw_snr([student(0, 0.1, 1.5, pesq_val_spread_by_snr=spread)], Lines(None, None))
    bars = [line.get_ydata() for line in figure.axes[0].get_lines() if line.get_label() == "_bar"]
    np.testing.assert_allclose(bars, list(spread.values()))


def test_size_figure_is_at_0_db_by_method_with_teacher_and_size_e(student: Student) -> None:
    records = [
        student(0, 0.5, 1.6, kd_method="none"),
        student(1, 0.1, 1.5, kd_method="none"),
        student(2, 0.3, 1.55, kd_method="linear"),
    ]
    figure = draw_size(records, LINES)
    assert lines_of(figure)["no KD"] == pytest.approx({0.1: 1.4, 0.5: 1.5})
    assert "teacher C 1.70" in said(figure)
    assert "unprocessed 1.20" in said(figure)
    verticals = [line.get_xdata()[0] for line in figure.axes[0].get_lines() if list(line.get_ydata()) == [0, 1]]
    assert verticals == pytest.approx([paper_gmac(TABLE_1["E"])])


def test_size_figure_joins_the_means_of_students_of_one_cost(student: Student) -> None:
    records = [student(0, 0.1, 1.5), student(1, 0.1, 1.7), student(2, 0.5, 1.8)]
    assert lines_of(draw_size(records, LINES))["KD Linear"] == pytest.approx({0.1: 1.5, 0.5: 1.7})


@pytest.mark.parametrize("draw", [draw_snr, draw_size])
def test_no_line_joins_students_of_two_starts(student: Student, draw: Draw) -> None:
    records = [
        same_size(student, kd_method=method, init=init) for method in ("none", "linear") for init in ("random", "slice")
    ]
    expected = {
        f"{method}, {start}" for method in ("no KD", "KD Linear") for start in ("random start", "slice of the teacher")
    }
    assert legend(draw(records, Lines(None, None))) == expected


@pytest.mark.parametrize("draw", [draw_snr, draw_size])
def test_test_scores_come_from_their_own_key(student: Student, draw: Draw) -> None:
    lines = Lines(None, None, split="test")
    assert NOTHING in said(draw([student(0, 0.1, 1.5)], lines))
    figure = draw([student(0, 0.1, 1.5, pesq_test=1.3, pesq_by_snr=MEDIANS)], lines)
    assert NOTHING not in said(figure)
    assert "test clips" in said(figure)


@pytest.mark.parametrize("write", [snr_figure, size_figure])
@pytest.mark.parametrize("number", [0, 1, 3])
def test_png_is_written_for_any_number_of_students(student: Student, tmp_path: Path, write: Write, number: int) -> None:
    write([student(i, 0.1 * (i + 1), 1.5) for i in range(number)], Lines(None, None), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
