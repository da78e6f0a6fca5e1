from __future__ import annotations

import json

import numpy as np
import pytest

from model.score import Scores
from search.final import add_test_scores, ends_apart, final_metrics, over_seeds


def scored(pesq: float, clips: int = 4) -> Scores:
    rng = np.random.default_rng(0)
    table = pesq + np.array([-0.4, -0.2, 0.0, 0.2, 0.4]) + 0.01 * rng.normal(size=(clips, 5))
    return Scores(table, table - 1, table / 10)


def test_test_scores_are_written_into_the_records() -> None:
    front: list[dict] = [{"trial": 4}, {"trial": 2}]
    beside = {"unprocessed": scored(1.2), "delay-and-sum": scored(1.4), "teacher": scored(2.5)}
    add_test_scores(front, [[scored(1.5)], [scored(2.0)]], beside)
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
    add_test_scores(front, [[scored(1.5)], [scored(2.0)]], beside)
    assert front[0]["pesq_test_teacher"] is None


def test_ends_of_the_front_are_compared_on_the_same_clips() -> None:
    assert ends_apart([[scored(1.5)]]) is None
    found = ends_apart([[scored(1.5)], [scored(1.1)], [scored(2.0)]])
    assert found is not None
    gain, low, high = found
    assert gain == pytest.approx(0.5)
    assert low == pytest.approx(0.5, abs=1e-6)  # what a hard clip does to both cancels
    assert high == pytest.approx(0.5, abs=1e-6)


def test_scores_of_several_seeds_are_means_with_an_interval_over_both() -> None:
    beside = {"unprocessed": scored(1.2), "delay-and-sum": scored(1.4)}
    front: list[dict] = [{"trial": 4}, {"trial": 2}]
    add_test_scores(front, [[scored(1.5), scored(1.6), scored(1.7)], [scored(2.0)]], beside)
    several, one = front
    assert several["pesq_test"] == pytest.approx(1.6, abs=0.02)
    assert several["pesq_test_seeds"] == pytest.approx([1.5, 1.6, 1.7], abs=0.02)
    assert several["pesq_by_snr"]["0"] == pytest.approx(1.4, abs=0.02)
    low, high = several["pesq_test_interval"]
    assert high - low > 0.2  # t of two degrees of freedom, 0.1 between seeds
    # the member with one seed is as uncertain as one training is, by what is known of the other
    assert one["pesq_test_interval"][1] - one["pesq_test_interval"][0] > 1.5 * (high - low)
    assert over_seeds(front)
    assert several["si_sdr_test"] == pytest.approx(0.6, abs=0.02)


def test_member_that_seeds_or_clips_may_explain_is_not_told_from_a_cheaper_one() -> None:
    beside = {"unprocessed": scored(1.2), "delay-and-sum": scored(1.4)}
    front: list[dict] = [{}, {}, {}, {}]
    cheap = [scored(1.5 + seed) for seed in (-0.05, 0.0, 0.05)]
    near = [scored(1.58 + seed) for seed in (-0.05, 0.0, 0.05)]  # but the next seed may well be below 1.5
    add_test_scores(front, [cheap, near, [scored(1.59)], [scored(2.0)]], beside)
    assert [record["told_apart_from_cheaper"] for record in front] == [True, False, False, True]


def test_equal_configurations_are_rarely_told_apart_however_few_seeds_they_have() -> None:
    """At a level of 95 % at most one time in twenty, also where the seed is all that differs."""
    rng, beside = np.random.default_rng(0), {"unprocessed": scored(1.2), "delay-and-sum": scored(1.4)}
    for seeds in ((3, 3), (2, 2), (3, 1)):
        apart = 0
        for _ in range(60):
            front: list[dict] = [{}, {}]
            add_test_scores(front, [[scored(1.5 + rng.normal(0, 0.02)) for _ in range(n)] for n in seeds], beside)
            apart += front[1]["told_apart_from_cheaper"]
        assert apart <= 5, seeds  # one-sided 2.5 % of 60 is 1.5


def test_without_repeats_intervals_are_over_clips_alone_and_say_so() -> None:
    beside = {"unprocessed": scored(1.2), "delay-and-sum": scored(1.4)}
    front: list[dict] = [{}, {}]
    add_test_scores(front, [[scored(1.5)], [scored(1.6)]], beside)
    assert front[1]["told_apart_from_cheaper"]
    assert not over_seeds(front)


def test_member_whose_weights_are_gone_has_no_scores_and_is_nobodys_measure() -> None:
    beside = {"unprocessed": scored(1.2), "delay-and-sum": scored(1.4)}
    front: list[dict] = [{"pesq_test": None}, {}]
    add_test_scores(front, [[], [scored(2.0)]], beside)
    assert front[0] == {"pesq_test": None}
    assert front[1]["told_apart_from_cheaper"]
    assert ends_apart([[], [scored(2.0)]]) is None


def test_mlflow_is_told_the_test_score_its_interval_and_the_gain() -> None:
    record = {"pesq_test": 1.5, "pesq_test_interval": [1.4, 1.6], "pesq_test_unprocessed": 1.2}
    assert final_metrics(record) == {
        "pesq_test_mean": 1.5, "pesq_test_low": 1.4, "pesq_test_high": 1.6, "pesq_test_gain": pytest.approx(0.3),
    }  # fmt: skip
