"""What a training step minimises: the hard and the soft loss of a batch, each where the stage asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.distill import METHODS, Stage, TermScales, soft_terms
from model.ftjnf import FTJNF, Activations, apply_mask
from model.losses import hard_loss
from model.precision import arithmetic
from model.targets import Teacher
from model.train_config import TrainConfig


class Objective:
    """The losses of one training.

    Args:
        config: of the training.
        device: where the network runs.
    """

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self.method, self.gram, self.precision = METHODS[config.method], config.gram, config.precision
        self.device = device
        self.scales = TermScales(config.soft_scale)

    def forward(self, net: FTJNF, spectrum: Tensor, stage: Stage) -> Activations:
        """The network's activations for (B, M, K, L) spectra, as far as the stage needs them."""
        with arithmetic(self.precision, self.device):
            output: Activations = net(spectrum, upto=self.method.upto if stage.only_soft else "mask")
        return output

    def losses(
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
        """Hard and soft loss of a batch; each only where its weight or the stage asks for it.

        Args:
            indices: of the examples in their set.
            spectrum: (B, M, K, L) complex STFT of the noisy signals.
            output: what the network made of it.
            clean: (B, N) targets.
            stage: of the training.
            alpha: of eq. 5; the soft loss is left out at 1.
            teacher: targets of the examples' set.
            epoch: counts from the start of the training.
        """
        hard = None if stage.only_soft else hard_loss(apply_mask(output, spectrum, clean.shape[-1]), clean)
        soft = None
        if self.method.layers and not stage.only_hard and alpha < 1:
            assert teacher is not None
            targets, positions = teacher.batch(indices, epoch, spectrum)
            soft = self.scales.apply(soft_terms(self.method, _in_fp32(output), targets, self.gram, positions))
        return hard, soft


def _in_fp32(output: Activations) -> Activations:
    """The activations as the soft losses want them, whatever the products ran in."""
    return output._replace(
        linear=None if output.linear is None else output.linear.float(),
        t_lstm=None if output.t_lstm is None else output.t_lstm.float(),
        f_lstm=output.f_lstm.float(),
    )
