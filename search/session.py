"""One session of a search: from its configuration to its printed front, or to the signal that stops it."""

from __future__ import annotations

import shlex
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from data.errors import InputError, Interrupted
from data.files import read_json, write_json
from data.plan import Sets
from data.units import duration
from model.lineage import version_text
from model.macs import Budget
from search import results
from search.beside import Beside
from search.board import Board
from search.certainty import is_repeat
from search.clock import Clock
from search.closing import Closing
from search.config import SearchConfig
from search.ending import read_beside
from search.follow import student_params, teacher_params
from search.groundwork import Groundwork
from search.halving import Rungs, halving_in_words
from search.keeping import clean_tune
from search.proposals import Proposals
from search.ray_session import Machine, start_ray, stop_ray
from search.resume import check_trials, more_of
from search.run_folder import JOURNAL, RunFolder
from search.scoring import Scorer, Share
from search.signals import Signals
from search.space import Space
from search.student import StudentJob
from search.students import Students
from search.teaching import SearchTeacher
from search.timing import Timing
from search.tracking import State, Tracker
from search.tracking_earlier import earlier_students
from search.tracking_store import default_uri
from search.warm_start import FILE as WARM_START
from search.warm_start import data_digest, read_warm_start, write_warm_start

EXPERIMENT = "ftjnf-students"
"""The MLflow experiment of all searches."""

RECORDS = ("front.json", "front.csv", "students.json", "search.json", "data.json", "ending.json", "report.md")
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
        self.ground = Groundwork(config, space, cache, console, started)
        self.signals = Signals()
        self.closing = Closing(config, space, console, self.signals, self.timing, started)

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
                done = self._at_its_end()
                if done is not None:
                    return done, 0
            return self._run()
        finally:
            if self.signals.caught is not None and (self.folder / "search.json").exists():
                storage = self.config.storage
                where = "" if Path(storage) == Path("runs").absolute() else f" --storage {shlex.quote(storage)}"
                self.console.print(f"Stopped. Go on with: python search/run.py --resume {self.config.name}{where}")
            self.signals.restore()
            stop_ray()  # takes seconds, in which a second signal ends the command
            self.ground.held.close()
            self.run_folder.release()

    def _run(self) -> tuple[list[results.Record], int]:
        self.ground.check()
        machines = self._start_ray() if self.config.address else None
        slots = self.ground.slots(machines)
        self.timing.begins("data")
        sets = self.ground.sets()
        tracker = self._tracker()
        board = Board(self.config, self.space, tracker, Beside())
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
            if self.resumed:
                self.run_folder.change(self.config)
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
            code = self._search(sets, teacher, clock, board)
            state = "FINISHED" if code == 0 else "KILLED"
            self.timing.begins("tracking")
            tracker.flush(20)
            board.put_run_ids()
            results.write_front(self.folder, board.records)
            if code == 0:
                self.timing.begins("review")
                self.closing.review(sets, board)
            self.timing.write(self.folder, slots)
            for name in RECORDS:
                if (self.folder / name).exists():
                    tracker.artifact(self.folder / name)
            return board.front, code
        except (KeyboardInterrupt, Interrupted):
            state = "KILLED"
            raise
        except (InputError, OSError):
            self.run_folder.drop_unbegun()
            raise
        finally:
            tracker.close(state)

    def _at_its_end(self) -> list[results.Record] | None:
        """The front of a search that has come to its end, shown once more; None where there is something left to do.

        Raises:
            InputError: the search has begun more students than it may have now.
        """
        if not (self.folder / JOURNAL).exists():
            return None
        trials = Proposals(self.space, self.folder / JOURNAL, self.config.seed, self.config.sampler).trials()
        check_trials(self.config, [one for one in trials if not is_repeat(one.choice, self.space)])
        beside = read_beside(self.folder)
        if beside is None:
            return None
        board = Board(self.config, self.space, self._tracker(), beside)
        ending = board.nothing_left(trials)
        if ending is None:
            return None
        self.closing.show(board, ending)
        self.console.print(
            f"Search {self.config.name} had come to its end before: nothing was trained, and nothing scored anew. "
            + more_of(ending.ended)
        )
        return board.front

    def _tracker(self) -> Tracker:
        uri = self.config.tracking_uri or default_uri(Path(self.config.storage))
        return Tracker(uri, EXPERIMENT, self.folder)

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
        tags["code"] = "; then ".join(version_text(code) or "not known" for code in self.run_folder.code())
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

    # the students -----------------------------------------------------------------------------------------------------

    def _search(self, sets: Sets, teacher: SearchTeacher | None, clock: Clock, board: Board) -> int:
        """Trains the students and ends the search. Returns the exit code."""
        config, ground = self.config, self.ground
        self.timing.begins("scores beside")
        share = Share(config.cpus_per_trial, config.gpus_per_trial)
        scorer = Scorer(config.data, sets, self.cache, teacher, share)
        board.beside = self._score_beside(scorer)
        epochs = ground.decide_epochs(clock, teacher)  # now, when nothing else takes time before the students
        reserve = ground.reserve(clock, None if teacher is None else teacher.net.size)
        for_repeats = ground.for_repeats(clock, epochs, reserve)
        deadline = None if config.time_budget is None else self.started + config.time_budget - reserve
        job = StudentJob(
            students=board.students, cache=self.cache, data=config.data, sets=sets.folders,
            train=replace(config.train, epochs=epochs), teacher=None if teacher is None else teacher.path,
            score_every=config.score_every, gpu=config.gpus_per_trial > 0, deadline=deadline,
            pesq_workers=max(1, int(config.cpus_per_trial)) if config.gpus_per_trial > 0 else 0,
            stored=ground.plan(None if teacher is None else teacher.net.size, sets), rungs=ground.rungs(epochs),
        )  # fmt: skip
        taught = teacher_params(job.teacher)
        earlier = read_warm_start(self.folder, self.space, lambda choice: student_params(job, 0, choice) | taught)
        proposals = Proposals(self.space, self.folder / JOURNAL, config.seed, config.sampler, earlier)
        times = ""
        if deadline is not None:
            certainty = f"{duration(for_repeats)} for other seeds of the front, " if for_repeats else ""
            times = f"; {duration(clock.left() - reserve - for_repeats)} for them, {certainty}{duration(reserve)} for "
            times += "the final scores"
        self.console.print(f"Students: up to {config.trials}, {clock.slots} at a time, {epochs} epochs a stage{times}")
        self.console.print(f"Halving: {halving_in_words(job.rungs, epochs)}")
        rungs = Rungs.from_histories(job.students, proposals.trials()) if job.rungs else None
        students = Students(board, proposals, job, clock, reserve, for_repeats, self.signals, self.console, rungs)
        self.timing.begins("students")
        ended = students.search()
        if ended != "stopped":
            self.timing.begins("other seeds of the front")
            students.repeat()
        if self.signals.caught is not None:
            board.show()
            return 128 + self.signals.caught
        self.closing.end(scorer, board, ended, proposals.trials())
        if unfinished := len(proposals.unfinished()):
            self.console.print(f"Unfinished students: {unfinished}; --resume {config.name} tries them again.")
        clean_tune(self.folder / "ray")
        return 0

    def _score_beside(self, scorer: Scorer) -> Beside:
        """Validation scores of what stands beside the students: the axes of the figures and of the hypervolume."""
        with self.signals.hold():
            beside = scorer.beside(self.space.feasible()[-1], lambda done, of: self.signals.heed())
        sizes = self.space.feasible()
        return replace(beside, range_gmac=results.range_gmac(Budget.parse(self.config.budget), sizes))
