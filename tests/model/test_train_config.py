"""The settings of a training: the paper's by default, refused where they cannot train, the same after JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from data.errors import InputError
from model.ftjnf import Size
from model.gram import Gram
from model.train_config import TrainConfig

CONFIG = TrainConfig(Size(5, 3, microphones=2), epochs=3, lr=5e-3)


def test_configuration_comes_back_from_json():
    config = replace(CONFIG, method="t-lstm", gram=Gram("frame", "cosine"), clip_norm=5.0, ramp=0.3, soft_share=0.2)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_defaults_are_those_of_section_5_2():
    config = TrainConfig(Size(80, 32))
    assert (config.lr, config.epochs, config.batch, config.halve_after, config.stop_after) == (5e-4, 100, 4, 3, 6)
    assert (config.schedule, config.init, config.clip_norm, config.lr_schedule) == (
        "two-stage",
        "random",
        None,
        "plateau",
    )


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"lr_schedule": "step"}, "learning-rate schedule 'step' is unknown; choose plateau or cosine"),
        ({"epochs": 0}, "epochs must be at least 1 but is 0"),
        ({"batch": -1}, "batch must be at least 1"),
        ({"lr": 0.0}, "learning rate must be a positive number"),
        ({"lr": math.nan}, "learning rate must be a positive number"),
        ({"clip_norm": 0.0}, "norm of the gradient must be positive"),
        ({"clip_norm": math.nan}, "norm of the gradient must be positive"),
        ({"seed": -1}, "seed must not be negative"),
        ({"init": "teacher"}, "start 'teacher' is unknown; choose one of random, slice, weights"),
        ({"precision": "auto"}, "precision 'auto' cannot be trained in; choose fp32 or bf16"),
        ({"precision": "fp8"}, "precision 'fp8' cannot be trained in"),
    ],
)
def test_settings_that_cannot_train_are_refused(wrong, complaint):
    with pytest.raises(InputError, match=complaint):
        replace(CONFIG, **wrong)
