from __future__ import annotations

import numpy as np
import pytest

from search.process import Features, GaussianProcess


def features(n: int, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    return Features(rng.uniform(size=(n, 2)), rng.integers(0, 3, (n, 1)), rng.uniform(size=(n, 1)), np.zeros(n, int))


def scores(of: Features) -> np.ndarray:
    """Better along log-MAC, best at a split, and for one recipe."""
    u, v = of.position.T
    return 1.3 + 0.2 * u - 0.3 * (v - 0.7) ** 2 + 0.05 * (of.recipe[:, 0] == 1)


def test_it_predicts_what_it_was_not_told_better_than_the_mean() -> None:
    noise = 0.01 * np.random.default_rng(1).standard_normal(40)
    known, new = features(40), features(200, 2)
    mean, std = GaussianProcess(known, scores(known) + noise).predict(new)
    assert np.abs(mean - scores(new)).mean() < 0.25 * np.abs(scores(new) - scores(known).mean()).mean()
    assert np.mean(np.abs(mean - scores(new)) < 2.5 * std) > 0.9


def test_it_is_surer_where_it_knows_more() -> None:
    known = features(20)
    process = GaussianProcess(known, scores(known))
    new = features(5, 3)
    mean, std = process.predict(new)
    surer = process.with_scores(new, mean)
    assert (surer.predict(new)[1] < std).all()
    np.testing.assert_allclose(surer.predict(new)[0], mean, atol=1e-6)


def test_a_constant_between_two_sources_does_not_matter() -> None:
    here, there = features(15), features(15, 4)
    moved = Features(there.position, there.recipe, there.ordered, np.ones(15, int))
    told = np.concatenate([scores(here), scores(there) + 0.4])
    new = features(50, 5)
    mean, _ = GaussianProcess(here + moved, told).predict(new)
    assert np.abs(mean - scores(new)).mean() < 0.02


@pytest.mark.parametrize("values", [[1.3], [1.3, 1.3, 1.3], [1.3, 1.3, 1.3 + 1e-12]])
def test_few_or_equal_scores_give_finite_predictions(values: list[float]) -> None:
    mean, std = GaussianProcess(features(len(values)), np.array(values)).predict(features(10, 6))
    assert np.isfinite(mean).all()
    assert (std > 0).all()


def test_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match="one at least"):
        GaussianProcess(features(0), np.array([]))
