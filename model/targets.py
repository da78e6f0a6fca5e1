"""The teacher's activations for a student to learn from: computed once for a fixed set, or beside each fresh batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import InputError
from data.examples import ExampleSet
from data.files import locked, making, read_json, text_digest, write_json
from model.distill import ORDER
from model.ftjnf import FTJNF, Layer, at_positions
from model.gram import Gram, draw_positions
from model.precision import arithmetic
from model.stft import BINS, frames, stft
from model.target_plan import LSTMS, POSITION_SETS, units_of
from model.target_room import drop, in_use

FORMAT = 1
"""Raised when stored targets change in a way that `target_key` does not see."""


class Teacher(Protocol):
    """Where a training gets its targets from."""

    def batch(self, indices: Sequence[int], epoch: int, noisy_stft: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Targets of some examples in an epoch.

        Args:
            indices: of the examples in their set.
            epoch: counts from the start of the training.
            noisy_stft: (B, M, K, L) complex, of the same examples.

        Returns:
            Activations by layer name, and the (B, P) positions at which the LSTM layers are given, or None where they
            are whole.
        """
        ...


def with_mask(targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Adds the mask, tanh of the linear layer, (B, K, L) complex."""
    if "linear" in targets:
        targets["mask"] = torch.view_as_complex(torch.tanh(targets["linear"].float()).contiguous())
    return targets


class TeacherBeside:
    """Runs the teacher on each batch: for what is not stored, and for the Gram forms that need whole layers.

    Args:
        net: the teacher.
        layers: the layers wanted, see `model.target_plan.layers_of`.
        gram: decides whether positions are drawn.
        seed: of the positions.
        precision: "fp32" or "bf16".
    """

    def __init__(self, net: FTJNF, layers: Sequence[Layer], gram: Gram, seed: int, precision: str) -> None:
        self.net, self.layers, self.gram, self.seed, self.precision = net.eval(), layers, gram, seed, precision

    @torch.no_grad()
    def batch(self, indices: Sequence[int], epoch: int, noisy_stft: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """See `Teacher`."""
        if not self.layers:
            return {}, None
        with arithmetic(self.precision, noisy_stft.device):
            activations = self.net(noisy_stft, upto=max(self.layers, key=ORDER.index))
        targets: dict[str, Tensor] = {layer: getattr(activations, layer) for layer in self.layers}
        positions = None
        if self.gram.form == "positions" and LSTMS & set(self.layers):
            cells = noisy_stft.shape[-1] * noisy_stft.shape[-2]
            rng = np.random.default_rng([self.seed, epoch, int(indices[0])])
            positions = draw_positions(cells, self.gram.positions, len(indices), rng).to(noisy_stft.device)
            for layer in sorted(targets.keys() & LSTMS):
                targets[layer] = at_positions(targets[layer], positions)
        return with_mask(targets), positions


class CachedTargets:
    """Targets of a fixed example set, memory-mapped: `linear` whole, the LSTM layers at sets of P positions, in turns.

    A 4 s clip takes 0.26 MB for `linear` and P x C x 2 bytes a set for an LSTM layer of C units, all in fp16: the
    activations are bounded by 1 (fp16 is exact to 0.0005 there), the linear layer is of the order of 1.

    Args:
        folder: of the targets.
        use: what marks it as in use.
    """

    def __init__(self, folder: Path, use: ExitStack | None = None) -> None:
        self.folder, self._use = Path(folder), use
        index: dict[str, Any] = read_json(self.folder / "index.json")
        try:
            self._maps: dict[str, NDArray[Any]] = {
                name: np.memmap(self.folder / name, dtype=dtype, mode="r", shape=tuple(shape))
                for name, (dtype, shape) in index["arrays"].items()
            }
        except (OSError, ValueError):
            raise InputError(f"{self.folder} holds no whole targets; delete it to have them made anew") from None

    def only(self, layers: Sequence[Layer]) -> CachedTargets:
        """The same targets of some layers alone: a set serves all methods of a search, and a student has one."""
        part = copy(self)
        wanted = {*layers, "positions"} if LSTMS & set(layers) else set(layers)
        part._maps = {name: values for name, values in self._maps.items() if name in wanted}
        return part

    def batch(self, indices: Sequence[int], epoch: int, noisy_stft: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """See `Teacher`."""
        device = noisy_stft.device
        targets: dict[str, Tensor] = {}
        positions = None
        for name, values in self._maps.items():
            if name == "linear":
                targets[name] = torch.from_numpy(np.stack([values[i] for i in indices])).to(device)
                continue
            turn = epoch % values.shape[1]
            part = torch.from_numpy(np.stack([values[i, turn] for i in indices])).to(device)
            if name == "positions":
                positions = part.long()
            else:
                targets[name] = part
        return with_mask(targets), positions


def target_key(
    net: FTJNF, digest: str, layers: Sequence[Layer], gram: Gram, *, seed: int, precision: str, position_sets: int
) -> dict[str, Any]:
    """All that shapes stored targets; the folders of a cache are named by it, so stale targets are never met.

    Args:
        net: the teacher.
        digest: of the example set, or of the fresh scenes.
        layers: that are stored.
        gram: has the number of positions.
        seed: of the positions.
        precision: arithmetic of the teacher's forward pass.
        position_sets: of each example.
    """
    return {
        "format": FORMAT,
        "teacher": network_digest(net),
        "set": digest,
        "layers": list(layers),
        "positions": gram.positions,
        "position_sets": position_sets,
        "seed": seed,
        "precision": precision,
    }


def targets_folder(
    net: FTJNF, examples: ExampleSet, layers: Sequence[Layer], gram: Gram, cache: Path, *, seed: int, precision: str,
    position_sets: int,
) -> tuple[Path, dict[str, Any]]:  # fmt: skip
    """Where the targets of a set lie, and their `target_key`."""
    key = target_key(net, examples.digest, layers, gram, seed=seed, precision=precision, position_sets=position_sets)
    return Path(cache) / f"targets-{text_digest(key)}", key


def build_targets(
    net: FTJNF,
    examples: ExampleSet,
    layers: Sequence[Layer],
    gram: Gram,
    cache: Path,
    *,
    seed: int,
    precision: str,
    device: torch.device,
    position_sets: int = POSITION_SETS,
    progress: Callable[[float], None] | None = None,
) -> CachedTargets:
    """Computes a teacher's targets for a fixed set, or opens them if they are in the cache.

    Args:
        net: the teacher.
        examples: a set of fixed length.
        layers: to be stored, at least one; see `model.target_plan`.
        gram: of the form "positions"; the other forms need whole layers, see `TeacherBeside`.
        cache: folder; the targets land in `cache/targets-DIGEST`, see `target_key`.
        seed: of the positions.
        precision: arithmetic of the teacher's forward pass.
        device: where it runs.
        position_sets: of each example.
        progress: called with the share that is done.

    Raises:
        InputError: examples of different lengths, or damaged targets in the cache.
        ValueError: a Gram form other than "positions".
    """
    if gram.form != "positions":
        raise ValueError(f"the Gram form {gram.form!r} needs whole layers, which are not cached; use TeacherBeside")
    if len(set(examples.lengths.tolist())) != 1:
        raise InputError(f"targets need examples of one length, but {examples.folder} has several")
    folder, key = targets_folder(
        net, examples, layers, gram, cache, seed=seed, precision=precision, position_sets=position_sets
    )
    use = in_use(folder)  # from before it is looked for: nobody drops it in between
    if not (folder / "index.json").exists():
        with locked(folder.with_name(f".{folder.name}.lock")):  # students that begin at once wait for the first
            if not (folder / "index.json").exists():
                if folder.exists() and not (folder / "index.json").exists():  # asked again, for where locks are none
                    drop(folder)  # the rest of one that was not deleted to the end: no new one would go in its place
                _compute(net, examples, layers, gram, folder, key, device, progress or (lambda share: None))
    return CachedTargets(folder, use)


def _compute(
    net: FTJNF,
    examples: ExampleSet,
    layers: Sequence[Layer],
    gram: Gram,
    folder: Path,
    key: dict[str, Any],
    device: torch.device,
    progress: Callable[[float], None],
) -> None:
    """Computes targets into `folder`; see `build_targets`."""
    n, length = len(examples), frames(int(examples.lengths[0]))
    count = min(gram.positions, BINS * length)
    sets = key["position_sets"]
    arrays: dict[str, tuple[str, tuple[int, ...]]] = {}
    if "linear" in layers:
        arrays["linear"] = ("float16", (n, BINS, length, 2))
    lstms = [layer for layer in layers if layer in LSTMS]
    for layer in lstms:
        arrays[layer] = ("float16", (n, sets, count, units_of(net.size, layer)))
    if lstms:
        arrays["positions"] = ("int32", (n, sets, count))
    with making(folder) as temporary:
        maps = {
            name: np.memmap(temporary / name, dtype=kind, mode="w+", shape=shape)
            for name, (kind, shape) in arrays.items()
        }
        for first in range(0, n, 4):
            chosen = list(range(first, min(first + 4, n)))
            noisy = stft(examples.batch(chosen)[0].to(device))
            with torch.no_grad(), arithmetic(key["precision"], device):
                activations = net.eval()(noisy, upto=max(layers, key=ORDER.index))
            if "linear" in maps:
                maps["linear"][chosen] = activations.linear.half().cpu().numpy()
            for turn in range(sets if lstms else 0):
                rng = np.random.default_rng([key["seed"], turn, first])
                positions = draw_positions(BINS * length, count, len(chosen), rng)
                maps["positions"][chosen, turn] = positions.numpy()
                for layer in lstms:
                    part = at_positions(getattr(activations, layer), positions.to(device))
                    maps[layer][chosen, turn] = part.half().cpu().numpy()
            progress((first + len(chosen)) / n)
        for values in maps.values():
            values.flush()
        del maps
        write_json(temporary / "index.json", {"key": key, "arrays": arrays})
        try:
            temporary.rename(folder)
        except OSError:  # on a file system without locks another process was faster with the very same targets
            if not (folder / "index.json").exists():
                raise


def network_digest(net: FTJNF) -> str:
    """A hash of a network's size and weights."""
    content = hashlib.sha256(repr(net.size).encode())
    for name, tensor in sorted(net.state_dict().items()):
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:16]
