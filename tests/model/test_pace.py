"""How long training takes: the arithmetic; what a clock says is no test."""

from __future__ import annotations

import pytest
import torch

import model.pace
from model.ftjnf import Size
from model.macs import cell_macs
from model.pace import Pace, epoch_seconds, measure_pace, time_step

SMALL, MIDDLE, LARGE = Size(8, 4), Size(32, 8), Size(64, 16)
CPU = torch.device("cpu")


@pytest.fixture
def steps(monkeypatch):
    """Says how long a step of each size takes."""

    def say(seconds: dict[Size, float]) -> None:
        monkeypatch.setattr(model.pace, "time_step", lambda size, *a: seconds[size])

    return say


def test_pace_is_the_line_through_two_sizes(steps, tiny_sets):
    steps({SMALL: 1.0, LARGE: 3.0})
    pace = measure_pace(SMALL, LARGE, tiny_sets.val, 4, "fp32", CPU)
    assert pace.step(SMALL) == pytest.approx(1.0)
    assert pace.step(LARGE) == pytest.approx(3.0)
    between = (cell_macs(MIDDLE) - cell_macs(SMALL)) / (cell_macs(LARGE) - cell_macs(SMALL))
    assert pace.step(MIDDLE) == pytest.approx(1 + 2 * between)


def test_noise_of_the_clock_never_makes_a_larger_student_faster(steps, tiny_sets):
    steps({SMALL: 2.0, LARGE: 1.9})
    pace = measure_pace(SMALL, LARGE, tiny_sets.val, 4, "fp32", CPU)
    assert pace.step(LARGE) >= pace.step(SMALL) > 0


def test_single_size_is_measured_alone(steps, tiny_sets):
    steps({SMALL: 2.0})
    assert measure_pace(SMALL, SMALL, tiny_sets.val, 4, "fp32", CPU) == Pace(2.0, 0.0)


def test_epoch_is_its_steps_and_a_cheaper_validation():
    alone = epoch_seconds(2.0, train=9, val=0, batch=4)
    assert alone == pytest.approx(3 * 2.0)
    assert alone < epoch_seconds(2.0, train=9, val=4, batch=4) < alone + 2.0


def test_step_is_timed_with_fewer_examples_than_a_batch(tiny_sets):
    assert time_step(Size(3, 2, microphones=2), tiny_sets.val, 5, "fp32", CPU, steps=1) > 0
