from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
