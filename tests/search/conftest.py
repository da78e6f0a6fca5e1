"""A cache, a teacher and the flags of a search on the small corpus; nothing here starts Ray or MLflow."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from data.files import write_json
from model.ftjnf import FTJNF, Size
from model.weights import save_network
from search.flags import read_flags, search_config
from search.groundwork import Groundwork
from search.proposal import Proposal
from search.space import Choice
from search.tracking_store import default_uri

TEACHER = Size(24, 8)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """A search sets torch's threads as it needs them; tests share their cores with others."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root of the caches, shared by the tests of this folder: the small corpus is decoded once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTJNF_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained teacher for five microphones."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_network(FTJNF(TEACHER), path)
    return path


@pytest.fixture(scope="session")
def corpus_flags(small_corpus) -> list[str]:
    """The flags that name the small corpus."""
    return [
        "--speech", str(small_corpus.speech), "--noise", str(small_corpus.noise), "--rirs", str(small_corpus.rirs),
    ]  # fmt: skip


@pytest.fixture(scope="session")
def tiny_flags(corpus_flags, teacher_file) -> list[str]:
    """The flags of a search on the small corpus that is over in seconds: three feasible sizes, an epoch a stage."""
    return [
        "--budget", "0.1GMAC", *corpus_flags, "--teacher", str(teacher_file), "--methods", "none,linear",
        "--init", "slice", "--sizes", "8/4,8/8,16/4", "--trials", "3", "--epochs", "1", "--train-clips", "4",
        "--val-clips", "2", "--score-clips", "2", "--test-clips", "2", "--clip-seconds", "1", "--repeat-front", "0",
    ]  # fmt: skip


@pytest.fixture
def ground(tmp_path: Path, tiny_flags: list[str], cache: Path) -> Callable[..., Groundwork]:
    """Makes the groundwork of the tiny search; keywords change its configuration."""
    config = search_config(read_flags([*tiny_flags, "--storage", str(tmp_path), "--name", "x"]))

    def make(**changes: Any) -> Groundwork:
        changed = replace(config, **changes)
        console = Console(file=io.StringIO(), markup=False, width=160)
        return Groundwork(changed, changed.space(5), cache, console, time.time())

    return make


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., list[Proposal]]:
    """Makes students of rising cost with given scores, in folders in `tmp_path`; `clips`: what chance adds to each."""

    def make(*pesq: float, clips: float = 0.02) -> list[Proposal]:
        proposals = []
        for number, value in enumerate(pesq):
            noise = np.random.default_rng(number).normal(0, clips, (20, 5))
            table = value + np.linspace(-0.2, 0.2, 5) + noise - np.median(noise, axis=0)
            folder = tmp_path / f"{number:04d}"
            val = {"pesq": value, "pesq_by_snr": {"0": value}, "spread_by_snr": {"0": [value, value]}, "unscored": 0}
            write_json(folder / "scores.json", {"val": val, "val_table": table.tolist()})
            write_json(folder / "result.json", {"epoch": 1, "best_epoch": 1, "seconds": 1.0, "stopped": ""})
            (folder / "best.safetensors").touch()
            choice = Choice.of(Size(8 * (number + 1), 8), "none", "none", "random")
            proposals.append(Proposal(number, choice, "COMPLETE", value))
        return proposals

    return make


@pytest.fixture(scope="session")
def runs_of() -> Callable[[Path, str], tuple[Any, dict[int, Any]]]:
    """Finds the MLflow runs of a search, by storage and name: the parent, and the students by number; one each."""

    def find(storage: Path, name: str) -> tuple[Any, dict[int, Any]]:
        from mlflow import MlflowClient

        client = MlflowClient(default_uri(storage))
        experiment = client.get_experiment_by_name("ftjnf-students")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        (parent,) = [run for run in runs if run.data.tags.get("search") == name]
        children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        numbers = [int(run.data.tags["trial"]) for run in children]
        assert len(set(numbers)) == len(numbers)
        return parent, dict(zip(numbers, children, strict=True))

    return find
