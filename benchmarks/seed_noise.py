"""How trainings of one configuration differ that started from other seeds, measured on repeats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from benchmarks.curve import Curve
from benchmarks.surface import Noise

MEMORIES = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Correlations of neighbouring epochs' wander that are tried."""


def seed_noise(groups: Sequence[Sequence[Curve]]) -> Noise | None:
    """How repeats of one configuration differ, or None if nothing was repeated.

    The covariance of the deviations from each configuration's and epoch's mean, pooled, by the distance of the epochs:
    what is left at any distance is luck, and what decays is wander with a memory.

    Args:
        groups: curves by configuration.
    """
    products: dict[int, list[tuple[float, float]]] = {}
    trainings = 0
    for group in groups:
        if len(group) < 2:
            continue
        trainings += len(group)
        table = np.array([curve.last_stage for curve in group])
        complete = ~np.isnan(table).any(axis=0)  # an epoch counts where all repeats were scored
        away = table - table.mean(axis=0)
        for i, j in itertools.combinations_with_replacement(np.flatnonzero(complete).tolist(), 2):
            products.setdefault(j - i, []).append((float(np.sum(away[:, i] * away[:, j])), len(group) - 1.0))
    if not products.get(0):
        return None
    covariances = {lag: sum(s for s, _ in found) / sum(n for _, n in found) for lag, found in products.items()}
    counts = {lag: sum(n for _, n in found) for lag, found in products.items()}
    lags = sorted(covariances)
    target = np.array([covariances[lag] for lag in lags])
    weight = np.sqrt([counts[lag] for lag in lags])
    weight[0] *= 10  # the deviation itself is what most depends on
    fits = []
    for memory in MEMORIES if len(lags) > 2 else (0.0,):
        decay = np.array([memory**lag for lag in lags])  # 0**0 is 1
        for x in (np.stack([np.ones(len(lags)), decay], 1), np.ones((len(lags), 1)), decay[:, None]):
            found = np.linalg.lstsq(x * weight[:, None], target * weight, rcond=None)[0]
            if (found >= 0).all():
                shares = np.zeros(2)
                shares[[0, 1] if x.shape[1] == 2 else ([0] if (x == 1).all() else [1])] = found
                fits.append((float(np.sum(((x @ found - target) * weight) ** 2)), memory, shares))
    _, memory, (luck, wander) = min(fits, key=lambda one: one[0])
    correlations = tuple(float(covariances[lag] / covariances[0]) for lag in lags[1:])
    return Noise(math.sqrt(luck), math.sqrt(wander), memory, trainings, correlations)
