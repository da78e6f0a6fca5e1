"""The training of one network (section 5.2): stages, plateau, early stopping, atomic checkpoints, exact resume.

Everything random is drawn from the seed, the stage and the epoch, so a checkpoint needs no random state, and a training
that was killed and resumed gives the same weights, bit for bit, as one that was not (same machine, torch version and
thread count).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.errors import InputError
from data.examples import Examples
from data.files import text_digest
from model.checkpoint import read_checkpoint, write_checkpoint
from model.distill import METHODS, Stage, TermScales, soft_terms, total_loss
from model.ftjnf import FTJNF, Activations, apply_mask
from model.losses import hard_loss
from model.nested import train_slice
from model.plateau import Plateau
from model.precision import arithmetic
from model.stft import stft
from model.targets import Teacher
from model.train_config import TrainConfig
from model.weights import save_network


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch did. Losses are means over examples; NaN where a loss was not computed.

    `epoch` counts over all stages from 1, `alpha` and `lr` are those of its last step, `best` tells whether the epoch
    is the best of its stage so far, `done` whether it was the last one of the training, `output_trained` whether a PESQ
    of this epoch means anything.
    """

    epoch: int
    stage: str
    epoch_in_stage: int
    alpha: float
    lr: float
    loss_train: float
    loss_train_hard: float
    loss_train_soft: float
    loss_val_hard: float
    loss_val_soft: float
    seconds: float
    best: bool
    done: bool
    output_trained: bool
    scales: dict[str, float]


class Training:
    """One network's training, epoch by epoch.

    Args:
        config: what it is.
        net: the network to train, at its start; replaced by the checkpoint's weights on resume.
        train: an `ExampleSet` or `FreshScenes`.
        val: the validation set for the losses.
        teacher: targets of `train`; None for the method "none".
        teacher_val: targets of `val`.
        folder: `last.pt` (everything) is written here after every epoch, `best.safetensors` when the last stage
            improves.
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
        self.scales = TermScales(config.soft_scale)
        self.history: list[EpochRecord] = []
        self._best: dict[str, Tensor] = {}
        self.stage = 0
        self._begin_stage()
        if (self.folder / "last.pt").exists():
            self._load()

    @property
    def finished(self) -> bool:
        """Whether all stages have ended."""
        return self.stage >= len(self.config.stages)

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
        started = time.monotonic()
        config, stage = self.config, self.config.stages[self.stage]
        alpha = stage.alpha(self._epoch_in_stage, config.epochs)
        order = np.random.default_rng([config.seed, self.stage, self._epoch_in_stage]).permutation(len(self.train))
        steps = -(-len(order) // config.batch)
        self.net.train()
        sums = np.zeros(3)
        for step in range(steps):
            indices = order[step * config.batch : (step + 1) * config.batch].tolist()
            for group in self._optimiser.param_groups:
                group["lr"] = self._lr((self._epoch_in_stage + step / steps) / config.epochs)
            self._optimiser.zero_grad(set_to_none=True)
            alpha = stage.alpha(self._epoch_in_stage + step / steps, config.epochs)
            noisy, clean = self._examples(indices)
            spectrum = stft(noisy)
            output = self._forward(spectrum, stage)
            epoch = len(self.history)
            hard, soft = self._losses(indices, spectrum, output, clean, stage, alpha, self.teacher, epoch)
            loss = total_loss(alpha, hard, soft)
            loss.backward()
            if config.nested:
                rng = np.random.default_rng([config.seed, self.stage, self._epoch_in_stage, step])
                train_slice(self.net, output, spectrum, clean, config.precision, rng)
            if config.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.net.parameters(), config.clip_norm)
            self._optimiser.step()
            sums += len(indices) * np.array([_value(loss), _value(hard), _value(soft)])
        train = (sums / len(order)).tolist()  # plain floats: a checkpoint with numpy's would not load without pickle
        val_hard, val_soft = self._validate(stage, alpha)
        watched = val_soft if stage.watches == "soft" else val_hard
        best = self._plateau.update(watched)
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
            scales=self.scales.state(),
        )
        self._epoch_in_stage += 1
        early = config.lr_schedule == "plateau" and self._plateau.ended
        last_stage = self.stage == len(config.stages) - 1
        if best and last_stage:
            save_network(
                self.best_network(), self.folder / "best.safetensors", self.recipe | {"train": config.to_dict()}
            )
        if self._epoch_in_stage >= config.epochs or early:
            self.net.load_state_dict(self._best)
            self.stage += 1
            if not self.finished:
                self._begin_stage()
        record = replace(record, done=self.finished)
        self.history.append(record)
        self._save()
        return record

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

    def _examples(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        noisy, clean = self.train.batch(indices, len(self.history))
        return noisy.to(self.device), clean.to(self.device)

    def _forward(self, spectrum: Tensor, stage: Stage) -> Activations:
        with arithmetic(self.config.precision, self.device):
            return self.net(spectrum, upto=METHODS[self.config.method].upto if stage.only_soft else "mask")

    def _losses(
        self,
        indices: Sequence[int],
        spectrum: Tensor,
        output: Activations,
        clean: Tensor,
        stage: Stage,
        alpha: float,
        teacher: Teacher | None,
        epoch: int,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Hard and soft loss of a batch; each only where its weight or the stage asks for it."""
        method = METHODS[self.config.method]
        hard = None if stage.only_soft else hard_loss(apply_mask(output, spectrum, clean.shape[-1]), clean)
        soft = None
        if method.layers and not stage.only_hard and alpha < 1:
            assert teacher is not None
            targets, positions = teacher.batch(indices, epoch, spectrum)
            terms = soft_terms(method, _in_fp32(output), targets, self.config.gram, positions)
            soft = self.scales.apply(terms)
        return hard, soft

    @torch.no_grad()
    def _validate(self, stage: Stage, alpha: float) -> tuple[float, float]:
        self.net.eval()
        sums = np.zeros(2)
        for first in range(0, len(self.val), self.config.batch):
            indices = list(range(first, min(first + self.config.batch, len(self.val))))
            noisy, clean = (part.to(self.device) for part in self.val.batch(indices))
            spectrum = stft(noisy)
            output = self._forward(spectrum, stage)
            hard, soft = self._losses(indices, spectrum, output, clean, stage, alpha, self.teacher_val, 0)
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
            "scales": self.scales.state(),
            "history": [asdict(record) for record in self.history],
        }
        write_checkpoint(self.folder / "last.pt", state)

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
        self.scales.load(state["scales"])
        self.history = [EpochRecord(**record) for record in state["history"]]


def _value(loss: Tensor | None) -> float:
    return math.nan if loss is None else float(loss.detach())


def _in_fp32(output: Activations) -> Activations:
    """The activations as the soft losses want them, whatever the products ran in."""
    return output._replace(
        linear=None if output.linear is None else output.linear.float(),
        t_lstm=None if output.t_lstm is None else output.t_lstm.float(),
        f_lstm=output.f_lstm.float(),
    )
