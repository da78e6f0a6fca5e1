"""What of a training's errors is a result of the student, and what is left to Ray."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray import tune

import search.trial
from model.ftjnf import Size
from search.space import Choice
from search.trial import trial

CONFIG = {"number": 3, "choice": asdict(Choice.of(Size(8, 4), "none", "none", "slice"))}


@pytest.fixture
def ended_by(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a trial whose training ends with an error, and gives back what Tune was told."""
    reports: list[dict[str, Any]] = []
    resources = SimpleNamespace(required_resources={"CPU": 1.0})
    monkeypatch.setattr(tune, "get_context", lambda: SimpleNamespace(get_trial_resources=lambda: resources))
    monkeypatch.setattr(tune, "report", reports.append)

    def run(error: Exception) -> list[dict[str, Any]]:
        def fails(*_: Any) -> None:
            raise error

        monkeypatch.setattr(search.trial, "run_student", fails)
        trial(CONFIG, job=None)  # type: ignore[arg-type]
        return reports

    return run


@pytest.mark.parametrize(
    ("error", "stopped"),
    [
        (ArithmeticError("the loss is nan"), "diverged"),
        (torch.cuda.OutOfMemoryError("no memory"), "too large for the GPU"),
    ],
)
def test_student_whose_configuration_is_at_fault_has_failed(ended_by: Any, error: Exception, stopped: str) -> None:
    assert ended_by(error) == [{"state": "FAIL", "final": True, "stopped": stopped, "reason": str(error)}]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("CUDA error"), MemoryError()])
def test_error_of_the_machine_is_no_result(ended_by: Any, error: Exception) -> None:
    with pytest.raises(type(error)):
        ended_by(error)
