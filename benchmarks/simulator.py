"""A search without trainings: curves are drawn from a surface, the clock is a number, and a search takes seconds.

What decides is what decides in a real search: `Proposals` with its samplers, and `Rungs`. So is what it is compared
with (`strategies.py`). A student's epochs take a constant and a part in proportion to its cost, as measured by
`cpu_step.py`; W workers train a student each. How long a sampler thinks is not counted.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.front import hypervolume, pareto_mask
from benchmarks.surface import PesqSurface
from model.ftjnf import Size
from model.macs import paper_gmac
from model.train_config import TrainConfig
from search.space import Choice, Space
from search.student import rungs_of

Floats = NDArray[np.float64]
Verdict = Literal["go on", "pause", "stop"]

SECONDS = (0.2, 0.2)
"""An epoch's time, up to a factor: this much for any size, and this much for each GMAC (sizes I, E and C)."""


class Strategy(Protocol):
    """A way to search: what to train, and for how long."""

    rungs: tuple[int, ...]
    """Epochs of a stage after which it is asked whether a student goes on; which stage, `rung_places` says."""

    def next(self, *, more: bool) -> tuple[int, Choice] | None:
        """The student that is trained next, by number: a paused one that goes on, or a new one.

        Args:
            more: whether it may be a new one.

        Returns:
            None if there is none until another has ended.
        """

    def verdict(self, number: int, rung: int, pesq: float) -> Verdict:
        """Whether a student is trained on after the rung of this index, where it scores so much."""

    def ended(self, number: int, pesq: float) -> None:
        """A student has been trained to its end."""


@dataclass
class Student:
    """A simulated student.

    Args:
        number: as the strategy counts.
        choice: its configuration.
        scores: (epochs of all stages,) validation PESQ after each epoch, NaN where its output was not trained yet.
        rungs: the index of each of its rungs, by the epochs of all stages that were trained until there.
        feasible: whether it is within the budget.
        epochs: of all stages, trained so far.
        state: how it stands.
    """

    number: int
    choice: Choice
    scores: Floats
    rungs: Mapping[int, int]
    feasible: bool
    epochs: int = 0
    state: Literal["RUNNING", "PAUSED", "STOPPED", "COMPLETE"] = "RUNNING"

    @property
    def score(self) -> float:
        """Its final PESQ."""
        return float(self.scores[-1])

    @property
    def left(self) -> int:
        """Epochs until its end."""
        return len(self.scores) - self.epochs


@dataclass(frozen=True)
class Point:
    """A search after a student more has ended, or was paused.

    Args:
        trials: students that have ended or were paused, those over the budget included.
        begun: students that had been begun by then.
        epochs: that all students have been trained by then.
        seconds: by the fake clock.
        volume: hypervolume of the front, as a share of the best possible.
    """

    trials: int
    begun: int
    epochs: int
    seconds: float
    volume: float


@dataclass
class Trace:
    """A simulated search.

    Args:
        points: in the order of time.
        students: all, by number.
    """

    points: list[Point] = field(default_factory=list)
    students: dict[int, Student] = field(default_factory=dict)

    @property
    def over_budget(self) -> int:
        """Trainings above the budget."""
        return sum(not one.feasible for one in self.students.values())

    @property
    def duplicates(self) -> int:
        """Trainings of a configuration that had been trained before."""
        return len(self.students) - len({one.choice for one in self.students.values()})

    def best(self, trials: int) -> float:
        """The hypervolume after so many trials."""
        return max((one.volume for one in self.points if one.trials <= trials), default=0.0)

    def until(self, volume: float) -> Point | None:
        """Where this hypervolume is first reached; None if it never is."""
        return next((one for one in self.points if one.volume >= volume), None)


