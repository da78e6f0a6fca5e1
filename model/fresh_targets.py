"""Targets of fresh scenes (`--remix`): the teacher runs once on each, for all trials of a machine that draw it.

A scene is known by epoch and number, so what the first trial computed the others read. Where a search has more epochs
than can be stored, its scenes come again after as many as can (`model.target_plan`), so the store holds them all.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from zipfile import BadZipFile

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
from model.target_plan import LSTMS
from model.target_room import in_use
from model.targets import target_key, with_mask

Arrays = dict[str, NDArray[np.generic]]


def fresh_folder(
    net: FTJNF, scenes: FreshScenes, layers: Sequence[Layer], gram: Gram, seed: int, precision: str, cache: Path,
    cycle: int | None = None,
) -> Path:  # fmt: skip
    """Where the targets of fresh scenes are stored: the name changes with all that shapes them, and with the cycle."""
    key = target_key(net, scenes.digest, layers, gram, seed=seed, precision=precision, position_sets=1)
    key["cycle"] = cycle  # or a search with less room would go on with a store that is larger
    return Path(cache) / f"fresh-{text_digest(key)}"


class FreshTargets:
    """The teacher's activations on fresh scenes: `linear` whole, the LSTM layers at P positions, in fp16.

    Args:
        net: the teacher.
        layers: those that are stored for the trials of the search, see `model.target_plan`.
        gram: of the form "positions".
        seed: of the positions, which differ from scene to scene and from epoch to epoch.
        precision: "fp32" or "bf16".
        folder: of the store; its name must change with all of the above and with the scenes.
        cycle: epochs after which the scenes come again; None for never.

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
        cycle: int | None = None,
    ) -> None:
        if gram.form != "positions":
            raise ValueError(f"the Gram form {gram.form!r} needs whole layers, which are not kept; use TeacherBeside")
        self.net, self.layers, self.gram, self.seed, self.precision = net.eval(), layers, gram, seed, precision
        self.folder, self.cycle, self._use = Path(folder), cycle, in_use(folder)
        self.computed = 0
        self._read_layers = tuple(layers)

    def only(self, layers: Sequence[Layer]) -> FreshTargets:
        """The same store for a student that needs some layers alone: it reads those, and writes all for the others."""
        part = copy(self)
        part._read_layers = tuple(layers)
        return part

    def batch(self, indices: Sequence[int], epoch: int, noisy_stft: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """See `model.targets.Teacher`."""
        if not self._read_layers:
            return {}, None
        epoch = epoch if self.cycle is None else epoch % self.cycle
        found = [self._read(epoch, index) for index in indices]
        missing = [i for i, arrays in enumerate(found) if arrays is None]
        if missing:
            made = self._compute([indices[i] for i in missing], epoch, noisy_stft[missing])
            for i, arrays in zip(missing, made, strict=True):
                self._write(epoch, indices[i], arrays)
                found[i] = {name: arrays[name] for name in self._names}
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

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self._read_layers, "positions") if LSTMS & set(self._read_layers) else self._read_layers

    def _path(self, epoch: int, index: int) -> Path:
        return self.folder / f"{epoch:05d}" / f"{index:07d}.npz"

    def _read(self, epoch: int, index: int) -> Arrays | None:
        try:
            with np.load(self._path(epoch, index), allow_pickle=False) as file:
                return {name: file[name] for name in self._names}
        except (OSError, ValueError, EOFError, KeyError, BadZipFile):  # not there, or damaged
            return None

    def _write(self, epoch: int, index: int, arrays: Arrays) -> None:
        """What cannot be kept is computed anew by whoever needs it: no reason to end a training."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        with suppress(OSError):
            write_atomic(self._path(epoch, index), buffer.getvalue())
