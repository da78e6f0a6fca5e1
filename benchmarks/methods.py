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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis.canvas import bottom_legend, cost_axis, fit_heights, horizontal_line, marker_looks, new_figure, save
from analysis.series import TEACHER_COLOUR, method_order, style, true_cost
from benchmarks.comparison import SeedSpread, compare, mean_pesq, seed_interval
from benchmarks.curve import RECORDED, STANDARD, Curve, read_curves
from data.errors import InputError, run_command
from data.files import plain, write_atomic
from data.flags import CommandParser
from model.macs import gmac_per_s

SHORT, LONG = 5, 10
"""Epochs a stage that were recorded."""


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
        write_atomic(arguments.write / "methods.md", markdown(report))
        save(report.figure(), arguments.write / "methods.png")
    if arguments.json:
        sections = [asdict(section) for section in report.sections()]
        spread = {"seed_std": report.seeds.std, "seed_freedom": report.seeds.freedom}
        print(json.dumps(plain({"benchmark": "methods", "trainings": len(curves), **spread, "sections": sections})))
    else:
        print(markdown(report))


@dataclass(frozen=True)
class Section:
    """A table of the report.

    Args:
        title: of the table.
        words: what it says, in sentences.
        head: of the columns.
        rows: of text.
        differences: what was compared, by name: `value`, `low`, `high`, `apart`, `seeds`.
    """

    title: str
    words: str
    head: list[str]
    rows: list[list[str]]
    differences: dict[str, dict[str, Any]] = field(default_factory=dict)


