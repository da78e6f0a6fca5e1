"""The FT-JNF network (section 3, Figure 1): LSTM over frequency, LSTM over time, linear, tanh, complex mask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

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

    def forward(self, noisy: Tensor, state: State | None = None, upto: Layer = "mask") -> Activations:
        """Computes the mask, or stops at an earlier layer.

        Args:
            noisy: (B, M, K, L) complex STFT of the noisy microphone signals.
            state: the T-LSTM state after the frames before these; None at the start of a signal.
            upto: the deepest layer that is needed.

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
        if upto == "f_lstm":
            return Activations(None, None, None, over_frequency, state)
        over_time, state = self.t_lstm(over_frequency.reshape(batch * bins, length, -1), state)
        over_time = over_time.view(batch, bins, length, -1)  # (B, K, L, T)
        if upto == "t_lstm":
            return Activations(None, None, over_time, over_frequency, state)
        linear = self.linear(over_time)  # (B, K, L, 2)
        if upto == "linear":
            return Activations(None, linear, over_time, over_frequency, state)
        mask = torch.view_as_complex(torch.tanh(linear.float()).contiguous())
        return Activations(mask, linear, over_time, over_frequency, state)

    def enhance(self, noisy: Tensor) -> Tensor:
        """Enhances whole signals: STFT, mask on the reference microphone (eq. 3), overlap-add.

        Args:
            noisy: (B, M, N) microphone signals at 16 kHz.

        Returns:
            (B, N) estimate of the clean anechoic speech at the reference microphone.
        """
        spectrum = stft(noisy)
        return apply_mask(self(spectrum), spectrum, noisy.shape[-1])


def apply_mask(activations: Activations, noisy_stft: Tensor, samples: int) -> Tensor:
    """Eq. 3 and the synthesis: (B, N) signal from the mask and the (B, M, K, L) noisy STFT."""
    assert activations.mask is not None
    assert noisy_stft.shape[-2] == BINS
    return istft(activations.mask * noisy_stft[:, REFERENCE], samples)
