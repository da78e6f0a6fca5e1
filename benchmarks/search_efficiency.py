"""How many trainings a search needs: this project's against others, simulated on a surface of PESQ.

    python benchmarks/search_efficiency.py [--surface fitted|synthetic|both] [--plot FOLDER] [--json]

A search sees the score of one training of each configuration, noise included, and its front is chosen by these scores;
the front is valued by the surface's means, as a share of the best possible hypervolume. What stands over the budget
adds nothing. A trial counts when it has ended or was paused. All figures are medians over the repetitions, each a seed.
The clock is fake: 8 workers compare by trials, and how long a sampler thinks is told apart (`seconds`).

On the fitted surface sizes outside of the recorded range score as the nearest recorded ones, and trainings longer than
the recorded ones are extrapolated: `settings` tell how many of the students that are. `replay` searches the recorded
configurations alone, whose scores are the recorded ones.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from optuna.samplers import NSGAIISampler

from benchmarks.curve import read_curves
from benchmarks.efficiency_plot import plot
from benchmarks.held import HeldSurface
from benchmarks.measure import Report, show
from benchmarks.measure import parser as benchmark_parser
from benchmarks.replay import Replay
from benchmarks.simulator import Point, Strategy, Truth, simulate
from benchmarks.strategies import Ours, RandomBox, Stock, paper_grid
from benchmarks.surface import PesqSurface, Surface
from benchmarks.surface_synthetic import SyntheticSurface
from data.cores import usable_cores
from data.errors import InputError, run_command
from model.ftjnf import Size
from model.macs import Budget
from search.sampler import DEFAULT_SAMPLER
from search.space import Space

WORKERS = 8
LATE = 33
"""Trials after which the search without halving sets the second, higher mark."""
POPULATION = 20

METHODS: dict[str, str] = {
    "ours": "this project's default sampler",
    "ours, halving": "the same, with students paused at rungs",
    "ours, 8 workers": "the same without halving, 8 students at a time",
    "tpe": "--sampler tpe",
    "random in budget": "--sampler random",
    "random over the box": "uniform over the box around what fits the budget",
    "paper's grid": "rows of Table 1 within the budget, the cheapest first, with every method",
    "OptunaSearch": "Ray's, default sampler, PESQ and cost, over the box",
    "OptunaSearch, ASHA": "the same, with Ray's ASHA on PESQ",
    "OptunaSearch, NSGA-II": "the same without ASHA, another sampler",
}
"""What is compared, by name."""


@dataclass(frozen=True)
class Task:
    """One simulated search.

    Args:
        surface: fitted, synthetic or replay.
        method: key of `METHODS`.
        seed: of sampler and curves.
        trials: students at most.
        epochs: of a stage.
        budget: as for a search.
    """

    surface: str
    method: str
    seed: int
    trials: int
    epochs: int
    budget: str


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its points, its seconds in truth, and counts of its trainings."""

    points: list[Point]
    seconds: float
    students: int
    over_budget: int
    duplicates: int
    extrapolated: int

    def until(self, volume: float) -> tuple[float, float]:
        """Trials and epochs until a hypervolume is first reached; infinite if it never is."""
        found = next((one for one in self.points if one.volume >= volume), None)
        return (math.inf, math.inf) if found is None else (found.trials, found.epochs)


