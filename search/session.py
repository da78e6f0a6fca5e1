"""One session of a search: from its configuration to its printed front, or to the signal that stops it."""

from __future__ import annotations

import shlex
import signal
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from data.errors import InputError, Interrupted
from data.files import read_json, write_json
from data.plan import Sets
from data.units import duration
from model.macs import Budget
from search import results
from search.beside import BASELINES, Beside
from search.clock import Clock
from search.config import SearchConfig
from search.final import add_test_scores, ends_apart
from search.follow import Follower, student_params, teacher_params
from search.groundwork import Groundwork
from search.halving import Rungs, halving_in_words
from search.halving_scheduler import HalvingScheduler, end_paused
from search.live import LiveTable
from search.proposals import Proposals
from search.ray_session import Machine, start_ray, stop_ray
from search.report import draw, print_front, write_report
from search.run_folder import JOURNAL, RunFolder
from search.scoring import ScoreJob, score_all
from search.searcher import BROKEN, TuneSearcher
from search.signals import Signals
from search.space import Choice, Space
from search.student import StudentJob
from search.teaching import SearchTeacher, too_small
from search.timing import Timing
from search.tracking import State, Tracker
from search.tracking_earlier import earlier_students
from search.tracking_store import default_uri
from search.tuning import tune_students
from search.warm_start import FILE as WARM_START
from search.warm_start import data_digest, read_warm_start, write_warm_start

EXPERIMENT = "ftjnf-students"
"""The MLflow experiment of all searches."""

DRAWING = 20
"""Figures are drawn anew when at least so many times the time that it takes has passed: it takes from the trainings."""

RECORDS = ("front.json", "front.csv", "students.json", "search.json", "data.json", "report.md")
"""Files of the run folder that are copied to the search's MLflow run at the end."""


