"""Successive halving for a front: which students are trained on, from what they score on their way.

After a part of its epochs, at a rung, a student is compared with others at the same rung. It is trained on if it is
good for its cost, else it waits, and is trained on later if what others score there makes it so. Rules that compare one
number, as ASHA (Li et al. 2020, "A system for massively parallel hyperparameter tuning") does, would end every small
student because larger ones score higher. Here no student is compared with one that costs more than itself: its
shortfall is how much less it scores than the best of those that cost no more, and is near zero along the whole front.

The rungs keep no file of their own. Each student writes its scores into its history before anybody hears of them, so
after a restart the histories say what the rungs knew, and nothing can contradict them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from model.ftjnf import Size
from model.macs import paper_gmac
from search.history import read_history
from search.proposal import Proposal

Decision = Literal["go on", "pause"]

ETA = 3
"""Of the students of similar cost one in so many is trained on; each rung has so many times the epochs of the last."""
FIRST = 3
"""Epochs before the first rung at least: before that a score says more about the start than about the student."""
FACTOR = 2.0
"""Costs are similar up to this factor."""
WORTH = 12
"""Students from which on a search halves unless it is told otherwise: of fewer, hardly two are of similar cost."""
SHARE = 0.7
"""Of their epochs, what students are trained for on average: all of the rungs before, and the rest where they go on.

If a share g goes on at each of the rungs 1/9 and 1/3, it is 1/9 + 2g/9 + 2g^2/3. A front needs g of about a half: those
within the tolerance, and a third of the others. That gives 0.39, and the first students, which have nobody to be
compared with, nearly all go on; on made-up surfaces it was 0.7 of 20 students and 0.5 of 60. Searches of known length
plan with the larger one: a student too few in the plan is time left over, which goes to those that wait.
"""
TOLERANCE = 0.02
"""PESQ by which the same student may score less from another seed or on other clips, and still count as no worse."""


def rung_epochs(epochs: int, eta: float = ETA, first: int = FIRST) -> tuple[int, ...]:
    """The rungs of a stage: epochs / eta, epochs / eta^2 and so on, in rising order; never its last epoch.

    They are counted from the start of the first stage that trains the output. They are shares of that stage, so that
    all students at a rung are at the same point of the schedules of learning rate and alpha.

    Args:
        epochs: of the stage, at most.
        eta: see `ETA`.
        first: epochs before the first rung, at least.

    Returns:
        Epochs within the stage, from 1; none where the stage is too short.

    Raises:
        ValueError: eta below 2, or `first` below 1.
    """
    if eta < 2 or first < 1:
        raise ValueError(f"eta must be at least 2 and `first` at least 1, got {eta:g} and {first}")
    rungs: list[int] = []
    at = epochs / eta
    while round(at) >= first:
        rungs.insert(0, round(at))
        at /= eta
    return tuple(rungs)


def planned_rungs(wanted: bool | None, epochs: int, trials: int) -> tuple[int, ...]:
    """The rungs of a search; none where it does not halve.

    Args:
        wanted: whether to halve; None where it is worth it: from `WORTH` students on, and where a stage has a rung
            after `FIRST` epochs.
        epochs: of a stage.
        trials: students at most.
    """
    if wanted is None:
        return rung_epochs(epochs) if trials >= WORTH else ()
    return (rung_epochs(epochs) or rung_epochs(epochs, first=1)) if wanted else ()


def halving_in_words(rungs: Sequence[int], epochs: int) -> str:
    """What `planned_rungs` said, to be shown."""
    if not rungs:
        return "off, every student is trained to the end"
    at = " and ".join(", ".join(map(str, rungs)).rsplit(", ", 1))
    return f"on, students may be stopped after {at} of the {epochs} epochs of the stage that first trains their output"


def log_gmac(size: Size) -> float:
    """The cost by which students are compared: log10 of GMAC on the paper's axis."""
    return math.log10(paper_gmac(size))


