"""What simulated searches come to: hypervolume after so many trials, ratios between methods, and the tables of both."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.simulator import Point

LATE = 33
"""Trials after which the search without halving sets the second, higher mark."""


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its points, its seconds in truth, and counts of its trainings."""

    points: list[Point]
    seconds: float
    students: int
    over_budget: int
    duplicates: int
    extrapolated: int

    def until(self, volume: float) -> tuple[float, float, float]:
        """Trials ended, epochs, and trials begun until a hypervolume is first reached; infinite if it never is."""
        found = next((one for one in self.points if one.volume >= volume), None)
        return (math.inf,) * 3 if found is None else (found.trials, found.epochs, found.begun)


BASELINES = {
    "trials_to_random_in_budget_100": "trials until random in budget's hypervolume after all its trials (a number)",
    "trials_to_random_in_box_100": "trials until random over the box's hypervolume after all its trials (a number)",
    "epochs_to_random_in_budget_100": "epochs of random in budget, all its trials; ours with halving until there",
    "epochs_at_equal_hypervolume": "epochs without halving until random in budget's last hypervolume",
    "epochs_at_late_hypervolume": f"epochs without halving until its own hypervolume after {LATE} trials",
    "over_budget": "trainings over the budget, all seeds and variants of ours (a number)",
    "duplicates": "configurations trained twice, all seeds and variants of ours (a number)",
    "parallel_penalty": f"trials of the serial search until its own hypervolume after {LATE} trials, those in training "
    "counted on both sides",
    "parallel_penalty_ended": "trials of the serial search until random in budget's last hypervolume, those that have "
    "ended",
}


def ratios_of(found: dict[str, list[Outcome]], trials: int) -> dict[str, float]:
    """The ratios of one surface, as far as the methods that they need were run."""
    ratios: dict[str, float] = {}

    def reached(method: str, volume: float, what: int = 0) -> float:
        return statistics.median(one.until(volume)[what] for one in found[method])

    marks = {name: median_after(found[name], trials) for name in found}
    ours = {"ours", "ours, halving", "ours, 8 workers"} & found.keys()
    if "ours" in found:
        late = median_after(found["ours"], LATE)
        if "random in budget" in found:
            mark = marks["random in budget"]
            ratios["trials_to_random_in_budget_100"] = reached("ours", mark)
            if "ours, halving" in found:
                spent = statistics.median(one.points[-1].epochs for one in found["random in budget"])
                ratios["epochs_to_random_in_budget_100"] = reached("ours, halving", mark, 1) / spent
                ratios["epochs_at_equal_hypervolume"] = reached("ours, halving", mark, 1) / reached("ours", mark, 1)
                ratios["epochs_at_late_hypervolume"] = reached("ours, halving", late, 1) / reached("ours", late, 1)
            if "ours, 8 workers" in found:
                # by then a serial search has begun fewer than the 8 that are begun at once here, so this tells little
                ratios["parallel_penalty_ended"] = reached("ours, 8 workers", mark) / reached("ours", mark)
                ratios["parallel_penalty"] = reached("ours, 8 workers", late, 2) / reached("ours", late, 2)
        if "random over the box" in found:
            ratios["trials_to_random_in_box_100"] = reached("ours", marks["random over the box"])
    ratios["over_budget"] = float(sum(one.over_budget for name in ours for one in found[name]))
    ratios["duplicates"] = float(sum(one.duplicates for name in ours for one in found[name]))
    return ratios


def volume_after(outcome: Outcome, trials: int) -> float:
    """The hypervolume when so many trials had ended."""
    return next((one.volume for one in reversed(outcome.points) if one.trials <= trials), 0.0)


def median_after(outcomes: Sequence[Outcome], trials: int) -> float:
    """The median hypervolume over seeds when so many trials had ended."""
    return statistics.median(volume_after(one, trials) for one in outcomes)


def table(found: dict[str, list[Outcome]], trials: int) -> dict[str, dict[str, Any]]:
    """By method: the hypervolume after some trials, what it took, and what was wasted."""
    marks = [mark for mark in (5, 8, 10, 15, 20, 30, 50, 100) if mark <= trials]
    levels = {
        name: median_after(found[name], trials) for name in ("random in budget", "random over the box") if name in found
    }
    rows = {}
    for method, outcomes in found.items():
        row: dict[str, Any] = {f"after {mark}": round(median_after(outcomes, mark), 3) for mark in marks}
        for name, level in levels.items():
            for what, unit in enumerate(("trials", "epochs")):
                row[f"{unit} to {name}"] = statistics.median(one.until(level)[what] for one in outcomes)
        students = sum(one.students for one in outcomes)
        for count in ("over_budget", "duplicates", "extrapolated"):
            row[count] = round(sum(getattr(one, count) for one in outcomes) / students, 3)
        rows[method] = row
    return rows


def print_table(surface: str, rows: dict[str, dict[str, Any]]) -> None:
    """The table for people, as Markdown."""
    names = list(next(iter(rows.values())))
    print(f"\n{surface}: hypervolume as a share of the best possible; shares of all trainings\n")
    print("| method | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|")
    for method, row in rows.items():
        print(f"| {method} | " + " | ".join(f"{value:g}" for value in row.values()) + " |")
    print()