class Session:
    """One session of a search.

    Args:
        config: what is searched.
        space: what may be tried.
        cache: root of the caches.
        console: where a person reads.
        started: `time.time()` at the command's start.
        resumed: whether an earlier session of the search is continued.
    """

    def __init__(
        self, config: SearchConfig, space: Space, cache: Path, console: Console, started: float, *, resumed: bool
    ) -> None:
        self.config, self.space, self.cache, self.console = config, space, cache, console
        self.started, self.resumed = started, resumed
        self.timing = Timing(started)
        self.folder = config.folder
        self.run_folder = RunFolder(config.folder)
        self.budget = Budget.parse(config.budget)
        self.ground = Groundwork(config, space, cache, console, started)
        self.beside = Beside()
        self.records: list[results.Record] = []
        self.signals = Signals()
        self._drawn = (0.0, 0.0)  # when the figures were last drawn, and the seconds that it took

    def run(self) -> tuple[list[results.Record], int]:
        """Runs the search.

        Returns:
            The front's records, and the exit code: 0, or 128 + n if signal n stopped the trials.

        Raises:
            InputError: something cannot be used; then nothing was trained, or no student could finish.
            Interrupted: a signal came while nothing was being trained by Tune.
        """
        self.signals.listen()
        try:
            if self.resumed:
                self.run_folder.hold()
            return self._run()
        finally:
            if self.signals.caught is not None and (self.folder / "search.json").exists():
                storage = self.config.storage
                where = "" if Path(storage) == Path("runs").absolute() else f" --storage {shlex.quote(storage)}"
                self.console.print(f"Stopped. Go on with: python search/run.py --resume {self.config.name}{where}")
            self.signals.restore()
            stop_ray()  # takes seconds, in which a second signal ends the command
            self.run_folder.release()

    def _run(self) -> tuple[list[results.Record], int]:
        self.ground.check()
        machines = self._start_ray() if self.config.address else None
        slots = self.ground.slots(machines)
        self.timing.begins("data")
        sets = self.ground.sets()
        tracker = Tracker(self.config.tracking_uri or default_uri(Path(self.config.storage)), EXPERIMENT, self.folder)
        state: State = "FAILED"
        try:
            if self.resumed:
                self.run_folder.check_data(sets.manifest)
            else:
                self.run_folder.make(self.config, sets.manifest)
            write_json(self.folder / "splits.json", sets.splits)
            self._warm_start(sets)
            loudly = self._names_a_store()
            if loudly:  # wrong or unreachable: better known before than after
                tracker.open(*self._for_tracker(sets))
            self.timing.begins("pace")
            clock = self.ground.clock(sets, slots)
            self.ground.check_time(clock, sets)
            self.timing.begins("teacher")
            teacher = self.ground.teacher(sets)
            self.timing.begins("Ray")
            if machines is None:
                self._start_ray()
            if not loudly:
                # the default store is a new file on first use, and making it takes seconds: beside what follows
                opening = (*self._for_tracker(sets), self._warn_of_tracking)
                threading.Thread(target=tracker.open_patiently, args=opening, daemon=True).start()
            self.timing.begins("targets")
            self.ground.targets(teacher, sets)
            code = self._search(sets, teacher, clock, tracker)
            state = "FINISHED" if code == 0 else "KILLED"
            self.timing.begins("tracking")
            tracker.flush(20)
            self.timing.write(self.folder, slots)
            self._put_run_ids(tracker)
            results.write_front(self.folder, self.records)
            for name in RECORDS:
                if (self.folder / name).exists():
                    tracker.artifact(self.folder / name)
            return [record for record in self.records if record["front"]], code
        except (KeyboardInterrupt, Interrupted):
            state = "KILLED"
            raise
        except (InputError, OSError):
            self.run_folder.drop_unbegun()
            raise
        finally:
            tracker.close(state)

    def _start_ray(self) -> list[Machine]:
        with self.signals.hold():
            try:
                return start_ray(self.config.address)
            except SystemExit:  # Ray's own handler of SIGTERM, which it puts in place as it starts
                self.signals.caught = signal.SIGTERM
                raise Interrupted(signal.SIGTERM) from None
            finally:
                self.signals.listen()

    def _names_a_store(self) -> bool:
        """Whether this very command names a tracking store: then one that cannot be used ends it.

        A store that a search has written to and that is away today ends no session of it.
        """
        stored = read_json(self.folder / "search.json")["tracking_uri"] if self.resumed else None
        return self.config.tracking_uri != stored

    def _for_tracker(self, sets: Sets) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Name, parameters and tags of the search's MLflow run."""
        manifest = sets.manifest
        tags = {"corpus": manifest["corpus"], "array": manifest["array"]["name"], "budget": self.config.budget}
        tags["data_digest"] = data_digest(manifest)
        return self.config.name, self.config.params(), tags

    def _warm_start(self, sets: Sets) -> None:
        """Keeps what an earlier search has scored, once a search."""
        name = self.config.warm_start
        if name is None or (self.folder / WARM_START).exists():
            return
        uri = self.config.tracking_uri or default_uri(Path(self.config.storage))
        students = earlier_students(uri, EXPERIMENT, name, data_digest(sets.manifest))
        write_warm_start(self.folder, name, students)
        self.console.print(f"Warm start: {len(students)} scores of {name}")

    def _warn_of_tracking(self, reason: str) -> None:
        self.console.print(f"MLflow: {reason}; the search goes on, and tries again")

    # the trials -------------------------------------------------------------------------------------------------------

    def _search(self, sets: Sets, teacher: SearchTeacher | None, clock: Clock, tracker: Tracker) -> int:
        """Trains the students and ends the search. Returns the exit code."""
        config = self.config
        self.timing.begins("scores beside")
        self._score_beside(sets, teacher)
        epochs = self.ground.decide_epochs(clock, teacher)  # now, when nothing else takes time before the students
        reserve = self.ground.reserve(clock, None if teacher is None else teacher.net.size)
        deadline = None if config.time_budget is None else self.started + config.time_budget - reserve
        job = StudentJob(
            students=self.folder / "students", cache=self.cache, data=config.data, sets=sets.folders,
            train=replace(config.train, epochs=epochs), methods=config.methods,
            teacher=None if teacher is None else teacher.path, score_every=config.score_every,
            gpu=config.gpus_per_trial > 0, cache_size=config.cache_size, deadline=deadline,
            rungs=self.ground.rungs(epochs),
        )  # fmt: skip
        taught = teacher_params(job.teacher)
        earlier = read_warm_start(self.folder, self.space, lambda choice: student_params(job, 0, choice) | taught)
        proposals = Proposals(self.space, self.folder / JOURNAL, config.seed, config.sampler, earlier)
        rungs = Rungs.from_histories(job.students, proposals.trials()) if job.rungs else None
        times = ""
        if deadline is not None:
            times = f"; {duration(clock.left() - reserve)} for them, {duration(reserve)} for the final scores"
        self.console.print(f"Students: up to {config.trials}, {clock.slots} at a time, {epochs} epochs a stage{times}")
        self.console.print(f"Halving: {halving_in_words(job.rungs, epochs)}")
        table = LiveTable(self.console, epochs, config.trials, deadline)

        def may_start(choice: Choice) -> bool:
            first = not searcher.started and all(one.state != "COMPLETE" for one in proposals.trials())
            return self.signals.caught is None and clock.fits(choice, epochs, reserve, first=first)

        searcher = TuneSearcher(
            proposals,
            may_start=may_start,
            limit=config.trials,
            queue=[(one.number, one.choice) for one in proposals.unfinished()],
            rungs=rungs,
            spare=deadline is not None,
        )
        follower = Follower(table, tracker, job, lambda number: self._finished(number, proposals, tracker))
        scheduler = None if rungs is None else HalvingScheduler(rungs, proposals, follower.paused)
        table.start()
        self.timing.begins("students")
        try:
            with self.signals.tuning():
                tune_students(config, job, searcher, follower, clock.slots, scheduler)
        finally:
            table.stop()
        self.records = results.student_records(self.folder / "students", proposals.trials(), self.records)
        if self.signals.caught is not None:
            self._show(tracker)
            return 128 + self.signals.caught
        if searcher.broken:
            self._show(tracker)
            raise InputError(
                f"{BROKEN} students in a row ended with an error that is none of their training's, the last one with: "
                f"{follower.last_error}; mend the cause, then go on with --resume {config.name}"
            )
        end_paused(proposals, job.folder, follower.halved)
        self._end(sets, teacher, tracker, [one.state for one in proposals.trials()])
        if unfinished := len(proposals.unfinished()):
            self.console.print(f"Unfinished students: {unfinished}; --resume {config.name} tries them again.")
        return 0

    def _finished(self, number: int, proposals: Proposals, tracker: Tracker) -> None:
        """A student more: the front, the hypervolume and, now and then, the figures anew."""
        trials = [replace(one, state="COMPLETE") if one.number == number else one for one in proposals.trials()]
        self.records = results.student_records(self.folder / "students", trials, self.records)
        when, took = self._drawn
        if time.monotonic() - when > DRAWING * took:
            self._show(tracker)
        volume = results.hypervolume(
            self.records, self.space.feasible()[0], results.budget_gmac(self.budget, self.space.feasible()),
            self.beside.val["unprocessed"]["pesq"], self.beside.val.get("teacher", {}).get("pesq"),
        )  # fmt: skip
        tracker.log_parent({"hypervolume": volume, "students": len(self.records)}, len(self.records))

    def _put_run_ids(self, tracker: Tracker) -> None:
        for record in self.records:
            record["mlflow_run_id"] = tracker.run_id(record["trial"])

    def _show(self, tracker: Tracker) -> None:
        """Writes the front and draws the figures, into the folder and onto the search's MLflow run."""
        started = time.monotonic()
        self._put_run_ids(tracker)
        for record in self.records:
            self.beside.into(record)
            tracker.tag_student(record["trial"], {"front": "yes" if record["front"] else "no"})
        results.write_front(self.folder, self.records)
        sizes, demo = self.space.feasible(), self.config.data.demo
        drawn = draw(self.folder, self.records, self.beside, self.budget, sizes, demo=demo)
        for path in (self.folder / "front.json", self.folder / "front.csv", *drawn):
            tracker.artifact(path)
        self._drawn = (time.monotonic(), time.monotonic() - started)

    # what is scored beside the students, and the end ------------------------------------------------------------------

    def _beside(self, teacher: SearchTeacher | None) -> dict[str, str]:
        """What is scored beside the students: enhancers by name, the longest to score first."""
        first = {} if teacher is None else {"teacher": str(teacher.path)}
        return first | {name: name for name in BASELINES}

    def _score_beside(self, sets: Sets, teacher: SearchTeacher | None) -> None:
        """Validation scores of what stands beside the students: the axes of the figures and of the hypervolume."""
        names = self._beside(teacher)
        jobs = [ScoreJob(what, "val", self.config.data, sets.folders, self.cache) for what in names.values()]
        with self.signals.hold():
            scores = score_all(jobs, lambda done, of: self.signals.heed())
        self.beside = Beside(
            val={name: one.summary() for name, one in zip(names, scores, strict=True)},
            teacher=None if teacher is None else str(teacher.net.size),
            warning=None if teacher is None else too_small(teacher.net, self.space.feasible()[-1]),
        )

    def _end(self, sets: Sets, teacher: SearchTeacher | None, tracker: Tracker, states: list[str]) -> None:
        """The test split, read once: for the members of the front, to be shown."""
        front = [record for record in self.records if record["front"]]
        if not front:
            raise InputError(
                f"no student has finished ({states.count('FAIL')} failed, {states.count('PRUNED')} were stopped "
                f"early, {states.count('RUNNING')} are unfinished); raise --time-budget, look at "
                f"{self.folder / 'students'} for what went wrong, or go on with --resume {self.config.name}"
            )
        self.timing.begins("test scores")
        names = self._beside(teacher)
        enhancers = [*names.values(), *(str(self.folder / record["checkpoint"]) for record in reversed(front))]
        jobs = [ScoreJob(one, "test", self.config.data, sets.folders, self.cache, more=True) for one in enhancers]
        with self.signals.hold():
            scores = score_all(jobs, self._tell_scored)
        beside = dict(zip(names, scores, strict=False))
        members = scores[len(names) :][::-1]
        self.beside = replace(self.beside, test={name: one.summary() for name, one in beside.items()})
        write_json(self.folder / "beside.json", asdict(self.beside))
        self.timing.begins("report")
        add_test_scores(front, members, beside)
        apart = ends_apart(members)
        self._show(tracker)
        report = write_report(self.folder, self.config, self.records, self.beside, apart)
        tracker.describe(report.read_text(encoding="utf-8"))
        for record in front:
            tracker.log(record["trial"], {"pesq_test": record["pesq_test"]}, record["epochs"] + 1)
            tracker.tag_student(record["trial"], {"front": "yes"})
        print_front(self.console, self.config, self.records, self.beside, apart, tracker.page(), self.started)
        self.console.print(f"Where the time went: {self.timing.told()}")

    def _tell_scored(self, done: int, of: int) -> None:
        self.signals.heed()
        if self.console.is_terminal:
            self.console.print(f"  test scores: {done} of {of}", end="\n" if done == of else "\r")
