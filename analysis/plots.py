"""Figures of a search: PESQ against cost as PNG here, the others beside it and to be had from here.

Colours and markers say the KD method; where a search has students of different starts, filled markers are random starts
and hollow ones slices of the teacher.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from analysis.canvas import (
    SMALL,
    bottom_legend,
    budget_line,
    cost_axis,
    fit_heights,
    marker_looks,
    new_figure,
    reference_lines,
    save,
    say_nothing,
)
from analysis.interactive import pareto_html
from analysis.paper_figures import size_figure, snr_figure
from analysis.series import (
    FAINT_INK,
    INK,
    Lines,
    Point,
    Record,
    method_order,
    pareto_title,
    pareto_words,
    points,
    start_name,
    starts,
    style,
    true_cost,
)

__all__ = ["Lines", "Record", "pareto_html", "pareto_png", "size_figure", "snr_figure"]


def pareto_png(records: Sequence[Record], lines: Lines, path: Path) -> None:
    """Writes PESQ against cost as PNG (1200 x 750): the front as a step line, the other students faint.

    Args:
        records: students with the keys of `front.json`; optionally `pesq_val_interval` or `pesq_test_interval`
            ([low, high], drawn as error bar), `front` (else the non-dominated ones are the front) and `bi_freq`.
            Students without a score are left out.
        lines: teacher, unprocessed input, budget, and what the scores are of.
        path: of the file, written whole or not at all.
    """
    save(draw_pareto(records, lines), path)


def draw_pareto(records: Sequence[Record], lines: Lines) -> Figure:
    """The figure that `pareto_png` writes."""
    found = points(records, lines.split)
    shown = [point.record for point in found]
    front = [point for point in found if point.front]
    figure, axes = new_figure(pareto_title(lines), pareto_words(found, lines))
    cost_axis(axes, [point.gmac for point in found], lines.budget_gmac, true_cost(shown))
    axes.set_ylabel("PESQ (wide band, mean over SNRs of the median)")
    reference_lines(axes, lines, lines.teacher, lines.unprocessed)
    budget_line(axes, lines)
    if front:
        right = max(front[-1].gmac, lines.budget_gmac or axes.get_xlim()[1])
        x, y = [*(point.gmac for point in front), right], [*(point.pesq for point in front), front[-1].pesq]
        axes.step(x, y, where="post", color=INK, linewidth=1.4, zorder=2)
    mixed = len(starts(shown)) > 1
    alike: dict[tuple[bool, str, bool], list[Point]] = {}
    for point in found:
        alike.setdefault((point.front, point.method, mixed and point.record.get("init") != "random"), []).append(point)
    for (_, _, hollow), some in alike.items():
        _draw_points(axes, some, hollow)
    if not found:
        say_nothing(axes)
    fit_heights(axes)
    bottom_legend(figure, _method_handles(shown))
    _label_front(figure, axes, found)
    return figure


def _draw_points(axes: Axes, alike: Sequence[Point], hollow: bool) -> None:
    """Students of one look as one line without a stroke: a search may have a thousand."""
    front, look = alike[0].front, style(alike[0].method)
    strength = 1.0 if front else 0.38
    bars = [(point.gmac, *point.interval) for point in alike if point.interval is not None]
    if bars:
        axes.vlines(*zip(*bars, strict=True), color=look.colour, alpha=strength * 0.8, linewidth=1.1, zorder=2.5)
    axes.plot(
        [point.gmac for point in alike],
        [point.pesq for point in alike],
        marker=look.marker,
        markersize=7.5 if front else 5.5,
        alpha=strength,
        zorder=4 if front else 3,
        linestyle="none",
        **marker_looks(look.colour, hollow),
    )


def _method_handles(records: Sequence[Record]) -> list[Line2D]:
    """Methods by marker and colour; if the students started in different ways, also filled and hollow."""
    methods = sorted(
        {str(record["kd_method"]) for record in records}, key=lambda method: (method_order(method), method)
    )
    looks = [style(method) for method in methods]
    handles = [
        Line2D([], [], linestyle="none", marker=look.marker, color=look.colour, markersize=6, label=look.name)
        for look in looks
    ]
    found = starts(records)
    if len(found) > 1:
        for start in found:
            look = marker_looks(FAINT_INK, start != "random")
            handles.append(Line2D([], [], linestyle="none", marker="o", markersize=6, label=start_name(start), **look))
    return handles


def _label_front(figure: Figure, axes: Axes, found: Sequence[Point]) -> None:
    """Writes F/T beside the front's members, where it covers neither a mark nor another label, or not at all."""
    figure.draw_without_rendering()  # settles the layout: places in pixels are final from here on
    front = [point for point in found if point.front]
    taken = [_box(axes, point) for point in found] + _stairs(axes, front)
    taken += [text.get_window_extent() for text in axes.texts]
    inside = axes.get_window_extent()
    # up and left of a member of the front is no other student, so there is room first
    places = ((-5, 5, "right"), (0, 9, "center"), (7, -12, "left"), (-9, 15, "right"))
    leader = {"arrowstyle": "-", "linewidth": 0.6, "color": FAINT_INK, "shrinkA": 0, "shrinkB": 4}
    for point in reversed(front):  # the costliest stand closest and score best: they choose first
        for dx, dy, align in places:
            label = axes.annotate(
                point.label,
                (point.gmac, point.pesq),
                xytext=(dx, dy),
                textcoords="offset points",
                ha=align,
                fontsize=SMALL,
                color=INK,
                zorder=5,
                arrowprops=leader if dy > 10 else None,
            )
            label.get_window_extent()  # moves it to its place
            box = Text.get_window_extent(label)  # the words alone, without the leader
            if box.count_overlaps(taken) == 0 and inside.count_contains(box.get_points()) == 2:
                taken.append(box)
                break
            label.remove()


def _box(axes: Axes, point: Point) -> Bbox:
    """The pixels that a point's marker and error bar take."""
    heights = [point.pesq, *(point.interval or ())]
    x, y = axes.transData.transform([(point.gmac, height) for height in heights]).T
    return Bbox.from_extents(x[0] - 7, min(y[0] - 7, *y), x[0] + 7, max(y[0] + 7, *y))


def _stairs(axes: Axes, front: Sequence[Point]) -> list[Bbox]:
    """The pixels that the front's step line takes."""
    boxes = []
    corners = axes.transData.transform([(point.gmac, point.pesq) for point in front] or [(1.0, 1.0)])
    for (x, y), (next_x, next_y) in itertools.pairwise(corners):
        boxes += [Bbox.from_extents(x, y - 1, next_x, y + 1), Bbox.from_extents(next_x - 1, y, next_x + 1, next_y)]
    return boxes
