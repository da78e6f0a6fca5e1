from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from data.errors import InputError
from model import gram
from model.ftjnf import at_positions
from model.gram import Gram, draw_positions, gram_loss, gram_of_gathered

BATCH, BINS, FRAMES = 2, 5, 7
TEACHER_UNITS, STUDENT_UNITS = 6, 3


def activations(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    teacher = torch.randn(BATCH, BINS, FRAMES, TEACHER_UNITS, generator=generator, dtype=dtype)
    student = torch.randn(BATCH, BINS, FRAMES, STUDENT_UNITS, generator=generator, dtype=dtype)
    return teacher, student.requires_grad_()


def difference(teacher: Tensor, student: Tensor, normalise: str = "plain") -> Tensor:
    """The dense |G_teacher - G_student| of (..., N, C) rows, written as eq. 7 is."""
    if normalise == "cosine":
        teacher, student = (z / z.norm(dim=-1, keepdim=True) for z in (teacher, student))
    return (teacher @ teacher.mT - student @ student.mT).abs()


def all_pairs(teacher: Tensor, student: Tensor, normalise: str) -> Tensor:
    return difference(teacher.flatten(1, 2), student.flatten(1, 2), normalise)


def dense_loss(form: str, teacher: Tensor, student: Tensor, normalise: str) -> Tensor:
    """The mean over the pairs of a form, picked out of the dense (KL, KL) matrix."""
    pairs = all_pairs(teacher, student, normalise)
    bin_of, frame_of = (
        index.flatten() for index in torch.meshgrid(torch.arange(BINS), torch.arange(FRAMES), indexing="ij")
    )
    wanted = {
        "exact": torch.ones_like(pairs[0], dtype=torch.bool),
        "frame": frame_of[:, None] == frame_of,
        "bin": bin_of[:, None] == bin_of,
        "positions": ~torch.eye(BINS * FRAMES, dtype=torch.bool),
    }[form]
    return pairs[:, wanted].mean()


def gradient(loss: Tensor, student: Tensor) -> Tensor:
    return torch.autograd.grad(loss, student)[0]


@pytest.mark.parametrize("tile", [3, 8, 512])
@pytest.mark.parametrize("normalise", ["plain", "cosine"])
@pytest.mark.parametrize("form", ["exact", "frame", "bin", "positions"])
def test_each_form_equals_its_pairs_of_the_dense_matrix(
    form: str, normalise: str, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gram, "CPU_TILE", tile)
    teacher, student = activations()
    everywhere = draw_positions(BINS * FRAMES, BINS * FRAMES, BATCH, 0) if form == "positions" else None
    ours = gram_loss(teacher, student, Gram(form, normalise), everywhere)  # type: ignore[arg-type]
    dense = dense_loss(form, teacher, student, normalise)
    torch.testing.assert_close(ours, dense, rtol=1e-10, atol=0)
    # a gradient that comes on top of another factor, as in a weighted sum of losses
    torch.testing.assert_close(gradient(3 * ours, student), gradient(3 * dense, student), rtol=1e-9, atol=1e-12)


def test_float32_tiles_keep_the_dense_value_and_gradient_to_1e_5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram, "CPU_TILE", 8)
    teacher, student = activations(dtype=torch.float32)
    ours = gram_loss(teacher, student, Gram("exact"))
    doubles = student.detach().double().requires_grad_()
    dense = dense_loss("exact", teacher.double(), doubles, "plain")
    assert abs(ours.item() / dense.item() - 1) < 1e-5
    expected = gradient(dense, doubles)
    assert (gradient(ours, student) - expected).norm() < 1e-5 * expected.norm()


