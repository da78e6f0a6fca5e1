"""The FT-JNF network (section 3, Figure 1): LSTM over frequency, LSTM over time, linear, tanh, complex mask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from data.errors import InputError
from model.stft import BINS, istft, stft

REFERENCE = 0
"""Index of the reference microphone (the centre of the array), to which the mask is applied (eq. 3)."""

Layer = Literal["f_lstm", "t_lstm", "linear", "mask"]
State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Size:
    """Hidden units of the two LSTM layers, and what else fixes the shape of the network.

    Args:
        f_hidden: F, hidden units of the F-LSTM (per direction).
        t_hidden: T, hidden units of the T-LSTM.
        bi_freq: whether the F-LSTM runs over frequency in both directions (still causal in time).
        microphones: M.
    """

    f_hidden: int
    t_hidden: int
    bi_freq: bool = False
    microphones: int = 5

    def __post_init__(self) -> None:
        for name in ("f_hidden", "t_hidden", "microphones"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 but is {getattr(self, name)}")

    def __str__(self) -> str:
        return f"{self.f_hidden}/{self.t_hidden}" + ("bi" if self.bi_freq else "")

    @classmethod
    def parse(cls, text: str, microphones: int = 5) -> Size:
        """Reads `80/32`, `80/32bi` or a row of Table 1 (`E`).

        Raises:
            InputError: the text is none of these.
        """
        row = TABLE_1.get(text.strip().upper())
        if row is not None:
            return cls(row.f_hidden, row.t_hidden, microphones=microphones)
        match = re.fullmatch(r"\s*(\d{1,5})\s*/\s*(\d{1,5})\s*(bi)?\s*", text)
        if match is None:
            raise InputError(
                f"size {text!r} is not understood; write F/T such as 80/32, or a row of Table 1 from A to I"
            )
        return cls(int(match[1]), int(match[2]), match[3] is not None, microphones)


TABLE_1 = {
    "A": Size(512, 128),  # printed 512/256, but every number of the row is that of 512/128
    "B": Size(256, 64),
    "C": Size(128, 32),
    "D": Size(88, 40),
    "E": Size(80, 32),
    "F": Size(72, 24),
    "G": Size(64, 16),
    "H": Size(56, 8),
    "I": Size(48, 8),
}
"""The sizes of the paper's Table 1; A is the teacher."""


class Activations(NamedTuple):
    """What the network computed, for eq. 3 and for the soft losses; a layer that was not asked for is None.

    With positions, the LSTM layers are given there alone, (B, P, C).

    Shapes: mask (B, K, L) complex; linear (B, K, L, 2); t_lstm (B, K, L, T); f_lstm (B, K, L, F), or 2F if `bi_freq`;
    state: the T-LSTM's (h, c), each (1, B*K, T), to be given to the call that continues the same signals.
    """

    mask: Tensor | None
    linear: Tensor | None
    t_lstm: Tensor | None
    f_lstm: Tensor
    state: State | None


