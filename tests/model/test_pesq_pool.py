"""Wide-band PESQ: real scores, and NaN where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from data import RATE
from model.pesq_pool import PesqPool, wideband_pesq


@pytest.fixture(scope="module")
def speech(tiny_source) -> np.ndarray:
    return tiny_source().speech.samples(0)


def noise(like: np.ndarray, gain: float) -> np.ndarray:
    return (gain * np.random.default_rng(0).normal(size=len(like))).astype(np.float32)


def test_more_noise_scores_lower_and_none_at_the_ceiling(speech):
    scores = [wideband_pesq(speech, speech + noise(speech, gain)) for gain in (0, 1e-3, 3e-2)]
    assert scores[0] == pytest.approx(4.644, abs=1e-3)
    assert scores[0] > scores[1] > scores[2] >= 1


def test_level_of_the_whole_clip_does_not_matter(speech):
    noisy = speech + noise(speech, 1e-2)
    assert wideband_pesq(0.05 * speech, 0.05 * noisy) == pytest.approx(wideband_pesq(speech, noisy), abs=0.01)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda clean: (clean, 0 * clean),
        lambda clean: (0 * clean, clean),
        lambda clean: (clean[: RATE // 5], clean[: RATE // 5]),
        lambda clean: (clean[:0], clean[:0]),
        lambda clean: (clean, np.where(np.arange(len(clean)) == 5, np.nan, clean)),
        lambda clean: (clean, np.where(np.arange(len(clean)) == 5, np.inf, clean)),
        lambda clean: (np.full_like(clean, np.nan), clean),
    ],
    ids=["silent estimate", "silent reference", "too short", "empty", "NaN", "infinite", "NaN reference"],
)
def test_clip_that_cannot_be_scored_is_nan(speech, spoil: Callable):
    assert math.isnan(wideband_pesq(*spoil(speech)))


def test_pool_gives_the_same_scores_in_order_as_no_pool(speech):
    pairs = [(speech, speech + noise(speech, gain)) for gain in (0, 1e-3, 1e-2)] + [(speech, 0 * speech)]
    with PesqPool(0) as here, PesqPool(1) as elsewhere:
        expected, scores = here.scores(pairs), elsewhere.scores(pairs)
    np.testing.assert_array_equal(scores, expected)
    assert len(set(expected[:3])) == 3
    assert math.isnan(scores[3])
