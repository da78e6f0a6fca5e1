"""The CUDA kernel of eq. 7, run by Triton's interpreter where there is no card; its proof also without Triton."""

from __future__ import annotations

import importlib.util
import os
from types import SimpleNamespace

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported
from model import gram_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CPU = torch.device("cpu")
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="torch without CUDA brings no Triton"
)


@needs_triton
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


@needs_triton
def test_a_teacher_of_half_precision_is_read_as_it_is():
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(1, 70, width, generator=generator).to(DEVICE) for width in (40, 20))
    half = teacher.to(torch.float16)
    value, gradient = gram_triton.absolute_difference(half, student, diagonal=True)
    expected, wanted = gram_triton.absolute_difference(half.float(), student, diagonal=True)
    assert torch.equal(value, expected)
    assert torch.equal(gradient, wanted)


def test_kernel_is_for_cuda_and_float32_alone():
    assert not gram_triton.usable(torch.zeros(1, 4, 5), torch.zeros(1, 4, 3), True)


@needs_triton
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_the_kernel_is_proved(kind):
    assert prove(torch.device(DEVICE), kind, False, 40, 20, False)


def prove(*arguments):
    """Whether the kernel proves itself, asked anew."""
    return gram_triton._proved.__wrapped__(*arguments)


def torch_form(teacher, student, diagonal, noise=0.0):
    """What the kernel has to compute, in float32; `noise` relative to the largest difference."""
    tile = teacher.float() @ teacher.float().mT - student @ student.mT
    tile += noise * tile.abs().max() * torch.randn(tile.shape, generator=torch.Generator().manual_seed(1))
    if not diagonal:
        tile.diagonal(dim1=1, dim2=2).zero_()
    return tile.abs().sum(), -2 * tile.sign() @ student


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("units", [3, 20, 256])
@pytest.mark.parametrize("diagonal", [True, False])
def test_a_right_kernel_is_proved_in_every_variant_and_one_of_few_digits_in_none(kind, units, diagonal, monkeypatch):
    seen = []

    def kernel(teacher, student, diagonal):
        seen.append((teacher.dtype, student.dtype, teacher.shape, student.shape, diagonal))
        return torch_form(teacher, student, diagonal)

    monkeypatch.setattr(gram_triton, "absolute_difference", kernel)
    assert prove(CPU, kind, diagonal, 512, units, True)
    assert prove(CPU, kind, diagonal, 48, units, False)
    assert seen == [
        (kind, torch.float32, (2, rows, width), (2, rows, units), diagonal) for rows, width in ((208, 512), (200, 48))
    ]
    monkeypatch.setattr(gram_triton, "absolute_difference", lambda *a: torch_form(*a, noise=1e-3))  # as tf32 would
    with pytest.warns(UserWarning, match=f"errs on this card .* a student of {units}; torch does its work"):
        assert not prove(CPU, kind, diagonal, 48, units, True)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_variant_that_does_not_compile_leaves_its_work_to_torch_and_the_others_run(kind, monkeypatch):
    def kernel(teacher, student, diagonal):
        if teacher.dtype == kind or student.shape[-1] > 128:
            raise RuntimeError("out of resource: shared memory")
        return torch_form(teacher, student, diagonal)

    monkeypatch.setattr(gram_triton, "triton", SimpleNamespace())
    monkeypatch.setattr(gram_triton, "absolute_difference", kernel)
    proved, asked = gram_triton._proved.__wrapped__, []

    def on_cpu(device, *variant):
        asked.append((device.type, *variant))
        return proved(CPU, *variant)

    monkeypatch.setattr(gram_triton, "_proved", on_cpu)

    def usable(kind, width, units, n=1024, diagonal=False):
        teacher, student = (
            SimpleNamespace(device=torch.device("cuda"), dtype=dtype, shape=(4, n, many))
            for dtype, many in ((kind, width), (torch.float32, units))
        )
        return gram_triton.usable(teacher, student, diagonal)

    assert usable(torch.float32, 48, 20)
    for width, units, variant in ((48, 20, kind), (48, 200, torch.float32)):
        with pytest.warns(UserWarning, match=r"does not run here for a teacher of 48 units .*shared memory"):
            assert not usable(variant, width, units)
    assert usable(torch.float32, 48, 20, n=1030, diagonal=True)
    assert not usable(torch.float32, 48, 257), "no kernel is that wide"
    assert asked == [
        ("cuda", torch.float32, False, 48, 20, True), ("cuda", kind, False, 48, 20, True),
        ("cuda", torch.float32, False, 48, 200, True), ("cuda", torch.float32, True, 48, 20, False),
    ]  # fmt: skip
