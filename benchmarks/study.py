"""What recorded curves say of methods, starts, lengths, learning rates and precision: tables of differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from analysis.series import method_order, style
from benchmarks.comparison import Difference, SeedSpread, compare, mean_pesq
from benchmarks.curve import Curve, usual_settings

SHORT, LONG = 5, 10
"""Epochs a stage that were recorded."""


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
        self.settings = usual_settings(curves)
        self.seeds = SeedSpread.of(curves)
        sizes = {str(curve.choice.size): curve.choice.size for curve in sorted(curves, key=lambda curve: curve.gmac)}
        self.sizes = list(sizes)
        self.methods = sorted({curve.choice.kd_method for curve in curves} - {"none"}, key=method_order)

    def group(
        self, size: str, method: str = "none", init: str = "slice", epochs: int = SHORT, **other: Any
    ) -> list[Curve]:
        """The repeats of one configuration; settings that are not named are those of most curves."""
        settings = self.settings | {"epochs": epochs} | other
        return [
            curve
            for curve in self.curves
            if (str(curve.choice.size), curve.choice.kd_method, curve.choice.init) == (size, method, init)
            and curve.plain
            and curve.has(settings)
        ]

    @property
    def compared(self) -> list[str]:
        """The sizes that were trained with KD too."""
        return [size for size in self.sizes if any(self.group(size, method) for method in self.methods)]

    def sections(self) -> list[Section]:
        """All tables for which something was recorded."""
        made = [self.by_method(), self.starts(), self.lengths(), self.rates(), self.precision()]
        return [section for section in made if section.rows]

    def by_method(self) -> Section:
        """KD methods against `none`, size by size and over all sizes."""
        rows, differences = [], {}
        sizes = self.compared
        for size in sizes:
            short, long = self.group(size), self.group(size, epochs=LONG)
            if not short:
                continue
            row = [size, _mean(short), _mean(long)]
            found: dict[str, Difference] = {}
            longer: dict[str, Difference] = {}
            for method in self.methods:
                ours = self.group(size, method)
                if not ours:
                    row += ["", ""]
                    continue
                found[method] = compare([(ours, short)], self.seeds)
                differences[f"{size}_{method}_over_none_{SHORT}"] = _numbers(found[method])
                row += [_mean(ours), found[method].text()]
                if long:
                    longer[method] = compare([(ours, long)], self.seeds)
                    differences[f"{size}_{method}_over_none_{LONG}"] = _numbers(longer[method])
            better = [method for method, one in found.items() if one.better]
            names = [style(method).name for method in better] or [style("none").name]
            if any(method in longer and not longer[method].better for method in better):
                names.append(f"no KD for {LONG} epochs")
            row.append(" or ".join(names) if self.seeds.freedom else "not known yet")
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
        return self._others("Learning rate", "lr")

    def _others(self, title: str, name: str) -> Section:
        """Other values of a setting against the usual one."""

        def at(value: Any) -> Callable[[str], tuple[list[Curve], list[Curve]]]:
            return lambda size: (self.group(size, **{name: value}), self.group(size))

        others = sorted({curve.train[name] for curve in self.curves} - {self.settings[name]})
        options = [(_told(value), _told(self.settings[name]), at(value)) for value in others]
        return self._settings(title, f"Without KD, slices, {SHORT} epochs.", options)

    def precision(self) -> Section:
        """Other precisions."""
        return self._others("Precision", "precision")

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


def _mean(curves: Sequence[Curve]) -> str:
    return f"{mean_pesq(curves):.3f} ({len(curves)})" if curves else ""


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _numbers(found: Difference) -> dict[str, Any]:
    return {"value": found.value, "apart": found.apart, **asdict(found)}
