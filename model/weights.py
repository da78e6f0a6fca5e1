"""Weights in one file: safetensors, with the size and the recipe as metadata. Loading executes no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from data.errors import InputError
from data.files import write_atomic
from model.ftjnf import FTJNF, Size


def save_network(net: FTJNF, path: Path, recipe: dict[str, Any] | None = None) -> None:
    """Writes a network's weights with its size, and with whatever tells how it was made, whole or not at all.

    Equal networks with equal recipes become equal bytes.
    """
    size = {
        "f_hidden": net.size.f_hidden,
        "t_hidden": net.size.t_hidden,
        "bi_freq": net.size.bi_freq,
        "microphones": net.size.microphones,
    }
    metadata = {"architecture": "FT-JNF", "size": json.dumps(size), "recipe": json.dumps(recipe or {})}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    write_atomic(path, _canonical(save(tensors, metadata)))


def _canonical(content: bytes) -> bytes:
    """The same safetensors file with its header sorted.

    safetensors writes the metadata in an order that changes from call to call; equal networks shall be equal files.
    """
    start, header_end = 8, 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[start:header_end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # as the format wants the tensors aligned
    return len(header).to_bytes(8, "little") + header + content[header_end:]


def load_network(path: Path, microphones: int | None = None) -> tuple[FTJNF, dict[str, Any]]:
    """Reads what `save_network` wrote.

    Args:
        path: the safetensors file.
        microphones: M of the scenes the network is wanted for; None accepts any.

    Returns:
        The network, in evaluation mode, and its recipe.

    Raises:
        InputError: the file is missing, broken, of another architecture, for another number of microphones, or of a
            training that diverged.
    """
    if not Path(path).is_file():
        raise InputError(f"no weights at {path}; give a safetensors file written by `python -m model.teacher train`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a mapping
        size = Size(**json.loads(metadata["size"]))
        recipe = json.loads(metadata.get("recipe", "{}"))
        if not isinstance(recipe, dict):
            raise ValueError("its recipe is no JSON object")
        net = FTJNF(size)
        net.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(
            f"{path} does not hold FT-JNF weights ({reason}); give a file written by this project"
        ) from None
    if not all(bool(torch.isfinite(tensor).all()) for tensor in net.state_dict().values()):
        raise InputError(f"{path} holds weights that are not finite: its training diverged; use others or train anew")
    if microphones is not None and size.microphones != microphones:
        raise InputError(
            f"{path} is a network for {size.microphones} microphones but the array has {microphones}; "
            "train a teacher on this array or choose the array it was trained on"
        )
    return net.eval(), recipe
