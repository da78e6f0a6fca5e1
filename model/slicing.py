"""A student cut out of its teacher: the start that `--init slice` gives.

What is cut away should be what the network misses least. `RULES` are the ways to tell. A teacher trained with `nested`
(`model.nested`) has its units in order: its leading slices are enhancers themselves, and are taken as they are.

A student that is wider than the teacher somewhere keeps all of the teacher's units there and starts the others at
random with outgoing weights of zero, so that they do not disturb at first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from data.errors import InputError
from model.ftjnf import FTJNF, Size, apply_mask
from model.losses import hard_loss
from model.stft import stft

RULES = ("product", "activation", "outgoing", "gradient", "leading")
"""What makes a hidden unit important:

- `activation`: its mean magnitude over some noisy speech;
- `outgoing`: the norm of the weights that leave it, those into the T-LSTM weighed by what is behind them;
- `product`: activation times outgoing, the size of what the next layer hears of it;
- `gradient`: the mean magnitude of activation times gradient of the hard loss, a first-order estimate of the loss that
  its absence costs at single positions;
- `leading`: its place; for teachers whose units are in order.
"""


DEFAULT_RULE = "outgoing"
"""For teachers whose units are in no order: the lowest loss after a training of 64/16 and of 80/32, by every seed.

Measured by `benchmarks/start.py` (benchmarks/README.md, "Where a student starts").
"""


@dataclass(frozen=True)
class Importance:
    """How much each hidden unit matters: f_lstm (F,), or (2F,) if `bi_freq`; t_lstm (T,). Any scale, larger is more."""

    f_lstm: Tensor
    t_lstm: Tensor


def rule_for(recipe: dict[str, Any]) -> str:
    """The rule for a teacher of this recipe: what `model.weights.load_network` finds beside its weights.

    The order that nested training gave its units outlasts a training of the whole that begins from there.
    """
    return "leading" if recipe.get("in_order") or recipe.get("train", {}).get("nested") else DEFAULT_RULE


def importance(net: FTJNF, rule: str, noisy: Tensor, clean: Tensor) -> Importance:
    """Measures a network's units on some examples.

    Args:
        net: a trained network, on the CPU.
        rule: one of `RULES`.
        noisy: (B, M, N) microphone signals.
        clean: (B, N) their targets; only the rule `gradient` looks at them.

    Raises:
        InputError: an unknown rule.
    """
    if rule not in RULES:
        raise InputError(f"slice rule {rule!r} is unknown; choose one of {', '.join(RULES)}")
    if rule == "leading":
        directions = 2 if net.size.bi_freq else 1
        return Importance(-torch.arange(net.size.f_hidden).repeat(directions), -torch.arange(net.size.t_hidden))
    if rule == "gradient":
        return _saliency(net, noisy, clean)
    activation = _activation(net, noisy)
    if rule == "activation":
        return activation
    outgoing = _outgoing(net, activation if rule == "product" else None)
    if rule == "outgoing":
        return outgoing
    return Importance(activation.f_lstm * outgoing.f_lstm, activation.t_lstm * outgoing.t_lstm)


@torch.no_grad()
def _activation(net: FTJNF, noisy: Tensor) -> Importance:
    out = net(stft(noisy), upto="t_lstm")
    assert out.t_lstm is not None
    return Importance(out.f_lstm.abs().mean(dim=(0, 1, 2)).float(), out.t_lstm.abs().mean(dim=(0, 1, 2)).float())


@torch.no_grad()
def _outgoing(net: FTJNF, activation: Importance | None) -> Importance:
    """Norms of leaving weights. What a T-LSTM unit hears counts by what is heard of that unit itself."""
    size = net.size
    t_lstm = net.linear.weight.norm(dim=0)
    behind = t_lstm if activation is None else t_lstm * activation.t_lstm
    behind = behind / behind.max().clamp_min(torch.finfo(behind.dtype).tiny)
    into_t = _parameter(net.t_lstm, "weight_ih_l0").reshape(4, size.t_hidden, -1) * behind[:, None]
    recurrent = [_parameter(net.f_lstm, f"weight_hh_l0{way}").norm(dim=0) for way in _directions(size)]
    # a unit of the F-LSTM is heard by the T-LSTM and, at the next bin, by its own layer
    f_lstm = (into_t.square().sum(dim=(0, 1)) + torch.cat(recurrent).square()).sqrt()
    return Importance(f_lstm, t_lstm)


def _saliency(net: FTJNF, noisy: Tensor, clean: Tensor) -> Importance:
    spectrum = stft(noisy)
    with torch.enable_grad():
        out = net(spectrum)
        loss = hard_loss(apply_mask(out, spectrum, noisy.shape[-1]), clean)
        assert out.t_lstm is not None
        gradients = torch.autograd.grad(loss, (out.f_lstm, out.t_lstm))
    f_lstm, t_lstm = (
        (part.detach() * gradient).abs().mean(dim=(0, 1, 2)).float()
        for part, gradient in zip((out.f_lstm, out.t_lstm), gradients, strict=True)
    )
    return Importance(f_lstm, t_lstm)


def _directions(size: Size) -> tuple[str, ...]:
    """Suffixes of the F-LSTM's parameters."""
    return ("", "_reverse") if size.bi_freq else ("",)


