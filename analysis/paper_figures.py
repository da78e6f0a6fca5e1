"""The forms of the paper's Figures 3 and 4, from the students of any search.

A line joins students of one KD method and one start, never of two starts: where a search has both, students that began
as slices of the teacher have hollow markers and a dashed line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.canvas import (
    bottom_legend,
    budget_line,
    cost_axis,
    fit_heights,
    marker_looks,
    new_figure,
    reference_lines,
    save,
    say_nothing,
    vertical_line,
)
from analysis.series import (
    FAINT_INK,
    TEACHER_COLOUR,
    Lines,
    Record,
    by_snr,
    score,
    series,
    size_name,
    snr_numbers,
    snr_quartiles,
    spread_by_snr,
    start_name,
    starts,
    style,
    true_cost,
    words,
)

Spread = Mapping[float, tuple[float, float]]


def snr_figure(records: Sequence[Record], lines: Lines, path: Path, size: str | None = None) -> None:
    """Writes median PESQ over SNR by KD method, the form of the paper's Figure 3, as PNG.

    Args:
        records: students with the keys of `front.json`, and for validation `pesq_val_by_snr`; optionally the quartiles
            over clips, [low, high] by SNR, as `pesq_val_spread_by_snr` (validation) or `pesq_spread_by_snr` (test).
        lines: here `teacher_by_snr`, `unprocessed_by_snr` and their spreads are drawn.
        path: of the file, written whole or not at all.
        size: F/T to show. None takes the costliest size of which every method has a student, as in the paper; if there
            is none, each method's best student, with its size in the legend.
    """
    save(draw_snr(records, lines, size), path)


def draw_snr(records: Sequence[Record], lines: Lines, size: str | None = None) -> Figure:
    """The figure that `snr_figure` writes."""
    size, best = snr_students(records, lines, size)
    which = "each method's best student" if size is None else f"size {size}"
    subtitle = words(best, lines, "median and quartiles over clips")
    figure, axes = new_figure(f"PESQ over SNR by KD method, {which}", subtitle)
    shifts = iter(
        np.linspace(-0.7, 0.7, len(best) + 2)
    )  # dB: the bars stand side by side, the medians where they belong
    for name, colour, values, spread in (
        (lines.teacher_name, TEACHER_COLOUR, lines.teacher_by_snr, lines.teacher_spread_by_snr),
        ("unprocessed", FAINT_INK, lines.unprocessed_by_snr, lines.unprocessed_spread_by_snr),
    ):
        if values:
            look = {"color": colour, "linestyle": ":" if name == "unprocessed" else "--", "label": name}
            _draw(axes, snr_numbers(values), snr_quartiles(spread), next(shifts), look)
    for record in best:
        look = _look(record, mixed=len(starts(best)) > 1, size=size_name(record) if size is None else "")
        _draw(axes, by_snr(record, lines.split), spread_by_snr(record, lines.split), next(shifts), look)
    if not best:
        say_nothing(axes)
    axes.set_xlabel("SNR in dB at the front microphone")
    axes.set_ylabel("PESQ (wide band, median)")
    axes.set_xlim(-6.2, 16.2)
    axes.set_xticks([-5, 0, 5, 10, 15])
    fit_heights(axes)
    bottom_legend(figure, [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")])
    return figure


def snr_students(records: Sequence[Record], lines: Lines, size: str | None = None) -> tuple[str | None, list[Record]]:
    """The size that the form of Figure 3 shows, see `snr_figure`; the best student of each method and start in it."""
    scored = [record for record in records if by_snr(record, lines.split)]
    size = size or _common_size(scored)
    chosen = [record for record in scored if size is None or size_name(record) == size]
    return size, [max(group, key=lambda record: score(record, lines.split) or 0.0) for group in series(chosen)]


def size_students(records: Sequence[Record], lines: Lines, snr_db: float = 0.0) -> list[list[Record]]:
    """The students of the form of Figure 4 by method and start: those with a score at that SNR."""
    return series([record for record in records if snr_db in by_snr(record, lines.split)])


def size_figure(records: Sequence[Record], lines: Lines, path: Path, snr_db: float = 0.0) -> None:
    """Writes median PESQ at one SNR over GMAC by KD method, the form of the paper's Figure 4, as PNG.

    Lines go through the mean of the students of one cost. The vertical line is size E, as in the paper.

    Args:
        records: as for `snr_figure`.
        lines: here `teacher_by_snr`, `unprocessed_by_snr` and the budget are drawn.
        path: of the file, written whole or not at all.
        snr_db: the SNR, the paper's is 0 dB.
    """
    save(draw_size(records, lines, snr_db), path)


def draw_size(records: Sequence[Record], lines: Lines, snr_db: float = 0.0) -> Figure:
    """The figure that `size_figure` writes."""
    from model.ftjnf import TABLE_1  # here, since it brings torch, which no other figure needs
    from model.macs import paper_gmac

    scored = [record for record in records if snr_db in by_snr(record, lines.split)]
    subtitle = words(scored, lines, "median and quartiles over clips")
    figure, axes = new_figure(f"PESQ at {snr_db:g} dB SNR over cost by KD method", subtitle)
    size_e = paper_gmac(TABLE_1["E"])
    cost_axis(axes, [*(record["paper_gmac"] for record in scored), size_e], lines.budget_gmac, true_cost(scored))
    teacher, unprocessed = (
        snr_numbers(values).get(snr_db) for values in (lines.teacher_by_snr, lines.unprocessed_by_snr)
    )
    reference_lines(axes, lines, teacher, unprocessed)
    budget_line(axes, lines)
    vertical_line(axes, size_e, "size E", 0.07, color=FAINT_INK, linestyle="--")
    handles = []
    for group in size_students(records, lines, snr_db):
        look = _look(group[0], mixed=len(starts(scored)) > 1)
        handles.append(Line2D([], [], **look))
        values: dict[float, list[float]] = {}
        for record in sorted(group, key=lambda record: record["paper_gmac"]):
            gmac, value = record["paper_gmac"], by_snr(record, lines.split)[snr_db]
            values.setdefault(gmac, []).append(value)
        points = [(gmac, value) for gmac, several in values.items() for value in several]
        axes.plot(*zip(*points, strict=True), **{**look, "linestyle": "none"}, zorder=4)
        ends = [(one["paper_gmac"], spread_by_snr(one, lines.split).get(snr_db)) for one in group]
        bars = [(gmac, *pair) for gmac, pair in ends if pair is not None]
        if bars:
            axes.vlines(*zip(*bars, strict=True), color=look["color"], linewidth=1.0, alpha=0.4, zorder=2, label="_bar")
        means = [sum(several) / len(several) for several in values.values()]
        axes.plot(list(values), means, **{**look, "marker": ""}, zorder=3)
    if not scored:
        say_nothing(axes)
    axes.set_ylabel("PESQ (wide band, median)")
    fit_heights(axes)
    bottom_legend(figure, handles)
    return figure


def _common_size(records: Sequence[Record]) -> str | None:
    methods: dict[str, set[str]] = {}
    for record in sorted(records, key=lambda record: -record["paper_gmac"]):
        methods.setdefault(size_name(record), set()).add(str(record["kd_method"]))
    every = set().union(*methods.values())
    return next((size for size, having in methods.items() if having == every and len(every) > 1), None)


def _look(record: Record, mixed: bool, size: str = "") -> dict[str, Any]:
    """The line of a method, with its start in the name and the look where the figure has several starts."""
    look = style(str(record["kd_method"]))
    start = str(record.get("init"))
    hollow = mixed and start != "random"
    return {
        "color": look.colour,
        "marker": look.marker,
        "markersize": 6,
        "linewidth": 1.3,
        "linestyle": "--" if hollow else "-",
        "label": f"{look.name} {size}".strip() + (f", {start_name(start)}" if mixed else ""),
        **marker_looks(look.colour, hollow),
    }


def _draw(axes: Axes, values: Mapping[float, float], spread: Spread, shift: float, look: Mapping[str, Any]) -> None:
    axes.plot(list(values), list(values.values()), **look, zorder=3)
    for snr in values:
        _bar(axes, snr + shift, spread.get(snr), look["color"])


def _bar(axes: Axes, x: float, ends: tuple[float, float] | None, colour: str) -> None:
    if ends is not None:
        axes.plot([x, x], ends, color=colour, linewidth=1.0, alpha=0.4, zorder=2, label="_bar")
