"""What a search stands on before its first training step: data, teacher, pace and epochs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.console import Console

from data.cores import usable_cores
from data.errors import InputError
from data.examples import ExampleSet
from data.files import read_json, write_atomic, write_json
from data.plan import Sets, prepare, shortages
from data.units import duration
from model.ftjnf import Size
from model.macs import paper_gmac
from model.pace import measure_pace
from model.precision import choose_device
from model.target_plan import TargetPlan
from model.weights import load_network
from search.clock import Clock
from search.config import SearchConfig
from search.forecast import Forecast, forecast
from search.halving import SHARE, planned_rungs
from search.ray_session import Machine
from search.space import Space
from search.stored import in_words, make_targets, plan_of
from search.teaching import (
    SearchTeacher,
    check_starts,
    given_teacher,
    is_wanted,
    kept_at,
    teacher_to_train,
    too_small,
    trained_teacher,
)


@dataclass(frozen=True)
class Groundwork:
    """Prepares a search, step by step.

    Args:
        config: what is searched.
        space: what may be tried.
        cache: root of the caches.
        console: where a person reads.
        started: `time.time()` at the command's start.
        held: what this process keeps in use.
    """

    config: SearchConfig
    space: Space
    cache: Path
    console: Console
    started: float
    held: ExitStack = field(default_factory=ExitStack, compare=False, repr=False)

    @property
    def device(self) -> torch.device:
        """Where this process trains a teacher and computes its targets."""
        return choose_device("auto" if self.config.gpus_per_trial > 0 else "cpu")

    def check(self) -> None:
        """All that can be known to fail without reading audio.

        Raises:
            InputError: a teacher that cannot be used, or trials that ask for more CPUs or GPUs than there are.
        """
        if is_wanted(self.config):
            given = self.given_teacher()
            size = given.net.size if given is not None else self._to_train()[0]
            check_starts(self.config, self.space.feasible(), size)
        if self.config.address is None:
            self.slots()

    def sets(self) -> Sets:
        """The example sets, made or opened; says what they are made from."""
        data, say = self.config.data, self.console.print
        say("Data: the demo corpus (synthetic; made on first use)" if data.demo else
            f"Data: {data.speech}, {data.noise}, {data.rirs}")  # fmt: skip
        sets = prepare(data, self.cache, self._progress)
        banks = sets.manifest["banks"]
        for split, parts in banks.items():
            speech = parts["speech"]
            say(f"  {split:5}: {speech['seconds'] / 60:.1f} min of speech of {speech['groups']} speakers, "
                f"{parts['noise']['groups']} noise recordings, {parts['rirs']['groups']} rooms")  # fmt: skip
        for line in shortages(data, sets.manifest):
            say(f"  {line}")
        for split, parts in banks.items():
            for kind, bank in parts.items():
                if bank["skipped"]:
                    first = bank["skipped_files"][0]
                    say(f"  skipped {bank['skipped']} unusable files of {split} {kind}, such as {first['path']} "
                        f"({first['reason']}); data.json lists them all")  # fmt: skip
        return sets

    def _progress(self, what: str, share: float) -> None:
        if self.console.is_terminal:
            self.console.print(f"  {what}: {100 * share:3.0f} %   ", end="\n" if share >= 1 else "\r")

    def slots(self, machines: Sequence[Machine] | None = None) -> int:
        """Students at the same time.

        Args:
            machines: of the cluster; None for this one alone.

        Raises:
            InputError: a student asks for more CPUs or GPUs than a machine has.
        """
        machines = machines or [Machine(usable_cores(), torch.cuda.device_count())]
        cpus, gpus = self.config.cpus_per_trial, self.config.gpus_per_trial
        have = "there are" if len(machines) == 1 else "the largest machine of the cluster has"
        for what, share, there in (
            ("CPU", cpus, max(machine.cpus for machine in machines)),
            ("GPU", gpus, max(machine.gpus for machine in machines)),
        ):
            if share > there:
                raise InputError(f"--{what.lower()}s-per-trial {share:g} is more than the {there:g} {what}s {have}; "
                                 + (f"lower it to {there:g}" if there else "leave it out"))  # fmt: skip
        slots = sum(machine.slots(cpus, gpus) for machine in machines)
        if slots == 0:
            raise InputError(
                f"no machine of the cluster has {cpus:g} CPUs and {gpus:g} GPUs for a student; lower --cpus-per-trial "
                "or --gpus-per-trial"
            )
        return slots

    @property
    def _kept(self) -> Path:
        """The search's own copy: for the record, for its later sessions, and for machines that share the folder."""
        return self.config.folder / "teacher.safetensors"

    def given_teacher(self) -> SearchTeacher | None:
        """The teacher that needs no training; None where one is trained first."""
        if self._kept.exists():
            return SearchTeacher(load_network(self._kept, self.space.microphones)[0], self._kept)
        return given_teacher(self.config, self.space.microphones)

    def _to_train(self) -> tuple[Size, float | None]:
        return teacher_to_train(self.config, self.space.microphones, self.device)

    def teacher(self, sets: Sets) -> SearchTeacher | None:
        """The teacher, trained first if it must be."""
        if not is_wanted(self.config):
            self.console.print("Teacher: none.")
            return None
        torch.set_num_threads(usable_cores())
        teacher, kept = self.given_teacher(), self._kept
        if teacher is None:
            teacher = trained_teacher(
                self.config, self.space.microphones, sets, self.cache, self.device,
                lambda line: self.console.print("  " + line),
            )  # fmt: skip
        self.console.print(f"Teacher: size {teacher.net.size}, {paper_gmac(teacher.net.size):.3g} GMAC, {teacher.path}")
        if teacher.path != kept:
            write_atomic(kept, teacher.path.read_bytes())
            teacher = replace(teacher, path=kept)
        warning = too_small(teacher.net, self.space.feasible()[-1])
        if warning is not None:
            self.console.print(warning)
        return teacher

    def plan(self, teacher: Size | None, sets: Sets) -> TargetPlan:
        """What of the teacher's outputs is stored for all students."""
        return plan_of(self.config, teacher, sets)

    def targets(self, teacher: SearchTeacher | None, sets: Sets) -> None:
        """The teacher's outputs, once for all students; says what is stored. In use until the search's process ends."""
        if teacher is None:
            return
        plan = self.plan(teacher.net.size, sets)
        line = in_words(self.config, plan)
        if line is not None:
            self.console.print(line)
        torch.set_num_threads(usable_cores())
        self.held.enter_context(make_targets(self.config, plan, teacher.net, sets, self.cache, self.device))

    def clock(self, sets: Sets, slots: int) -> Clock:
        """The clock of the search, from a few steps of the smallest and the largest size, run as a trial runs them."""
        threads = torch.get_num_threads()
        torch.set_num_threads(max(1, int(self.config.cpus_per_trial)))
        sizes, train = self.space.feasible(), self.config.train
        pace = measure_pace(sizes[0], sizes[-1], sets.val, train.batch, train.precision, self.device)
        torch.set_num_threads(threads)
        teacher, _ = self.expected_teacher(sets)
        return Clock.of(
            self.started, self.config.time_budget, slots, pace, train, sets, self.config.data.clip_seconds, teacher,
            self.plan(teacher, sets),
        )  # fmt: skip

    def reserve(self, clock: Clock, teacher: Size | None) -> float:
        """Seconds kept for the end of the search."""
        return clock.reserve(self.space.feasible()[-1], teacher, 1 + self.config.repeat_front)

    def for_repeats(self, clock: Clock, epochs: int, reserve: float) -> float:
        """Seconds kept before that for trainings of the front by other seeds; half of the time left at most."""
        repeats = forecast(self.config, self.space).repeats
        if not repeats or clock.budget is None:
            return 0.0
        return max(0.0, min(clock.search_seconds(repeats, epochs), (clock.left() - reserve) / 2))

    def preparation(self, clock: Clock, teacher: Size | None, sets: Sets) -> float:
        """Seconds from the trained teacher to the first student."""
        makes_targets = self.config.address is None and bool(self.plan(teacher, sets).layers)
        targets = sum(len(part) for part in (sets.train, sets.val) if isinstance(part, ExampleSet))
        return clock.preparation(teacher, targets if makes_targets else 0)

    def epochs(self, clock: Clock, teacher: Size | None) -> tuple[int, Forecast]:
        """Epochs a stage, and the students that they were reckoned with.

        With a time budget they are as many as let all students fit, up to those asked for, but at least one.
        """
        students = forecast(self.config, self.space)
        decided = self.config.folder / "epochs.json"
        if decided.exists():
            return int(read_json(decided)["epochs"]), students
        choices = [*students.all, *students.repeats]
        fitting = (choices, self.reserve(clock, teacher), self.config.train.epochs)
        epochs = clock.epochs(*fitting)
        if self.rungs(epochs):  # by the epochs without: the more that halving makes room for change nothing
            # trainings by other seeds go to their end
            share = (SHARE * len(students.all) + len(students.repeats)) / max(1, len(choices))
            epochs = clock.epochs(*fitting, share)
        return epochs, students

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Epochs of a stage after which students may be stopped, see `search.halving`; as the first session decided."""
        decided = self.config.folder / "epochs.json"
        if decided.exists():
            return tuple(read_json(decided).get("rungs", ()))
        return planned_rungs(self.config.halving, epochs, self.config.trials)

    def check_time(self, clock: Clock, sets: Sets) -> None:
        """Before a teacher is trained: whether there will be time left for a student.

        Raises:
            InputError: the time budget is too short; says what to pass.
        """
        config = self.config
        if config.time_budget is None or (config.folder / "epochs.json").exists():
            return
        size, training = self.expected_teacher(sets)
        before = self.preparation(clock, size, sets)
        self._check_left(clock, forecast(config, self.space), self.reserve(clock, size) + before, training)

    def expected_teacher(self, sets: Sets) -> tuple[Size | None, float]:
        """Size of the teacher there will be, and the seconds that its training is given."""
        if not is_wanted(self.config):
            return None, 0.0
        given = self.given_teacher()
        if given is not None:
            return given.net.size, 0.0
        size, seconds = self._to_train()
        kept = kept_at(self.config, size, seconds, sets, self.cache).exists()
        return size, 0.0 if kept or seconds is None else seconds

    def _check_left(self, clock: Clock, students: Forecast, reserve: float, teacher: float = 0.0) -> None:
        """`teacher`: seconds for a teacher that is still to be trained."""
        if self.config.time_budget is None:
            return
        left = clock.left() - reserve - teacher
        one = clock.search_seconds(students.first[:1], 1)
        if left < one:
            needed = time.time() - self.started + clock.search_seconds(students.all, 1) + reserve
            # without --teacher-time the teacher's third grows with the whole
            needed = needed + teacher if self.config.teacher_time is not None or not teacher else 1.5 * needed
            raise InputError(
                f"--time-budget {duration(self.config.time_budget)} leaves {duration(max(0.0, left))} for students, "
                f"too little for an epoch of the first, {students.first[0].size} ({duration(one)}); pass at least "
                f"--time-budget {int(needed / 60) + 1}min, which is an epoch for each of {len(students.all)}, or fewer "
                "--train-clips"
            )

    def decide_epochs(self, clock: Clock, teacher: SearchTeacher | None) -> int:
        """Epochs a stage, fixed in the search's first session: a resumed student must be the same student.

        Raises:
            InputError: the time budget is too short for one student; says what to pass.
        """
        decided = self.config.folder / "epochs.json"
        if decided.exists():
            return int(read_json(decided)["epochs"])
        size = None if teacher is None else teacher.net.size
        epochs, students = self.epochs(clock, size)
        self._check_left(clock, students, self.reserve(clock, size))
        fitted = epochs < self.config.train.epochs
        write_json(decided, {"epochs": epochs, "fitted_to_time": fitted, "rungs": self.rungs(epochs)})
        return epochs