class FTJNF(nn.Module):
    """Joint spatial and spectro-temporal non-linear filter. One network serves batches and streams.

    Args:
        size: hidden units, microphones and direction over frequency.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.f_lstm = nn.LSTM(2 * size.microphones, size.f_hidden, batch_first=True, bidirectional=size.bi_freq)
        self.t_lstm = nn.LSTM(size.f_hidden * (2 if size.bi_freq else 1), size.t_hidden, batch_first=True)
        self.linear = nn.Linear(size.t_hidden, 2)

    def forward(
        self, noisy: Tensor, state: State | None = None, upto: Layer = "mask", positions: Tensor | None = None
    ) -> Activations:
        """Computes the mask, or stops at an earlier layer.

        Args:
            noisy: (B, M, K, L) complex STFT of the noisy microphone signals.
            state: the T-LSTM state after the frames before these; None at the start of a signal.
            upto: the deepest layer that is needed.
            positions: (B, P) int, index k*L + l of bin and frame: where the LSTM layers' activations are wanted; None
                for everywhere.

        Raises:
            ValueError: the number of microphones is not the network's.
        """
        batch, microphones, bins, length = noisy.shape
        if microphones != self.size.microphones:
            raise ValueError(f"expected {self.size.microphones} microphones, got {microphones} in {tuple(noisy.shape)}")
        # (B, L, K, 2M): real parts of all microphones, then imaginary parts
        features = torch.cat((noisy.real, noisy.imag), dim=1).permute(0, 3, 2, 1)
        over_frequency, _ = self.f_lstm(features.reshape(batch * length, bins, -1))
        over_frequency = over_frequency.view(batch, length, bins, -1).transpose(1, 2)  # (B, K, L, F)
        over_frequency, heard_f = _heard(over_frequency, positions)
        if upto == "f_lstm":
            return Activations(None, None, None, heard_f, state)
        over_time, state = self.t_lstm(over_frequency.reshape(batch * bins, length, -1), state)
        over_time = over_time.view(batch, bins, length, -1)  # (B, K, L, T)
        over_time, heard_t = _heard(over_time, positions)
        if upto == "t_lstm":
            return Activations(None, None, heard_t, heard_f, state)
        linear = self.linear(over_time)  # (B, K, L, 2)
        if upto == "linear":
            return Activations(None, linear, heard_t, heard_f, state)
        mask = torch.view_as_complex(torch.tanh(linear.float()).contiguous())
        return Activations(mask, linear, heard_t, heard_f, state)

    def enhance(self, noisy: Tensor) -> Tensor:
        """Enhances whole signals: STFT, mask on the reference microphone (eq. 3), overlap-add.

        Args:
            noisy: (B, M, N) microphone signals at 16 kHz.

        Returns:
            (B, N) estimate of the clean anechoic speech at the reference microphone.
        """
        spectrum = stft(noisy)
        return apply_mask(self(spectrum), spectrum, noisy.shape[-1])


def _heard(layer: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor]:
    """A layer for what follows it, and what the soft losses hear of it: (B, P, C) at positions, or all."""
    if positions is None:
        return layer, layer
    passed, heard = _Tap.apply(layer, positions)
    return passed, heard


class _Tap(torch.autograd.Function):
    """A layer (B, K, L, C) unchanged, and its activations at some positions, (B, P, C).

    The positions' gradient is added where it belongs into the gradient that comes back through the layer. By way of
    indexing, autograd would make a second gradient of the whole layer, nearly all zeros, and add the two.
    """

    @staticmethod
    def forward(ctx: Any, layer: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        place = _place(layer, positions)
        ctx.save_for_backward(*place)
        ctx.shape, ctx.dtype, ctx.device = layer.shape, layer.dtype, layer.device
        return layer.view_as(layer), layer[place]

    @staticmethod
    def backward(ctx: Any, passed: Tensor | None, heard: Tensor | None) -> tuple[Tensor | None, None]:
        if heard is None:
            return passed, None
        if passed is None:
            passed = torch.zeros(ctx.shape, dtype=ctx.dtype, device=ctx.device)
        # in place: the layer has one consumer, so nobody else holds this gradient
        return passed.index_put_(ctx.saved_tensors, heard, accumulate=True), None


def _place(layer: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of clip, bin and frame; flattening bins and frames first would copy the F-LSTM's output."""
    positions = positions.to(layer.device)
    clip = torch.arange(layer.shape[0], device=layer.device)[:, None].expand_as(positions)
    return clip, positions // layer.shape[2], positions % layer.shape[2]


def at_positions(layer: Tensor, positions: Tensor) -> Tensor:
    """Activations at some time-frequency positions.

    Args:
        layer: (B, K, L, C).
        positions: (B, P) int, index k*L + l.

    Returns:
        (B, P, C).
    """
    return layer[_place(layer, positions)]


def apply_mask(activations: Activations, noisy_stft: Tensor, samples: int) -> Tensor:
    """Eq. 3 and the synthesis: (B, N) signal from the mask and the (B, M, K, L) noisy STFT."""
    assert activations.mask is not None
    assert noisy_stft.shape[-2] == BINS
    return istft(activations.mask * noisy_stft[:, REFERENCE], samples)
