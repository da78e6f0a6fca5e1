from __future__ import annotations

import json

import numpy as np
import pytest

from model.score import Scores
from search.final import add_test_scores, ends_apart


def scored(pesq: float, clips: int = 4) -> Scores:
    rng = np.random.default_rng(0)
    table = pesq + np.array([-0.4, -0.2, 0.0, 0.2, 0.4]) + 0.01 * rng.normal(size=(clips, 5))
    return Scores(table, table - 1, table / 10)


def test_test_scores_are_written_into_the_records() -> None:
    front: list[dict] = [{"trial": 4}, {"trial": 2}]
    beside = {"unprocessed": scored(1.2), "delay-and-sum": scored(1.4), "teacher": scored(2.5)}
    add_test_scores(front, [scored(1.5), scored(2.0)], beside)
    for record, pesq in zip(front, (1.5, 2.0), strict=True):
        assert record["pesq_test"] == pytest.approx(pesq, abs=0.02)
        low, high = record["pesq_test_interval"]
        assert low <= record["pesq_test"] <= high
        assert record["pesq_by_snr"]["-5"] == pytest.approx(pesq - 0.4, abs=0.02)
        assert record["pesq_test_unprocessed"] == pytest.approx(1.2, abs=0.02)
        assert record["pesq_test_delay_and_sum"] == pytest.approx(1.4, abs=0.02)
        assert record["pesq_test_teacher"] == pytest.approx(2.5, abs=0.02)
        assert record["si_sdr_test"] == pytest.approx(pesq - 1, abs=0.02)
        assert record["estoi_test"] == pytest.approx(pesq / 10, abs=0.02)
        assert record["unscored_test"] == 0
    json.dumps(front)
    del beside["teacher"]
    add_test_scores(front, [scored(1.5), scored(2.0)], beside)
    assert front[0]["pesq_test_teacher"] is None


def test_ends_of_the_front_are_compared_on_the_same_clips() -> None:
    assert ends_apart([scored(1.5)]) is None
    found = ends_apart([scored(1.5), scored(1.1), scored(2.0)])
    assert found is not None
    gain, low, high = found
    assert gain == pytest.approx(0.5)
    assert low == pytest.approx(0.5, abs=1e-6)  # what a hard clip does to both cancels
    assert high == pytest.approx(0.5, abs=1e-6)
