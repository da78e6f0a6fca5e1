"""What a search has found so far, as its folder, its figures and its MLflow run show it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from data.errors import InputError
from data.files import read_json
from model.macs import Budget, paper_gmac
from search import results
from search.beside import Beside
from search.certainty import is_repeat, wanted
from search.config import SearchConfig
from search.ending import Ending
from search.keeping import CHECKPOINT, Keeping
from search.proposal import Proposal
from search.report import draw
from search.results import Record
from search.space import Space
from search.standing import was_cut
from search.stopping import Stopping
from search.tracking import Tracker

DRAWING = 20
"""Figures are drawn anew when at least so many times the time that it takes has passed: it takes from the trainings."""


class Board:
    """The students' records and what is made of them.

    Args:
        config: what is searched.
        space: what may be tried.
        tracker: for MLflow.
        beside: scores of what stands beside the students.

    Attributes:
        records: of all configurations with a score, the cheapest first.
        hypervolume: of them, see `results.hypervolume`.
    """

    def __init__(self, config: SearchConfig, space: Space, tracker: Tracker, beside: Beside) -> None:
        self.config, self.space, self.tracker, self.beside = config, space, tracker, beside
        self.folder, self.students = config.folder, config.folder / "students"
        self.records: list[Record] = []
        self.hypervolume = 0.0
        self._budget = Budget.parse(config.budget)
        self._keeping = Keeping(self.students, everything=config.keep_checkpoints == "all")
        self._drawn = (0.0, 0.0)  # when the figures were last drawn, and the seconds that it took

    @property
    def front(self) -> list[Record]:
        """The members of the front, the cheapest first."""
        return [record for record in self.records if record["front"]]

    def gather(self, trials: Sequence[Proposal]) -> None:
        """Records of all finished students; those that are known are not read again. Losers' weights are removed."""
        self.records = results.student_records(self.students, trials, self.records)
        self._keeping.clean(trials, self.records)

    def finished(self, number: int, trials: Sequence[Proposal]) -> None:
        """A student more: the front and the hypervolume anew and, now and then, the figures."""
        cut = was_cut(self.students / f"{number:04d}")
        trials = [replace(one, state="COMPLETE", cut=cut) if one.number == number else one for one in trials]
        self.gather(trials)
        when, took = self._drawn
        if time.monotonic() - when > DRAWING * took:
            self.show()
        self.hypervolume = self.volume(self.records)
        summary = {"hypervolume": self.hypervolume, "students": len(self.records)}
        ended = sum(one.state == "COMPLETE" for one in trials)  # repeats too, which change the front's figures
        self.tracker.figures(None, summary | results.front_metrics(self.records), ended)
        for record in self.records:
            if record["trial"] == number:
                self.beside.into(record)
                self.tracker.figures(number, results.val_metrics(record), record["epochs"])

    def volume(self, records: Sequence[Record]) -> float:
        """The hypervolume of students, see `results.hypervolume`."""
        sizes = self.space.feasible()
        return results.hypervolume(
            records, sizes[0], results.budget_gmac(self._budget, sizes), self.beside.val["unprocessed"]["pesq"],
            self.beside.val.get("teacher", {}).get("pesq"),
        )  # fmt: skip

    def volumes(self, trials: Sequence[Proposal], last: int) -> list[float]:
        """The hypervolume after each scored student of the search proper, by number; the `last` ones are computed.

        What came before them is said to be that of the first of these: it only counts how many there were.
        """
        ended = self.ended(trials)
        points: list[Record] = []
        found = []
        for place, one in enumerate(ended):
            if one.pesq is not None:
                points.append({"paper_gmac": paper_gmac(one.choice.size), "pesq_val": one.pesq})
            if place >= len(ended) - last:
                found.append(self.volume(points))
        return found[:1] * (len(ended) - len(found)) + found

    def ended(self, trials: Sequence[Proposal]) -> list[Proposal]:
        """The students of the search proper that were trained to their end: the others are no sign of a stall."""
        whole = (one for one in trials if one.state == "COMPLETE" and not one.cut)
        return [one for one in whole if not is_repeat(one.choice, self.space)]

    def resumable(self, trials: Sequence[Proposal]) -> list[Proposal]:
        """Who is brought to its end before anything new begins: the unfinished, and those that the time cut short."""

        def goes_on(one: Proposal) -> bool:
            return one.cut and (self.students / f"{one.number:04d}" / CHECKPOINT).exists()

        return [one for one in trials if one.state == "RUNNING" or goes_on(one)]

    def stopping(self, trials: Sequence[Proposal]) -> Stopping:
        """When the front no longer grows, by all students so far that count for it."""
        patience, first = self.config.patience, self.patience_since()
        volumes = self.volumes(trials, patience + 1) if patience else []
        return Stopping(patience, volumes, sum(one.number < first for one in self.ended(trials)))

    def patience_since(self) -> int:
        """The number of the first training that counts for patience.

        Where more students were asked for than the search could have when it last came to an end, those begun before
        that end do not count; neither in this session nor in later ones, until once more students are asked for.
        """
        ending = Ending.read(self.folder)
        if ending is None:
            return 0
        return ending.begun if self.config.trials > ending.trials > 0 else ending.since

    def put_run_ids(self) -> None:
        """Writes the ids of the MLflow runs into the records, as far as they are known."""
        for record in self.records:
            record["mlflow_run_id"] = self.tracker.run_id(record["trial"])

    def show(self) -> None:
        """Writes the front and draws the figures, into the folder and onto the search's MLflow run."""
        started = time.monotonic()
        self.put_run_ids()
        for record in self.records:
            self.beside.into(record)
        front = {number for record in self.front for number in record["trials"]}
        # who has no record any more, such as a seed that was cut short beside a whole one, may have been on it
        begun = {int(path.parent.name) for path in self.students.glob("*/history.jsonl")}
        for number in sorted(begun | front):
            self.tracker.tag_student(number, {"front": "yes" if number in front else "no"})
        results.write_front(self.folder, self.records)
        sizes, demo = self.space.feasible(), self.config.data.demo
        drawn = draw(self.folder, self.records, self.beside, self._budget, sizes, demo=demo)
        for path in (self.folder / "front.json", self.folder / "front.csv", *drawn):
            self.tracker.artifact(path)
        self._drawn = (time.monotonic(), time.monotonic() - started)

    def nothing_left(self, trials: Sequence[Proposal]) -> Ending | None:
        """How the search has ended, if a session of it would train nothing and score nothing; else None.

        Args:
            trials: all so far. The records become those that the last session has written.
        """
        config, space = self.config, self.space
        ending = Ending.read(self.folder)
        if ending is None or self.resumable(trials):
            return None
        begun = [one for one in trials if not is_repeat(one.choice, space)]
        failed = min(sum(one.state == "FAIL" for one in begun), config.trials)
        stalled = self.stopping(trials).stalled
        more = len(begun) - failed < config.trials and len(begun) < space.count()
        # a session with a time budget trains on who waits, in the time that new students leave
        spare = config.time_budget is not None and any(one.state == "PAUSED" for one in trials)
        if (more or spare) and not stalled:
            return None
        self.records = results.student_records(self.students, trials)
        if wanted(self.students, trials, self.records, space, config.repeat_front):
            return None
        try:
            shown = read_json(self.folder / "students.json")
            known = {tuple(one["trials"]): one for one in shown}
            front = [known[tuple(one["trials"])] for one in self.front]
            complete = len(known) == len(self.records) and all(one["pesq_test"] is not None for one in front)
        except (InputError, KeyError, TypeError):
            return None
        self.records = shown if complete else self.records
        return ending if complete else None
