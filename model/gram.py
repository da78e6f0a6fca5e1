"""The self-similarity loss (eq. 7): L1 distance of two Gram matrices, in four forms behind one interface.

With N = K*L time-frequency positions, Z of shape (N, C) the activations of one clip and G = Z Z', eq. 7 reads

    L_soft = || G_teacher - G_student ||_1 = sum over i, j of | zt_i . zt_j - zs_i . zs_j |.

Here it is a mean over the pairs (i, j) that a form looks at, so that a value is comparable between clip lengths and
forms. The matrix of a 4 s clip (257 bins, 250 frames) has 64 250^2 entries, 16.5 GB in float32, and is never made:

| form      | pairs of a 4 s clip             | cost with Ct = 128, Cs = 32                          |
|-----------|---------------------------------|------------------------------------------------------|
| positions | 1 047 552 of P = 1024 positions | 0.2 GMAC, 0.26 MB of teacher; 1 % relative deviation |
| exact     | 4.1e9: all                      | 0.5 TMAC; memory of a few tiles                      |
| frame     | 16.5e6: within each frame       | 3 GMAC; sees no similarity between frames            |
| bin       | 16.1e6: within each bin         | 3 GMAC; sees no similarity between bins              |

All forms run through one tiled function that computes value and gradient in the same pass; on CUDA a kernel
(`model.gram_triton`) does so without writing a tile to memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from data.errors import InputError
from model.ftjnf import at_positions

Form = Literal["positions", "exact", "frame", "bin"]
Normalise = Literal["plain", "cosine"]

CPU_TILE = 512
"""Rows of a tile on a CPU: 1 MB in float32, so that it stays in a core's cache between product and sign."""
GPU_TILE = 4096
"""Rows of a tile elsewhere: 64 MB in float32, large enough for the matrix units to be busy."""
SMALLEST_NORM = 1e-6
"""Rows no longer than this have no direction: `cosine` takes them as zero, and as constant."""

GROUPS: dict[Form, Callable[[Tensor], Tensor]] = {
    "exact": lambda layer: layer.flatten(1, 2),
    "frame": lambda layer: layer.transpose(1, 2).flatten(0, 1),
    "bin": lambda layer: layer.flatten(0, 1),
}
"""(B, K, L, C) as (G, N, C): the groups of rows within which a form compares all pairs."""


@dataclass(frozen=True)
class Gram:
    """How eq. 7 is evaluated.

    Args:
        form: which pairs of time-frequency positions are compared; see the table of this module.
        normalise: `plain` inner products as in the paper, or `cosine`: each row of Z divided by its length first. The
            units of an LSTM are bounded by 1, so plain inner products of many teacher units can be out of a narrow
            student's reach; cosines are not.
        positions: P, the random positions a clip of the form `positions`. Fresh scenes get new ones in each epoch;
            a clip of a fixed set has a few draws that the epochs take turns with (`model.target_plan.POSITION_SETS`),
            because the teacher's activations are kept at these positions alone.

    Raises:
        InputError: an unknown form or normalisation, or P below 2.
    """

    form: Form = "positions"
    normalise: Normalise = "plain"
    positions: int = 1024

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise InputError(f"Gram form {self.form!r} is unknown; choose one of {', '.join(get_args(Form))}")
        if self.normalise not in get_args(Normalise):
            raise InputError(
                f"Gram normalisation {self.normalise!r} is unknown; choose one of {', '.join(get_args(Normalise))}"
            )
        if self.positions < 2:
            raise InputError(f"the Gram loss needs at least 2 positions a clip to form a pair, not {self.positions}")


def draw_positions(cells: int, positions: int, count: int, rng: np.random.Generator | int) -> Tensor:
    """Draws random time-frequency positions without replacement, for the form `positions`.

    Args:
        cells: K*L, the positions a clip has.
        positions: P; all cells where a clip has fewer.
        count: number of clips; each gets a draw of its own.
        rng: generator, or a seed.

    Returns:
        (count, min(P, K*L)) int64, in each row ascending: index k*L + l of bin k and frame l.
    """
    generator = np.random.default_rng(rng)
    drawn = np.stack(
        [generator.choice(cells, min(positions, cells), replace=False, shuffle=False) for _ in range(count)]
    )
    # the loss does not see the order; ascending rows read a memory-mapped teacher front to back
    return torch.from_numpy(np.sort(drawn, axis=1).astype(np.int64))


def gram_loss(teacher: Tensor, student: Tensor, gram: Gram, positions: Tensor | None = None) -> Tensor:
    """Eq. 7 as a mean over pairs. The gradient flows to the student alone.

    Args:
        teacher: (B, K, L, Ct); for the form `positions` also (B, P, Ct), gathered already. May be of lower precision
            than the student; it is computed in the student's.
        student: (B, K, L, Cs); for the form `positions` also (B, P, Cs).
        gram: form and normalisation.
        positions: (B, P) from `draw_positions`, for the form `positions` only.

    Returns:
        Scalar. Differentiable once.

    Raises:
        ValueError: shapes that do not belong together, or the form `positions` without positions.
    """
    if gram.form == "positions":
        if positions is None:
            raise ValueError("the form 'positions' needs the positions drawn for these clips")
        both = [part if part.dim() == 3 else at_positions(part, positions) for part in (teacher, student)]
        return gram_of_gathered(both[0], both[1], gram.normalise)
    if student.dim() != 4:
        raise ValueError(f"expected student activations (B, K, L, C), got {tuple(student.shape)}")
    if teacher.shape[:-1] != student.shape[:-1]:
        raise ValueError(f"teacher {tuple(teacher.shape)} and student {tuple(student.shape)} differ in B, K or L")
    group = GROUPS[gram.form]
    return _mean_difference(group(teacher), group(student), gram.normalise, diagonal=True)


