"""Example sets of a tenth of a second and networks of a few units."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from data.examples import ExampleSet, SetSpec, build_set
from model.export import export_onnx
from model.ftjnf import FTJNF, Size
from model.weights import save_network


class TinySets(NamedTuple):
    train: ExampleSet
    val: ExampleSet
    score: ExampleSet


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_sets(tiny_source, tmp_path_factory) -> TinySets:
    """Two microphones; 6 training and 3 validation examples of 0.1 s; 2 clips of about 1 s, scored at five SNRs."""
    cache = tmp_path_factory.mktemp("sets")
    train, val, score = (
        build_set(tiny_source(seed=seed), f"sounds {seed}", SetSpec(role, clips, seconds, seed), cache)
        for seed, (role, clips, seconds) in enumerate([("train", 6, 0.1), ("val", 3, 0.1), ("score", 2, 10.0)])
    )
    return TinySets(train, val, score)


@pytest.fixture(scope="session")
def network() -> Callable[..., FTJNF]:
    """Makes a network for two microphones, its weights larger than at a usual start so that its units differ."""

    def make(f_hidden: int = 6, t_hidden: int = 4, seed: int = 0, bi_freq: bool = False) -> FTJNF:
        torch.manual_seed(seed)
        net = FTJNF(Size(f_hidden, t_hidden, bi_freq, microphones=2))
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(2)
        return net

    return make


@pytest.fixture(scope="session")
def student_folder(network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of a student's folder an engine needs: `network()` as ONNX file and as weights."""
    folder = tmp_path_factory.mktemp("student")
    export_onnx(network(), folder / "student.onnx")
    save_network(network(), folder / "student.safetensors")
    return folder


class Through:
    """An engine that gives the reference microphone, `gain` times."""

    microphones = 2
    state = None
    gain = 1

    def frame(self, noisy: np.ndarray) -> np.ndarray:
        return self.gain * noisy[0]

    def reset(self) -> None:
        pass


@pytest.fixture
def through() -> Through:
    return Through()
