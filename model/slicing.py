"""A student cut out of its teacher: the start that `--init slice` gives.

Units are kept by importance: mean |activation| times the norm of the weights that leave the unit, so that what is cut
away is what the next layer hears least. A student that is wider than the teacher somewhere keeps all of the teacher's
units there and starts the others at random with outgoing weights of zero, so that they do not disturb at first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data.errors import InputError
from model.ftjnf import FTJNF, Size
from model.stft import stft


@dataclass(frozen=True)
class UnitActivity:
    """Mean |activation| of the hidden units over some noisy speech: f_lstm (F,), or (2F,) if `bi_freq`; t_lstm (T,)."""

    f_lstm: Tensor
    t_lstm: Tensor


@torch.no_grad()
def unit_activity(net: FTJNF, noisy: Tensor) -> UnitActivity:
    """Measures a network's units on (B, M, N) microphone signals."""
    activations = net(stft(noisy), upto="t_lstm")
    assert activations.t_lstm is not None
    return UnitActivity(
        activations.f_lstm.abs().mean(dim=(0, 1, 2)).float(), activations.t_lstm.abs().mean(dim=(0, 1, 2)).float()
    )


def _parameter(layer: nn.LSTM, name: str) -> Tensor:
    value: Tensor = getattr(layer, name)
    return value


def _kept(importance: Tensor, units: int) -> Tensor:
    """Indices of the most important units, in their old order."""
    return importance.argsort(descending=True, stable=True)[:units].sort().values


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
def cut(teacher: FTJNF, size: Size, activity: UnitActivity) -> FTJNF:
    """Cuts a student out of a teacher.

    Args:
        teacher: a trained network.
        size: of the student; directions over frequency and microphones must be the teacher's.
        activity: of the teacher's units.

    Raises:
        InputError: the student differs from the teacher in more than hidden units.
    """
    whole = teacher.size
    if (size.bi_freq, size.microphones) != (whole.bi_freq, whole.microphones):
        raise InputError(f"a student {size} cannot be a slice of a teacher {whole}: directions or microphones differ")
    student = FTJNF(size)
    n_f, n_t = min(size.f_hidden, whole.f_hidden), min(size.t_hidden, whole.t_hidden)

    keep_t = _kept(activity.t_lstm * teacher.linear.weight.norm(dim=0), n_t)
    into_t = _gates(_parameter(teacher.t_lstm, "weight_ih_l0"), keep_t, whole.t_hidden)  # (4 n_t, F or 2F)
    directions = ["", "_reverse"] if whole.bi_freq else [""]
    columns = []
    for number, direction in enumerate(directions):
        mine = slice(number * whole.f_hidden, (number + 1) * whole.f_hidden)
        recurrent = _parameter(teacher.f_lstm, f"weight_hh_l0{direction}")
        # a unit of the F-LSTM is heard by the T-LSTM and, at the next bin, by its own layer
        heard = (into_t[:, mine].norm(dim=0).square() + recurrent.norm(dim=0).square()).sqrt()
        keep_f = _kept(activity.f_lstm[mine] * heard, n_f)
        columns.append(keep_f + number * whole.f_hidden)
        _copy_lstm(student.f_lstm, teacher.f_lstm, direction, keep_f, None)
    _copy_lstm(student.t_lstm, teacher.t_lstm, "", keep_t, torch.cat(columns))
    if size.bi_freq and size.f_hidden > n_f:
        raise InputError(f"a bi-directional slice cannot be wider over frequency ({size}) than its teacher ({whole})")
    _parameter(student.t_lstm, "weight_ih_l0")[:, n_f * len(directions) :] = 0
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