def gram_of_gathered(teacher: Tensor, student: Tensor, normalise: Normalise) -> Tensor:
    """The form `positions` of eq. 7 on activations gathered at the same P positions.

    The P diagonal pairs are left out: they are 1/P of the pairs here but 1/(K*L) of the pairs of eq. 7. The mean over
    the other P(P-1) has the expectation of the full matrix's mean over its off-diagonal pairs.

    Args:
        teacher: (B, P, Ct). In bfloat16 their products are computed in it, on processors that are several times as fast
            so. It costs under 1e-4 of the value and half a percent of the gradient (3 % on white noise, whose products
            lie nearest to zero), where the draw of the positions moves both by a percent.
        student: (B, P, Cs).
        normalise: `plain` or `cosine`.

    Returns:
        Scalar.

    Raises:
        ValueError: B or P differ, or P < 2.
    """
    if teacher.shape[:-1] != student.shape[:-1] or student.dim() != 3 or student.shape[1] < 2:
        raise ValueError(
            f"expected (B, P, C) at the same P >= 2 positions, got {tuple(teacher.shape)} and {tuple(student.shape)}"
        )
    return _mean_difference(teacher, student, normalise, diagonal=False)


def _mean_difference(teacher: Tensor, student: Tensor, normalise: Normalise, diagonal: bool) -> Tensor:
    """Mean of |G_teacher - G_student| over the pairs of G groups of N rows: (G, N, Ct) and (G, N, Cs)."""
    teacher = teacher.detach()
    if normalise == "cosine":
        teacher, student = _unit_rows(teacher.to(student.dtype)), _unit_rows(student)
    groups, rows, _ = student.shape
    pairs = groups * rows * (rows if diagonal else rows - 1)
    total: Tensor = _AbsoluteDifference.apply(teacher, student, diagonal)
    return total / pairs


def _unit_rows(rows: Tensor) -> Tensor:
    """Rows divided by their lengths. A row without direction becomes zero and takes no gradient (it would be 1/0)."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return torch.where(length > SMALLEST_NORM, rows / length.clamp_min(SMALLEST_NORM), 0.0)


class _AbsoluteDifference(torch.autograd.Function):
    """Sum of |Zt Zt' - Zs Zs'| over G groups, with the gradient with respect to Zs computed in the same pass.

    With S = sign(Zt Zt' - Zs Zs'), symmetric, the gradient is -2 S Zs. Each tile on or above the diagonal is computed
    once, adds to the value and to the gradient of its rows and, transposed, of its columns, and is forgotten: what is
    held beside the arguments is the gradient and two tiles.
    """

    @staticmethod
    def forward(ctx: Any, teacher: Tensor, student: Tensor, diagonal: bool) -> Tensor:
        with_gradient = ctx.needs_input_grad[1]  # validation asks for the value alone
        if with_gradient and student.device.type == "cuda":
            from model import gram_triton  # not on a CPU, where importing Triton takes seconds for nothing

            if gram_triton.usable(teacher, student, diagonal):
                value, found = gram_triton.absolute_difference(teacher, student, diagonal)
                ctx.save_for_backward(found)
                return value
        gradient: Tensor | None = None
        if with_gradient:
            gradient = torch.zeros_like(student, memory_format=torch.contiguous_format)
        in_bf16 = teacher.dtype == torch.bfloat16 and not diagonal
        sums = []
        for group, rows, columns in tiles(student):
            above = rows.start != columns.start
            row_side, column_side = student[group, rows], student[group, columns]
            teacher_rows, teacher_columns = teacher[group, rows], teacher[group, columns]
            if not in_bf16:
                teacher_rows, teacher_columns = teacher_rows.to(student.dtype), teacher_columns.to(student.dtype)
            tile = (teacher_rows @ teacher_columns.mT).to(student.dtype)
            tile.baddbmm_(row_side, column_side.mT, alpha=-1)
            if not diagonal and not above:
                tile.diagonal(dim1=1, dim2=2).zero_()
            # not vector_norm(tile, 1): it allocates nothing but loses three digits on a large float32 tile
            sums.append(tile.abs().sum() * (2 if above else 1))
            if gradient is None:
                continue
            sign = tile.sign_()
            gradient[group, rows].baddbmm_(sign, column_side, alpha=-2)
            if above:
                gradient[group, columns].baddbmm_(sign.mT, row_side, alpha=-2)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return torch.stack(sums).sum()

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[None, Tensor, None]:
        if torch.is_grad_enabled():  # create_graph: without this the second derivative would be silently zero
            raise RuntimeError(
                "the Gram loss is differentiable once: it keeps its gradient and no graph to derive again"
            )
        (gradient,) = ctx.saved_tensors
        return None, gradient * outer, None


def tile_side(layer: Tensor) -> int:
    """Rows and columns of the tiles of (..., N, C)."""
    return min(CPU_TILE if layer.device.type == "cpu" else GPU_TILE, layer.shape[-2])


def tiles(layer: Tensor) -> list[tuple[slice, slice, slice]]:
    """Slices of groups, rows and columns of (G, N, C) that together cover the upper triangle of every group's (N, N).

    Small groups share a tile; a large one is cut into many. No tile has more entries than a full one.
    """
    groups, rows, _ = layer.shape
    full = CPU_TILE if layer.device.type == "cpu" else GPU_TILE
    side = tile_side(layer)
    starts = range(0, rows, side)
    at_once = full**2 // side**2
    return [
        (slice(first, first + at_once), slice(i, i + side), slice(j, j + side))
        for first in range(0, groups, at_once)
        for i in starts
        for j in starts
        if i <= j
    ]
