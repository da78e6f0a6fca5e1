"""A network whose leading slices are enhancers themselves.

In every training step a slice of random widths, the first units of each layer, is trained beside the whole network: on
the hard loss, and on the whole network's linear layer (eq. 6), so that the wide teaches the narrow. They share their
weights, so the first units learn to do without the others. Students cut from such a teacher (`model.slicing`, rule
`leading`) begin as enhancers, not as ruins of one. The idea is that of slimmable networks (Yu et al. 2019, "Slimmable
Neural Networks", and 2019, "Universally Slimmable Networks"), brought to the two LSTMs of FT-JNF.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.distill import mean_absolute_difference
from model.ftjnf import FTJNF, Activations, Size, apply_mask
from model.losses import hard_loss
from model.precision import arithmetic

SMALLEST = (8, 4)
"""Hidden units over frequency and over time of the narrowest slice, those of the smallest student of a search."""
SOFT_SHARE = 0.5
"""Weight of what the whole network teaches, against the hard loss. The soft term is scaled to the hard one's value."""


SLICES = 6
"""Widths that are trained in one epoch, in turns; each epoch draws others. Memory of a size serves the same size again:
with other widths in every step, a step took half as long again and the process grew without end."""


def slice_of_step(whole: Size, seeds: Sequence[int], step: int) -> Size:
    """Widths of the slice that a step trains; `seeds` are those of the epoch."""
    return draw_size(whole, np.random.default_rng([*seeds, step % SLICES]))


def draw_size(whole: Size, rng: np.random.Generator) -> Size:
    """Widths of a slice, each log-uniform between `SMALLEST` and the whole network's."""
    f_hidden, t_hidden = (
        int(math.exp(rng.uniform(math.log(min(least, most)), math.log(most + 1))))
        for least, most in zip(SMALLEST, (whole.f_hidden, whole.t_hidden), strict=True)
    )
    return Size(f_hidden, t_hidden, microphones=whole.microphones)


@torch.no_grad()
def leading_slice(net: FTJNF, size: Size) -> FTJNF:
    """A copy of the first units of each layer."""
    part = FTJNF(size).to(net.linear.weight.device)
    whole = dict(net.named_parameters())
    for name, parameter in part.named_parameters():
        parameter.copy_(_leading(name, whole[name], net.size, size).reshape(parameter.shape))
    return part


@torch.no_grad()
def add_gradients(net: FTJNF, part: FTJNF) -> None:
    """Adds a leading slice's gradients to those of the network that it was copied from."""
    whole = dict(net.named_parameters())
    for name, parameter in part.named_parameters():
        assert parameter.grad is not None
        gradient = whole[name].grad
        assert gradient is not None
        view = _leading(name, gradient, net.size, part.size)
        view += parameter.grad.reshape(view.shape)


def train_slice(net: FTJNF, size: Size, whole: Activations, spectrum: Tensor, clean: Tensor, precision: str) -> None:
    """Adds to the network's gradients those of one slice on the same batch.

    Args:
        net: after the backward pass of its own loss.
        size: of the slice.
        whole: what it computed.
        spectrum: (B, M, K, L) complex STFT of the noisy signals.
        clean: (B, N) targets.
        precision: "fp32" or "bf16".
    """
    assert whole.linear is not None
    part = leading_slice(net, size)
    with arithmetic(precision, spectrum.device):
        output = part(spectrum)
    hard = hard_loss(apply_mask(output, spectrum, clean.shape[-1]), clean)
    assert output.linear is not None
    soft = mean_absolute_difference(whole.linear.float(), output.linear.float())
    scale = float(hard.detach() / soft.detach().clamp_min(1e-6))
    ((1 - SOFT_SHARE) * hard + SOFT_SHARE * scale * soft).backward()
    add_gradients(net, part)


def _leading(name: str, tensor: Tensor, whole: Size, part: Size) -> Tensor:
    """The view of a parameter, or of its gradient, that belongs to the first units."""
    layer, parameter = name.split(".")
    if layer == "linear":
        return tensor[:, : part.t_hidden] if parameter == "weight" else tensor
    units, kept = (whole.f_hidden, part.f_hidden) if layer == "f_lstm" else (whole.t_hidden, part.t_hidden)
    view = tensor.view(4, units, *tensor.shape[1:])[:, :kept]  # the gates i, f, g, o are stacked over the first axis
    if parameter.startswith("weight_hh"):
        return view[..., :kept]
    return view[..., : part.f_hidden] if layer == "t_lstm" and parameter.startswith("weight") else view
