"""The training of one network (section 5.2): stages, plateau, early stopping, atomic checkpoints, exact resume.

Everything random is drawn from the seed, the stage, the epoch and the step, so a checkpoint needs no random state, and
a training that was killed and resumed gives the same weights, bit for bit, as one that was not (same machine, torch
version and thread count). An epoch may take hours: there are checkpoints within it, too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import InputError
from data.examples import Examples
from data.files import text_digest
from model.allocator import release_freed_memory
from model.checkpoint import read_checkpoint, write_checkpoint
from model.distill import METHODS, total_loss
from model.epoch import EpochRecord, Progress
from model.ftjnf import FTJNF
from model.nested import slice_of_step, train_slice
from model.objective import Objective
from model.plateau import Plateau
from model.schedule import Stage
from model.stft import stft
from model.targets import Teacher
from model.train_config import TrainConfig
from model.weights import save_network

SAVE_EVERY = 300.0
"""Seconds of training after which a checkpoint is written within an epoch: the most that a kill can cost."""


class Training:
    """One network's training, epoch by epoch.

    Args:
        config: what it is.
        net: the network to train, at its start; replaced by the checkpoint's weights on resume.
        train: an `ExampleSet` or `FreshScenes`.
        val: the validation set for the losses.
        teacher: targets of `train`; None for the method "none".
        teacher_val: targets of `val`.
        folder: `last.pt` (everything) is written here after every epoch and, within one, every `SAVE_EVERY` seconds,
            `best.safetensors` when the last stage improves.
        device: where to train.
        recipe: how data and start were made; written into `best.safetensors` beside the configuration.

    Raises:
        InputError: the folder holds a checkpoint of another configuration or recipe, or a broken one.
    """

    def __init__(
        self,
        config: TrainConfig,
        net: FTJNF,
        train: Examples,
        val: Examples,
        teacher: Teacher | None,
        teacher_val: Teacher | None,
        folder: Path,
        device: torch.device,
        recipe: dict[str, Any] | None = None,
    ) -> None:
        if METHODS[config.method].layers and (teacher is None or teacher_val is None):
            raise InputError(f"the KD method {config.method!r} needs a teacher; give one or choose the method none")
        self.config, self.train, self.val = config, train, val
        self.teacher, self.teacher_val = teacher, teacher_val
        self.folder, self.device, self.recipe = Path(folder), device, recipe or {}
        self.net = net.to(device)
        self.objective = Objective(config, device)
        self.history: list[EpochRecord] = []
        self.progress = Progress()
        self._saved = time.monotonic()
        self._best: dict[str, Tensor] = {}
        self.stage = 0
        self._begin_stage()
        if (self.folder / "last.pt").exists():
            self._load()

    @property
    def finished(self) -> bool:
        """Whether all stages have ended."""
        return self.stage >= len(self.config.stages)

    @property
    def _epochs(self) -> int:
        """The most epochs of the current stage."""
        return self.config.stage_epochs[self.stage]

    def __iter__(self) -> Iterator[EpochRecord]:
        """Trains epoch after epoch; each is on disk before it is yielded. The caller may stop at any of them."""
        while not self.finished:
            yield self._epoch()

    def best_network(self) -> FTJNF:
        """The network of the current (or, after the end, last) stage's best epoch, in evaluation mode, on the CPU."""
        net = FTJNF(self.config.size)
        net.load_state_dict(self._best)
        return net.eval()

    # one epoch ------------------------------------------------------------------------------------------------------

    def _epoch(self) -> EpochRecord:
        started = time.monotonic() - self.progress.seconds
        config, stage, epochs = self.config, self.config.stages[self.stage], self._epochs
        order = np.random.default_rng([config.seed, self.stage, self._epoch_in_stage]).permutation(len(self.train))
        steps = -(-len(order) // config.batch)
        self.net.train()
        while self.progress.steps < steps:
            self._step(stage, order, steps)
            self.progress.seconds = time.monotonic() - started
            if time.monotonic() - self._saved >= SAVE_EVERY:
                self._save()
        if config.nested:
            release_freed_memory()
        train = self.progress.means()
        alpha = stage.alpha(self._epoch_in_stage + (steps - 1) / steps, epochs)
        val_hard, val_soft = self._validate(stage, alpha)
        watched = val_soft if stage.watches == "soft" else val_hard
        best = self._plateau.update(watched, counts=not stage.moves(self._epoch_in_stage, epochs))
        if best:
            self._best = {name: tensor.detach().cpu().clone() for name, tensor in self.net.state_dict().items()}
        record = EpochRecord(
            epoch=len(self.history) + 1,
            stage=stage.name,
            epoch_in_stage=self._epoch_in_stage + 1,
            alpha=alpha,
            lr=self._optimiser.param_groups[0]["lr"],
            loss_train=train[0],
            loss_train_hard=train[1],
            loss_train_soft=train[2],
            loss_val_hard=val_hard,
            loss_val_soft=val_soft,
            seconds=time.monotonic() - started,
            best=best,
            done=False,
            output_trained=not stage.only_soft or METHODS[config.method].trains_output,
            scales=self.objective.scales.state(),
        )
        self._epoch_in_stage += 1
        self.progress = Progress()
        early = config.lr_schedule == "plateau" and self._plateau.ended
        last_stage = self.stage == len(config.stages) - 1
        if best and last_stage:
            save_network(
                self.best_network(), self.folder / "best.safetensors", self.recipe | {"train": config.to_dict()}
            )
        if self._epoch_in_stage >= epochs or early:
            self.net.load_state_dict(self._best)
            self.stage += 1
            if not self.finished:
                self._begin_stage()
        record = replace(record, done=self.finished)
        self.history.append(record)
        self._save()
        return record

    def _step(self, stage: Stage, order: NDArray[np.int64], steps: int) -> None:
        """The next step of the epoch at hand.

        Args:
            stage: that it belongs to.
            order: of the training examples in this epoch.
            steps: of this epoch.
        """
        config, step, epoch = self.config, self.progress.steps, len(self.history)
        indices = order[step * config.batch : (step + 1) * config.batch].tolist()
        for group in self._optimiser.param_groups:
            group["lr"] = self._lr((self._epoch_in_stage + step / steps) / self._epochs)
        self._optimiser.zero_grad(set_to_none=True)
        alpha = stage.alpha(self._epoch_in_stage + step / steps, self._epochs)
        noisy, clean = (part.to(self.device) for part in self.train.batch(indices, epoch))
        spectrum = stft(noisy)
        output, hard, soft = self.objective(self.net, indices, spectrum, clean, stage, alpha, self.teacher, epoch)
        loss = total_loss(alpha, hard, soft)
        loss.backward()
        if config.nested:
            size = slice_of_step(config.size, (config.seed, self.stage, self._epoch_in_stage), step)
            train_slice(self.net, size, output, spectrum, clean, config.precision)
        if config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), config.clip_norm)
        self._optimiser.step()
        self.progress.add((loss, hard, soft), len(indices))

    def _begin_stage(self) -> None:
        """A fresh Adam, learning rate and plateau (section 5.2), from the best weights of the stage before."""
        self._optimiser = torch.optim.Adam(self.net.parameters(), lr=self.config.lr)
        self._plateau = Plateau(self.config.halve_after, self.config.stop_after)
        self._epoch_in_stage = 0
        self._best = {k: v.detach().cpu().clone() for k, v in self.net.state_dict().items()}

    def _lr(self, progress: float) -> float:
        if self.config.lr_schedule == "plateau":
            return self.config.lr * self._plateau.factor
        return self.config.lr * 0.5 * (1 + math.cos(math.pi * progress))

    @torch.no_grad()
    def _validate(self, stage: Stage, alpha: float) -> tuple[float, float]:
        self.net.eval()
        sums = np.zeros(2)
        for first in range(0, len(self.val), self.config.batch):
            indices = list(range(first, min(first + self.config.batch, len(self.val))))
            noisy, clean = (part.to(self.device) for part in self.val.batch(indices))
            spectrum = stft(noisy)
            _, hard, soft = self.objective(self.net, indices, spectrum, clean, stage, alpha, self.teacher_val, 0)
            sums += len(indices) * np.array([_value(hard), _value(soft)])
        hard_mean, soft_mean = sums / len(self.val)
        return float(hard_mean), float(soft_mean)

    # checkpoints ----------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        state = {
            "config": self.config.to_dict(),
            "recipe": text_digest(self.recipe),
            "stage": self.stage,
            "epoch_in_stage": self._epoch_in_stage,
            "net": self.net.state_dict(),
            "best": self._best,
            "optimiser": self._optimiser.state_dict(),
            "plateau": asdict(self._plateau),
            "scales": self.objective.scales.state(),
            "history": [asdict(record) for record in self.history],
            "progress": asdict(self.progress),
        }
        write_checkpoint(self.folder / "last.pt", state)
        self._saved = time.monotonic()

    def _load(self) -> None:
        def same(state: dict[str, Any]) -> bool:
            recipe = state.get("recipe") in (None, text_digest(self.recipe))
            return recipe and TrainConfig.from_dict(state["config"]) == self.config

        state = read_checkpoint(self.folder / "last.pt", same)
        self.stage, self._epoch_in_stage = state["stage"], state["epoch_in_stage"]
        self.net.load_state_dict(state["net"])
        self._best = state["best"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._plateau = Plateau(**state["plateau"])
        self.objective.scales.load(state["scales"])
        self.history = [EpochRecord(**record) for record in state["history"]]
        self.progress = Progress(**state.get("progress", {}))  # older checkpoints are all from the end of an epoch


def _value(loss: Tensor | None) -> float:
    return math.nan if loss is None else float(loss.detach())