class Rungs:
    """What students scored at the rungs, and what follows from it. Deterministic; knows numbers, costs and scores.

    Args:
        eta: see `ETA`; the same as for `rung_epochs`.
        factor: see `FACTOR`.
        tolerance: see `TOLERANCE`.

    Raises:
        ValueError: eta below 2, the factor below 1, or a negative tolerance.
    """

    def __init__(self, eta: float = ETA, factor: float = FACTOR, tolerance: float = TOLERANCE) -> None:
        if eta < 2 or factor < 1 or tolerance < 0:
            raise ValueError(
                "eta must be at least 2, the factor at least 1 and the tolerance not negative, "
                f"got {eta:g}, {factor:g} and {tolerance:g}"
            )
        self._eta, self._tolerance = eta, tolerance
        self._near = math.log10(factor) + 1e-9
        self._rungs: dict[int, _Rung] = {}
        self._at: dict[int, int] = {}  # the highest rung of each student
        self._passed: dict[int, int] = {}  # the highest rung that a student has been let through
        self._paused: set[int] = set()

    @classmethod
    def from_histories(cls, students: Path, trials: Iterable[Proposal], **settings: float) -> Rungs:
        """The rungs as the students' `history.jsonl` tell them: lines with `rung` and `pesq`.

        A student that was trained beyond a rung has passed it. One that is not paused and ended at a rung is decided
        on when it reports that rung again. Repeats are left out: they are no candidates, but trained to be compared.

        Args:
            students: folder of the students' folders.
            trials: all students, with who is paused.
            settings: of `Rungs`.
        """
        rungs = cls(**settings)
        for one in trials:
            if one.choice.repeat:
                continue
            log_cost = log_gmac(one.choice.size)
            for line in read_history(students / f"{one.number:04d}" / "history.jsonl").values():
                rung = line.get("rung")
                if rung is not None and line.get("pesq") is not None:
                    rungs.report(one.number, log_cost, int(rung), float(line["pesq"]))
                elif one.number in rungs._at:
                    rungs._passed[one.number] = rungs._at[one.number]
            if one.state == "PAUSED" and one.number in rungs._at:
                rungs._paused.add(one.number)
        return rungs

    def report(self, number: int, log_cost: float, rung: int, pesq: float) -> None:
        """Notes a student's score at a rung; one that is not finite is no score, and not noted.

        Args:
            number: of the student.
            log_cost: log10 of its cost, in any unit.
            rung: index, from 0.
            pesq: its validation PESQ there.
        """
        if math.isfinite(pesq):
            self._rungs.setdefault(rung, _Rung()).add(number, log_cost, pesq)
            self._at[number] = max(rung, self._at.get(number, rung))

    def decide(self, number: int) -> Decision:
        """Whether a student is trained on beyond its latest rung. One that is not waits, see `promotable`.

        It is trained on if it was let through that rung before, if its shortfall is within the tolerance, or if it is
        among the best 1 / eta of those of similar cost, by shortfall: there larger students may have learnt more slowly
        than small ones so far.
        """
        if self._may_go_on(number):
            self.promote(number)
            return "go on"
        self._paused.add(number)
        return "pause"

    def promotable(self) -> list[int]:
        """The paused students that `decide` would let go on by now; those of the highest rung first, of these the ones
        with the smallest shortfall."""
        return [number for number in self.paused() if self._may_go_on(number)]

    def paused(self) -> list[int]:
        """All paused students, in the order of `promotable`."""
        return sorted(self._paused, key=lambda number: (-self._at[number], self.shortfall(number), number))

    def promote(self, number: int) -> None:
        """Notes that a student is trained on beyond its latest rung, for whatever reason."""
        self._paused.discard(number)
        if number in self._at:
            self._passed[number] = self._at[number]

    def drop(self, number: int) -> None:
        """Notes that a paused student will not be trained on; its scores still count."""
        self._paused.discard(number)

    def shortfall(self, number: int) -> float:
        """PESQ by which the best student of at most its cost is ahead at its latest rung; 0 if none is."""
        return self._rungs[self._at[number]].shortfalls()[number]

    def _may_go_on(self, number: int) -> bool:
        at = self._at.get(number)
        if at is None or self._passed.get(number, -1) >= at:
            return True
        if self.shortfall(number) <= self._tolerance:
            return True
        rank, of = self._rungs[at].rank(number, self._near)
        return rank < math.floor(of / self._eta)


@dataclass
class _Rung:
    """The students that have been at a rung: log10 cost and PESQ by number."""

    scores: dict[int, tuple[float, float]] = field(default_factory=dict)
    _shortfalls: dict[int, float] = field(default_factory=dict)  # empty where they are to be computed anew

    def add(self, number: int, log_cost: float, pesq: float) -> None:
        self.scores[number] = (log_cost, pesq)
        self._shortfalls.clear()

    def shortfalls(self) -> dict[int, float]:
        """How much less each scores than the best of those that cost no more."""
        if not self._shortfalls:
            best = -math.inf
            # of equal costs the best first: it counts for all of them
            for number, (_, pesq) in sorted(self.scores.items(), key=lambda one: (one[1][0], -one[1][1])):
                best = max(best, pesq)
                self._shortfalls[number] = best - pesq
        return self._shortfalls

    def rank(self, number: int, near: float) -> tuple[int, int]:
        """How many of similar cost have a smaller shortfall, and how many there are, with the student itself."""
        log_cost, shortfalls = self.scores[number][0], self.shortfalls()
        similar = [other for other, (cost, _) in self.scores.items() if abs(cost - log_cost) <= near]
        return sum(shortfalls[other] < shortfalls[number] for other in similar), len(similar)
