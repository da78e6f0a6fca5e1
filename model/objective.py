"""What a training step minimises: the hard and the soft loss of a batch, each where the stage asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.distill import METHODS, TermScales, soft_terms
from model.ftjnf import FTJNF, Activations, apply_mask
from model.losses import hard_loss
from model.precision import arithmetic
from model.schedule import Stage
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
        self.sampled = any(comparison == "gram" for _, comparison in self.method.layers)
        self.scales = TermScales(config.soft_scale)

    def __call__(
        self,
        net: FTJNF,
        indices: Sequence[int],
        spectrum: Tensor,
        clean: Tensor,
        stage: Stage,
        alpha: float,
        teacher: Teacher | None,
        epoch: int,
    ) -> tuple[Activations, Tensor | None, Tensor | None]:
        """Runs the network on a batch, as far as the stage needs it; each loss is computed only where it is asked for.

        Args:
            net: the network.
            indices: of the examples in their set.
            spectrum: (B, M, K, L) complex STFT of the noisy signals.
            clean: (B, N) targets.
            stage: of the training.
            alpha: of eq. 5; the soft loss is left out at 1.
            teacher: targets of the examples' set.
            epoch: counts from the start of the training.

        Returns:
            What the network computed, hard loss, soft loss.
        """
        targets: dict[str, Tensor] = {}
        positions = None
        soften = bool(self.method.layers) and not stage.only_hard and alpha < 1
        if soften:
            assert teacher is not None
            targets, positions = teacher.batch(indices, epoch, spectrum)
            if not self.sampled:
                positions = None
            elif positions is not None and self.precision == "bf16":
                targets |= {name: part.bfloat16() for name, part in targets.items() if name in ("f_lstm", "t_lstm")}
        with arithmetic(self.precision, self.device):
            output = net(spectrum, upto=self.method.upto if stage.only_soft else "mask", positions=positions)
        hard = None if stage.only_soft else hard_loss(apply_mask(output, spectrum, clean.shape[-1]), clean)
        soft = None
        if soften:
            compared = {layer: getattr(output, layer) for layer, _ in self.method.layers if layer != "mask"}
            # the losses are computed in fp32, whatever the products of the network ran in; the mask is in fp32 already
            exact = {layer: part.float() for layer, part in compared.items()}
            terms = soft_terms(self.method, output._replace(**exact), targets, self.gram, positions)
            soft = self.scales.apply(terms)
        return output, hard, soft
