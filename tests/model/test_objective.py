"""Which losses a batch has in which stage, and from which arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.ftjnf import FTJNF, Size
from model.gram import Gram
from model.objective import Objective
from model.schedule import Stage, plan
from model.stft import stft
from model.target_plan import layers_of
from model.targets import TeacherBeside
from model.train_config import TrainConfig

CPU = torch.device("cpu")
CONFIG = TrainConfig(Size(5, 3, microphones=2), method="t-lstm", gram=Gram(positions=16))
SOFT, HARD = plan("t-lstm", "two-stage")
(MIXED,) = plan("t-lstm", "linear")


@pytest.fixture
def losses(network):
    """Runs a batch; returns activations, hard loss, soft loss and the objective."""

    def run(stage: Stage, alpha: float, config: TrainConfig = CONFIG):
        generator = torch.Generator().manual_seed(0)
        noisy, clean = torch.randn(2, 2, 1500, generator=generator), torch.randn(2, 1500, generator=generator)
        torch.manual_seed(1)
        net, objective = FTJNF(config.size), Objective(config, CPU)
        teacher = TeacherBeside(network(8, 6), layers_of([config.method]), config.gram, 0, "fp32")
        spectrum = stft(noisy)
        return *objective(net, [0, 1], spectrum, clean, stage, alpha, teacher, 0), objective

    return run


def test_soft_stage_stops_at_the_distilled_layer_and_has_no_hard_loss(losses):
    output, hard, soft, _ = losses(SOFT, 0.0)
    assert output.t_lstm is not None
    assert output.linear is None
    assert hard is None
    assert soft.item() == pytest.approx(1.0), "scaled by its own first value"


def test_hard_stage_has_no_soft_loss(losses):
    _, hard, soft, objective = losses(HARD, 1.0)
    assert hard > 0
    assert soft is None
    assert objective.scales.state() == {}


@pytest.mark.parametrize(("alpha", "both"), [(0.0, True), (0.5, True), (1.0, False)])
def test_ramp_has_the_hard_loss_throughout_and_the_soft_one_until_alpha_is_1(losses, alpha, both):
    _, hard, soft, _ = losses(MIXED, alpha)
    assert hard > 0
    assert (soft is not None) == both


@pytest.mark.skipif(not torch.cpu._is_avx512_bf16_supported(), reason="this processor has no units for bf16")
def test_losses_are_in_fp32_whatever_the_products_ran_in(losses):
    config = replace(CONFIG, method="multi", precision="bf16")
    output, hard, soft, _ = losses(MIXED, 0.5, config)
    assert output.t_lstm.dtype == torch.bfloat16
    assert (hard.dtype, soft.dtype) == (torch.float32, torch.float32)
