from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.interactive import hover, pareto_figure, pareto_html
from analysis.series import NOTHING, Lines, points

Student = Callable[..., dict[str, Any]]

LINES = Lines(2.0, 1.2, budget_gmac=1.0, data="demo <corpus>", teacher_name="teacher C")


def test_page_holds_its_script_and_loads_nothing(student: Student, tmp_path: Path) -> None:
    pareto_html([student(0, 0.1, 1.5), student(1, 0.5, 1.7)], LINES, tmp_path / "pareto.html")
    page = (tmp_path / "pareto.html").read_text(encoding="utf-8")
    assert len(page) > 1_000_000  # plotly.js itself
    assert not re.search(r"<(script|link|img)[^>]*\s(src|href)=", page)
    assert [path.name for path in tmp_path.iterdir()] == ["pareto.html"]


def test_front_is_a_staircase_up_to_the_budget(student: Student) -> None:
    figure = pareto_figure([student(0, 0.1, 1.5), student(1, 0.3, 1.4), student(2, 0.5, 1.7)], LINES)
    (front,) = [trace for trace in figure.data if trace.name == "Pareto front"]
    assert (list(front.x), list(front.y), front.line.shape) == ([0.1, 0.5, 1.0], [1.5, 1.7, 1.7], "hv")


def test_hover_shows_configuration_scores_and_all_costs(student: Student) -> None:
    record = student(7, 0.5, 1.6, init="slice", pesq_val_interval=[1.55, 1.65], pesq_test=1.58, parameters=33650)
    (point,) = points([record], "validation")
    assert hover(point, LINES).split("<br>") == [
        "<b>17/8</b>, KD Linear, alpha two-stage, slice of the teacher",
        "PESQ on validation clips 1.600 [1.55, 1.65]",
        "unprocessed 1.200, teacher C 2.000",
        "PESQ on test clips 1.580",
        "0.5 GMAC (paper) = 0.31 GMAC/s = 4.96 MMAC/frame",
        "33 650 parameters",
        "student 7, MLflow run run7",
    ]


def test_hover_tells_students_of_both_directions_over_frequency(student: Student) -> None:
    (point,) = points([student(7, 0.5, 1.6, bi_freq=True)], "validation")
    assert hover(point, LINES).startswith("<b>17/8bi</b>, ")


def test_hover_leaves_out_what_is_not_known(student: Student) -> None:
    record = student(7, 0.5, 1.6, kd_method="none", alpha_schedule=None, mlflow_run_id=None, pesq_test=None)
    (point,) = points([record], "validation")
    said = hover(point, Lines(None, None))
    assert "None" not in said
    assert "<br><br>" not in said
    assert said.startswith("<b>17/8</b>, no KD, random start<br>")


def test_a_legend_entry_for_each_method_and_start(student: Student) -> None:
    records = [
        student(0, 0.1, 1.5),
        student(1, 0.2, 1.4),
        student(2, 0.3, 1.6, init="slice"),
        student(3, 0.4, 1.3, kd_method="multi"),
    ]
    legend = [trace.name for trace in pareto_figure(records, LINES).data if trace.showlegend]
    assert sorted(legend) == ["KD Linear, random start", "KD Linear, slice of the teacher", "KD Multi, random start"]


def test_title_names_data_and_split_with_user_text_escaped(student: Student) -> None:
    title = pareto_figure([student(0, 0.1, 1.5)], LINES).layout.title.text
    assert "demo &lt;corpus&gt;, validation clips" in title
    assert "within 1.0 GMAC" in title
    named = Lines(2.0, 1.2, budget_gmac=1.02, budget_name="0.63GMAC/s")
    figure = pareto_figure([student(0, 0.1, 1.5)], named)
    assert "within 0.63GMAC/s" in figure.layout.title.text
    assert "budget 0.63GMAC/s" in [note.text for note in figure.layout.annotations]


@pytest.mark.parametrize("lines", [LINES, Lines(None, None)])
def test_a_search_without_a_finished_student_says_so(lines: Lines) -> None:
    assert NOTHING in [note.text for note in pareto_figure([], lines).layout.annotations]


def test_one_student_off_the_front_is_shown_without_a_staircase(student: Student) -> None:
    figure = pareto_figure([student(0, 0.1, 1.5, front=False)], Lines(None, None))
    assert [trace.name for trace in figure.data if trace.name] == ["KD Linear"]