class Study:
    """What recorded curves say.

    Args:
        curves: all of one data and teacher.
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.curves = list(curves)
        self.seeds = SeedSpread.of(curves)
        sizes = {str(curve.choice.size): curve.choice.size for curve in sorted(curves, key=lambda curve: curve.gmac)}
        self.sizes = list(sizes)
        self.methods = sorted({curve.choice.kd_method for curve in curves} - {"none"}, key=method_order)

    def group(
        self, size: str, method: str = "none", init: str = "slice", epochs: int = SHORT, **other: Any
    ) -> list[Curve]:
        """The repeats of one configuration; settings that are not named are the standard ones."""
        settings = STANDARD | {"epochs": epochs} | other
        return [
            curve
            for curve in self.curves
            if (str(curve.choice.size), curve.choice.kd_method, curve.choice.init) == (size, method, init)
            and all(curve.train[name] == value for name, value in settings.items())
        ]

    def sections(self) -> list[Section]:
        """All tables for which something was recorded."""
        made = [self.by_method(), self.starts(), self.lengths(), self.rates(), self.precision()]
        return [section for section in made if section.rows]

    def by_method(self) -> Section:
        """KD methods against `none`, size by size and over all sizes."""
        rows, differences = [], {}
        sizes = [size for size in self.sizes if any(self.group(size, method) for method in self.methods)]
        for size in sizes:
            short, long = self.group(size), self.group(size, epochs=LONG)
            if not short:
                continue
            row = [size, _mean(short), _mean(long)]
            found = {}
            for method in self.methods:
                ours = self.group(size, method)
                if not ours:
                    row += ["", ""]
                    continue
                found[method] = compare([(ours, short)], self.seeds)
                differences[f"{size}_{method}_over_none_{SHORT}"] = _numbers(found[method])
                row += [_mean(ours), found[method].text()]
                if long:
                    differences[f"{size}_{method}_over_none_{LONG}"] = _numbers(compare([(ours, long)], self.seeds))
            better = [method for method, one in found.items() if one.apart and one.low > 0]
            row.append(" or ".join(style(method).name for method in better) if better else style("none").name)
            rows.append(row)
        for epochs in (SHORT, LONG):
            row = [f"all, against none in {epochs} epochs", "", ""]
            for method in self.methods:
                pairs = [(self.group(size, method), self.group(size, epochs=epochs)) for size in sizes]
                pairs = [pair for pair in pairs if all(pair)]
                if pairs:
                    over_all = compare(pairs, self.seeds)
                    differences[f"all_{method}_over_none_{epochs}"] = _numbers(over_all)
                row += [f"{len(pairs)} sizes", over_all.text()] if pairs else ["", ""]
            if any(row[3:]):
                rows.append([*row, ""])
        head = ["size", f"none, {SHORT} epochs", f"none, {LONG} epochs"]
        head += [text for method in self.methods for text in (style(method).name, f"against none, {SHORT} epochs")]
        compared = len([name for name in differences if name.endswith(f"_{SHORT}") and not name.startswith("all")])
        return Section(
            "Which method at which size",
            f"Validation PESQ, mean over seeds (their number in brackets); two-stage KD of {SHORT} + {SHORT} epochs, "
            f"all slices of the teacher. The last column names the methods that are better than none in {SHORT} "
            f"epochs, and where none is that, none: it trains in half the "
            f"time. Of {compared} comparisons at 95 % about {compared / 20:.0f} "
            "would say so by chance.",
            [*head, "take"],
            rows,
            differences,
        )

    def starts(self) -> Section:
        """Random starts against slices, after each share of the training."""
        rows, differences = [], {}
        for size in self.sizes:
            random, cut = self.group(size, init="random"), self.group(size)
            if not (random and cut):
                continue
            end = compare([(cut, random)], self.seeds)
            differences[f"{size}_slice_over_random"] = _numbers(end)
            for name, group in (("random", random), ("slice", cut)):
                along = np.array([curve.last_stage for curve in group]).T
                scored = [values[~np.isnan(values)] for values in along]
                cells = [f"{values.mean():.3f}" if len(values) else "" for values in scored]
                rows.append([size, f"{name} ({len(group)})", *cells, end.text() if name == "slice" else ""])
        shares = [f"{100 * (i + 1) // SHORT} %" for i in range(SHORT)]
        return Section(
            "Where a student starts",
            f"Without KD, {SHORT} epochs: PESQ after shares of the training, mean over seeds; at the right the slice "
            "against the random start at the end.",
            ["size", "start", *shares, "slice against random"],
            rows,
            differences,
        )

    def lengths(self) -> Section:
        """Twice the epochs."""
        return self._settings(
            "Twice the epochs",
            "Without KD, slices.",
            [(f"{LONG} epochs", f"{SHORT} epochs", lambda size: (self.group(size, epochs=LONG), self.group(size)))],
        )

    def rates(self) -> Section:
        """Other learning rates."""
        rates = sorted({curve.train["lr"] for curve in self.curves} - {STANDARD["lr"]})

        def at(rate: float) -> Callable[[str], tuple[list[Curve], list[Curve]]]:
            return lambda size: (self.group(size, lr=rate), self.group(size))

        options = [(f"{rate:g}", f"{STANDARD['lr']:g}", at(rate)) for rate in rates]
        return self._settings("Learning rate", f"Without KD, slices, {SHORT} epochs.", options)

    def precision(self) -> Section:
        """fp32 against bf16."""
        options = [("fp32", "bf16", lambda size: (self.group(size, precision="fp32"), self.group(size)))]
        return self._settings("Precision", f"Without KD, slices, {SHORT} epochs.", options)

    def _settings(
        self,
        title: str,
        words: str,
        options: Sequence[tuple[str, str, Callable[[str], tuple[list[Curve], list[Curve]]]]],
    ) -> Section:
        """One setting against the usual one, at each size that has both."""
        rows, differences = [], {}
        for size in self.sizes:
            for name, usual, groups in options:
                ours, others = groups(size)
                if ours and others:
                    found = compare([(ours, others)], self.seeds)
                    differences[f"{size}_{name.replace(' ', '_')}_over_{usual.replace(' ', '_')}"] = _numbers(found)
                    rows.append([size, f"{name}: {_mean(ours)}", f"{usual}: {_mean(others)}", found.text()])
        return Section(title, words, ["size", "this", "against", "difference"], rows, differences)

    def figure(self) -> Any:
        """Mean PESQ over cost by method, with intervals over seeds."""
        beside = self.curves[0].beside
        shown = [("none", SHORT), ("none", LONG), *((method, SHORT) for method in self.methods)]
        lines = [(m, e, [(s, g) for s in self.sizes if (g := self.group(s, m, epochs=e))]) for m, e in shown]
        drawn = [(method, epochs, found) for method, epochs, found in lines if found]
        every = [group[0] for _, _, found in drawn for _, group in found]
        most = max(len(group) for _, _, found in drawn for _, group in found)
        bars = "; bars: 95 % interval over seeds" if self.seeds.freedom else ""
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
            ends = np.array([seed_interval(group, self.seeds) for _, group in found])
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


def markdown(report: Study) -> str:
    """The report as Markdown."""
    made = report.curves[0]
    parts = [
        "# Which method at which size",
        f"Written by `python benchmarks/methods.py --write docs` from {len(report.curves)} recorded trainings "
        "(`benchmarks/curves/`), which learnt from the demo corpus on a processor, in minutes: what they say about "
        "long trainings on own corpora is not known. PESQ is of the search's validation clips; beside it stand the "
        f"unprocessed input with {made.beside['unprocessed']:.3f} and the teacher ({(made.teacher or {}).get('size')}) "
        f"with {made.beside['teacher']:.3f}. " + _seed_words(report.seeds),
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


def _mean(curves: Sequence[Curve]) -> str:
    return f"{mean_pesq(curves):.3f} ({len(curves)})" if curves else ""


def _numbers(found: Any) -> dict[str, Any]:
    return {"value": found.value, "apart": found.apart, **asdict(found)}


if __name__ == "__main__":
    run_command(main)
