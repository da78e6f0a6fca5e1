"""What a search stands on before its first training step: data, teacher, pace, epochs; and the dry run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from data.errors import InputError
from data.examples import ExampleSet
from data.files import read_json, write_atomic, write_json
from data.plan import Sets, prepare
from data.units import duration
from model.ftjnf import Size
from model.macs import gmac_per_s, paper_gmac
from model.pace import measure_pace
from model.precision import choose_device
from model.targets import build_targets
from model.weights import load_network
from search.clock import Clock
from search.config import SearchConfig
from search.space import Choice, Space
from search.start import start
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
    """

    config: SearchConfig
    space: Space
    cache: Path
    console: Console
    started: float

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
            given = self._given_teacher()
            size = given.net.size if given is not None else self._to_train()[0]
            check_starts(self.config, self.space.feasible(), size)
        if self.config.address is None:
            self.slots(os.cpu_count() or 1)

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

    def slots(self, cpus: int) -> int:
        """Students at the same time.

        Raises:
            InputError: a student asks for more CPUs or GPUs than there are.
        """
        asked = {"CPU": (self.config.cpus_per_trial, cpus)}
        if self.config.gpus_per_trial > 0:
            here = torch.cuda.device_count()
            # the GPUs of a cluster are on other machines than this one
            asked["GPU"] = (self.config.gpus_per_trial, here if self.config.address is None else max(1, here))
        for what, (share, there) in asked.items():
            if share > there:
                raise InputError(f"--{what.lower()}s-per-trial {share:g} is more than the {there} {what}s there are; "
                                 + (f"lower it to {there}" if there else "leave it out"))  # fmt: skip
        return min(int(there / share) for share, there in asked.values())

    @property
    def _kept(self) -> Path:
        """The search's own copy: for the record, for its later sessions, and for machines that share the folder."""
        return self.config.folder / "teacher.safetensors"

    def _given_teacher(self) -> SearchTeacher | None:
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
        torch.set_num_threads(os.cpu_count() or 1)
        teacher, kept = self._given_teacher(), self._kept
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

    def targets(self, teacher: SearchTeacher | None, sets: Sets) -> None:
        """The teacher's activations, once for all trials, while this machine's cores are free."""
        config = self.config
        if teacher is None or config.address is not None or config.train.gram.form != "positions":
            return
        torch.set_num_threads(os.cpu_count() or 1)
        for examples in (sets.train, sets.val):
            if isinstance(examples, ExampleSet):
                build_targets(
                    teacher.net, examples, config.methods, config.train.gram, self.cache / "targets",
                    seed=config.train.seed, precision=config.train.precision, device=self.device,
                )  # fmt: skip

    def clock(self, sets: Sets, slots: int) -> Clock:
        """The clock of the search, from a few steps of the smallest and the largest size, run as a trial runs them."""
        threads = torch.get_num_threads()
        torch.set_num_threads(max(1, int(self.config.cpus_per_trial)))
        sizes, train = self.space.feasible(), self.config.train
        pace = measure_pace(sizes[0], sizes[-1], sets.val, train.batch, train.precision, self.device)
        torch.set_num_threads(threads)
        return Clock.of(self.started, self.config.time_budget, slots, pace, train, sets, self.config.data.clip_seconds)

    def reserve(self, clock: Clock, teacher: SearchTeacher | None) -> float:
        """Seconds kept for the end of the search."""
        return clock.reserve(self.space.feasible()[-1], None if teacher is None else teacher.net.size)

    def epochs(self, clock: Clock, teacher: SearchTeacher | None) -> tuple[int, list[Choice]]:
        """Epochs a stage, and the students that they were reckoned with."""
        rng = np.random.default_rng([self.config.seed, 0])
        choices = list(start(self.space, self.config.trials, rng))[: self.config.trials]
        if not self.config.fit_epochs or self.config.time_budget is None:
            return self.config.train.epochs, choices
        return clock.epochs(choices, self.reserve(clock, teacher), self.config.train.epochs), choices

    def check_time(self, clock: Clock, sets: Sets) -> None:
        """Before a teacher is trained: whether there will be time left for a student.

        Raises:
            InputError: the time budget is too short; says what to pass.
        """
        config = self.config
        if config.time_budget is None or (config.folder / "epochs.json").exists():
            return
        size, training = self._expected_teacher(sets)
        _, choices = self.epochs(clock, None)
        self._check_left(clock, choices, clock.reserve(self.space.feasible()[-1], size), training)

    def _expected_teacher(self, sets: Sets) -> tuple[Size | None, float]:
        """Size of the teacher there will be, and the seconds that its training is given."""
        if not is_wanted(self.config):
            return None, 0.0
        given = self._given_teacher()
        if given is not None:
            return given.net.size, 0.0
        size, seconds = self._to_train()
        kept = kept_at(self.config, size, seconds, sets, self.cache).exists()
        return size, 0.0 if kept or seconds is None else seconds

    def _check_left(self, clock: Clock, choices: list[Choice], reserve: float, teacher: float = 0.0) -> None:
        """`teacher`: seconds for a teacher that is still to be trained."""
        if self.config.time_budget is None:
            return
        left = clock.left() - reserve - teacher
        if left < clock.student_seconds(choices[0], 1):
            students = sum(clock.student_seconds(choice, 1) for choice in choices) / clock.slots
            needed = time.time() - self.started + students + reserve
            # without --teacher-time the teacher's third grows with the whole
            needed = needed + teacher if self.config.teacher_time is not None or not teacher else 1.5 * needed
            raise InputError(
                f"--time-budget {duration(self.config.time_budget)} leaves {duration(max(0.0, left))} for students, "
                f"too little for one epoch of one; pass at least --time-budget {int(needed / 60) + 1}min"
            )

    def decide_epochs(self, clock: Clock, teacher: SearchTeacher | None) -> int:
        """Epochs a stage, fixed in the search's first session: a resumed student must be the same student.

        Raises:
            InputError: the time budget is too short for one student; says what to pass.
        """
        decided = self.config.folder / "epochs.json"
        if decided.exists():
            return int(read_json(decided)["epochs"])
        epochs, choices = self.epochs(clock, teacher)
        self._check_left(clock, choices, self.reserve(clock, teacher))
        write_json(decided, {"epochs": epochs, "fitted_to_time": self.config.fit_epochs})
        return epochs

    def dry_run(self) -> None:
        """Shows what would run, and trains nothing."""
        self.check()
        config, say = self.config, self.console.print
        sets = self.sets()
        teacher = self._given_teacher() if is_wanted(config) else None
        slots = self.slots(os.cpu_count() or 1)
        clock = self.clock(sets, slots)
        self.check_time(clock, sets)
        size, training = self._expected_teacher(sets)
        if clock.budget is not None:
            clock = replace(clock, budget=clock.budget - training)
        epochs, choices = self.epochs(clock, teacher)
        seconds = sum(clock.student_seconds(choice, epochs) for choice in choices) / slots
        sizes = self.space.feasible()
        low, high = (
            f"{size} ({paper_gmac(size):.3g} GMAC = {gmac_per_s(size):.3g} GMAC/s)" for size in (sizes[0], sizes[-1])
        )
        say(f"Would search {self.space.count()} configurations of {len(sizes)} sizes, from {low} to {high}.")
        say(f"Methods: {', '.join(self.space.methods)}; schedules: {', '.join(self.space.schedules)}; "
            f"starts: {', '.join(self.space.inits)}.")  # fmt: skip
        if teacher is not None:
            say(f"Teacher: {teacher.net.size} ({paper_gmac(teacher.net.size):.3g} GMAC), {teacher.path}")
        elif is_wanted(config):
            within = f", in {duration(training)}" if training else ""
            say(f"Teacher: none given, so one of size {size} would be trained first{within}.")
        say(f"Students: up to {config.trials}, {slots} at a time, {epochs} epochs a stage; first the sizes "
            + ", ".join(str(choice.size) for choice in choices) + ".")  # fmt: skip
        within = f", within {duration(config.time_budget)} in all" if config.time_budget else ""
        say(f"Estimated time: {duration(seconds)} for {len(choices)} students{within}.")
        say("Nothing was trained.")
