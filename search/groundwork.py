"""What a search stands on before its first training step: data, teacher, pace, epochs; and the dry run."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from data.errors import InputError
from data.examples import ExampleSet
from data.files import read_json, write_json
from data.plan import Sets, prepare
from data.units import duration
from model.macs import gmac_per_s, paper_gmac
from model.pace import measure_pace
from model.precision import choose_device
from model.targets import build_targets
from search.clock import Clock
from search.config import SearchConfig
from search.space import Choice, Space
from search.start import start
from search.teaching import SearchTeacher, given_teacher, is_wanted, too_small, trained_teacher


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
            InputError: a teacher that cannot be used, or trials that ask for more CPUs than there are.
        """
        if is_wanted(self.config):
            given_teacher(self.config, self.space.microphones)
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
            InputError: a student asks for more CPUs than there are.
        """
        asked = self.config.cpus_per_trial
        slots = int(cpus / asked)
        if self.config.gpus_per_trial > 0:
            slots = min(slots, int(max(1, torch.cuda.device_count()) / self.config.gpus_per_trial))
        if slots < 1:
            raise InputError(f"--cpus-per-trial {asked:g} is more than the {cpus} CPUs there are; lower it to {cpus}")
        return slots

    def teacher(self, sets: Sets) -> SearchTeacher | None:
        """The teacher, trained first if it must be."""
        if not is_wanted(self.config):
            self.console.print("Teacher: none.")
            return None
        torch.set_num_threads(os.cpu_count() or 1)
        microphones = self.space.microphones
        teacher = given_teacher(self.config, microphones)
        if teacher is None:
            teacher = trained_teacher(
                self.config, microphones, sets, self.cache, self.device, lambda line: self.console.print("  " + line)
            )
        self.console.print(f"Teacher: size {teacher.net.size}, {paper_gmac(teacher.net.size):.3g} GMAC, {teacher.path}")
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

    def decide_epochs(self, clock: Clock, teacher: SearchTeacher | None) -> int:
        """Epochs a stage, fixed in the search's first session: a resumed student must be the same student.

        Raises:
            InputError: the time budget is too short for one student; says what to pass.
        """
        decided = self.config.folder / "epochs.json"
        if decided.exists():
            return int(read_json(decided)["epochs"])
        epochs, choices = self.epochs(clock, teacher)
        if self.config.time_budget is not None:
            reserve = self.reserve(clock, teacher)
            left = clock.left() - reserve
            if left < clock.student_seconds(choices[0], 1):
                training = sum(clock.student_seconds(choice, 1) for choice in choices) / clock.slots
                needed = int((time.time() - self.started + training + reserve) / 60) + 1
                raise InputError(
                    f"--time-budget {duration(self.config.time_budget)} leaves {duration(max(0.0, left))} for "
                    f"students, too little for one epoch of one; pass at least --time-budget {needed}min"
                )
        write_json(decided, {"epochs": epochs, "fitted_to_time": self.config.fit_epochs})
        return epochs

    def dry_run(self) -> None:
        """Shows what would run, and trains nothing."""
        self.check()
        config, say = self.config, self.console.print
        sets = self.sets()
        teacher = given_teacher(config, self.space.microphones) if is_wanted(config) else None
        slots = self.slots(os.cpu_count() or 1)
        clock = self.clock(sets, slots)
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
            say("Teacher: none given, so one would be trained first.")
        say(f"Students: up to {config.trials}, {slots} at a time, {epochs} epochs a stage; first the sizes "
            + ", ".join(str(choice.size) for choice in choices) + ".")  # fmt: skip
        within = f", within {duration(config.time_budget)} in all" if config.time_budget else ""
        say(f"Estimated time: {duration(seconds)} for {len(choices)} students{within}.")
        say("Nothing was trained.")