class Truth:
    """What students are worth on average over seeds, and the hypervolume of fronts by it.

    A strategy sees the score of one training, noise included, and its front is chosen by these scores, as that of a
    real search. The front is valued by the surface's means: who was lucky is not rewarded.

    Args:
        surface: where scores come from.
        space: what is within the budget.
        epochs: of a stage.
    """

    def __init__(self, surface: PesqSurface, space: Space, epochs: int) -> None:
        self.surface, self.space, self.epochs = surface, space, epochs
        sizes = space.feasible()
        self._low, self._high = log_gmac(sizes[0]), math.log10(space.budget.readings()["GMAC"])
        choices = list(dict.fromkeys(space.configurations()))
        self._mean = lru_cache(maxsize=None)(
            lambda size, method, init: surface.mean(size, method, init, epochs, epochs)
        )
        self.most = self._volume([log_gmac(one.size) for one in choices], [self.mean(one) for one in choices])

    def mean(self, choice: Choice) -> float:
        """The final PESQ of a configuration on average over seeds."""
        return float(self._mean(choice.size, choice.kd_method, choice.init))

    def begin(self, number: int, choice: Choice, rng: np.random.Generator, rungs: tuple[int, ...] = ()) -> Student:
        """A student before its first epoch, with what it is going to score; `rungs` are those of the strategy."""
        scores = self.surface.draw(choice, self.epochs, rng)
        places = rung_places(rungs, choice, self.epochs)
        return Student(number, choice, scores, places, self.space.budget.allows(choice.size))

    def volume(self, students: list[Student]) -> float:
        """The hypervolume of these students' front, as a share of that of all configurations trained on average."""
        costs = np.array([log_gmac(one.choice.size) for one in students])
        front = pareto_mask(costs, [one.score for one in students])
        members = [one for one, on in zip(students, front, strict=True) if on]
        means = [self.mean(one.choice) for one in members]
        return self._volume([log_gmac(one.choice.size) for one in members], means) / self.most

    def _volume(self, costs: list[float], scores: list[float]) -> float:
        return hypervolume(costs, scores, self._high, self.surface.unprocessed, self._low)


def simulate(
    strategy: Strategy, truth: Truth, trials: int, rng: np.random.Generator, workers: int = 1, enough: float = math.inf
) -> Trace:
    """Runs a search until so many students have been begun and no more is to be trained.

    Args:
        strategy: what decides.
        truth: the surface, the budget and the epochs of a stage.
        trials: students at most.
        rng: draws the students' curves; the n-th student has a stream of its own.
        workers: students trained at a time.
        enough: hypervolume at which the search ends early.
    """
    trace, streams = Trace(), rng.spawn(trials)
    running: list[tuple[float, int]] = []  # when a student's next part ends
    parts: dict[int, int] = {}
    now, epochs = 0.0, 0

    def train(student: Student) -> None:
        student.state = "RUNNING"
        ahead = [place - student.epochs for place in student.rungs]
        parts[student.number] = min([part for part in ahead if part > 0], default=student.left)
        heapq.heappush(running, (now + parts[student.number] * epoch_seconds(student.choice.size), student.number))

    while True:
        while len(running) < workers:
            found = strategy.next(more=len(trace.students) < trials)
            if found is None:
                break
            number, choice = found
            if number not in trace.students:
                trace.students[number] = truth.begin(number, choice, streams[len(trace.students)], strategy.rungs)
            train(trace.students[number])
        if not running:
            return trace
        now, number = heapq.heappop(running)
        student = trace.students[number]
        student.epochs += parts[number]
        epochs += parts[number]
        if student.left:
            rung, pesq = student.rungs[student.epochs], float(student.scores[student.epochs - 1])
            verdict = strategy.verdict(number, rung, pesq)
            if verdict == "go on":
                train(student)
                continue
            student.state = "PAUSED" if verdict == "pause" else "STOPPED"
        else:
            student.state = "COMPLETE"
            strategy.ended(number, student.score)
        known = list(trace.students.values())
        volume = truth.volume([one for one in known if one.state == "COMPLETE" and one.feasible])
        met = sum(one.state != "RUNNING" for one in known)
        trace.points.append(Point(met, len(known), epochs, now, volume))
        if volume >= enough:
            return trace


@lru_cache(maxsize=10_000)
def rung_places(rungs: tuple[int, ...], choice: Choice, epochs: int) -> Mapping[int, int]:
    """Where a training passes the rungs, as a real student does: the index of each by the epochs until there.

    Args:
        rungs: epochs of a stage.
        choice: the configuration: where stage 1 of two-stage KD trains the output they lie in it, else in the last one.
        epochs: of a stage.
    """
    config = choice.training(TrainConfig(choice.size, epochs=epochs))
    before, begins = 0, {}
    for stage, length in zip(config.stages, config.stage_epochs, strict=True):
        begins[stage.name] = before
        before += length
    return {begins[stage] + epoch: rung for (stage, epoch), rung in rungs_of(rungs, config).items()}


def epoch_seconds(size: Size) -> float:
    """The fake clock's seconds for an epoch."""
    constant, per_gmac = SECONDS
    return constant + per_gmac * paper_gmac(size)


@lru_cache(maxsize=10_000)
def log_gmac(size: Size) -> float:
    """log10 of a size's cost on the paper's axis."""
    return math.log10(paper_gmac(size))
