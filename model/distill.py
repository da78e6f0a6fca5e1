"""Knowledge distillation: which layers are compared (Table 2), how soft and hard loss are weighed (eq. 5), and when.

Methods and schedules are data: `METHODS` says which layers a method compares and by which loss, `SCHEDULES` which
stages a training goes through and how alpha runs over the epochs of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from data.errors import InputError
from model.ftjnf import Activations, Layer
from model.gram import Gram, gram_loss

Comparison = Literal["l1", "gram"]
"""`l1`: eq. 6, for layers of the same shape in teacher and student; `gram`: eq. 7, for layers of different widths."""

ORDER: tuple[Layer, ...] = ("f_lstm", "t_lstm", "linear", "mask")
"""The layers from input to output."""


@dataclass(frozen=True)
class Method:
    """One row of Table 2: the layers whose outputs a student learns from the teacher, each with its comparison."""

    layers: tuple[tuple[Layer, Comparison], ...]

    @property
    def upto(self) -> Layer:
        """The deepest layer a purely soft stage needs: the forward can stop there. Without layers it is the mask."""
        return max((layer for layer, _ in self.layers), key=ORDER.index, default="mask")

    @property
    def trains_output(self) -> bool:
        """Whether a purely soft stage trains the layer behind the mask; if not, its PESQ means nothing yet.

        The mask is tanh(linear), so a trained linear layer is a trained output.
        """
        return self.upto in ("linear", "mask")


METHODS: dict[str, Method] = {
    "none": Method(()),
    "mask": Method((("mask", "l1"),)),
    "linear": Method((("linear", "l1"),)),
    "f-lstm": Method((("f_lstm", "gram"),)),
    "t-lstm": Method((("t_lstm", "gram"),)),
    # Table 2 gives self-similarity for all of Multi; the linear layer has the same shape in both and takes eq. 6
    "multi": Method((("f_lstm", "gram"), ("t_lstm", "gram"), ("linear", "l1"))),
}
"""The KD methods of Table 2, and `none`."""


def soft_terms(
    method: Method,
    student: Activations,
    teacher: Mapping[str, Tensor],
    gram: Gram,
    positions: Tensor | None = None,
) -> dict[str, Tensor]:
    """The soft losses of a batch, one scalar a layer, unweighted. The gradient flows to the student alone.

    Args:
        method: one of `METHODS`.
        student: activations of the student, at least up to `method.upto`.
        teacher: by layer, of the shapes of `Activations` with the teacher's widths; a layer compared by eq. 7 in the
            form `positions` may be given gathered, (B, P, C); the mask as complex or as real and imaginary parts
            (B, K, L, 2). Any floating-point precision.
        gram: how eq. 7 is evaluated.
        positions: (B, P), for the Gram form `positions`.

    Returns:
        Scalar by layer; empty for the method `none`.

    Raises:
        ValueError: a layer is missing, or shapes differ where they must not.
    """
    terms: dict[str, Tensor] = {}
    for layer, comparison in method.layers:
        of_student: Tensor | None = getattr(student, layer)
        if of_student is None or layer not in teacher:
            missing = "student" if of_student is None else "teacher"
            raise ValueError(f"layer {layer!r} is to be compared, but the {missing}'s was not computed")
        if comparison == "gram":
            terms[layer] = gram_loss(teacher[layer], of_student, gram, positions)
        else:
            terms[layer] = mean_absolute_difference(teacher[layer], of_student)
    return terms


def mean_absolute_difference(teacher: Tensor, student: Tensor) -> Tensor:
    """Eq. 6 as a mean over elements; real and imaginary parts of a complex mask are elements of their own.

    Args:
        teacher: (B, K, L, 2) real, or (B, K, L) complex.
        student: likewise.

    Raises:
        ValueError: the shapes differ.
    """
    teacher, student = (torch.view_as_real(part) if part.is_complex() else part for part in (teacher, student))
    if teacher.shape != student.shape:
        raise ValueError(f"teacher {tuple(teacher.shape)} and student {tuple(student.shape)} must have one shape")
    return (teacher.detach().to(student.dtype) - student).abs().mean()


def total_loss(alpha: float, hard: Tensor | None, soft: Tensor | None) -> Tensor:
    """Eq. 5: alpha * hard + (1 - alpha) * soft. A loss of weight zero may be None: it need not be computed.

    Raises:
        ValueError: a loss of non-zero weight is missing.
    """
    weighted = [(weight, loss) for weight, loss in ((alpha, hard), (1 - alpha, soft)) if weight > 0]
    if any(loss is None for _, loss in weighted):
        raise ValueError(f"alpha = {alpha:g} needs a loss that was not computed")
    return torch.stack([weight * loss for weight, loss in weighted if loss is not None]).sum()


SMALLEST_SCALE = 1e-8
"""First values below this say that student and teacher agree, not what the size of a term is."""


class TermScales:
    """The scale of each soft term.

    A literal sum compares means of different things: a term of eq. 7 grows with the width of the layer, so alpha, and
    the weight of a term within `multi`, would mean something else for every method and teacher. In the mode `first`
    each term is divided by its own value at the first step and starts at 1. The hard loss is never scaled.

    The mode holds for every stage, also where a single term stands alone (alpha = 0): there a constant factor changes
    neither minimum nor the epochs of plateau and early stopping, and Adam's steps only through its epsilon, which the
    small gradients of an unscaled eq. 7 would come nearer to.

    Args:
        mode: `first`, or `none` for the literal sum of the paper.

    Raises:
        InputError: an unknown mode.
    """

    def __init__(self, mode: str = "first") -> None:
        if mode not in ("first", "none"):
            raise InputError(f"soft scale {mode!r} is unknown; choose one of first, none")
        self.mode = mode
        self._scales: dict[str, float] = {}

    def apply(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The scaled sum of the terms. In the mode `first`, a term seen for the first time fixes its scale.

        So the first call belongs to the first training step; later ones, validation included, use the same scales.
        A first value that is zero, tiny or not finite is no scale: such a term stays as it is.

        Raises:
            ValueError: there are no terms.
        """
        if not terms:
            raise ValueError("a soft loss needs at least one term; the method 'none' has no soft loss")
        if self.mode == "first":
            for name in terms:
                if name not in self._scales:
                    first = terms[name].item()
                    self._scales[name] = first if math.isfinite(first) and first > SMALLEST_SCALE else 1.0
        return torch.stack([term / self._scales.get(name, 1.0) for name, term in terms.items()]).sum()

    def state(self) -> dict[str, float]:
        """The scale by layer, for the log and the checkpoint; empty before the first step and in the mode `none`."""
        return dict(self._scales)

    def load(self, state: Mapping[str, float]) -> None:
        """Takes the scales of a checkpoint."""
        self._scales = dict(state)


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
