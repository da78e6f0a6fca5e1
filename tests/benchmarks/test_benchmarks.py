"""The benchmarks run and tell what README says they tell; how fast anything is, is not a test."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def ratios(script: str, flags: str) -> dict[str, float]:
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--json", "--repetitions", "1", *flags.split()]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["machine"]["cpu"]
    return found["ratios"]


@pytest.mark.parametrize(
    ("script", "flags", "names"),
    [
        (
            "kd_step.py",
            "--size 8/4 --teacher 12/8 --seconds 0.5 --steps 1 --batch 2 --device cpu",
            {"kd_step_over_plain", "kd_step_over_plain_multi", "soft_step_over_plain_linear"},
        ),
        ("frame.py", "--sizes 8/4 --frames 5", {"share_torch_8/4", "share_int8_8/4", "speedup_onnx_8/4"}),
        ("cpu_step.py", "--sizes 8/4 --seconds 0.5 --steps 1 --batch 2", {"speedup_8/4", "gradient_error_8/4"}),
        (
            "gram.py",
            "--cells 600 --clip-cells 1500 --teacher 12 --student 6 --device cpu",
            {"over_gemms", "extra_mib", "max_relative_gradient_error"},
        ),
    ],
)
def test_benchmark_tells_its_ratios(script: str, flags: str, names: set[str]) -> None:
    found = ratios(script, flags)
    assert names <= set(found)
    assert all(math.isfinite(value) for value in found.values())


def test_unknown_flag_is_refused_in_one_sentence() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gram.py"), "--fast"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
