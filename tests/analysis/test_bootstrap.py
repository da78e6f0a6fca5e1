from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.bootstrap import (
    SeedSpread,
    bootstrap_interval,
    hierarchical_interval,
    hierarchical_paired,
    paired_bootstrap,
    pesq_summary,
)

NAN = math.nan


def test_pesq_summary_is_the_mean_over_snrs_of_the_median_over_clips() -> None:
    assert pesq_summary([[1.0, 2.0], [1.2, 2.6], [4.0, 2.1]]) == pytest.approx((1.2 + 2.1) / 2)
    assert pesq_summary([[1.0], [2.0]]) == pytest.approx(1.5)


def test_pesq_summary_leaves_unscored_clips_out() -> None:
    assert pesq_summary([[1.0, NAN], [1.2, 2.6], [NAN, 2.0]]) == pytest.approx((1.1 + 2.3) / 2)


@pytest.mark.parametrize("scores", [np.empty((0, 5)), [[1.0, NAN], [1.2, NAN]]])
def test_pesq_summary_without_a_score_for_an_snr_is_nan(scores: object) -> None:
    assert math.isnan(pesq_summary(np.asarray(scores)))


def noisy(clips: int, level: float, seed: int) -> np.ndarray:
    return level + np.random.default_rng(seed).normal(0, 0.3, (clips, 5))


def test_bootstrap_interval_holds_the_summary_and_shrinks_with_clips() -> None:
    few, many = noisy(20, 2.0, 0), noisy(320, 2.0, 1)
    for scores in (few, many):
        low, high = bootstrap_interval(scores, n=300)
        assert low < pesq_summary(scores) < high
    assert np.diff(bootstrap_interval(many, n=300)) < np.diff(bootstrap_interval(few, n=300)) / 2


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = [low < 2.0 < high for low, high in (bootstrap_interval(noisy(40, 2.0, s), n=200) for s in range(60))]
    assert 0.85 <= np.mean(covered) <= 1.0


def test_bootstrap_is_seeded() -> None:
    scores = noisy(20, 2.0, 0)
    assert bootstrap_interval(scores, n=100, seed=1) == bootstrap_interval(scores, n=100, seed=1)
    assert bootstrap_interval(scores, n=100, seed=1) != bootstrap_interval(scores, n=100, seed=2)


def test_bootstrap_of_groups_is_wider_where_clips_of_a_group_are_alike() -> None:
    speakers = np.repeat(np.arange(8), 10)
    scores = noisy(80, 2.0, 0) + np.random.default_rng(5).normal(0, 0.5, 8)[speakers][:, None]
    by_clip = np.diff(bootstrap_interval(scores, n=300))
    by_speaker = np.diff(bootstrap_interval(scores, groups=speakers.tolist(), n=300))
    assert by_speaker > 1.5 * by_clip


def test_paired_bootstrap_sees_a_difference_that_two_intervals_cannot() -> None:
    hard = np.random.default_rng(0).normal(2, 0.6, (60, 1)) * np.ones((60, 5))  # clips differ far more than systems do
    a, b = hard + 0.1 + noisy(60, 0.0, 1) / 30, hard + noisy(60, 0.0, 2) / 30
    low, high = paired_bootstrap(a, b, n=300)
    assert 0 < low < high
    assert bootstrap_interval(a, n=300)[0] < bootstrap_interval(b, n=300)[1]


def test_paired_bootstrap_of_a_system_with_itself_is_zero() -> None:
    scores = noisy(20, 2.0, 0)
    assert paired_bootstrap(scores, scores, n=50) == (0.0, 0.0)


def test_paired_bootstrap_leaves_a_clip_out_for_both_if_one_is_unscored() -> None:
    a, b = noisy(20, 2.0, 0), noisy(20, 1.5, 1)
    gone_for_one, gone_for_both = a.copy(), b.copy()
    gone_for_one[3, 2] = gone_for_both[3, 2] = NAN
    assert paired_bootstrap(gone_for_one, b, n=50) == paired_bootstrap(gone_for_one, gone_for_both, n=50)
    assert not np.isnan(b).any()  # the caller's arrays stay as they were


@pytest.mark.parametrize(
    ("scores", "groups"),
    [(np.empty((0, 5)), None), (np.ones((1, 5)), None), (np.ones((4, 5)), ["anna"] * 4), (np.full((4, 5), NAN), None)],
)
def test_bootstrap_that_can_say_nothing_gives_nan(scores: np.ndarray, groups: list[str] | None) -> None:
    assert all(math.isnan(end) for end in bootstrap_interval(scores, groups, n=20))
    assert all(math.isnan(end) for end in paired_bootstrap(scores, scores, groups, n=20))


