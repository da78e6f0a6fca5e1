"""Knowledge distillation: which layers are compared (Table 2), and how soft and hard loss are weighed (eq. 5).

Methods are data: `METHODS` says which layers a method compares and by which loss. When the weights change is said by
`schedule.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
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
