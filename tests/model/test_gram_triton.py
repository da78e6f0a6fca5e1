"""The CUDA kernel of eq. 7, run by Triton's interpreter where there is no card."""

from __future__ import annotations

import os

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported
pytest.importorskip("triton", reason="torch without CUDA brings no Triton")

from model import gram_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize(("groups", "n", "wide", "narrow"), [(1, 64, 32, 16), (2, 150, 40, 20), (1, 70, 7, 3)])
def test_kernel_finds_value_and_gradient_of_the_dense_form(groups, n, wide, narrow, diagonal):
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(groups, n, width, generator=generator).to(DEVICE) for width in (wide, narrow))
    value, gradient = gram_triton.absolute_difference(teacher, student, diagonal)
    exact = student.double().requires_grad_()
    tile = teacher.double() @ teacher.double().mT - exact @ exact.mT
    if not diagonal:
        tile = tile * (1 - torch.eye(n, device=DEVICE))
    expected = tile.abs().sum()
    expected.backward()
    torch.testing.assert_close(value.double(), expected.detach(), rtol=1e-5, atol=0)
    assert float((gradient.double() - exact.grad).abs().max() / exact.grad.abs().max()) < 1e-5


def test_a_teacher_of_half_precision_is_read_as_it_is():
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(1, 70, width, generator=generator).to(DEVICE) for width in (40, 20))
    half = teacher.to(torch.float16)
    value, gradient = gram_triton.absolute_difference(half, student, diagonal=True)
    expected, wanted = gram_triton.absolute_difference(half.float(), student, diagonal=True)
    assert torch.equal(value, expected)
    assert torch.equal(gradient, wanted)


def test_kernel_is_for_cuda_and_float32_alone():
    assert not gram_triton.usable(torch.zeros(1, 4, 3))