def test_bootstrap_refuses_what_does_not_fit_together() -> None:
    with pytest.raises(ValueError, match="one group a clip"):
        bootstrap_interval(np.ones((3, 5)), ["anna", "ben"])
    with pytest.raises(ValueError, match="one shape"):
        paired_bootstrap(np.ones((3, 5)), np.ones((4, 5)))


def seeds_of(level: float, spread: float, seeds: int, seed: int, clips: int = 40) -> np.ndarray:
    """(seeds, clips, 5): one configuration's trainings on the same clips."""
    rng = np.random.default_rng(seed)
    clip = rng.normal(0, 0.2, (1, clips, 1))
    return level + clip + rng.normal(0, spread, (seeds, 1, 1)) + rng.normal(0, 0.02, (seeds, clips, 5))


def test_interval_over_seeds_is_that_over_clips_for_a_single_seed() -> None:
    table = noisy(20, 2.0, 0)
    assert hierarchical_interval(table[None], n=500, seed=3) == bootstrap_interval(table, n=500, seed=3)


def test_interval_over_seeds_is_wider_where_seeds_differ() -> None:
    alike, apart = (hierarchical_interval(seeds_of(2.0, spread, 3, 0)) for spread in (0.0, 0.15))
    assert apart[1] - apart[0] > 1.2 * (alike[1] - alike[0])


def test_spread_of_few_seeds_is_that_of_all_the_seeds_there_could_be() -> None:
    # clips that are all alike: what is left is the seeds' spread, 0.1 / sqrt(3) for the mean of three
    widths = []
    for seed in range(60):
        level = np.random.default_rng(seed).normal(2.0, 0.1, (3, 1, 1))
        low, high = hierarchical_interval(np.broadcast_to(level, (3, 6, 5)), n=400, level=0.6827)
        widths.append(((high - low) / 2) ** 2)
    assert np.sqrt(np.mean(widths)) == pytest.approx(0.1 / np.sqrt(3), rel=0.25)


def test_spread_of_other_configurations_counts_for_a_single_seed() -> None:
    spread = SeedSpread.of([[1.9, 2.0, 2.1], [1.4, 1.6], [1.7], [1.5, NAN]])
    assert (spread.std, spread.freedom) == (pytest.approx(((0.02 + 0.02) / 3) ** 0.5), 3)
    one = seeds_of(2.0, 0.0, 1, 0)
    narrow, wide = hierarchical_interval(one), hierarchical_interval(one, spread=spread)
    assert wide[1] - wide[0] > 2 * 3 * spread.std > narrow[1] - narrow[0]
    low, high = hierarchical_paired(one + 0.2, one, spread=spread)
    assert low < 0 < 0.2 < high
    unknown = SeedSpread.of([[1.5], [1.6]])
    assert hierarchical_interval(one, spread=unknown) == narrow


def test_paired_over_seeds_sees_a_difference_that_clips_would_hide_and_none_that_seeds_explain() -> None:
    base = seeds_of(2.0, 0.0, 3, 0)
    low, high = hierarchical_paired(base + 0.05, base)
    assert 0 < low < 0.05 < high
    assert bootstrap_interval(base[0])[1] - bootstrap_interval(base[0])[0] > 0.1
    shifted = base + np.array([0.15, -0.05, 0.05])[:, None, None]
    low, high = hierarchical_paired(shifted, base)
    assert low < 0 < high


def test_paired_over_seeds_takes_other_numbers_of_seeds_and_refuses_other_clips() -> None:
    base = seeds_of(2.0, 0.0, 3, 0)
    low, high = hierarchical_paired(base[:1] + 0.2, base)
    assert low < 0.2 < high
    with pytest.raises(ValueError, match="one shape"):
        hierarchical_paired(base, base[:, :5])
    with pytest.raises(ValueError, match="seeds, clips, SNRs"):
        hierarchical_interval(base[0])


def test_paired_over_seeds_leaves_out_for_all_what_one_seed_misses() -> None:
    base = seeds_of(2.0, 0.0, 2, 0, clips=4)
    other = base.copy()
    other[0, 0] = NAN
    base[:, 0] += 5
    low, high = hierarchical_paired(base, other)
    assert -0.1 < low <= 0 <= high < 0.1
