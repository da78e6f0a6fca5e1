"""Training of leading slices: which widths, which weights, which gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.errors import InputError
from model.distill import mean_absolute_difference
from model.ftjnf import FTJNF, Size, apply_mask
from model.losses import hard_loss
from model.nested import SLICES, SOFT_SHARE, add_gradients, draw_size, leading_slice, slice_of_step, train_slice
from model.slicing import cut, importance
from model.stft import stft
from model.train_config import TrainConfig

SMALL = Size(3, 2, microphones=2)


def signals() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 2, 1500, generator=generator), torch.randn(2, 1500, generator=generator)


def test_leading_slice_is_what_the_rule_leading_cuts(network):
    net = network()
    other = cut(net, SMALL, importance(net, "leading", *signals()))
    for name, value in leading_slice(net, SMALL).state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_gradients_of_a_slice_are_those_of_the_whole_with_the_other_units_silenced(network):
    """The whole network whose other units are cut off computes what the slice does: so do its gradients."""
    noisy, clean = signals()
    spectrum = stft(noisy)
    silenced = network()
    with torch.no_grad():
        silenced.t_lstm.weight_ih_l0[:, 3:] = 0
        silenced.f_lstm.weight_hh_l0[:, 3:] = 0
        silenced.t_lstm.weight_hh_l0[:, 2:] = 0
        silenced.linear.weight[:, 2:] = 0
    hard_loss(apply_mask(silenced(spectrum), spectrum, 1500), clean).backward()

    net = network()
    part = leading_slice(net, SMALL)
    hard_loss(apply_mask(part(spectrum), spectrum, 1500), clean).backward()
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    add_gradients(net, part)
    first = leading_slice(with_gradients_as_weights(silenced), SMALL)
    mine = leading_slice(with_gradients_as_weights(net), SMALL)
    for (name, value), other in zip(mine.named_parameters(), first.parameters(), strict=True):
        torch.testing.assert_close(value, other, msg=name)


def with_gradients_as_weights(net: FTJNF) -> FTJNF:
    other = FTJNF(net.size)
    other.load_state_dict({name: parameter.grad for name, parameter in net.named_parameters()})
    return other


def test_gradients_are_added_and_reach_no_other_unit(network):
    net = network()
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    part = leading_slice(net, SMALL)
    for parameter in part.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    add_gradients(net, part)
    assert torch.equal(net.linear.weight.grad, torch.tensor([[3.0, 3.0, 1.0, 1.0]]).expand(2, 4))
    assert torch.equal(net.linear.bias.grad, torch.full((2,), 3.0))
    touched = sum(int((parameter.grad == 3).sum()) for parameter in net.parameters())
    assert touched == sum(parameter.numel() for parameter in part.parameters())


def test_slice_learns_half_from_the_target_and_half_from_the_whole(network):
    noisy, clean = signals()
    spectrum = stft(noisy)
    net = network(20, 10)
    whole = net(spectrum)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    part = leading_slice(net, Size(9, 5, microphones=2))
    train_slice(net, part.size, whole, spectrum, clean, "fp32")
    out = part(spectrum)
    hard = hard_loss(apply_mask(out, spectrum, 1500), clean)
    soft = mean_absolute_difference(whole.linear, out.linear)
    ((1 - SOFT_SHARE) * hard + SOFT_SHARE * (hard / soft).detach() * soft).backward()
    torch.testing.assert_close(net.linear.weight.grad[:, : part.size.t_hidden], part.linear.weight.grad)
    torch.testing.assert_close(net.linear.bias.grad, part.linear.bias.grad)


def test_widths_reach_from_the_smallest_student_to_the_whole():
    rng = np.random.default_rng(0)
    sizes = [draw_size(Size(64, 16), rng) for _ in range(2000)]
    assert {size.f_hidden for size in sizes} == set(range(8, 65))
    assert {size.t_hidden for size in sizes} == set(range(4, 17))
    narrow = sum(size.f_hidden < 8 * 8**0.5 for size in sizes) / len(sizes)  # the middle on a logarithmic scale
    assert narrow == pytest.approx(0.5, abs=0.05)


def test_an_epoch_has_few_widths_in_turns_and_the_next_one_others():
    def sizes(epoch: int) -> list[Size]:
        return [slice_of_step(Size(64, 16), (0, 0, epoch), step) for step in range(3 * SLICES)]

    assert sizes(0) == sizes(0)[:SLICES] * 3
    assert len(set(sizes(0))) > 1
    assert set(sizes(0)) != set(sizes(1))


def test_whole_narrower_than_the_smallest_student_is_its_own_slice():
    assert draw_size(Size(4, 3), np.random.default_rng(0)) == Size(4, 3)


@pytest.mark.parametrize("wrong", [{"method": "linear"}, {"size": Size(4, 3, bi_freq=True)}])
def test_nested_training_of_what_cannot_be_nested_is_refused(wrong):
    with pytest.raises(InputError, match="nested training is for teachers"):
        replace(TrainConfig(Size(8, 4), nested=True), **wrong)
