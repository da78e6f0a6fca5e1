"""Targets of fresh scenes (`--remix`): the teacher runs once on each, for all trials of a machine that draw it.

A scene is known by epoch and number, so what the first trial computed the others read. Epochs that were written longest
ago are dropped when the store outgrows its limit; a trial that comes later computes them anew.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.examples import FreshScenes
from data.files import text_digest, write_atomic
from model.distill import ORDER
from model.ftjnf import FTJNF, Layer, at_positions
from model.gram import Gram, draw_positions
from model.precision import arithmetic
from model.targets import network_digest, with_mask

Arrays = dict[str, NDArray[np.generic]]


def fresh_folder(
    net: FTJNF, scenes: FreshScenes, layers: Sequence[Layer], gram: Gram, seed: int, precision: str, cache: Path
) -> Path:
    """Where the targets of fresh scenes are stored: the name changes with all that shapes them."""
    key = [network_digest(net), scenes.digest, list(layers), gram.positions, seed, precision]
    return Path(cache) / f"fresh-{text_digest(key)}"


LOOK_EVERY = 64
"""Scenes written between two looks at the size of the store."""


class FreshTargets:
    """The teacher's activations on fresh scenes: `linear` whole, the LSTM layers at P positions, in fp16.

    Args:
        net: the teacher.
        layers: those that any trial of the search may want, see `model.targets.layers_of`.
        gram: of the form "positions".
        seed: of the positions, which differ from scene to scene and from epoch to epoch.
        precision: "fp32" or "bf16".
        folder: of the store; its name must change with all of the above and with the scenes.
        limit: bytes that it may take; at least the epoch at hand is kept.

    Raises:
        ValueError: a Gram form that needs whole layers.
    """

    def __init__(
        self,
        net: FTJNF,
        layers: Sequence[Layer],
        gram: Gram,
        seed: int,
        precision: str,
        folder: Path,
        limit: float,
    ) -> None:
        if gram.form != "positions":
            raise ValueError(f"the Gram form {gram.form!r} needs whole layers, which are not kept; use TeacherBeside")
        self.net, self.layers, self.gram, self.seed, self.precision = net.eval(), layers, gram, seed, precision
        self.folder, self.limit = Path(folder), limit
        self.computed = 0
        self._unseen = LOOK_EVERY

    def batch(self, indices: Sequence[int], epoch: int, noisy_stft: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """See `model.targets.Teacher`."""
        if not self.layers:
            return {}, None
        found = [self._read(epoch, index) for index in indices]
        missing = [i for i, arrays in enumerate(found) if arrays is None]
        if missing:
            made = self._compute([indices[i] for i in missing], epoch, noisy_stft[missing])
            for i, arrays in zip(missing, made, strict=True):
                self._write(epoch, indices[i], arrays)
                found[i] = arrays
        device = noisy_stft.device
        together = {
            name: torch.from_numpy(np.stack([arrays[name] for arrays in found if arrays is not None])).to(device)
            for name in (found[0] or {})
        }
        positions = together.pop("positions", None)
        return with_mask(together), None if positions is None else positions.long()

    @torch.no_grad()
    def _compute(self, indices: Sequence[int], epoch: int, noisy_stft: Tensor) -> list[Arrays]:
        self.computed += len(indices)
        with arithmetic(self.precision, noisy_stft.device):
            activations = self.net(noisy_stft, upto=max(self.layers, key=ORDER.index))
        cells = noisy_stft.shape[-1] * noisy_stft.shape[-2]
        made: list[Arrays] = []
        for row, index in enumerate(indices):
            arrays: Arrays = {}
            if activations.linear is not None and "linear" in self.layers:
                arrays["linear"] = activations.linear[row].half().cpu().numpy()
            lstms = [layer for layer in self.layers if layer != "linear"]
            if lstms:
                rng = np.random.default_rng([self.seed, epoch, index])
                positions = draw_positions(cells, self.gram.positions, 1, rng)
                arrays["positions"] = positions[0].int().numpy()
                for layer in lstms:
                    part = at_positions(getattr(activations, layer)[row : row + 1], positions)
                    arrays[layer] = part[0].half().cpu().numpy()
            made.append(arrays)
        return made

    def _path(self, epoch: int, index: int) -> Path:
        return self.folder / f"{epoch:05d}" / f"{index:07d}.npz"

    def _read(self, epoch: int, index: int) -> Arrays | None:
        try:
            with np.load(self._path(epoch, index), allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError):  # not there, or dropped while it was read
            return None

    def _write(self, epoch: int, index: int, arrays: Arrays) -> None:
        """What cannot be kept is computed anew by whoever needs it: no reason to end a training."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        try:
            write_atomic(self._path(epoch, index), buffer.getvalue())
            self._unseen += 1
            if self._unseen >= LOOK_EVERY:
                self._unseen = 0
                self._make_room(epoch)
        except OSError:
            return

    def _make_room(self, epoch: int) -> None:
        """Drops the epochs that were written longest ago, but not the one at hand."""
        sizes = {
            folder: sum(file.stat().st_size for file in folder.glob("*.npz"))
            for folder in sorted(self.folder.iterdir(), key=lambda one: one.stat().st_mtime)
            if folder.is_dir()
        }
        total = sum(sizes.values())
        for folder, size in sizes.items():
            if total <= self.limit:
                return
            if folder.name != f"{epoch:05d}":
                shutil.rmtree(folder, ignore_errors=True)
                total -= size
