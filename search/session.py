"""One session of a search: from its configuration to its printed front, or to the signal that stops it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from rich.console import Console

from data.errors import InputError
from data.examples import ExampleSet
from data.files import write_json
from data.plan import Sets, prepare
from data.units import duration
from model.macs import Budget, gmac_per_s, paper_gmac
from model.pace import measure_pace
from model.precision import choose_device
from model.score import Scores
from model.targets import build_targets
from search import results
from search.clock import Clock
from search.config import SearchConfig
from search.final import ScoreJob, add_test_scores, ends_apart, score_all
from search.follow import Follower
from search.live import LiveTable
from search.ray_session import start_ray, stop_ray
from search.report import Beside, draw, print_front, write_report
from search.sampler import Proposals
from search.searcher import TuneSearcher
from search.space import Choice, Space
from search.start import start
from search.student import StudentJob
from search.teaching import SearchTeacher, given_teacher, is_wanted, too_small, trained_teacher
from search.tracking import State, Tracker
from search.tracking_store import default_uri
from search.trial import trial

log = logging.getLogger(__name__)


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
        self.folder = config.folder
        self.budget = Budget.parse(config.budget)
        self.device = choose_device("auto" if config.gpus_per_trial > 0 else "cpu")
        self.signal: int | None = None
        self.beside = Beside({}, {}, None, None)
        self.records: list[results.Record] = []
        self._lock = threading.Lock()

    # before the first training step -----------------------------------------------------------------------------------

    def dry_run(self) -> None:
        """Shows what would run, and trains nothing."""
        self._check_before_data()
        sets = self._sets()
        teacher = given_teacher(self.config, self.space.microphones) if is_wanted(self.config) else None
        slots = self._slots(os.cpu_count() or 1)
        clock = self._clock(sets, slots)
        epochs, choices = self._epochs(clock, teacher)
        seconds = sum(clock.student_seconds(choice, epochs) for choice in choices)
        sizes = self.space.feasible()
        say = self.console.print
        say(f"Would search {self.space.count()} configurations of {len(sizes)} sizes, from {sizes[0]} "
            f"({paper_gmac(sizes[0]):.3g} GMAC = {gmac_per_s(sizes[0]):.3g} GMAC/s) to {sizes[-1]} "
            f"({paper_gmac(sizes[-1]):.3g} GMAC = {gmac_per_s(sizes[-1]):.3g} GMAC/s).")  # fmt: skip
        say(f"Methods: {', '.join(self.space.methods)}; schedules: {', '.join(self.space.schedules)}; "
            f"starts: {', '.join(self.space.inits)}.")  # fmt: skip
        self._describe_data(sets)
        if teacher is not None:
            say(f"Teacher: {teacher.net.size} ({paper_gmac(teacher.net.size):.3g} GMAC), {teacher.path}")
        elif is_wanted(self.config):
            say("Teacher: none given, so one would be trained first.")
        say(f"Students: up to {self.config.trials}, {slots} at a time, {epochs} epochs a stage; first the sizes "
            + ", ".join(str(choice.size) for choice in choices) + ".")  # fmt: skip
        say(f"Estimated time: {duration(seconds / slots)} for {len(choices)} students"
            + (f", within {duration(self.config.time_budget)} in all." if self.config.time_budget else "."))  # fmt: skip
        say("Nothing was trained.")

    def _check_before_data(self) -> None:
        """All that can be known to fail without reading audio."""
        if is_wanted(self.config):
            given_teacher(self.config, self.space.microphones)

    def _sets(self) -> Sets:
        def progress(what: str, share: float) -> None:
            if self.console.is_terminal:
                self.console.print(f"  {what}: {100 * share:3.0f} %", end="\n" if share >= 1 else "\r")

        self.console.print("Data: the demo corpus (synthetic; made on first use)" if self.config.data.demo else
                           f"Data: {self.config.data.speech}, {self.config.data.noise}, {self.config.data.rirs}")  # fmt: skip
        return prepare(self.config.data, self.cache, progress)

    def _describe_data(self, sets: Sets) -> None:
        banks = sets.manifest["banks"]
        for split in ("train", "val", "test"):
            parts = banks[split]
            self.console.print(
                f"  {split:5}: {parts['speech']['seconds'] / 60:.1f} min of speech of {parts['speech']['groups']} speakers, "
                f"{parts['noise']['groups']} noise recordings, {parts['rirs']['groups']} rooms"
            )
        for split, parts in banks.items():
            for kind, bank in parts.items():
                if bank["skipped"]:
                    first = bank["skipped_files"][0]
                    self.console.print(f"  skipped {bank['skipped']} unusable files of {split} {kind}, such as "
                                       f"{first['path']} ({first['reason']}); all are listed in data.json")  # fmt: skip

    def _slots(self, cpus: int) -> int:
        slots = int(cpus / self.config.cpus_per_trial)
        if self.config.gpus_per_trial > 0:
            slots = min(slots, int(max(1, torch.cuda.device_count()) / self.config.gpus_per_trial))
        if slots < 1:
            raise InputError(
                f"--cpus-per-trial {self.config.cpus_per_trial:g} is more than the {cpus} CPUs there are; lower it to {cpus}"
            )
        return slots

    def _clock(self, sets: Sets, slots: int) -> Clock:
        threads = torch.get_num_threads()
        torch.set_num_threads(max(1, int(self.config.cpus_per_trial)))  # as a trial runs
        sizes = self.space.feasible()
        train = self.config.train
        pace = measure_pace(sizes[0], sizes[-1], sets.val, train.batch, train.precision, self.device)
        torch.set_num_threads(threads)
        return Clock.of(self.started, self.config.time_budget, slots, pace, train, sets, self.config.data.clip_seconds)

    def _epochs(self, clock: Clock, teacher: SearchTeacher | None) -> tuple[int, list[Choice]]:
        """Epochs a stage, and the students that they were reckoned with."""
        rng = np.random.default_rng([self.config.seed, 0])
        choices = list(start(self.space, self.config.trials, rng))[: self.config.trials]
        if not self.config.fit_epochs or self.config.time_budget is None:
            return self.config.train.epochs, choices
        return clock.epochs(choices, self._reserve(clock, teacher), self.config.train.epochs), choices

    def _reserve(self, clock: Clock, teacher: SearchTeacher | None) -> float:
        return clock.reserve(self.space.feasible()[-1], None if teacher is None else teacher.net.size)

    # the search -------------------------------------------------------------------------------------------------------

    def run(self) -> tuple[list[results.Record], int]:
        """Runs the search. Returns the front's records and the exit code."""
        self._check_before_data()
        ray_cpus = start_ray(self.config.address) if self.config.address else None
        sets = self._sets()
        self._describe_data(sets)
        made = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        tracker = self._tracker()
        state: State = "FAILED"
        try:
            if self.config.tracking_uri is not None:
                self._open_tracker(tracker, sets)
            if not self.resumed:
                write_json(self.folder / "search.json", self.config.to_dict())
            write_json(self.folder / "data.json", sets.manifest)
            teacher = self._teacher(sets)
            slots = self._slots(ray_cpus or os.cpu_count() or 1)
            clock = self._clock(sets, slots)
            epochs = self._decide_epochs(clock, teacher)
            if ray_cpus is None:
                start_ray(None)
            if self.config.tracking_uri is None:
                # the default store is a new file on first use, and making it takes seconds: beside what follows
                threading.Thread(target=self._open_quietly, args=(tracker, sets), daemon=True).start()
            self._targets(teacher, sets)
            code = self._search(sets, teacher, clock, epochs, tracker)
            state = "FINISHED" if code == 0 else "KILLED"
            self._write_run_ids(tracker)
            return [record for record in self.records if record["front"]], code
        except KeyboardInterrupt:
            state = "KILLED"
            raise
        except InputError:
            if made and not (self.folder / "students").exists():
                shutil.rmtree(self.folder)  # nothing was begun: nothing is left behind, and the name is free again
            raise
        finally:
            tracker.close(state)
            stop_ray()
            if self.signal is not None:
                self.console.print(f"Stopped. Go on with: python search/run.py --resume {self.config.name}"
                                   + self._storage_flag())  # fmt: skip

    def _storage_flag(self) -> str:
        return "" if Path(self.config.storage) == Path("runs").absolute() else f" --storage {self.config.storage}"

    def _tracker(self) -> Tracker:
        uri = self.config.tracking_uri or default_uri(Path(self.config.storage))
        return Tracker(uri, "ftjnf-students", self.folder)

    def _open_tracker(self, tracker: Tracker, sets: Sets) -> None:
        """Opens the search's run.

        Raises:
            InputError: the store cannot be used.
        """
        flat = {
            key: value
            for key, value in self.config.to_dict().items()
            if not isinstance(value, dict) and value is not None
        }
        flat |= {
            f"train_{key}": value for key, value in self.config.train.to_dict().items() if not isinstance(value, dict)
        }
        flat |= {f"data_{key}": value for key, value in asdict(self.config.data).items() if value is not None}
        tags = {
            "corpus": sets.manifest["corpus"],
            "array": sets.manifest["array"]["name"],
            "budget": self.config.budget,
        }
        tracker.open(self.config.name, flat, tags)

    def _open_quietly(self, tracker: Tracker, sets: Sets) -> None:
        """For the default store: one that cannot be used does not end a search that has begun."""
        try:
            self._open_tracker(tracker, sets)
        except InputError as error:
            self.console.print(f"[yellow]MLflow tracking is off:[/] {error}")

    def _teacher(self, sets: Sets) -> SearchTeacher | None:
        if not is_wanted(self.config):
            self.console.print("Teacher: none.")
            return None
        torch.set_num_threads(os.cpu_count() or 1)
        teacher = given_teacher(self.config, self.space.microphones)
        if teacher is None:
            teacher = trained_teacher(
                self.config, self.space.microphones, sets, self.cache, self.device,
                lambda line: self.console.print("  " + line),
            )  # fmt: skip
        self.console.print(f"Teacher: size {teacher.net.size}, {paper_gmac(teacher.net.size):.3g} GMAC, {teacher.path}")
        warning = too_small(teacher.net, self.space.feasible()[-1])
        if warning is not None:
            self.console.print(warning)
        return teacher

    def _decide_epochs(self, clock: Clock, teacher: SearchTeacher | None) -> int:
        """Fixed in the first session: a resumed student must be the same student."""
        decided = self.folder / "epochs.json"
        if decided.exists():
            from data.files import read_json

            return int(read_json(decided)["epochs"])
        epochs, choices = self._epochs(clock, teacher)
        if self.config.time_budget is not None:
            left = clock.left() - self._reserve(clock, teacher)
            if left < clock.student_seconds(choices[0], 1):
                raise InputError(
                    f"--time-budget {duration(self.config.time_budget)} leaves {duration(max(0.0, left))} for students, too "
                    f"little for one epoch of one; pass at least --time-budget {self._needed(clock, teacher, choices)}"
                )
        write_json(decided, {"epochs": epochs, "fitted_to_time": self.config.fit_epochs})
        return epochs

    def _needed(self, clock: Clock, teacher: SearchTeacher | None, choices: list[Choice]) -> str:
        spent = time.time() - self.started
        training = sum(clock.student_seconds(choice, 1) for choice in choices) / clock.slots
        return f"{int((spent + training + self._reserve(clock, teacher)) / 60) + 1}min"

    def _targets(self, teacher: SearchTeacher | None, sets: Sets) -> None:
        """The teacher's activations, once for all trials, while this machine's cores are free."""
        if teacher is None or self.config.address or self.config.train.gram.form != "positions":
            return
        torch.set_num_threads(os.cpu_count() or 1)
        for examples in (sets.train, sets.val):
            if isinstance(examples, ExampleSet):
                build_targets(
                    teacher.net, examples, self.config.methods, self.config.train.gram, self.cache / "targets",
                    seed=self.config.train.seed, precision=self.config.train.precision, device=self.device,
                )  # fmt: skip

    def _search(self, sets: Sets, teacher: SearchTeacher | None, clock: Clock, epochs: int, tracker: Tracker) -> int:
        from ray import tune

        config = self.config
        proposals = Proposals(self.space, self.folder / "study.journal", config.seed, config.sampler)  # type: ignore[arg-type]
        self._score_beside(sets, teacher, "val")
        reserve = self._reserve(clock, teacher)
        limit = None if config.time_budget is None else self.started + config.time_budget
        job = StudentJob(
            students=self.folder / "students", cache=self.cache, data=config.data, sets=sets.folders,
            train=replace(config.train, epochs=epochs), methods=config.methods,
            teacher=None if teacher is None else teacher.path, score_every=config.score_every,
            gpu=config.gpus_per_trial > 0, deadline=None if limit is None else limit - reserve,
        )  # fmt: skip
        self.console.print(
            f"Students: up to {config.trials}, {clock.slots} at a time, {epochs} epochs a stage"
            + (
                f"; {duration(clock.left() - reserve)} for them, {duration(reserve)} for the final scores"
                if limit
                else ""
            )
        )
        table = LiveTable(self.console, epochs, config.trials, None if limit is None else limit - reserve)
        follower = Follower(table, tracker, lambda number: self._finished(number, proposals, tracker))
        searcher = TuneSearcher(
            proposals,
            may_start=lambda choice: clock.left() - reserve > clock.student_seconds(choice, epochs),
            limit=config.trials,
            queue=[(one.number, one.choice) for one in proposals.unfinished()],
        )
        resources: dict[str, float] = {"cpu": config.cpus_per_trial}
        if config.gpus_per_trial > 0:
            resources["gpu"] = config.gpus_per_trial
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trial, job=job), resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher, num_samples=-1, reuse_actors=True, max_concurrent_trials=clock.slots
            ),
            run_config=tune.RunConfig(
                name=time.strftime("session-%Y%m%d-%H%M%S"), storage_path=str(self.folder / "ray"), verbose=0,
                callbacks=[follower], failure_config=tune.FailureConfig(max_failures=2),
            ),
        )  # fmt: skip
        handlers = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        table.start()
        try:
            tuner.fit()
        finally:
            table.stop()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self.records = results.student_records(self.folder / "students", proposals.trials())
        if self.signal is not None:
            self._show(tracker)
            return 128 + self.signal
        for proposal in proposals.unfinished():  # ended without a result: nothing will come of it any more
            proposals.tell(proposal.number, None, "FAIL")
        self._end(sets, teacher, tracker, [one.state for one in proposals.trials()])
        return 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """The first signal ends Tune in order, through its own door; the second one at once."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        os.kill(os.getpid(), signal.SIGUSR1)

    def _score_beside(self, sets: Sets, teacher: SearchTeacher | None, split: str) -> None:
        """Scores of the unprocessed input, delay-and-sum and the teacher, on the clips that the students are scored on."""
        jobs = [ScoreJob(what, split, self.config.data, sets.folders, self.cache, more=split == "test")
                for what in self._beside_names(teacher)]  # fmt: skip
        scores = score_all(jobs, lambda done, of: None)
        self._put_beside(dict(zip(self._beside_keys(teacher), scores, strict=True)), split, teacher)

    @staticmethod
    def _beside_keys(teacher: SearchTeacher | None) -> list[str]:
        return (["teacher"] if teacher is not None else []) + ["unprocessed", "delay-and-sum"]

    @staticmethod
    def _beside_names(teacher: SearchTeacher | None) -> list[str]:
        return ([str(teacher.path)] if teacher is not None else []) + ["unprocessed", "delay-and-sum"]

    def _put_beside(self, scores: dict[str, Scores], split: str, teacher: SearchTeacher | None) -> None:
        summaries = {key: one.summary() for key, one in scores.items()}
        self.beside = replace(
            self.beside, **{split: summaries}, teacher=None if teacher is None else str(teacher.net.size),
            warning=None if teacher is None else too_small(teacher.net, self.space.feasible()[-1]),
        )  # fmt: skip
        write_json(self.folder / "beside.json", {"val": self.beside.val, "test": self.beside.test})

    def _finished(self, number: int, proposals: Proposals, tracker: Tracker) -> None:
        """A student more: the front, the hypervolume and the figures anew."""
        with self._lock:
            trials = proposals.trials()
            known = [replace(one, state="COMPLETE") if one.number == number else one for one in trials]
            self.records = results.student_records(self.folder / "students", known)
            self._show(tracker)
            volume = results.hypervolume(
                self.records, self.space.feasible()[0], self.budget.readings()["GMAC"], self.beside.val["unprocessed"]["pesq"],
                self.beside.val.get("teacher", {}).get("pesq"),
            )  # fmt: skip
            tracker.log_parent({"hypervolume": volume, "students": len(self.records)}, len(self.records))

    def _show(self, tracker: Tracker) -> None:
        for record in self.records:
            record["mlflow_run_id"] = tracker.run_id(record["trial"])
            self.beside.into(record)
        results.write_front(self.folder, self.records)
        for path in draw(self.folder, self.records, self.beside, self.budget, demo=self.config.data.demo):
            tracker.artifact(path)

    def _write_run_ids(self, tracker: Tracker) -> None:
        tracker.flush(20)
        for record in self.records:
            record["mlflow_run_id"] = tracker.run_id(record["trial"])
        results.write_front(self.folder, self.records)

    def _end(self, sets: Sets, teacher: SearchTeacher | None, tracker: Tracker, states: list[str]) -> None:
        """The test split, read once: for the members of the front, to be shown."""
        front = [record for record in self.records if record["front"]]
        if not front:
            failed = states.count("FAIL")
            raise InputError(
                f"no student has finished ({failed} failed, {states.count('PRUNED')} were stopped by the time); raise "
                f"--time-budget, or look at {self.folder / 'students'} for what went wrong"
            )
        names = self._beside_names(teacher) + [record["checkpoint"] for record in reversed(front)]
        jobs = [ScoreJob(n, "test", self.config.data, sets.folders, self.cache, more=True) for n in names]
        scores = score_all(jobs, self._tell_scored)
        keys = self._beside_keys(teacher)
        beside = dict(zip(keys, scores[: len(keys)], strict=True))
        members = scores[len(keys) :][::-1]
        self._put_beside(beside, "test", teacher)
        add_test_scores(front, members, beside)
        apart = ends_apart(members)
        self._show(tracker)
        report = write_report(self.folder, self.config, self.records, self.beside, apart)
        tracker.describe(report.read_text(encoding="utf-8"))
        for name in ("front.json", "front.csv", "students.json", "search.json", "data.json", "report.md"):
            tracker.artifact(self.folder / name)
        for record in front:
            tracker.log(record["trial"], {"pesq_test": record["pesq_test"]}, record["epochs"] + 1)
            tracker.tag_student(record["trial"], {"front": "yes"})
        print_front(self.console, self.config, self.records, self.beside, apart, tracker.page(), self.started)

    def _tell_scored(self, done: int, of: int) -> None:
        if self.console.is_terminal:
            self.console.print(f"  test scores: {done} of {of}", end="\n" if done == of else "\r")
