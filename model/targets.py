"""The teacher's activations for a student to learn from: computed once for a fixed set, or beside each fresh batch."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Container, Sequence
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
from model.distill import METHODS, ORDER
from model.ftjnf import FTJNF, Layer, Size, at_positions
from model.gram import Gram, draw_positions
from model.precision import arithmetic
from model.stft import BINS, frames, stft

FORMAT = 1
POSITION_SETS = 4
"""Sets of random positions kept for each example; epochs take turns."""


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


def layers_of(methods: Sequence[str]) -> tuple[Layer, ...]:
    """The layers that some KD methods need of the teacher, from input to output; the mask is had from `linear`."""
    wanted = {("linear" if layer == "mask" else layer) for name in methods for layer, _ in METHODS[name].layers}
    return tuple(layer for layer in ORDER if layer in wanted)


def with_mask(targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Adds the mask, tanh of the linear layer, (B, K, L) complex."""
    if "linear" in targets:
        targets["mask"] = torch.view_as_complex(torch.tanh(targets["linear"].float()).contiguous())
    return targets


class TeacherBeside:
    """Runs the teacher on each batch: for fresh scenes (`--remix`), and for the Gram forms that need whole layers.

    Args:
        net: the teacher.
        layers: the layers wanted, see `layers_of`.
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
        if self.gram.form == "positions" and {"f_lstm", "t_lstm"} & set(self.layers):
            cells = noisy_stft.shape[-1] * noisy_stft.shape[-2]
            rng = np.random.default_rng([self.seed, epoch, int(indices[0])])
            positions = draw_positions(cells, self.gram.positions, len(indices), rng).to(noisy_stft.device)
            for layer in sorted(targets.keys() & {"f_lstm", "t_lstm"}):
                targets[layer] = at_positions(targets[layer], positions)
        return with_mask(targets), positions


class CachedTargets:
    """Targets of a fixed example set, memory-mapped: `linear` whole, the LSTM layers at `POSITION_SETS` x P positions.

    A 4 s clip takes 0.26 MB for `linear` and 4 x P x C x 2 bytes for an LSTM layer of C units, all in fp16: the
    activations are bounded by 1 (fp16 is exact to 0.0005 there), the linear layer is of the order of 1.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
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
        wanted = {*layers, "positions"} if {"f_lstm", "t_lstm"} & set(layers) else set(layers)
        part._maps = {name: values for name, values in self._maps.items() if name in wanted}
        return part

    def batch(self, indices: Sequence[int], epoch: int, noisy_stft: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """See `Teacher`."""
        device = noisy_stft.device
        turn = epoch % POSITION_SETS
        targets: dict[str, Tensor] = {}
        positions = None
        for name, values in self._maps.items():
            if name == "linear":
                targets[name] = torch.from_numpy(np.stack([values[i] for i in indices])).to(device)
                continue
            part = torch.from_numpy(np.stack([values[i, turn] for i in indices])).to(device)
            if name == "positions":
                positions = part.long()
            else:
                targets[name] = part
        return with_mask(targets), positions


def targets_bytes(size: Size, examples: int, length: int, methods: Sequence[str], gram: Gram) -> int:
    """Bytes of a set's targets on disk.

    Args:
        size: of the teacher.
        examples: in the set.
        length: L, frames of an example.
        methods: the KD methods that will be trained.
        gram: of the form "positions".
    """
    layers = layers_of(methods)
    widths = {"f_lstm": size.f_hidden * (2 if size.bi_freq else 1), "t_lstm": size.t_hidden}
    count = min(gram.positions, BINS * length)
    lstms = [widths[layer] for layer in layers if layer in widths]
    whole = 2 * 2 * BINS * length if "linear" in layers else 0
    return examples * (whole + POSITION_SETS * count * (2 * sum(lstms) + (4 if lstms else 0)))


def drop_oldest(cache: Path, needed: float, limit: float, keep: Container[Path] = ()) -> None:
    """Makes room for so many bytes in a cache of targets, by dropping those that were written longest ago.

    Those of fresh scenes (`model.fresh_targets`) lie there, too: each store keeps its own limit, and an old one goes.

    Args:
        cache: folder of the targets.
        needed: bytes.
        limit: most bytes in the folder.
        keep: what must not be dropped.
    """
    found = [folder for kind in ("targets-*", "fresh-*") for folder in Path(cache).glob(kind) if folder.is_dir()]
    sizes = {
        folder: sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        for folder in sorted(found, key=lambda folder: folder.stat().st_mtime)
    }
    total = sum(sizes.values())
    for folder, size in sizes.items():
        if total + needed <= limit:
            return
        if folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size


def targets_folder(
    net: FTJNF, examples: ExampleSet, methods: Sequence[str], gram: Gram, cache: Path, *, seed: int, precision: str
) -> tuple[Path, dict[str, Any]]:
    """Where the targets of a set lie, and the key that the folder is named by: stale targets are never met."""
    key = {
        "format": FORMAT,
        "teacher": network_digest(net),
        "set": examples.digest,
        "layers": layers_of(methods),
        "positions": gram.positions,
        "seed": seed,
        "precision": precision,
    }
    return Path(cache) / f"targets-{text_digest(key)}", key


def build_targets(
    net: FTJNF,
    examples: ExampleSet,
    methods: Sequence[str],
    gram: Gram,
    cache: Path,
    *,
    seed: int,
    precision: str,
    device: torch.device,
    progress: Callable[[float], None] | None = None,
) -> CachedTargets | None:
    """Computes a teacher's targets for a fixed set, or opens them if they are in the cache.

    Args:
        net: the teacher.
        examples: a set of fixed length.
        methods: the KD methods that will be trained; decides the layers.
        gram: of the form "positions"; the other forms need whole layers, see `TeacherBeside`.
        cache: folder; the targets land in `cache/targets-DIGEST`, keyed by weights, set, layers, positions and seed.
        seed: of the positions.
        precision: arithmetic of the teacher's forward pass.
        device: where it runs.
        progress: called with the share that is done.

    Returns:
        None if no method needs a teacher.

    Raises:
        InputError: examples of different lengths, or damaged targets in the cache.
        ValueError: a Gram form other than "positions".
    """
    if gram.form != "positions":
        raise ValueError(f"the Gram form {gram.form!r} needs whole layers, which are not cached; use TeacherBeside")
    layers = layers_of(methods)
    if not layers:
        return None
    if len(set(examples.lengths.tolist())) != 1:
        raise InputError(f"targets need examples of one length, but {examples.folder} has several")
    folder, key = targets_folder(net, examples, methods, gram, cache, seed=seed, precision=precision)
    if (folder / "index.json").exists():
        return CachedTargets(folder)
    with locked(folder.with_name(f".{folder.name}.lock")):  # students that begin at once wait for the first of them
        if not (folder / "index.json").exists():
            _compute(net, examples, layers, gram, folder, key, device, progress or (lambda share: None))
    return CachedTargets(folder)


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
    widths = {"f_lstm": net.size.f_hidden * (2 if net.size.bi_freq else 1), "t_lstm": net.size.t_hidden}
    arrays: dict[str, tuple[str, tuple[int, ...]]] = {}
    if "linear" in layers:
        arrays["linear"] = ("float16", (n, BINS, length, 2))
    lstms = [layer for layer in layers if layer in widths]
    for layer in lstms:
        arrays[layer] = ("float16", (n, POSITION_SETS, count, widths[layer]))
    if lstms:
        arrays["positions"] = ("int32", (n, POSITION_SETS, count))
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
            for turn in range(POSITION_SETS if lstms else 0):
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
