"""Eq. 7 on CUDA: a kernel whose tiles of the two Gram matrices never leave the registers.

One program owns a block of rows and walks over all blocks of columns: difference of the two products, its magnitude
summed, its sign multiplied by the student's columns and added to the rows' gradient, forgotten. No tile is written to
memory and nothing is added by two programs, so that the result does not depend on their order. The price is that the
upper triangle is not made use of: N^2 (Ct + 2 Cs) multiply-accumulates instead of N^2 (Ct + 3 Cs) / 2.
"""

from __future__ import annotations

import functools
import warnings

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # torch for CUDA brings it, torch for the CPU does not
    triton = None

ROWS = 64
COLUMNS = 64
INNER = 32
"""Units that one product takes at a time."""
WIDEST = 256
"""Student units up to which a gradient block fits into registers."""

if triton is not None:

    @triton.jit
    def _kernel(  # type: ignore[no-untyped-def]  # its annotations are for Triton's compiler
        teacher, student, gradient, sums, n, width, units,
        DIAGONAL: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr, BK: tl.constexpr, BU: tl.constexpr,
        PRECISION: tl.constexpr,
    ):  # fmt: skip
        group = tl.program_id(1).to(tl.int64)
        rows = tl.program_id(0) * BR + tl.arange(0, BR)
        inner = tl.arange(0, BK)
        unit = tl.arange(0, BU)
        total = tl.zeros((BR,), dtype=tl.float32)
        pull = tl.zeros((BR, BU), dtype=tl.float32)
        for first in range(0, n, BC):
            columns = first + tl.arange(0, BC)
            tile = tl.zeros((BR, BC), dtype=tl.float32)
            for start in range(0, width, BK):
                k = start + inner
                a = tl.load(
                    teacher + (group * n + rows[:, None]) * width + k[None, :],
                    mask=(rows[:, None] < n) & (k[None, :] < width), other=0.0,
                )  # fmt: skip
                b = tl.load(
                    teacher + (group * n + columns[None, :]) * width + k[:, None],
                    mask=(columns[None, :] < n) & (k[:, None] < width), other=0.0,
                )  # fmt: skip
                tile = tl.dot(a.to(tl.float32), b.to(tl.float32), tile, input_precision=PRECISION)
            for start in range(0, units, BK):
                k = start + inner
                a = tl.load(
                    student + (group * n + rows[:, None]) * units + k[None, :],
                    mask=(rows[:, None] < n) & (k[None, :] < units), other=0.0,
                )  # fmt: skip
                b = tl.load(
                    student + (group * n + columns[None, :]) * units + k[:, None],
                    mask=(columns[None, :] < n) & (k[:, None] < units), other=0.0,
                )  # fmt: skip
                tile = tl.dot(a, -b, tile, input_precision=PRECISION)
            if not DIAGONAL:
                tile = tl.where(rows[:, None] == columns[None, :], 0.0, tile)
            total += tl.sum(tl.abs(tile), axis=1)  # rows and columns beyond n are zero: they add nothing
            sign = tl.where(tile > 0, 1.0, tl.where(tile < 0, -1.0, 0.0))
            z = tl.load(
                student + (group * n + columns[:, None]) * units + unit[None, :],
                mask=(columns[:, None] < n) & (unit[None, :] < units), other=0.0,
            )  # fmt: skip
            pull = tl.dot(sign, z, pull, input_precision=PRECISION)
        kept = rows < n
        tl.store(sums + group * n + rows, total, mask=kept)
        tl.store(
            gradient + (group * n + rows[:, None]) * units + unit[None, :], -2.0 * pull,
            mask=kept[:, None] & (unit[None, :] < units),
        )  # fmt: skip


def absolute_difference(teacher: Tensor, student: Tensor, diagonal: bool) -> tuple[Tensor, Tensor]:
    """Sum over all pairs of |Zt Zt' - Zs Zs'|, and its gradient with respect to Zs.

    Args:
        teacher: (G, N, Ct), of any floating type.
        student: (G, N, Cs) in float32, Cs at most `WIDEST`.
        diagonal: whether the pairs of a row with itself count.

    Returns:
        Scalar, and (G, N, Cs).
    """
    groups, n, units = student.shape
    teacher, student = teacher.contiguous(), student.contiguous()
    gradient = torch.empty_like(student)
    sums = student.new_empty(groups, n)
    _kernel[(triton.cdiv(n, ROWS), groups)](
        teacher, student, gradient, sums, n, teacher.shape[-1], units,
        DIAGONAL=diagonal, BR=ROWS, BC=COLUMNS, BK=INNER, BU=max(16, triton.next_power_of_2(units)),
        # three products in tf32 are as exact as one in float32, and run on the matrix units
        PRECISION="tf32x3",
    )  # fmt: skip
    return sums.double().sum().to(student.dtype), gradient


def usable(teacher: Tensor, student: Tensor, diagonal: bool) -> bool:
    """Whether the kernel serves these activations here: CUDA, Triton, float32, few enough units, and a proof.

    Arguments as of `absolute_difference`; the student may be of any type and width.
    """
    if triton is None or student.device.type != "cuda" or student.dtype != torch.float32:
        return False
    _, n, units = student.shape
    return units <= WIDEST and _proved(student.device, teacher.dtype, diagonal, teacher.shape[-1], units, n % 16 == 0)


@functools.cache
def _proved(device: torch.device, kind: torch.dtype, diagonal: bool, width: int, units: int, aligned: bool) -> bool:
    """Whether the kernel compiles on this card and finds what torch finds in float64, on a small example.

    Triton compiles a kernel of its own for each set of these arguments, or for several: asked once for each.

    Args:
        device: of the activations.
        kind: type of the teacher's.
        diagonal: whether the pairs of a row with itself count.
        width: units of the teacher.
        units: of the student.
        aligned: whether the number of rows is a multiple of 16, for which Triton compiles other loads.
    """
    generator = torch.Generator().manual_seed(0)
    rows = 208 if aligned else 200
    teacher, student = (torch.randn(2, rows, many, generator=generator).to(device) for many in (width, units))
    teacher = teacher.to(kind)
    which = f"for a teacher of {width} units in {str(kind).removeprefix('torch.')} and a student of {units}"
    try:
        value, gradient = absolute_difference(teacher, student, diagonal)
        wide, small = teacher.double(), student.double()
        tile = wide @ wide.mT - small @ small.mT
        if not diagonal:
            tile.diagonal(dim1=1, dim2=2).zero_()
        same = torch.allclose(value.double(), tile.abs().sum(), rtol=1e-5)
        expected = -2 * tile.sign() @ small
        # a difference this near to zero may be rounded to the other sign, also by torch
        unsure = 4 * ((tile != 0) & (tile.abs() < 1e-5 * tile.abs().max())).double() @ small.abs()
        same = same and bool(((gradient.double() - expected).abs() <= 1e-5 * expected.abs().max() + unsure).all())
    except Exception as error:  # whatever a compiler on an unknown card may raise
        warnings.warn(
            f"the Triton kernel of eq. 7 does not run here {which} ({error}); torch does its work", stacklevel=2
        )
        return False
    if not same:
        warnings.warn(f"the Triton kernel of eq. 7 errs on this card {which}; torch does its work", stacklevel=2)
    return same
