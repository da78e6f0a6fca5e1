"""Curves are read from the folder of a search, also while it is at work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.curve import read_curves
from benchmarks.record import main
from data.errors import InputError
from data.files import write_json
from model.ftjnf import FTJNF, Size
from model.weights import save_network

SNR_KEYS = ("pesq_minus_5_db", "pesq_0_db", "pesq_5_db", "pesq_10_db", "pesq_15_db")


def student(run: Path, number: int, **result: Any) -> Path:
    """The folder of a student of two stages, whose last epoch was not scored."""
    folder = run / "students" / f"{number:04d}"
    choice = {"f_hidden": 8, "t_hidden": 4, "kd_method": "t-lstm", "alpha_schedule": "two-stage", "init": "slice",
              "bi_freq": False, "microphones": 5, "repeat": number}  # fmt: skip
    train = {"size": {"f_hidden": 8}, "method": "t-lstm", "schedule": "two-stage", "init": "slice", "nested": False,
             "seed": number, "epochs": 2, "lr": 1e-3, "batch": 4, "precision": "bf16",
             "lr_schedule": "cosine"}  # fmt: skip
    write_json(folder / "config.json", {"number": number, "choice": choice, "train": train})
    epochs: list[dict[str, Any]] = [
        {"epoch": i, "stage": "soft" if i < 3 else "hard", "alpha": 0.0 if i < 3 else 1.0,
         "loss_val_hard": None if i < 3 else 0.1400004, "loss_val_soft": 0.7 if i < 3 else None, "seconds": 7.7}
        for i in range(1, 5)
    ]  # fmt: skip
    epochs[2] |= {"pesq": 1.21, **dict(zip(SNR_KEYS, (1.01, 1.02, 1.03, 1.04, 1.05), strict=True))}
    text = "".join(json.dumps(one) + "\n" for one in epochs)
    (folder / "history.jsonl").write_text(text, encoding="utf-8")
    write_json(folder / "result.json", {"state": "COMPLETE", "stopped": "", "best_epoch": 4, "epoch": 4} | result)
    write_json(folder / "scores.json", {"val": {"pesq": 1.25}, "val_table": [[1.0, 1.1, 1.2, 1.3, None]] * 3})
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "kd"
    torch.manual_seed(0)
    write_json(folder / "search.json", {"name": "kd"})
    sets = {name: {"digest": name[0], "examples": 3} for name in ("train", "val", "score_val", "score_test")}
    write_json(folder / "data.json", {"sets": sets})
    write_json(folder / "front.json", [
        {"pesq_val_unprocessed": 1.08, "pesq_val_delay_and_sum": 1.11, "pesq_val_teacher": 1.29}
    ])  # fmt: skip
    save_network(FTJNF(Size(12, 8)), folder / "teacher.safetensors")
    student(folder, 0)
    return folder


def test_a_student_becomes_a_curve(run: Path, tmp_path: Path):
    out = tmp_path / "curves.jsonl"
    main([str(run), "--out", str(out)])
    (curve,) = read_curves(out)
    assert curve.choice.key() == "8/4|t-lstm|two-stage|slice"
    assert curve.train == {"epochs": 2, "lr": 1e-3, "batch": 4, "precision": "bf16", "lr_schedule": "cosine"}
    assert curve.data == {"train": "t", "val": "v", "score_val": "s"}
    assert curve.teacher is not None
    assert curve.teacher["size"] == "12/8"
    assert [(one["epoch"], one["epoch_in_stage"], one["stage"]) for one in curve.epochs] == [
        (1, 1, "soft"), (2, 2, "soft"), (3, 1, "hard"), (4, 2, "hard")
    ]  # fmt: skip
    assert curve.epochs[2]["pesq_by_snr"] == [1.01, 1.02, 1.03, 1.04, 1.05]
    assert curve.epochs[2]["loss_val_hard"] == 0.14
    assert curve.last_stage.tolist() == [1.21, 1.25]
    assert curve.beside == {"unprocessed": 1.08, "delay-and-sum": 1.11, "teacher": 1.29}
    assert curve.made["cpu"]


def test_a_line_names_no_path_of_the_machine(run: Path, tmp_path: Path):
    out = tmp_path / "curves.jsonl"
    main([str(run), "--out", str(out)])
    assert str(tmp_path) not in out.read_text(encoding="utf-8")


def test_students_that_finish_later_are_appended_by_another_call(run: Path, tmp_path: Path):
    out = tmp_path / "curves.jsonl"
    (student(run, 1) / "scores.json").unlink()  # still at work
    student(run, 2, state="FAIL")
    student(run, 3, stopped="signal 2")
    main([str(run), "--out", str(out)])
    assert [curve.seed for curve in read_curves(out)] == [0]
    student(run, 1)
    main([str(run), "--out", str(out)])
    assert [curve.seed for curve in read_curves(out)] == [0, 1]


def test_the_finished_run_says_what_stands_beside_its_students(run: Path, tmp_path: Path):
    scores = {"unprocessed": {"pesq": 1.0}, "delay-and-sum": {"pesq": 1.2}, "teacher": {"pesq": 1.4}}
    write_json(run / "beside.json", {"val": scores, "test": {}})
    main([str(run), "--out", str(tmp_path / "curves.jsonl")])
    assert read_curves(tmp_path / "curves.jsonl")[0].beside == {
        "unprocessed": 1.0,
        "delay-and-sum": 1.2,
        "teacher": 1.4,
    }


def test_what_is_no_run_folder_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no folder of a search"):
        main([str(tmp_path), "--out", str(tmp_path / "curves.jsonl")])
