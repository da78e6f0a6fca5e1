from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from data.array import Array
from data.examples import ExampleSet, SetSpec, build_set
from data.files import write_json
from data.scene import SceneSource
from model.ftjnf import FTJNF, Size
from model.weights import save_network

Student = Callable[..., dict[str, Any]]


@pytest.fixture
def student() -> Student:
    """Makes a record as in `front.json`; keywords override or add keys."""

    def make(trial: int, gmac: float, pesq: float | None, **other: Any) -> dict[str, Any]:
        return {
            "trial": trial,
            "f_hidden": 10 + trial,
            "t_hidden": 8,
            "kd_method": "linear",
            "alpha_schedule": "two-stage",
            "init": "random",
            "parameters": 1000 * (trial + 1),
            "paper_gmac": gmac,
            "gmac_per_s": 0.62 * gmac,
            "pesq_val": pesq,
            "pesq_val_by_snr": {f"{snr}": (pesq or 1.0) + 0.02 * (snr - 5) for snr in (-5, 0, 5, 10, 15)},
            "mlflow_run_id": f"run{trial}",
            **other,
        }

    return make


@pytest.fixture(scope="session")
def scored_set(tiny_source: Callable[..., SceneSource], tmp_path_factory: pytest.TempPathFactory) -> ExampleSet:
    """Three clips of a second at five SNRs, on five microphones."""
    source = tiny_source(array=Array.parse("cross"))
    return build_set(source, "sounds", SetSpec("score", 3, 10.0, 0), tmp_path_factory.mktemp("sets"))


@pytest.fixture
def run_folder(student: Student, scored_set: ExampleSet, tmp_path: Path) -> Path:
    """The folder of an ended search: three students, two of them on the front, one of these below the input once."""
    folder = tmp_path / "runs" / "first"
    torch.manual_seed(0)
    save_network(FTJNF(Size(12, 8)), folder / "teacher.safetensors")
    records = []
    for trial, gmac, pesq, front, method in ((0, 0.1, 1.4, True, "none"), (1, 0.2, 1.3, False, "linear"),
                                             (2, 0.4, 1.6, True, "t-lstm")):  # fmt: skip
        own = folder / "students" / f"{trial:04d}"
        save_network(FTJNF(Size(10 + trial, 8)), own / "best.safetensors")
        stages = ["soft", "soft", "hard", "hard"] if method != "none" else ["hard"] * 3
        lines = [
            {"epoch": epoch, "stage": stage, "loss_val_hard": 1.0 / epoch if stage == "hard" else None, "lr": 1e-3}
            for epoch, stage in enumerate(stages, 1)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (own / "history.jsonl").write_text(text, encoding="utf-8")
        write_json(own / "result.json", {"best_epoch": len(stages)})
        write_json(own / "timing.json", {"ended": 100.0 - trial})
        test = {"pesq_test": pesq - 0.05, "pesq_test_interval": [pesq - 0.1, pesq]} if front else {}
        records.append(
            student(trial, gmac, pesq, front=front, kd_method=method, pesq_val_interval=[pesq - 0.05, pesq + 0.05],
                    checkpoint=f"students/{trial:04d}/best.safetensors", epochs=4, **test)
        )  # fmt: skip
    write_json(folder / "students.json", records)
    noisy = [[1.1, 1.2, 1.3, 1.4, 1.5 + 0.1 * clip] for clip in range(3)]
    better = [[value + 0.1 for value in row] for row in noisy]
    worse = [row[:] for row in better]
    worse[1][3] = 1.35
    write_json(folder / "test_scores.json", {
        "set": scored_set.digest, "snrs_db": [-5, 0, 5, 10, 15],
        "beside": {"unprocessed": noisy, "delay-and-sum": better, "teacher": better},
        "students": {"0": worse, "2": better},
    })  # fmt: skip
    scores = {"unprocessed": {"pesq": 1.2}, "delay-and-sum": {"pesq": 1.25}, "teacher": {"pesq": 1.7}}
    beside = {"val": scores, "test": scores, "teacher": "12/8", "range_gmac": [0.05, 1.0]}
    write_json(folder / "beside.json", beside)
    settings = {"name": "first <search>", "budget": "1.0GMAC", "data": {"speech": None, "array": "cross"}}
    write_json(folder / "search.json", settings)
    page = "http://mlflow.example/#/experiments/3/runs/parent"
    write_json(folder / "tracking.json", {"search_id": "0" * 32, "experiment_id": "3", "page": page})
    (folder / "report.md").write_text("# Search\n\n- The teacher is <above> all of them.\n", encoding="utf-8")
    return folder
