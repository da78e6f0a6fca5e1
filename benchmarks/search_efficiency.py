"""How many trainings a search needs: this project's against others, simulated on a surface of PESQ.

    python benchmarks/search_efficiency.py [--surface fitted|synthetic|both] [--plot FOLDER] [--json]

Three tables: on the surface fitted to recorded curves at their own length, 5 epochs a stage; on the same at `--epochs`
a stage; and on the synthetic one at `--epochs`.

A search sees the score of one training of each configuration, noise included, and its front is chosen by these scores;
the front is valued by the surface's means, as a share of the best possible hypervolume. What stands over the budget
adds nothing. A trial counts when it has ended or was paused. All figures are medians over the repetitions, each a seed.
The clock is fake: 8 workers compare by trials, and how long a sampler thinks is told apart (`seconds`).

On the fitted surface sizes outside of the recorded range score as the nearest recorded ones, and trainings longer than
the recorded ones are extrapolated: `extrapolated` is the share of students that are either. What a student still gains
after its first rung stands in `settings` (`learnt_after_first_rung`): where that is less than the noise of an epoch,
halving sees the outcome there already, and the run says little about it. `replay` searches the recorded configurations
alone, whose scores are the recorded ones.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from optuna.samplers import NSGAIISampler

from benchmarks.curve import read_curves, usual
from benchmarks.efficiency_plot import plot
from benchmarks.efficiency_table import BASELINES, Outcome, print_table, ratios_of, table
from benchmarks.held import HeldSurface
from benchmarks.measure import Report, show
from benchmarks.measure import parser as benchmark_parser
from benchmarks.replay import Replay
from benchmarks.simulator import Strategy, Truth, simulate
from benchmarks.strategies import Ours, RandomBox, Stock, paper_grid
from benchmarks.surface import PesqSurface, Surface
from benchmarks.surface_synthetic import SyntheticSurface
from data.cores import usable_cores
from data.errors import InputError, run_command
from model.ftjnf import Size
from model.macs import Budget
from search.halving import WORTH, planned_rungs
from search.sampler import DEFAULT_SAMPLER
from search.space import Space

WORKERS = 8
POPULATION = 20

METHODS: dict[str, str] = {
    "ours": "this project's default sampler",
    "ours, halving": "the same, with students paused at rungs",
    "ours, 8 workers": "the same without halving, 8 students at a time",
    "ours, no priors": "--priors none",
    "tpe": "--sampler tpe",
    "random in budget": "--sampler random",
    "random, slices": "the same, with slices of the teacher alone",
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
    runs = planned(flags.surface, flags.epochs)
    wanted = list(METHODS) if flags.methods is None else [name.strip() for name in flags.methods.split(";")]
    unknown = [name for name in wanted if name not in METHODS]
    if unknown:
        raise InputError(f"--methods {unknown[0]!r} is not known; name some of {'; '.join(METHODS)}, with ; between")
    tasks = [
        Task(surface, method, seed, flags.trials, epochs, flags.budget)
        for surface, epochs in runs.values() for method in wanted for seed in range(flags.repetitions)
    ]  # fmt: skip
    if flags.surface != "synthetic":
        runs["replay"] = ("replay", _recorded_epochs())
        tasks += [
            Task("replay", method, seed, flags.trials, _recorded_epochs(), flags.budget)
            for method in ("ours", "random in budget") if method in wanted for seed in range(flags.repetitions)
        ]  # fmt: skip
    outcomes = run_all(tasks, flags.processes)
    names = {run: name for name, run in runs.items()}
    found: dict[str, dict[str, list[Outcome]]] = {}
    for task, outcome in zip(tasks, outcomes, strict=True):
        found.setdefault(names[task.surface, task.epochs], {}).setdefault(task.method, []).append(outcome)
    ratios: dict[str, float] = {}
    baselines: dict[str, str] = {}
    shown = [name for name in runs if name != "replay"]
    for name in shown:
        end = "" if name == shown[0] else "_" + name.replace(", ", "_").replace(" ", "_")
        some = ratios_of(found[name], flags.trials)
        ratios |= {f"{ratio}{end}": value for ratio, value in some.items()}
        baselines |= {f"{ratio}{end}": BASELINES[ratio] for ratio in some}
    seconds = {
        f"{method} ({surface})": [one.seconds / max(one.students, 1) for one in some]
        for surface, methods in found.items() for method, some in methods.items()
    }  # fmt: skip
    tables = {name: table(one, flags.trials) for name, one in found.items()}
    settings = {"budget": flags.budget, "trials": flags.trials, "seeds": flags.repetitions,
                "epochs": {name: epochs for name, (_, epochs) in runs.items()},
                "learnt_after_first_rung": {name: learnt_after_first_rung(*runs[name], flags.budget) for name in shown},
                "tables": tables}  # fmt: skip
    if flags.plot is not None:
        plot({name: [one.points for one in some] for name, some in found[shown[0]].items()}, shown[0],
             flags.trials, flags.plot)  # fmt: skip
    report = Report("search_efficiency", ratios, baselines, seconds, settings)
    if not flags.json:
        for surface, rows in tables.items():
            print_table(surface, rows)
        report = Report(report.benchmark, ratios, report.baselines, seconds, {**settings, "tables": "above"})
    show(report, as_json=flags.json)


def planned(surface: str, epochs: int) -> dict[str, tuple[str, int]]:
    """By the name of a table its surface and its epochs a stage: of the fitted one first at the recorded length."""
    found = {}
    if surface != "synthetic":
        found[f"fitted, {_recorded_epochs()} epochs"] = ("fitted", _recorded_epochs())
        found[f"fitted, {epochs} epochs"] = ("fitted", epochs)
    if surface != "fitted":
        found[f"synthetic, {epochs} epochs"] = ("synthetic", epochs)
    return found


def learnt_after_first_rung(surface: str, epochs: int, budget: str) -> dict[str, float]:
    """By start the PESQ that a student without KD still gains after its first rung, on average over the sizes."""
    truth, rungs = _truth(surface, budget, epochs), planned_rungs(True, epochs, WORTH)
    mean, sizes = truth.surface.mean, truth.space.feasible()
    return {
        init: round(
            statistics.mean(
                mean(size, "none", init, epochs, epochs) - mean(size, "none", init, rungs[0], epochs) for size in sizes
            ),
            4,
        )
        for init in (truth.surface.inits if rungs else ())
    }


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
        "ours, no priors": lambda: Ours(replace(space, priors="none"), task.seed, DEFAULT_SAMPLER),
        "tpe": lambda: Ours(space, task.seed, "tpe"),
        "random in budget": lambda: Ours(space, task.seed, "random"),
        "random, slices": lambda: Ours(replace(space, inits=("slice",)), task.seed, "random"),
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
    outside = sum(one.feasible and surface.extrapolates(one.choice.size, task.epochs) for one in students)
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
    return statistics.mode(curve.train["epochs"] for curve in usual(read_curves()))


if __name__ == "__main__":
    run_command(main)
