"""What the matplotlib figures have in common: frame, cost axis, reference lines, legend, saving.

Drawn by the object interface: without pyplot there is no global state, and figures can be drawn in any thread.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.series import FAINT_INK, INK, NOTHING, TEACHER_COLOUR, Lines, cost_range, log_ticks
from data.files import write_atomic

Artist = Any  # matplotlib's drawing calls take keywords of many types
SMALL = 8
"""Points of the small print: ticks, labels in the plot, legend."""


def new_figure(title: str, subtitle: str) -> tuple[Figure, Axes]:
    """An empty figure of 1200 x 750 pixels with a title and two lines below it."""
    figure = Figure(figsize=(8, 5), dpi=150, layout=ConstrainedLayoutEngine(rect=(0.005, 0.005, 0.985, 0.865)))
    FigureCanvasAgg(figure)
    figure.text(0.02, 0.95, title, fontsize=12, fontweight="bold", color=INK)
    figure.text(0.02, 0.935, subtitle, fontsize=SMALL, color=FAINT_INK, va="top", linespacing=1.35)
    axes = figure.add_subplot()
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT_INK)
    axes.tick_params(colors=INK, labelsize=SMALL)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def cost_axis(axes: Axes, costs: Sequence[float], budget: float | None, fit: tuple[float, float]) -> None:
    """Logarithmic GMAC below, and above it the true cost of the same sizes.

    Args:
        axes: to set up; its limits in x are final after this.
        costs: all that must be within it, in GMAC; may be empty.
        budget: also to be within it.
        fit: (a, b) of GMAC/s = a * GMAC^b.
    """
    left, right = cost_range(costs, budget)
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    axes.set_xlabel("GMAC (the axis of the paper's Table 1)")
    a, b = fit
    top = axes.secondary_xaxis("top", functions=(lambda x: a * np.abs(x) ** b, lambda y: (np.abs(y) / a) ** (1 / b)))
    top.set_xlabel("true cost, about GMAC/s", fontsize=SMALL, color=FAINT_INK)
    top.tick_params(colors=FAINT_INK, labelsize=SMALL)
    top.spines["top"].set_color("#BBBBBB")
    for axis, ends in ((axes.xaxis, (left, right)), (top.xaxis, (a * left**b, a * right**b))):
        axis.set_major_locator(FixedLocator(log_ticks(*ends)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))


def horizontal_line(axes: Axes, value: float | None, name: str, colour: str, dashes: tuple[float, float]) -> None:
    """A labelled line of one PESQ over the whole width; nothing if it is not known."""
    if value is None:
        return
    axes.axhline(value, color=colour, linestyle=(0, dashes), linewidth=1.2, zorder=1)
    axes.annotate(
        f"{name} {value:.2f}",
        (0.008, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=SMALL,
        color=colour,
        bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0},
        zorder=5,
    )


def reference_lines(axes: Axes, lines: Lines, teacher: float | None, unprocessed: float | None) -> None:
    """The teacher's and the unprocessed input's PESQ."""
    horizontal_line(axes, teacher, lines.teacher_name, TEACHER_COLOUR, (5, 2))
    horizontal_line(axes, unprocessed, "unprocessed", FAINT_INK, (1, 1.5))


def vertical_line(axes: Axes, gmac: float, name: str, height: float = 0.5, **look: Artist) -> None:
    """A line at one cost, named along it at a height between 0 and 1."""
    axes.axvline(gmac, **{"color": INK, "linewidth": 1.0, "zorder": 1, **look})
    axes.annotate(
        name,
        (gmac, height),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        rotation=90,
        va="center",
        fontsize=SMALL,
        color=look.get("color", INK),
    )


def budget_line(axes: Axes, lines: Lines) -> None:
    """The budget, and what is over it shaded."""
    if lines.budget_gmac is not None:
        axes.axvspan(lines.budget_gmac, axes.get_xlim()[1], color="#F3F3F3", zorder=0)
        vertical_line(axes, lines.budget_gmac, f"budget {lines.budget_text}")


def marker_looks(colour: str, hollow: bool) -> dict[str, Artist]:
    """Filled or hollow, the latter for the start as a slice where a figure has both."""
    return {
        "markerfacecolor": "white" if hollow else colour,
        "markeredgecolor": colour if hollow else "white",
        "markeredgewidth": 1.5 if hollow else 0.6,
    }


def bottom_legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """A legend below the plot, to be read row by row, in as few rows as its width allows."""
    for rows in range(1, len(handles) + 1):
        columns = -(-len(handles) // rows)
        legend = figure.legend(
            handles=[handle for column in range(columns) for handle in handles[column::columns]],
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            fontsize=SMALL,
            columnspacing=1.2,
            handletextpad=0.4,
        )
        figure.draw_without_rendering()
        if legend.get_window_extent().width < 0.98 * figure.bbox.width:
            return
        legend.remove()


def say_nothing(axes: Axes) -> None:
    """Says in an empty figure that no student has finished."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 6}
    axes.text(
        0.5, 0.5, NOTHING, transform=axes.transAxes, ha="center", va="center", fontsize=12, color=FAINT_INK, bbox=box
    )


def fit_heights(axes: Axes) -> None:
    """Room above the highest and below the lowest mark for labels, and never so small a range that noise fills it."""
    low, high = axes.dataLim.intervaly
    if not np.isfinite([low, high]).all() or low > high:
        low, high = 1.0, 2.0
    spare = max(0.12 * (high - low), 0.05)
    axes.set_ylim(low - 0.7 * spare, high + spare)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, whole or not at all."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    write_atomic(Path(path), stream.getvalue())