def main(words: list[str] | None = None) -> None:
    """The command line."""
    parser = benchmark_parser(__doc__, repetitions=10)
    parser.add_argument("--surface", choices=("fitted", "synthetic", "both"), default="both")
    parser.add_argument("--trials", type=int, default=100, help="of each search (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=27, help="of a stage (default: %(default)s)")
    parser.add_argument("--budget", default="1.0GMAC", help="(default: %(default)s)")
    parser.add_argument("--methods", help=f"to compare, with ; between (default: all; {'; '.join(METHODS)})")
    parser.add_argument("--processes", type=int, default=usable_cores(), help="(default: %(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="writes search-trials.png and search-epochs.png")
    flags = parser.parse_args(words)
    surfaces = ("fitted", "synthetic") if flags.surface == "both" else (flags.surface,)
    wanted = list(METHODS) if flags.methods is None else [name.strip() for name in flags.methods.split(";")]
    unknown = [name for name in wanted if name not in METHODS]
    if unknown:
        raise InputError(f"--methods {unknown[0]!r} is not known; name some of {'; '.join(METHODS)}, with ; between")
    tasks = [
        Task(surface, method, seed, flags.trials, flags.epochs, flags.budget)
        for surface in surfaces for method in wanted for seed in range(flags.repetitions)
    ]  # fmt: skip
    if "fitted" in surfaces:
        tasks += [
            Task("replay", method, seed, flags.trials, _recorded_epochs(), flags.budget)
            for method in ("ours", "random in budget") if method in wanted for seed in range(flags.repetitions)
        ]  # fmt: skip
    outcomes = run_all(tasks, flags.processes)
    found: dict[str, dict[str, list[Outcome]]] = {}
    for task, outcome in zip(tasks, outcomes, strict=True):
        found.setdefault(task.surface, {}).setdefault(task.method, []).append(outcome)
    ratios: dict[str, float] = {}
    for i, surface in enumerate(surfaces):
        end = "" if i == 0 else f"_{surface}"
        ratios |= {f"{name}{end}": value for name, value in ratios_of(found[surface], flags.trials).items()}
    seconds = {
        f"{method} ({surface})": [one.seconds / max(one.students, 1) for one in some]
        for surface, methods in found.items() for method, some in methods.items()
    }  # fmt: skip
    tables = {name: table(one, flags.trials) for name, one in found.items()}
    settings = {"budget": flags.budget, "trials": flags.trials, "epochs": flags.epochs, "seeds": flags.repetitions,
                "surfaces": list(surfaces), "tables": tables}  # fmt: skip
    if flags.plot is not None:
        plot({name: [one.points for one in some] for name, some in found[surfaces[0]].items()}, surfaces[0],
             flags.trials, flags.plot)  # fmt: skip
    report = Report("search_efficiency", ratios, {name: BASELINES[_plain(name)] for name in ratios}, seconds, settings)
    if not flags.json:
        for surface, rows in tables.items():
            print_table(surface, rows)
        report = Report(report.benchmark, ratios, report.baselines, seconds, {**settings, "tables": "above"})
    show(report, as_json=flags.json)


BASELINES = {
    "trials_to_random_in_budget_100": "trials until random in budget's hypervolume after all its trials (a number)",
    "trials_to_random_in_box_100": "trials until random over the box's hypervolume after all its trials (a number)",
    "epochs_to_random_in_budget_100": "epochs of random in budget, all its trials; ours with halving until there",
    "epochs_at_equal_hypervolume": "epochs without halving until random in budget's last hypervolume",
    "epochs_at_late_hypervolume": f"epochs without halving until its own hypervolume after {LATE} trials",
    "over_budget": "trainings over the budget, all seeds and variants of ours (a number)",
    "duplicates": "configurations trained twice, all seeds and variants of ours (a number)",
    "parallel_penalty": "trials of the serial search until random in budget's last hypervolume",
    "parallel_penalty_late": f"trials of the serial search until its own hypervolume after {LATE} trials",
}


def _plain(name: str) -> str:
    return name.removesuffix("_synthetic")


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
                ratios["parallel_penalty"] = reached("ours, 8 workers", mark) / reached("ours", mark)
                ratios["parallel_penalty_late"] = reached("ours, 8 workers", late) / reached("ours", late)
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


def run_all(tasks: list[Task], processes: int) -> list[Outcome]:
    """The outcomes of all tasks, in their order."""
    if processes <= 1:
        return [run(task) for task in tasks]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run, tasks))


def run(task: Task) -> Outcome:
    """Simulates one search."""
    truth = _truth(task.surface, task.budget, task.epochs)
    space, surface = truth.space, truth.surface
    makers: dict[str, Callable[[], Strategy]] = {
        "ours": lambda: Ours(space, task.seed, DEFAULT_SAMPLER),
        "ours, halving": lambda: Ours(space, task.seed, DEFAULT_SAMPLER, task.epochs),
        "ours, 8 workers": lambda: Ours(space, task.seed, DEFAULT_SAMPLER),
        "tpe": lambda: Ours(space, task.seed, "tpe"),
        "random in budget": lambda: Ours(space, task.seed, "random"),
        "random over the box": lambda: RandomBox(space, task.seed),
        "paper's grid": lambda: Ours(paper_grid(space), task.seed, "grid"),
        "OptunaSearch": lambda: Stock(space, task.seed),
        "OptunaSearch, ASHA": lambda: Stock(space, task.seed, asha=task.epochs),
        "OptunaSearch, NSGA-II": lambda: Stock(
            space, task.seed, NSGAIISampler(population_size=POPULATION, seed=task.seed)
        ),
    }
    started = time.perf_counter()
    workers = WORKERS if task.method == "ours, 8 workers" else 1
    # the curves have seeds of their own: a sampler must not know them
    trace = simulate(makers[task.method](), truth, task.trials, np.random.default_rng([task.seed, 7]), workers)
    students = list(trace.students.values())
    outside = sum(one.feasible and surface.extrapolates(one.choice.size) for one in students)
    return Outcome(
        trace.points, time.perf_counter() - started, len(students), trace.over_budget, trace.duplicates, outside
    )


@cache
def _truth(name: str, budget: str, epochs: int) -> Truth:
    surface: PesqSurface
    sizes = None
    inits: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ("two-stage", "cosine")
    if name == "fitted":
        surface = HeldSurface(Surface.read())
    elif name == "synthetic":
        surface = SyntheticSurface()
    else:
        surface = replay = Replay(read_curves())
        schedules = ("two-stage",)
        inits = (statistics.mode(choice.init for choice in replay.choices(epochs)),)
        sizes = _recorded_sizes(replay, inits[0], Budget.parse(budget), epochs)
    space = Space(Budget.parse(budget), surface.methods, schedules, inits or surface.inits, sizes)
    return Truth(surface, space, epochs)


def _recorded_sizes(replay: Replay, init: str, budget: Budget, epochs: int) -> tuple[Size, ...]:
    """The sizes within the budget that were recorded with every method from a start."""
    recorded = [one for one in replay.choices(epochs) if budget.allows(one.size) and one.init == init]
    every = len(replay.methods)
    sizes = dict.fromkeys(choice.size for choice in recorded)
    return tuple(size for size in sizes if sum(choice.size == size for choice in recorded) == every)


def _recorded_epochs() -> int:
    """Epochs a stage that most configurations were recorded with."""
    return statistics.mode(curve.train["epochs"] for curve in read_curves() if curve.standard)


if __name__ == "__main__":
    run_command(main)
