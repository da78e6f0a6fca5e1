"""Checkpoints of trainings: written whole or not at all, read without executing code."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from data.errors import InputError
from data.files import write_atomic


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a training's state.

    Args:
        path: of the file, which is replaced in one step.
        state: tensors and plain Python values only; anything else could not be read again.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def read_checkpoint(path: Path, same: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Reads a training's state, onto the CPU.

    Args:
        path: of the file.
        same: tells from the state whether it is that of the training at hand.

    Raises:
        InputError: the file is broken, or belongs to another training.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        fits = same(state)
    except Exception as error:  # whatever a broken file makes torch raise
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(f"{path} cannot be read as a checkpoint ({reason}); delete it to train anew") from None
    if not fits:
        raise InputError(
            f"{path} is the checkpoint of other settings or other data; choose another folder or delete it"
        )
    return state
