"""Made-up curves, in the form in which real ones are recorded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.curve import Curve
from search.space import Choice

TRAIN = {"lr": 1e-3, "batch": 4, "precision": "bf16", "lr_schedule": "cosine"}


def curve(
    pesq: list[float | None],
    size: tuple[int, int] = (8, 4),
    method: str = "none",
    init: str = "slice",
    repeat: int = 0,
    best: int | None = None,
    soft: int = 0,
    table: np.ndarray | None = None,
    schedule: str = "two-stage",
    **train: object,
) -> Curve:
    """A curve of this PESQ in its last stage, after `soft` epochs of a stage 1; `best` is the epoch of its weights."""
    stages = ["soft"] * soft + ["hard"] * len(pesq)
    values: list[float | None] = [None] * soft + pesq
    pairs = enumerate(zip(stages, values, strict=True), 1)
    epochs = [{"epoch": number, "stage": stage, "pesq": value} for number, (stage, value) in pairs]
    best = len(epochs) if best is None else best
    kept = values[best - 1]
    final = kept if kept is not None else 1.5
    return Curve(
        choice=Choice(*size, method, "none" if method == "none" else schedule, init, repeat=repeat),
        train=TRAIN | {"epochs": len(pesq)} | train,
        seed=repeat,
        data={"train": "a", "val": "b", "score_val": "c"},
        teacher={"digest": "t", "size": "128/32"},
        epochs=epochs,
        best_epoch=best,
        pesq=final,
        clips=(np.full((4, 5), final) if table is None else table).tolist(),
        beside={"unprocessed": 1.08, "delay-and-sum": 1.1, "teacher": 1.3},
        made={"torch": "2", "cpu": "x"},
    )


@pytest.fixture(scope="session")
def make_curve() -> Callable[..., Curve]:
    """Makes curves."""
    return curve
