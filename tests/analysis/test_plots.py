from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis import plots
from analysis.plots import draw_pareto
from analysis.series import NOTHING, STYLES, Lines

Student = Callable[..., dict[str, Any]]

LINES = Lines(2.0, 1.2, budget_gmac=1.0, data="demo corpus (synthetic)", teacher_name="teacher C")


def searched(student: Student) -> list[dict[str, Any]]:
    return [
        student(0, 0.05, 1.40, kd_method="none"),
        student(1, 0.20, 1.60, pesq_val_interval=[1.55, 1.66]),
        student(2, 0.30, 1.50, kd_method="t-lstm"),
        student(3, 0.80, 1.80, kd_method="t-lstm"),
    ]


def said(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def staircase(figure: Figure) -> list[tuple[float, float]]:
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_drawstyle() == "steps-post"]
    return list(zip(*(np.asarray(values).tolist() for values in line.get_data()), strict=True))


def marks(figure: Figure) -> dict[float, Any]:
    """The markers in the plot by their cost."""
    found = [line for line in figure.axes[0].get_lines() if line.get_marker() not in ("", "None")]
    return {float(line.get_xdata()[0]): line for line in found}


@pytest.mark.parametrize("case", ["search", "one", "none", "no lines", "no front", "test without scores", "crowd"])
def test_png_of_1200_by_750_is_written_whatever_there_is_to_show(student: Student, tmp_path: Path, case: str) -> None:
    records, lines = searched(student), LINES
    if case == "one":
        records = records[:1]
    elif case == "none":
        records = []
    elif case == "no lines":
        lines = Lines(None, None)
    elif case == "no front":
        records = [{**record, "front": False} for record in records]
    elif case == "test without scores":
        lines = Lines(None, None, split="test")
    elif case == "crowd":
        records = [student(i, 0.5 + 1e-4 * i, 1.5 + 1e-4 * i) for i in range(40)]
    plots.pareto_png(records, lines, tmp_path / "pareto.png")
    png = (tmp_path / "pareto.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (1200, 750)
    assert [path.name for path in tmp_path.iterdir()] == ["pareto.png"]


def test_front_is_a_staircase_up_to_the_budget(student: Student) -> None:
    assert staircase(draw_pareto(searched(student), LINES)) == [(0.05, 1.4), (0.2, 1.6), (0.8, 1.8), (1.0, 1.8)]


def test_dominated_students_are_faint_and_front_members_are_labelled_with_their_size(student: Student) -> None:
    figure = draw_pareto(searched(student), LINES)
    found = marks(figure)
    assert found[0.3].get_alpha() < 0.5 < found[0.2].get_alpha()
    assert {"10/8", "11/8", "13/8"} <= set(said(figure))
    assert "12/8" not in said(figure)


def test_colour_and_marker_say_the_method(student: Student) -> None:
    figure = draw_pareto(searched(student), LINES)
    for cost, method in ((0.05, "none"), (0.2, "linear"), (0.8, "t-lstm")):
        line = marks(figure)[cost]
        assert line.get_marker() == STYLES[method].marker
        assert to_rgba(line.get_markerfacecolor()) == to_rgba(STYLES[method].colour)
        assert STYLES[method].name in said(figure)


def test_methods_differ_in_colour_and_in_marker() -> None:
    for attribute in ("colour", "marker", "symbol", "name"):
        assert len({getattr(look, attribute) for look in STYLES.values()}) == len(STYLES)


def test_figure_names_data_split_teacher_input_and_budget(student: Student) -> None:
    texts = said(draw_pareto(searched(student), LINES))
    assert "PESQ against cost within 1.0 GMAC" in texts
    assert any(text.startswith("demo corpus (synthetic), validation clips") for text in texts)
    assert {"teacher C 2.00", "unprocessed 1.20", "budget 1.0 GMAC"} <= set(texts)


def test_budget_of_true_cost_has_its_own_name(student: Student) -> None:
    lines = Lines(2.0, 1.2, budget_gmac=1.02, budget_name="0.63GMAC/s")
    texts = said(draw_pareto(searched(student), lines))
    assert {"PESQ against cost within 0.63GMAC/s", "budget 0.63GMAC/s"} <= set(texts)


def test_second_axis_is_the_true_cost_of_the_students(student: Student) -> None:
    figure = draw_pareto(searched(student), LINES)
    (top,) = figure.axes[0].child_axes
    left, right = figure.axes[0].get_xlim()
    assert top.get_xlim() == pytest.approx((0.62 * left, 0.62 * right))
    assert top.get_xlabel() == "true cost, about GMAC/s"


def test_error_bar_is_the_interval(student: Student) -> None:
    figure = draw_pareto(searched(student), LINES)
    bars = [segment.tolist() for lines in figure.axes[0].collections for segment in lines.get_segments()]
    assert [bar for bar in bars if bar[0][1] == 1.55] == [[[0.2, 1.55], [0.2, 1.66]]]
    assert any("95 % interval" in text for text in said(figure))


def test_starts_are_told_apart_where_there_are_several(student: Student) -> None:
    records = [student(0, 0.1, 1.5), student(1, 0.4, 1.6, init="slice")]
    figure = draw_pareto(records, LINES)
    found = marks(figure)
    assert to_rgba(found[0.1].get_markerfacecolor()) == to_rgba(STYLES["linear"].colour)
    assert to_rgba(found[0.4].get_markerfacecolor()) == to_rgba("white")
    assert {"random start", "slice of the teacher"} <= set(said(figure))


def test_one_start_is_named_below_the_title(student: Student) -> None:
    figure = draw_pareto([student(0, 0.1, 1.5, init="slice")], LINES)
    assert any("all students start as slices of the teacher" in text for text in said(figure))


def test_labels_cover_neither_each_other_nor_a_marker(student: Student) -> None:
    rng = np.random.default_rng(1)
    records = [student(i, 10 ** rng.uniform(-1.5, 0), 1.3 + 0.3 * rng.random()) for i in range(60)]
    records += [student(60 + i, 0.1 * 1.02**i, 1.7 + 0.01 * i) for i in range(12)]  # a crowd on the front
    figure = draw_pareto(records, LINES)
    labels = [text for text in figure.axes[0].texts if "/8" in text.get_text()]
    assert len(labels) >= 3
    boxes = [Text.get_window_extent(label) for label in labels]  # without leaders
    for i, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:i]) == 0
        for cost, line in marks(figure).items():
            assert not box.contains(*figure.axes[0].transData.transform((cost, line.get_ydata()[0])))


def test_a_search_without_a_finished_student_says_so(student: Student) -> None:
    for records in ([], [student(0, 0.5, None)]):
        assert NOTHING in said(draw_pareto(records, LINES))
    assert NOTHING not in said(draw_pareto(searched(student), LINES))


def test_plots_offers_all_figures() -> None:
    for name in ("pareto_png", "pareto_html", "snr_figure", "size_figure", "Lines"):
        assert hasattr(plots, name)
