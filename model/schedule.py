"""When a training weighs soft and hard loss how (alpha of eq. 5): its stages, and how alpha runs over their epochs.

Schedules are data: `SCHEDULES` says which stages a training goes through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from data.errors import InputError
from model.distill import METHODS

CURVES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 0.0,
    "linear": lambda progress: progress,
    "cosine": lambda progress: (1 - math.cos(math.pi * progress)) / 2,
}
"""How alpha goes from its start (0) to its end (1) as progress goes from 0 to 1."""


@dataclass(frozen=True)
class Stage:
    """A part of a training with its own optimiser, plateau and early stopping.

    A stage begins from the best epoch of the one before, with a fresh Adam and the initial learning rate (section 5.2).

    Args:
        name: as shown in tables and logs.
        start: alpha in the first epoch.
        end: alpha where the curve ends.
        curve: key of `CURVES`.
        watches: the validation loss that plateau, early stopping and the choice of the best epoch look at. The first
            two wait for the end of a ramp.
        ramp: share of the stage's epochs from start to end.
        share: of the epochs of all stages together; None for what the others leave, in equal parts.
    """

    name: str
    start: float
    end: float
    curve: str = "constant"
    watches: Literal["soft", "hard"] = "hard"
    ramp: float = 0.5
    share: float | None = None

    def alpha(self, epoch: float, epochs: int) -> float:
        """Alpha of eq. 5 at a time of this stage.

        Args:
            epoch: from 0; with a fraction, within an epoch.
            epochs: the most epochs this stage may have.
        """
        ramp = self._ramp_epochs(epochs)
        progress = 1.0 if epoch >= ramp else epoch / ramp
        return self.start + (self.end - self.start) * CURVES[self.curve](progress)

    def moves(self, epoch: int, epochs: int) -> bool:
        """Whether alpha changes within an epoch, counted from 0, of a stage of at most `epochs`."""
        return self.start != self.end and epoch < self._ramp_epochs(epochs)

    def _ramp_epochs(self, epochs: int) -> float:
        """Ends before the last epoch, or in the middle of an only one: a training always ends on the loss it is watched
        by, and always begins with the other."""
        return min(self.ramp * epochs, max(epochs - 1, 0.5))

    @property
    def only_soft(self) -> bool:
        """Alpha is 0 throughout: the forward can stop at the method's `upto`, and the output may be untrained."""
        return self.start == self.end == 0

    @property
    def only_hard(self) -> bool:
        """Alpha is 1 throughout: no teacher is needed."""
        return self.start == self.end == 1


@dataclass(frozen=True)
class Schedule:
    """The stages of a training.

    Args:
        stages: in order.
        takes_alpha: whether the user's alpha replaces the one written in the stages.
    """

    stages: tuple[Stage, ...]
    takes_alpha: bool = False


HARD = Stage("hard", 1.0, 1.0)

SCHEDULES: dict[str, Schedule] = {
    # what is watched in a soft stage must be the soft loss: the hard one may not move at all
    "two-stage": Schedule((Stage("soft", 0.0, 0.0, watches="soft"), HARD)),
    # a loss whose weights move cannot be watched, its value changes with alpha: hence the hard loss from here on
    "constant": Schedule((Stage("mixed", 0.5, 0.5),), takes_alpha=True),
    "linear": Schedule((Stage("mixed", 0.0, 1.0, "linear"),)),
    "cosine": Schedule((Stage("mixed", 0.0, 1.0, "cosine"),)),
}
"""How alpha runs: `two-stage` is the paper's (0, then 1); the others have one stage with both losses."""


def plan(
    method: str, schedule: str, alpha: float = 0.5, ramp: float | None = None, soft_share: float | None = None
) -> tuple[Stage, ...]:
    """The stages that train a student.

    Args:
        method: key of `METHODS`; `none` has one hard stage whatever the schedule.
        schedule: key of `SCHEDULES`.
        alpha: for the schedule `constant`.
        ramp: share of the stage's epochs in which alpha goes from 0 to 1, for `linear` and `cosine`; None for half.
        soft_share: share of all epochs that the soft stage of `two-stage` has; None for stages of equal length.

    Raises:
        InputError: an unknown name, or a value out of range.
    """
    _check_choice("KD method", method, METHODS)
    _check_choice("alpha schedule", schedule, SCHEDULES)
    if not 0 < alpha < 1:
        raise InputError(
            f"alpha must lie between 0 and 1, both excluded, but is {alpha:g}; "
            "the schedule two-stage trains on each loss alone, the method none on the hard one only"
        )
    if ramp is not None and not 0 < ramp <= 1:
        raise InputError(f"a ramp of alpha is a share of a stage's epochs, above 0 and at most 1, not {ramp:g}")
    if soft_share is not None and not 0 < soft_share < 1:
        raise InputError(
            f"the soft stage's share of the epochs must lie between 0 and 1, both excluded, but is {soft_share:g}; "
            "without a soft stage there is no teacher: that is the method none"
        )
    if not METHODS[method].layers:
        return (HARD,)
    chosen = SCHEDULES[schedule]
    if chosen.takes_alpha:
        return tuple(replace(stage, start=alpha, end=alpha) for stage in chosen.stages)
    stages = chosen.stages
    if ramp is not None:
        stages = tuple(replace(stage, ramp=ramp) if stage.start != stage.end else stage for stage in stages)
    if soft_share is not None and len(stages) > 1:
        stages = tuple(replace(stage, share=soft_share) if stage.only_soft else stage for stage in stages)
    return stages


def stage_epochs(stages: Sequence[Stage], epochs: int) -> tuple[int, ...]:
    """The most epochs of each stage: at least one each, and as many together as if all had the same number.

    Args:
        stages: of a training.
        epochs: of each of them where none has a share of its own.
    """
    total = len(stages) * epochs
    given = [None if stage.share is None else max(1, round(stage.share * total)) for stage in stages]
    open_ = [i for i, number in enumerate(given) if number is None]
    # what has a share leaves an epoch to each stage without one
    most = total - len(open_)
    taken = [0 if number is None else min(number, most) for number in given]
    left = total - sum(taken)
    for place, i in enumerate(open_):
        taken[i] = left // len(open_) + (place < left % len(open_))
    return tuple(taken)


def _check_choice(kind: str, name: str, choices: Iterable[str]) -> None:
    if name not in choices:
        raise InputError(f"{kind} {name!r} is unknown; choose one of {', '.join(choices)}")
