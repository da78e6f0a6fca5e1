from __future__ import annotations

import pytest
import torch

from model.losses import hard_loss
from model.stft import stft


def signals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_hard_loss_is_both_sums_of_equation_4_over_the_number_of_samples() -> None:
    estimate, clean = signals(1, 1500), signals(1, 1500, seed=1)
    time_sum = (estimate - clean).abs().sum()
    magnitude_sum = (stft(estimate).abs() - stft(clean).abs()).abs().sum()
    torch.testing.assert_close(hard_loss(estimate, clean), (time_sum + magnitude_sum) / 1500)


def test_hard_loss_of_a_batch_is_the_mean_over_its_clips() -> None:
    estimate, clean = signals(3, 1024), signals(3, 1024, seed=1)
    one_by_one = torch.stack([hard_loss(estimate[i : i + 1], clean[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(hard_loss(estimate, clean), one_by_one.mean())


def test_hard_loss_is_zero_for_a_perfect_estimate_and_sees_a_changed_sign() -> None:
    clean = signals(2, 1024)
    assert hard_loss(clean, clean) == 0
    # the magnitudes are equal: only the sum over time can tell
    torch.testing.assert_close(hard_loss(-clean, clean), 2 * clean.abs().mean())


@pytest.mark.parametrize("target", ["silence", "speech"])
def test_a_silent_estimate_has_a_finite_gradient(target: str) -> None:
    estimate = torch.zeros(2, 1024, requires_grad=True)
    clean = torch.zeros(2, 1024) if target == "silence" else signals(2, 1024)
    hard_loss(estimate, clean).backward()
    assert estimate.grad is not None
    assert estimate.grad.isfinite().all()


def test_the_gradient_leads_downhill() -> None:
    clean = signals(1, 1024)
    estimate = signals(1, 1024, seed=1).requires_grad_()
    loss = hard_loss(estimate, clean)
    (slope,) = torch.autograd.grad(loss, estimate)
    assert hard_loss(estimate.detach() - 1.0 * slope, clean) < loss


@pytest.mark.parametrize("shape", [(2, 1000), (1, 1024), (2, 1, 1024)])
def test_shapes_that_would_broadcast_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected two"):
        hard_loss(torch.zeros(2, 1024), torch.zeros(shape))
