"""One framing for training, streaming and export: STFT 512/256 with square-root Hann windows (section 5.1).

Frame l covers the samples [(l-1)*256, (l+1)*256): zeros stand before the first sample, so that frame 0 is complete as
soon as the first hop of 256 samples is there, and zeros after the last one flush the last hop. A stream therefore takes
a hop in, and gives a hop out that is one hop old: the algorithmic latency is 512 samples = 32 ms, half of it waiting
for the hop to fill, half of it waiting for the overlapping frame.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

FRAME = 512
"""Frame length in samples, 32 ms."""
HOP = 256
"""Frame shift in samples, 16 ms."""
BINS = FRAME // 2 + 1
"""K, the number of frequency bins."""
LATENCY = FRAME
"""Samples between the arrival of a sample and its enhanced counterpart in a stream."""


@functools.lru_cache(maxsize=8)
def window(device: torch.device | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """The square-root Hann window, (512,), for analysis and synthesis: at half overlap its squares add up to one."""
    with torch.inference_mode(False):  # first wanted while scoring, it must serve training later all the same
        return torch.hann_window(FRAME, periodic=True, dtype=torch.float64).sqrt().to(device=device, dtype=dtype)


def frames(samples: int) -> int:
    """L, the number of frames that carry a signal of that many samples, the flushing one included."""
    return -(-samples // HOP) + 1


def stft(signal: Tensor) -> Tensor:
    """Short-time Fourier transform in the causal framing.

    Args:
        signal: (..., N) real samples.

    Returns:
        (..., K, L) complex, L = ceil(N / 256) + 1.
    """
    padding = frames(signal.shape[-1]) * HOP - signal.shape[-1]
    padded = torch.nn.functional.pad(signal, (HOP, padding))
    blocks = padded.unfold(-1, FRAME, HOP) * window(signal.device, signal.dtype)
    return torch.fft.rfft(blocks).transpose(-1, -2)


def istft(spectrum: Tensor, samples: int) -> Tensor:
    """Overlap-add synthesis, the inverse of `stft`.

    Args:
        spectrum: (..., K, L) complex.
        samples: N, the length of the signal wanted.

    Returns:
        (..., N) real samples.

    Raises:
        ValueError: the spectrum has too few frames for that many samples.
    """
    if spectrum.shape[-1] < frames(samples):
        raise ValueError(f"{samples} samples need {frames(samples)} frames, got {spectrum.shape[-1]}")
    blocks = torch.fft.irfft(spectrum.transpose(-1, -2), n=FRAME)
    blocks = blocks * window(blocks.device, blocks.dtype)
    # frame l's first half overlaps frame l-1's second half; what comes before the first sample is dropped
    hops = blocks[..., 1:, :HOP] + blocks[..., :-1, HOP:]
    return hops.flatten(-2)[..., :samples]
