"""The hard loss (eq. 4): what a network is trained on when nothing is distilled, and in stage 2 of every method."""

from __future__ import annotations

from torch import Tensor

from model.stft import stft


def hard_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """L1 loss in time plus L1 loss of the STFT magnitudes after re-analysis (eq. 4), per sample.

    The two sums of eq. 4 are added as the paper writes them, the STFT being the unnormalised one of `model.stft`, and
    their total is divided by the number of samples B*N: their relative weight is the paper's, while the value, and with
    it Adam's epsilon and the logged curves, depends neither on the clip length nor on the batch.

    Args:
        estimate: (B, N) output of the network, samples at 16 kHz.
        clean: (B, N) clean anechoic speech at the reference microphone.

    Returns:
        Scalar. Its gradient is finite everywhere: where a magnitude is exactly zero (the zeros before a signal, a
        silent estimate) the subgradient 0 is taken.

    Raises:
        ValueError: the shapes differ, or are not (B, N).
    """
    if estimate.shape != clean.shape or estimate.dim() != 2:
        raise ValueError(f"expected two (B, N) signals, got {tuple(estimate.shape)} and {tuple(clean.shape)}")
    in_time = (estimate - clean).abs().sum()
    in_magnitude = (stft(estimate).abs() - stft(clean).abs()).abs().sum()
    return (in_time + in_magnitude) / estimate.numel()
