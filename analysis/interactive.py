"""PESQ against cost as one interactive HTML file that needs no network."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.series import (
    FAINT_INK,
    INK,
    NOTHING,
    TEACHER_COLOUR,
    Lines,
    Point,
    Record,
    cost_range,
    is_number,
    log_ticks,
    pareto_title,
    pareto_words,
    points,
    series,
    start_name,
    starts,
    style,
    true_cost,
)
from data.files import write_atomic

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def pareto_html(records: Sequence[Record], lines: Lines, path: Path) -> None:
    """Writes PESQ against cost as a self-contained HTML page (about 5 MB, plotly's own script within).

    Args:
        records: as for `analysis.plots.pareto_png`; the whole configuration and all costs are under the pointer.
        lines: teacher, unprocessed input, budget, and what the scores are of.
        path: of the file, written whole or not at all.
    """
    figure = pareto_figure(records, lines)
    config = {"displaylogo": False, "responsive": True}
    write_atomic(Path(path), figure.to_html(include_plotlyjs=True, full_html=True, config=config))


def pareto_figure(records: Sequence[Record], lines: Lines) -> Figure:
    """The figure that `pareto_html` writes."""
    from plotly import graph_objects  # takes a second to import, and only this figure needs it

    found = points(records, lines.split)
    shown = [point.record for point in found]
    front = [point for point in found if point.front]
    left, right = cost_range([point.gmac for point in found], lines.budget_gmac)
    figure = graph_objects.Figure()
    if front:
        end = max(front[-1].gmac, lines.budget_gmac or right)
        figure.add_scatter(
            x=[*(point.gmac for point in front), end],
            y=[*(point.pesq for point in front), front[-1].pesq],
            mode="lines",
            line={"shape": "hv", "color": INK, "width": 1.8},
            name="Pareto front",
            hoverinfo="skip",
        )
    mixed = len(starts(shown)) > 1
    labelled = _labelled(front, left, right)
    for group in series(shown):
        members = [point for point in found if any(point.record is record for record in group)]
        for part in ([point for point in members if not point.front], [point for point in members if point.front]):
            if part:
                figure.add_trace(_trace(part, lines, mixed, labelled, in_legend=part[-1] is _last(members)))
    for axis in ("x", "x2"):  # plotly shows no axis without a trace on it
        figure.add_scatter(x=[left], y=[None], xaxis=axis, showlegend=False, hoverinfo="skip")
    figure.update_layout(**_layout(found, lines, left, right))
    return figure


def _last(members: Sequence[Point]) -> Point:
    """The student whose trace stands in the legend for its series: one on the front if there is any."""
    return next((point for point in reversed(members) if point.front), members[-1])


def _trace(
    part: Sequence[Point], lines: Lines, mixed: bool, labelled: Sequence[Point], in_legend: bool
) -> dict[str, Any]:
    point = part[0]
    look, start = style(point.method), str(point.record.get("init"))
    hollow = mixed and start != "random"
    name = f"{look.name}, {start_name(start)}" if mixed else look.name
    ends = [point.interval or (point.pesq, point.pesq) for point in part]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [point.gmac for point in part],
        "y": [point.pesq for point in part],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [high - point.pesq for (_, high), point in zip(ends, part, strict=True)],
            "arrayminus": [point.pesq - low for (low, _), point in zip(ends, part, strict=True)],
            "thickness": 1.2,
            "width": 0,
        },
        "marker": {
            "symbol": look.symbol + ("-open" if hollow else ""),
            "color": look.colour,
            "size": 12 if point.front else 9,
            "line": {"width": 2, "color": look.colour} if hollow else {"width": 1, "color": "white"},
        },
        "opacity": 1.0 if point.front else 0.4,
        "text": [point.label if point in labelled else "" for point in part],
        "textposition": "top left",
        "textfont": {"color": INK, "size": 12},
        "hovertext": [hover(point, lines) for point in part],
        "hoverinfo": "text",
        "name": name,
        "legendgroup": name,
        "showlegend": in_legend,
    }


def hover(point: Point, lines: Lines) -> str:
    """What is shown under the pointer: configuration, scores with what stands beside them, and all costs."""
    record = point.record
    schedule = str(record.get("alpha_schedule") or "none")
    how = [style(point.method).name] + ([f"alpha {schedule}"] if schedule != "none" else [])
    if record.get("init"):
        how.append(start_name(str(record["init"])))
    interval = "" if point.interval is None else " [{:.2f}, {:.2f}]".format(*point.interval)
    seeds = f", mean of {record['seeds']} seeds" if record.get("seeds", 1) > 1 else ""
    rows = [f"<b>{point.size}</b>, {', '.join(how)}", f"PESQ on {lines.split} clips {point.pesq:.3f}{interval}{seeds}"]
    if point.label != point.size:
        rows.append("on the test clips not to be told from a cheaper member of the front")
    beside = [("unprocessed", lines.unprocessed), (lines.teacher_name, lines.teacher)]
    rows.append(", ".join(f"{name} {value:.3f}" for name, value in beside if value is not None))
    if lines.split == "validation" and is_number(record.get("pesq_test")):
        rows.append(f"PESQ on test clips {record['pesq_test']:.3f}")
    per_s = record["gmac_per_s"]
    rows.append(f"{point.gmac:.4g} GMAC (paper) = {per_s:.4g} GMAC/s = {per_s * 16:.4g} MMAC/frame")  # frames of 16 ms
    rows.append(f"{record['parameters']:,} parameters".replace(",", " "))
    rows.append(
        f"student {record['trial']}"
        + (f", MLflow run {record['mlflow_run_id']}" if record.get("mlflow_run_id") else "")
    )
    return "<br>".join(row if row.startswith("<b>") else html.escape(row) for row in rows if row)


def _labelled(front: Sequence[Point], left: float, right: float) -> list[Point]:
    """The members of the front that have room for their size beside them, the costliest first."""
    chosen: list[Point] = []
    for point in reversed(front):
        if not chosen or math.log(chosen[-1].gmac / point.gmac) > 0.05 * math.log(right / left):
            chosen.append(point)
    return chosen


def _layout(found: Sequence[Point], lines: Lines, left: float, right: float) -> dict[str, Any]:
    heights = [height for point in found for height in (point.pesq, *(point.interval or ()))]
    heights += [line for line in (lines.teacher, lines.unprocessed) if line is not None]
    low, high = min(heights, default=1.0), max(heights, default=2.0)
    spare = max(0.1 * (high - low), 0.05)
    a, b = true_cost([point.record for point in found])
    above = log_ticks(a * left**b, a * right**b)
    axis = {"type": "log", "range": [math.log10(left), math.log10(right)], "ticks": "outside", "showgrid": False}
    below = log_ticks(left, right)
    shapes, notes = _marks(lines, right)
    if not found:
        middle = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
        notes.append({**middle, "text": NOTHING, "font": {"size": 18, "color": FAINT_INK}})
    subtitle = html.escape(pareto_words(found, lines)).replace("\n", "<br>")
    return {
        "template": "plotly_white",
        "title": {
            "text": f"<b>{pareto_title(lines)}</b><br><span style='font-size:13px'>{subtitle}</span>",
            "x": 0.02,
            "y": 0.96,
        },
        "font": {"color": INK},
        "margin": {"t": 140, "r": 30},
        "hoverlabel": {"align": "left"},
        "legend": {"orientation": "h", "y": -0.2},
        "xaxis": {
            **axis,
            "title": "GMAC (the axis of the paper's Table 1)",
            "tickvals": below,
            "ticktext": [f"{tick:.4g}" for tick in below],
        },
        "xaxis2": {
            **axis,
            "overlaying": "x",
            "matches": "x",
            "side": "top",
            "title": "true cost, about GMAC/s",
            "tickvals": [(tick / a) ** (1 / b) for tick in above],
            "ticktext": [f"{tick:.4g}" for tick in above],
        },
        "yaxis": {"title": "PESQ (wide band, mean over SNRs of the median)", "range": [low - spare, high + spare]},
        "shapes": shapes,
        "annotations": notes,
    }


def _marks(lines: Lines, right: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines and shading for teacher, unprocessed input and budget, and their names."""
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for value, name, colour, dash in (
        (lines.teacher, lines.teacher_name, TEACHER_COLOUR, "dash"),
        (lines.unprocessed, "unprocessed", FAINT_INK, "dot"),
    ):
        if value is not None:
            line = {"color": colour, "dash": dash, "width": 1.8}
            shapes.append({"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line})
            text = {"text": html.escape(f"{name} {value:.2f}"), "font": {"color": colour}, "showarrow": False}
            notes.append({**text, "xref": "paper", "x": 0.005, "xanchor": "left", "y": value, "yanchor": "bottom"})
    if lines.budget_gmac is not None:
        gmac = lines.budget_gmac
        whole = {"yref": "paper", "y0": 0, "y1": 1, "x0": gmac}
        shapes.append(
            {"type": "rect", **whole, "x1": right, "fillcolor": "#F3F3F3", "line": {"width": 0}, "layer": "below"}
        )
        shapes.append({"type": "line", **whole, "x1": gmac, "line": {"color": INK, "width": 1.4}})
        text = {"text": html.escape(f"budget {lines.budget_text}"), "textangle": -90, "showarrow": False}
        place = {"x": math.log10(gmac), "xanchor": "left", "yref": "paper", "y": 0.5}  # plotly wants the exponent here
        notes.append({**text, **place})
    return shapes, notes
