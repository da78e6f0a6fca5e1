"""Scores: what `pesq` means, what is counted, and what stands beside a network."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from data import RATE
from data.array import Array
from data.examples import SetSpec, build_set
from data.scene import SNRS_DB, Scene, render
from model.pesq_pool import PesqPool
from model.score import Scores, begin_score, delay_and_sum, enhanced, network_enhancer, score, unprocessed

NAN = math.nan
CROSS = Array.parse("cross")

TABLE = np.array(
    [  # four clips at -5, 0, 5, 10, 15 dB
        [1.0, 1.2, 1.5, 2.0, 3.0],
        [1.1, 1.3, 1.6, 2.2, 3.4],
        [1.6, 1.4, 1.7, 2.4, NAN],
        [NAN, 1.9, 1.6, 2.6, NAN],
    ]
)
MEDIANS = [1.1, 1.35, 1.6, 2.3, 3.2]


# The figure


def test_pesq_is_the_mean_over_snrs_of_the_medians_over_clips():
    scores = Scores(TABLE)
    assert scores.by_snr == pytest.approx(dict(zip(["-5", "0", "5", "10", "15"], MEDIANS, strict=True)))
    assert scores.mean == pytest.approx(sum(MEDIANS) / 5)
    assert scores.mean != pytest.approx(np.nanmean(TABLE), abs=0.01), "the table tells the two apart"


def test_clips_that_could_not_be_scored_are_counted_and_left_out():
    assert Scores(TABLE).unscored == 3
    assert Scores(TABLE).summary()["unscored"] == 3


@pytest.mark.filterwarnings("error")
def test_snr_without_any_scored_clip_makes_the_mean_nan_and_nothing_else_fail():
    table = TABLE.copy()
    table[:, 4] = NAN
    scores = Scores(table)
    assert math.isnan(scores.mean)
    assert scores.by_snr["0"] == pytest.approx(1.35)
    assert scores.summary()["spread_by_snr"]["15"] == []


def test_summary_tells_spread_and_what_stands_beside_and_is_json():
    scores = Scores(TABLE, si_sdr=np.arange(20.0).reshape(4, 5), estoi=np.full((4, 5), 0.5))
    summary = json.loads(json.dumps(scores.summary()))
    assert summary["pesq"] == pytest.approx(scores.mean)
    assert summary["pesq_by_snr"] == pytest.approx(scores.by_snr)
    assert summary["spread_by_snr"]["0"] == pytest.approx([1.275, 1.525])
    assert summary["clips"] == 4
    assert summary["si_sdr"] == pytest.approx(np.mean([7.5, 8.5, 9.5, 10.5, 11.5]))
    assert summary["estoi"] == pytest.approx(0.5)
    assert "si_sdr" not in Scores(TABLE).summary()


# Scoring a set


def test_unprocessed_is_the_reference_microphone(tiny_sets):
    noisy, _ = tiny_sets.score.batch([0, 1])
    assert torch.equal(unprocessed(noisy), noisy[:, 0])


def test_every_example_is_enhanced_once_in_order_at_its_own_length(tiny_sets):
    estimates = list(enhanced(lambda noisy: 2 * unprocessed(noisy), tiny_sets.score))
    assert len(estimates) == len(tiny_sets.score) == 10
    for i, estimate in enumerate(estimates):
        np.testing.assert_allclose(estimate, 2 * tiny_sets.score.mixture(i)[0])


def test_clips_of_one_length_are_not_run_through_each_other(tiny_source, tmp_path):
    examples = build_set(tiny_source(clips=3), "sounds", SetSpec("score", 3, 0.5, 0), tmp_path)
    for i, estimate in enumerate(enhanced(unprocessed, examples)):
        np.testing.assert_array_equal(estimate, examples.mixture(i)[0])


def test_scores_rise_with_the_snr_and_lie_at_clip_and_snr(tiny_sets):
    with PesqPool(0) as pool:
        scores = score(unprocessed, tiny_sets.score, pool)
    assert scores.pesq.shape == (2, 5)
    assert scores.unscored == 0
    assert np.all(np.diff(np.median(scores.pesq, axis=0)) > 0)
    assert scores.si_sdr is scores.estoi is None


def test_perfect_estimate_has_the_highest_scores(tiny_sets):
    targets = iter([torch.from_numpy(np.array(tiny_sets.score.target(i))) for i in range(10)])
    with PesqPool(0) as pool:
        best = score(lambda noisy: torch.stack([next(targets) for _ in noisy]), tiny_sets.score, pool, more=True)
        noisy = score(unprocessed, tiny_sets.score, pool, more=True)
    assert best.mean == pytest.approx(4.644, abs=1e-3)
    assert best.si_sdr is not None
    assert noisy.si_sdr is not None
    assert best.si_sdr.min() > 60
    assert np.all(np.diff(noisy.si_sdr, axis=1) > 0)
    assert noisy.si_sdr.max() < 0, "the room alone is louder than the direct path"
    assert best.estoi is not None
    assert best.estoi.min() > 0.99


@pytest.mark.parametrize("samples", [10, 100, 300, 2000])
def test_very_short_clip_is_unscored_and_ends_nothing(tiny_source, tmp_path, samples):
    source = tiny_source(clips=1, seconds=samples / RATE)
    examples = build_set(source, "sounds", SetSpec("score", 1, 10.0, 0), tmp_path)
    with PesqPool(0) as pool:
        scores = score(unprocessed, examples, pool, more=True)
    assert scores.unscored == 5
    assert scores.estoi is not None
    assert np.isnan(scores.estoi).all()


def test_estoi_of_a_useless_estimate_is_a_score_and_not_left_out(tiny_sets):
    torch.manual_seed(0)
    with PesqPool(0) as pool:
        scores = score(lambda noisy: torch.randn_like(unprocessed(noisy)), tiny_sets.score, pool, more=True)
    assert scores.estoi is not None
    assert np.isfinite(scores.estoi).all()
    assert scores.estoi.min() < 0, "noise that is not related to the speech scores around zero"


def test_silent_and_broken_estimates_are_unscored_and_end_nothing(tiny_sets):
    with PesqPool(0) as pool:
        for gain in (0.0, NAN):
            scores = score(lambda noisy, gain=gain: gain * unprocessed(noisy), tiny_sets.score, pool)
            assert scores.unscored == 10
            assert math.isnan(scores.mean)


def test_network_is_scored_in_evaluation_mode_by_its_own_estimate(tiny_sets, network):
    net = network().train()
    enhancer = network_enhancer(net)
    assert not net.training
    noisy, _ = tiny_sets.score.batch([0])
    with torch.no_grad():
        torch.testing.assert_close(enhancer(noisy), net.enhance(noisy))


def test_scores_that_were_begun_are_those_of_the_network_as_it_was_then(tiny_sets, network):
    net = network()
    with PesqPool(1) as pool:
        ready = begin_score(network_enhancer(net), tiny_sets.score, pool)
        expected = score(network_enhancer(net), tiny_sets.score, PesqPool(0))
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.zero_()
        np.testing.assert_array_equal(ready().pesq, expected.pesq)


def test_training_goes_on_after_scoring(tiny_sets, network):
    net = network()
    with PesqPool(0) as pool:
        score(network_enhancer(net), tiny_sets.score, pool)
    net.enhance(tiny_sets.train.batch([0])[0]).abs().sum().backward()
    assert net.linear.weight.grad is not None


def test_progress_ends_at_one(tiny_sets):
    shares: list[float] = []
    with PesqPool(0) as pool:
        score(unprocessed, tiny_sets.score, pool, progress=shares.append)
    assert shares[-1] == 1


# Delay-and-sum


def plane_wave(azimuth: float, hertz: float | None = None) -> tuple[torch.Tensor, np.ndarray]:
    """(1, M, N) signals of the cross array without room and noise, and the signal at the reference."""
    samples = 4000
    time = np.arange(samples)
    sound = (
        np.random.default_rng(0).normal(size=samples) if hertz is None else np.sin(2 * np.pi * hertz / 16_000 * time)
    )
    sound = np.convolve(sound * np.hanning(samples), [0.25, 0.5, 0.25], mode="same").astype(np.float32)
    delays, nothing = CROSS.delays(azimuth, 0.0), np.ones(1, dtype=np.float32)
    mixture, clean = render([Scene(sound, sound, nothing, nothing, delays, delays, 200.0, -20.0, 0)])
    return mixture, clean[0].numpy()


def test_delay_and_sum_gives_back_a_talker_in_front():
    mixture, clean = plane_wave(0.0)
    np.testing.assert_allclose(delay_and_sum(CROSS)(mixture)[0], clean, atol=1e-3 * np.abs(clean).max())


def test_delay_and_sum_weakens_what_comes_from_behind():
    """3 kHz from behind: front and back microphone are 2 x 1.4 samples out of step, in opposite senses."""
    mixture, clean = plane_wave(180.0, hertz=3000.0)
    left = delay_and_sum(CROSS)(mixture)[0].numpy()
    step = 2 * 0.03 / 343 * 3000 * 2 * np.pi
    expected = (3 + 2 * np.cos(step)) / 5  # centre, left and right stay in step
    ratio = np.sqrt(np.mean(left**2) / np.mean(clean**2))
    assert ratio == pytest.approx(abs(expected), abs=0.02)
    assert ratio < 0.5


def test_delay_and_sum_keeps_length_and_batch(tiny_sets):
    noisy, _ = tiny_sets.score.batch([0, 1])
    pair = Array("pair", ((0.0, 0.0, 0.0), (0.03, 0.0, 0.0)))
    assert delay_and_sum(pair)(noisy).shape == (2, noisy.shape[-1])


def test_snrs_are_the_five_of_the_evaluation():
    assert SNRS_DB == (-5.0, 0.0, 5.0, 10.0, 15.0)
