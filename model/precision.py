"""Where and in which arithmetic a network is trained."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from data.errors import InputError

ARITHMETICS = ("fp32", "bf16")
"""What a network can be trained in."""
PRECISIONS = ("auto", *ARITHMETICS)
"""What a user may ask for."""


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is the first CUDA device if there is one, else the CPU.

    Raises:
        InputError: the device does not exist.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); try cpu") from None
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """`auto` is bf16 on processors with tile or vector units for it (2 to 2.6 times faster there), else fp32.

    bf16 means automatic mixed precision: weights, optimiser, losses and STFT stay in fp32, the LSTMs' products run in
    bf16. Scores are always computed in fp32.

    Raises:
        InputError: no such precision.
    """
    if name not in PRECISIONS:
        raise InputError(f"precision {name!r} is not known; choose from {', '.join(PRECISIONS)}")
    if name != "auto":
        return name
    # cuDNN's fp32 LSTM is kept on CUDA
    return "bf16" if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else "fp32"


def arithmetic(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a network's forward pass runs."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