def _parameter(layer: nn.LSTM, name: str) -> Tensor:
    value: Tensor = getattr(layer, name)
    return value


def _most(units: Tensor, kept: int) -> Tensor:
    """Indices of the most important units, in falling order."""
    return units.argsort(descending=True, stable=True)[:kept]


def _gates(matrix: Tensor, rows: Tensor, units: int) -> Tensor:
    """Rows of an LSTM parameter for some units: its four gates (i, f, g, o) are stacked over the first axis."""
    return matrix.reshape(4, units, *matrix.shape[1:])[:, rows].flatten(0, 1)


def _put(target: Tensor, source: Tensor, units: int, kept: int) -> None:
    """Writes kept units' gates to the first units of a wider or equal LSTM parameter."""
    view = target.reshape(4, units, *target.shape[1:])
    part = source.reshape(4, kept, *source.shape[1:])
    if target.dim() == 1:
        view[:, :kept] = part
    else:
        view[:, :kept, : part.shape[2]] = part


@torch.no_grad()
def cut(teacher: FTJNF, size: Size, units: Importance) -> FTJNF:
    """Cuts a student out of a teacher.

    Args:
        teacher: a trained network.
        size: of the student; directions over frequency and microphones must be the teacher's.
        units: how important the teacher's units are.

    Raises:
        InputError: the student differs from the teacher in more than hidden units.
    """
    whole = teacher.size
    if (size.bi_freq, size.microphones) != (whole.bi_freq, whole.microphones):
        raise InputError(f"a student {size} cannot be a slice of a teacher {whole}: directions or microphones differ")
    if size.bi_freq and size.f_hidden > whole.f_hidden:
        raise InputError(f"a bi-directional slice cannot be wider over frequency ({size}) than its teacher ({whole})")
    n_f, n_t = min(size.f_hidden, whole.f_hidden), min(size.t_hidden, whole.t_hidden)
    keep_f = [_most(part, n_f).sort().values for part in units.f_lstm.split(whole.f_hidden)]
    keep_t = _most(units.t_lstm, n_t).sort().values
    return _select(teacher, size, keep_f, keep_t)


@torch.no_grad()
def in_order(net: FTJNF, units: Importance) -> FTJNF:
    """The same network with its units sorted, the most important first. It computes what it did."""
    f_hidden, t_hidden = net.size.f_hidden, net.size.t_hidden
    return _select(
        net, net.size, [_most(part, f_hidden) for part in units.f_lstm.split(f_hidden)], _most(units.t_lstm, t_hidden)
    )


def _select(teacher: FTJNF, size: Size, keep_f: list[Tensor], keep_t: Tensor) -> FTJNF:
    """A network of these units of the teacher (by direction over frequency; over time), and new ones if it is wider."""
    whole, n_f, n_t = teacher.size, len(keep_f[0]), len(keep_t)
    student = FTJNF(size)
    for direction, keep in zip(_directions(size), keep_f, strict=True):
        _copy_lstm(student.f_lstm, teacher.f_lstm, direction, keep, None)
    columns = torch.cat([keep + number * whole.f_hidden for number, keep in enumerate(keep_f)])
    _copy_lstm(student.t_lstm, teacher.t_lstm, "", keep_t, columns)
    _parameter(student.t_lstm, "weight_ih_l0")[:, len(columns) :] = 0
    _parameter(student.f_lstm, "weight_hh_l0").reshape(4, size.f_hidden, -1)[:, :n_f, n_f:] = 0
    _parameter(student.t_lstm, "weight_hh_l0").reshape(4, size.t_hidden, -1)[:, :n_t, n_t:] = 0
    student.linear.weight.zero_()
    student.linear.weight[:, :n_t] = teacher.linear.weight[:, keep_t]
    student.linear.bias.copy_(teacher.linear.bias)
    return student


def _copy_lstm(small: nn.LSTM, big: nn.LSTM, direction: str, units: Tensor, inputs: Tensor | None) -> None:
    """Copies some units of an LSTM layer; `inputs` chooses among the columns that lead into it."""
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        part = _gates(_parameter(big, name + direction), units, big.hidden_size)
        if name == "weight_hh_l0":
            part = part[:, units]
        elif name == "weight_ih_l0" and inputs is not None:
            part = part[:, inputs]
        _put(_parameter(small, name + direction), part, small.hidden_size, len(units))
