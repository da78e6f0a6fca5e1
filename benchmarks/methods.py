"""Which KD method at which size, and what start, length, precision and learning rate do: read off recorded curves.

    python benchmarks/methods.py [--curves FILE] [--write FOLDER] [--json]

Every comparison is with `none` (or the usual setting) at equal size, start and settings, means over seeds, with a 95 %
interval over clips and seeds; where it holds zero, the two are not told apart. Two-stage KD trains two stages, so
`none` stands beside it twice: with as many epochs as its last stage has, and with as many as both. `--write` writes
`methods.md` and `methods.png` into a folder.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from analysis.canvas import bottom_legend, cost_axis, fit_heights, horizontal_line, marker_looks, new_figure, save
from analysis.series import TEACHER_COLOUR, style, true_cost
from benchmarks.comparison import SeedSpread, mean_pesq, seed_interval
from benchmarks.curve import RECORDED, read_curves
from benchmarks.study import LONG, SHORT, Study
from data.errors import InputError, run_command
from data.files import plain, write_atomic
from data.flags import CommandParser
from model.macs import gmac_per_s


def main(words: list[str] | None = None) -> None:
    """The command line."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=RECORDED, help="recorded curves (default: %(default)s)")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write methods.md and methods.png there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(words)
    curves = read_curves(arguments.curves)
    if not curves:
        raise InputError(f"{arguments.curves} holds no curve; record some first: python benchmarks/record.py RUN")
    report = Study(curves)
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        write_atomic(arguments.write / "methods.md", markdown(report, arguments.curves.name))
        save(figure(report), arguments.write / "methods.png")
    if arguments.json:
        sections = [asdict(section) for section in report.sections()]
        spread = {"seed_std": report.seeds.std, "seed_freedom": report.seeds.freedom}
        print(json.dumps(plain({"benchmark": "methods", "trainings": len(curves), **spread, "sections": sections})))
    else:
        print(markdown(report, arguments.curves.name))


def markdown(report: Study, file: str) -> str:
    """The report as Markdown.

    Args:
        report: what it says.
        file: the name of the file of curves that it says it from.
    """
    made = report.curves[0]
    parts = [
        "# Which method at which size",
        f"Written by `python benchmarks/methods.py --write FOLDER` from {len(report.curves)} recorded trainings "
        f"(`benchmarks/curves/{file}`), which learnt from the demo corpus on a processor, in minutes: what they say "
        "about long trainings on own corpora is not known. Where nothing else is said: "
        f"{', '.join(f'{name} {value}' for name, value in report.settings.items())}. PESQ is of the search's "
        f"validation clips; beside it stand the unprocessed input with {made.beside['unprocessed']:.3f} and the "
        f"teacher ({(made.teacher or {}).get('size')}, weights {(made.teacher or {}).get('digest')}) with "
        f"{made.beside['teacher']:.3f}. " + _seed_words(report.seeds),
        "![PESQ of KD methods against their cost](methods.png)",
    ]
    for section in report.sections():
        parts += [f"## {section.title}", section.words]
        lines = [section.head, ["---"] * len(section.head), *section.rows]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in lines))
    return "\n\n".join(parts) + "\n"


def _seed_words(seeds: SeedSpread) -> str:
    if not seeds.freedom:
        return "No configuration was repeated yet, so the intervals are over clips alone: seeds may change every sign."
    return (
        f"Two seeds of one configuration differ by a standard deviation of {seeds.std:.4f} PESQ "
        f"({seeds.freedom} degrees of freedom, pooled); intervals are over clips and seeds."
    )


def figure(report: Study) -> Figure:
    """Mean PESQ over cost by method, with intervals over seeds."""
    beside = report.curves[0].beside
    shown = [("none", SHORT), ("none", LONG), *((method, SHORT) for method in report.methods)]
    sizes = report.compared or report.sizes
    lines = [(m, e, [(s, g) for s in sizes if (g := report.group(s, m, epochs=e))]) for m, e in shown]
    drawn = [(method, epochs, found) for method, epochs, found in lines if found]
    every = [group[0] for _, _, found in drawn for _, group in found]
    most = max(len(group) for _, _, found in drawn for _, group in found)
    bars = "; bars: 95 % interval over seeds" if report.seeds.freedom else ""
    figure, axes = new_figure(
        "PESQ of KD methods against their cost",
        f"demo corpus (synthetic), validation clips; all slices of the teacher; {SHORT} epochs a stage, KD in two "
        f"stages\nmeans over up to {most} {'seed' if most == 1 else 'seeds'}{bars}",
    )
    costs = [{"paper_gmac": one.gmac, "gmac_per_s": gmac_per_s(one.choice.size)} for one in every]
    cost_axis(axes, [one.gmac for one in every], None, true_cost(costs))
    axes.set_ylabel("PESQ (wide band, mean over SNRs of the median)")
    horizontal_line(axes, beside["teacher"], "teacher", TEACHER_COLOUR, (5, 2))
    handles = []
    for place, (method, epochs, found) in enumerate(drawn):
        look, hollow = style(method), epochs != SHORT
        x = np.array([group[0].gmac for _, group in found]) * 1.025 ** (place - (len(drawn) - 1) / 2)
        y = [mean_pesq(group) for _, group in found]
        ends = np.array([seed_interval(group, report.seeds) for _, group in found])
        axes.vlines(x, ends[:, 0], ends[:, 1], color=look.colour, linewidth=1.1, alpha=0.8, zorder=2.5)
        (line,) = axes.plot(
            x, y, color=look.colour, marker=look.marker, markersize=6, linewidth=1.2, zorder=3,
            linestyle="--" if hollow else "-",
            label=look.name + (f", {epochs} epochs" if method == "none" else ""),
            **marker_looks(look.colour, hollow),
        )  # fmt: skip
        handles.append(line)
    fit_heights(axes)
    bottom_legend(figure, handles)
    return figure


if __name__ == "__main__":
    run_command(main)
