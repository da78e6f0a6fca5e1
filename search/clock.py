"""The time of a search: what a student will take, how many epochs fit, whether one more may start."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data.examples import FreshScenes
from data.plan import Sets
from model.distill import METHODS
from model.ftjnf import Size
from model.pace import FORWARD_SHARE, Pace, epoch_seconds
from model.target_plan import WHOLE, TargetPlan
from model.train_config import TrainConfig
from search.space import Choice

PESQ_SHARE = 0.025
"""Seconds of PESQ for one second of audio on one core."""
MORE_SHARE = 0.015
"""Seconds of SI-SDR and ESTOI for one second of audio on one core."""
SOFT_COST = {"l1": 1.1, "gram": 1.4}
"""What a soft loss with targets from the cache makes of a step's time."""
CROWDED = 1.15
"""What students side by side make of each other's steps: they share caches and memory."""
FRONT = 5
"""Members of the front that the reserve for the final scores reckons with."""
ENDING = 25.0
"""Seconds for what is neither training nor scoring: Ray's start and end, figures."""
STARTING = 5.0
"""Seconds from the decision on the epochs to the first student's first step."""


@dataclass(frozen=True)
class Clock:
    """The time of a search.

    Args:
        started: `time.time()` at the command's start.
        budget: seconds from then to the printed front; None for no limit.
        slots: students at the same time.
        pace: of training steps here.
        train: settings of every training.
        train_clips, val_clips: examples of an epoch.
        score_seconds, test_seconds: audio that is scored of a student, and of a member of the front.
        step_seconds: audio of a training step.
        teacher: its size; None without one.
        stored: what of its outputs is stored.
        fresh: whether each epoch has other scenes, up to the cycle of `stored`.
    """

    started: float
    budget: float | None
    slots: int
    pace: Pace
    train: TrainConfig
    train_clips: int
    val_clips: int
    score_seconds: float
    test_seconds: float
    step_seconds: float
    teacher: Size | None = None
    stored: TargetPlan = WHOLE
    fresh: bool = False

    @classmethod
    def of(
        cls, started: float, budget: float | None, slots: int, pace: Pace, train: TrainConfig, sets: Sets, clip: float,
        teacher: Size | None, stored: TargetPlan,
    ) -> Clock:  # fmt: skip
        """The clock of a search on these sets; `clip` is the length of a training example in seconds."""
        return cls(
            started, budget, slots, pace, train, len(sets.train), len(sets.val), sets.score_val.seconds,
            sets.score_test.seconds, train.batch * clip, teacher, stored, isinstance(sets.train, FreshScenes),
        )  # fmt: skip

    def student_seconds(self, choice: Choice, epochs: int) -> float:
        """What a student takes from its start to its score, alone on its slot."""
        epoch = epoch_seconds(self.pace.step(choice.size), self.train_clips, self.val_clips, self.train.batch)
        soft = max((SOFT_COST[kind] for _, kind in METHODS[choice.kd_method].layers), default=1.0)
        config = choice.training(replace(self.train, epochs=epochs))
        beside = 0.0
        if not self._reads_targets(config):
            beside = self._teacher_seconds(self.train_clips) + self._teacher_seconds(self.val_clips)
        stages = zip(config.stages, config.stage_epochs, strict=True)
        training = sum(most * (epoch if stage.only_hard else soft * epoch + beside) for stage, most in stages)
        return CROWDED * training + 1.5 * self.scoring_seconds(choice.size, self.score_seconds) + 2.0

    def _teacher_seconds(self, examples: float) -> float:
        """What the teacher's forward passes on so many examples take."""
        if self.teacher is None:
            return 0.0
        return FORWARD_SHARE * self.pace.step(self.teacher) * examples / self.train.batch

    def _reads_targets(self, config: TrainConfig) -> bool:
        """Whether a student has no teacher beside its steps."""
        return self.stored.holds(config.method) and (config.method == "none" or config.gram.form == "positions")

    def _scene_seconds(self, choices: Sequence[Choice], epochs: int) -> float:
        """What the teacher takes for the fresh scenes that these students draw: each is computed once, by the first."""
        if not self.fresh:
            return 0.0
        trainings = [choice.training(replace(self.train, epochs=epochs)) for choice in choices]
        drawn = [
            sum(most for stage, most in zip(one.stages, one.stage_epochs, strict=True) if not stage.only_hard)
            for one in trainings
            if self._reads_targets(one)
        ]
        return self._teacher_seconds(self.train_clips * min(self.stored.cycle or math.inf, max(drawn, default=0)))

    def scoring_seconds(self, size: Size, audio: float) -> float:
        """What enhancing and scoring that much audio takes."""
        slower = 2.0 if self.train.precision == "bf16" else 1.0  # scores are computed in fp32
        forward = slower * FORWARD_SHARE * self.pace.step(size) / self.step_seconds
        return audio * (CROWDED * forward + PESQ_SHARE)

    def reserve(self, largest: Size, teacher: Size | None, seeds: int = 1) -> float:
        """Seconds kept for the final test scores of the front, the teacher and the baselines, and for the figures.

        Args:
            largest: size of a student.
            teacher: its size; None without one.
            seeds: by which each member of the front is trained.
        """
        test = self.test_seconds
        front = seeds * FRONT * 0.6 * (self.scoring_seconds(largest, test) + MORE_SHARE * test)
        beside = 2 * (PESQ_SHARE + MORE_SHARE) * test
        if teacher is not None:
            beside += self.scoring_seconds(teacher, test) + MORE_SHARE * test
        return ENDING + (front + beside) / self.slots

    def preparation(self, teacher: Size | None, targets: int) -> float:
        """What the validation scores beside the students and the teacher's targets take before the first student.

        Args:
            teacher: its size; None without one.
            targets: examples for which it makes them.
        """
        seconds = 2 * PESQ_SHARE * self.score_seconds
        if teacher is not None:
            seconds += self.scoring_seconds(teacher, self.score_seconds)
            seconds += FORWARD_SHARE * self.pace.step(teacher) * targets / self.train.batch
        return seconds / self.slots

    def epochs(self, choices: Sequence[Choice], reserve: float, most: int, share: float = 1.0) -> int:
        """The most epochs a stage with which all these students fit into the time that is left; at least 1.

        Args:
            choices: the students.
            reserve: seconds kept for the end of the search.
            most: epochs.
            share: see `search_seconds`.
        """
        left = self.left() - reserve
        low = 1
        for epochs in range(1, most + 1):
            if self.search_seconds(choices, epochs, share) > left:
                break
            low = epochs
        return low

    def search_seconds(self, choices: Sequence[Choice], epochs: int, share: float = 1.0) -> float:
        """What these students take in all; however many slots there are, none is faster than the slowest student.

        Args:
            choices: the students.
            epochs: of each of their stages.
            share: of its time that a student takes on average; less than 1 where some are stopped early.
        """
        seconds = [self.student_seconds(choice, epochs) for choice in choices]
        # the last students to end leave the other slots idle: half a student each, on average
        together = (share * sum(seconds) + 0.5 * max(seconds) + self._scene_seconds(choices, epochs)) / self.slots
        return STARTING + max(together, *seconds)

    def fits(self, choice: Choice, epochs: int, reserve: float, *, first: bool = False, share: float = 1.0) -> bool:
        """Whether a student that starts now, or goes on, would be done in time.

        Args:
            choice: the student.
            epochs: of each of its stages.
            reserve: seconds kept for the end of the search.
            first: whether the search has no student yet. One may start as long as any time is left, as it ends with the
                epoch that it is in when the time is over: a search that has prepared everything shall end with it.
            share: of its training that is left, see `search.history.share_left`.
        """
        left = self.left() - reserve
        if first:
            return left > 0
        whole = self.student_seconds(choice, epochs)
        # whatever is left to train, it is started and scored
        rest = share * whole + 1.5 * self.scoring_seconds(choice.size, self.score_seconds) + 2.0
        return min(whole, rest) < left

    def left(self) -> float:
        """Seconds left of the budget; infinite without one."""
        return float("inf") if self.budget is None else self.started + self.budget - time.time()