class LargestResult(TorchDispatchMode):
    """Notes the largest tensor any operation returns."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.entries = max(self.entries, result.numel())
        return result


@pytest.mark.parametrize("form", ["exact", "frame", "bin"])
@pytest.mark.parametrize("batch", [1, 3])
def test_nothing_larger_than_a_tile_or_a_layer_is_ever_made(
    form: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gram, "CPU_TILE", 32)
    teacher, student = torch.randn(batch, 16, 20, 3), torch.randn(batch, 16, 20, 2, requires_grad=True)
    with LargestResult() as largest:
        gram_loss(teacher, student, Gram(form)).backward()  # type: ignore[arg-type]
    assert largest.entries <= max(32 * 32, teacher.numel()) < (16 * 20) ** 2


def test_the_mean_over_every_set_of_positions_is_the_dense_mean_off_the_diagonal() -> None:
    rows, drawn = 7, 3
    generator = torch.Generator().manual_seed(1)
    teacher = torch.randn(1, 1, rows, 4, generator=generator, dtype=torch.float64)
    student = torch.randn(1, 1, rows, 2, generator=generator, dtype=torch.float64)
    estimates = [
        gram_loss(teacher, student, Gram("positions"), torch.tensor([subset]))
        for subset in combinations(range(rows), drawn)
    ]
    off_diagonal = difference(teacher[0, 0], student[0, 0])[~torch.eye(rows, dtype=torch.bool)]
    torch.testing.assert_close(torch.stack(estimates).mean(), off_diagonal.mean(), rtol=1e-12, atol=0)


def test_more_positions_estimate_more_closely_and_without_bias() -> None:
    rng = np.random.default_rng(2)
    cells, count = 400, 200
    teacher, student = torch.from_numpy(rng.normal(size=(cells, 4))), torch.from_numpy(rng.normal(size=(cells, 2)))
    dense = difference(teacher, student)[~torch.eye(cells, dtype=torch.bool)].mean()

    def estimates(positions: int) -> Tensor:
        drawn = draw_positions(cells, positions, count, rng)
        return torch.stack([gram_of_gathered(teacher[row][None], student[row][None], "plain") for row in drawn])

    coarse, fine = estimates(10), estimates(100)
    assert fine.std() < 0.5 * coarse.std()
    for sample in (coarse, fine):
        assert abs(sample.mean() - dense) < 4 * sample.std() / count**0.5


def test_positions_are_drawn_without_replacement_seeded_and_evenly() -> None:
    drawn = draw_positions(40, 10, 2000, 3)
    assert drawn.shape == (2000, 10)
    assert drawn.dtype == torch.int64
    assert (drawn.diff(dim=1) > 0).all()
    assert torch.equal(drawn, draw_positions(40, 10, 2000, np.random.default_rng(3)))
    assert not torch.equal(drawn, draw_positions(40, 10, 2000, 4))
    often = torch.bincount(drawn.flatten(), minlength=40)
    assert (often - 500).abs().max() < 5 * (2000 * 0.25 * 0.75) ** 0.5


def test_a_short_clip_gives_all_its_positions() -> None:
    assert torch.equal(draw_positions(6, 1024, 2, 0), torch.arange(6).expand(2, 6))


def test_position_kl_is_bin_k_and_frame_l() -> None:
    layer = torch.arange(BATCH * BINS * FRAMES * 2).reshape(BATCH, BINS, FRAMES, 2)
    positions = torch.tensor([[0, 3 * FRAMES + 2], [FRAMES - 1, BINS * FRAMES - 1]])
    gathered = at_positions(layer, positions)
    expected = [[layer[0, 0, 0], layer[0, 3, 2]], [layer[1, 0, -1], layer[1, -1, -1]]]
    assert torch.equal(gathered, torch.stack([torch.stack(row) for row in expected]))


def test_a_teacher_gathered_beforehand_gives_the_same_loss_and_gradient() -> None:
    teacher, student = activations()
    positions = draw_positions(BINS * FRAMES, 9, BATCH, 5)
    whole = gram_loss(teacher, student, Gram(), positions)
    gathered = gram_loss(at_positions(teacher, positions), student, Gram(), positions)
    assert torch.equal(whole, gathered)
    moved = gradient(gathered, student).flatten(1, 2).abs().sum(-1) > 0
    assert torch.equal(moved, torch.zeros_like(moved).scatter(1, positions, True))


@pytest.mark.parametrize("form", ["positions", "exact", "frame", "bin"])
def test_a_teacher_kept_in_half_precision_is_compared_in_the_students(form: str) -> None:
    teacher, student = activations(dtype=torch.float32)
    positions = draw_positions(BINS * FRAMES, 9, BATCH, 5) if form == "positions" else None
    how = Gram(form)  # type: ignore[arg-type]
    from_half = gram_loss(teacher.half(), student, how, positions)
    assert from_half.dtype == torch.float32
    assert torch.equal(from_half, gram_loss(teacher.half().float(), student, how, positions))


def test_cosines_do_not_see_the_lengths_of_rows() -> None:
    teacher, student = activations()
    cosine = Gram("exact", "cosine")
    torch.testing.assert_close(gram_loss(5 * teacher, 0.1 * student, cosine), gram_loss(teacher, student, cosine))


def test_rows_of_zeros_have_no_cosine_and_take_no_gradient() -> None:
    teacher, student = activations()
    teacher[:, 0], silent = 0, student.detach().clone()
    silent[:, 0] = 0
    silent.requires_grad_()
    loss = gram_loss(teacher, silent, Gram("exact", "cosine"))
    slope = gradient(loss, silent)
    assert loss.isfinite()
    assert slope.isfinite().all()
    assert (slope[:, 0] == 0).all()
    assert (slope[:, 1:] != 0).any()
    assert gram_loss(teacher[:, :1], silent[:, :1], Gram("exact", "cosine")) == 0


def test_a_student_equal_to_its_teacher_has_no_loss_up_to_rotation() -> None:
    teacher, _ = activations()
    rotation, _ = torch.linalg.qr(torch.randn(TEACHER_UNITS, TEACHER_UNITS, dtype=torch.float64))
    assert gram_loss(teacher, teacher @ rotation, Gram("exact")) < 1e-12


def test_no_gradient_reaches_the_teacher() -> None:
    teacher, student = activations()
    teacher.requires_grad_()
    gram_loss(teacher, student, Gram("exact", "cosine")).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_a_second_derivative_is_refused() -> None:
    teacher, student = activations()
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(gram_loss(teacher, student, Gram("exact")), student, create_graph=True)


def test_the_value_alone_is_the_same_as_with_gradient() -> None:
    teacher, student = activations()
    with torch.no_grad():
        alone = gram_loss(teacher, student.detach(), Gram("exact"))
    assert torch.equal(alone, gram_loss(teacher, student, Gram("exact")).detach())


def test_what_does_not_belong_together_is_refused() -> None:
    teacher, student = activations()
    with pytest.raises(ValueError, match="positions"):
        gram_loss(teacher, student, Gram("positions"))
    with pytest.raises(ValueError, match="differ in B, K or L"):
        gram_loss(teacher[:, :, 1:], student, Gram("exact"))
    with pytest.raises(ValueError, match="same P"):
        gram_loss(teacher.flatten(1, 2)[:, :4], student, Gram(), draw_positions(BINS * FRAMES, 5, BATCH, 0))
    with pytest.raises(ValueError, match="P >= 2"):
        gram_of_gathered(teacher[:, 0, :1], student[:, 0, :1], "plain")


def test_unknown_settings_are_named_with_the_choices() -> None:
    with pytest.raises(InputError, match=r"'rows'.*positions, exact, frame, bin"):
        Gram("rows")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"'l2'.*plain, cosine"):
        Gram(normalise="l2")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 2"):
        Gram(positions=1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("units", "tolerance"), [(8, 0.005), (None, 0.03)])
def test_products_of_a_teacher_in_bf16_are_within_its_tolerance(seed, units, tolerance):
    generator = torch.Generator().manual_seed(seed)

    def activations(channels: int) -> torch.Tensor:
        """Of few causes, as a network's are, or of noise alone, whose products are nearest to zero."""
        if units is None:
            return torch.tanh(torch.randn(1, 1024, channels, generator=generator))
        return torch.tanh(causes @ torch.randn(units, channels, generator=generator) / 2)

    causes = torch.randn(1, 1024, units or 1, generator=generator)
    teacher, student = activations(128), activations(32).requires_grad_()
    values, gradients = [], []
    for dtype in (torch.float32, torch.bfloat16):
        loss = gram_of_gathered(teacher.to(dtype), student, "plain")
        values.append(loss.item())
        gradients.append(torch.autograd.grad(loss, student)[0])
    assert values[1] == pytest.approx(values[0], rel=1e-4)
    assert (gradients[1] - gradients[0]).norm() < tolerance * gradients[0].norm()
