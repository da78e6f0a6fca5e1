"""A Gaussian process over students: what is to be expected of one that was not trained, and how sure that is.

The covariance of two students is a sum of terms, each an amplitude times exp(-sum of weight x distance), beside a level
and a slope along log-MAC that are not penalised. There are terms for the size, for the recipe (method, schedule, start
and whatever else a configuration has), and for a recipe that does better at some costs than at others. Amplitudes,
weights and noise maximise the posterior density (Rasmussen and Williams, "Gaussian Processes for Machine Learning",
2006, eq. 5.9, with log-normal priors that hold the fit where there are few scores).
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]

FITTED = 120
"""Students that the covariance is fitted to at most, spread evenly over all; all of them count in what it predicts."""

_BASIS = 9.0  # variance of level and slope, in units of the scores' variance: as good as free
_JITTER = 1e-8


@dataclass(frozen=True)
class Features:
    """Students as points.

    Args:
        position: (n, 2) along log-MAC and along the split between F and T, about 0..1.
        recipe: (n, groups) codes: students differ in a group if the codes differ.
        ordered: (n, quantities) numbers of the recipe that have an order, about 0..1.
        source: (n,) codes: scores of different sources may differ by any constant.
    """

    position: Floats
    recipe: NDArray[np.intp]
    ordered: Floats
    source: NDArray[np.intp]

    def __getitem__(self, index: NDArray[np.intp] | slice) -> Features:
        return Features(self.position[index], self.recipe[index], self.ordered[index], self.source[index])

    def __len__(self) -> int:
        return len(self.position)

    def __add__(self, other: Features) -> Features:
        return Features(
            np.concatenate([self.position, other.position]),
            np.concatenate([self.recipe, other.recipe]),
            np.concatenate([self.ordered, other.ordered]),
            np.concatenate([self.source, other.source]),
        )

    def distances(self, other: Features) -> Floats:
        """(2 + groups + quantities, n, m) squared differences, of codes 0 or 1."""
        numbers, others = (np.concatenate([one.position, one.ordered], axis=1) for one in (self, other))
        squared = (numbers.T[:, :, None] - others.T[:, None, :]) ** 2
        differ = (self.recipe.T[:, :, None] != other.recipe.T[:, None, :]).astype(np.float64)
        return np.concatenate([squared[:2], differ, squared[2:]])


@dataclass(frozen=True)
class _Prior:
    """Log-normal priors of the parameters, as their logarithms stand in a vector."""

    mean: Floats
    std: Floats


class GaussianProcess:
    """Posterior of the noise-free score.

    Args:
        features: (n) students with a score.
        scores: (n,) theirs, in any unit.

    Raises:
        ValueError: there is no score.
    """

    def __init__(self, features: Features, scores: Floats) -> None:
        if len(features) == 0 or len(features) != len(scores):
            raise ValueError(f"as many scores as students are needed, and one at least; got {len(scores)}")
        self._level = float(np.mean(scores))
        # equal scores, or a single one, have no spread of their own
        self._scale = max(float(np.std(scores)), 1e-3)
        self._features, self._values = features, (scores - self._level) / self._scale
        self._dimensions = 2 + features.recipe.shape[1] + features.ordered.shape[1]
        self._parameters = self._fitted()
        self._condition(features, self._values)

    def with_scores(self, features: Features, scores: Floats) -> GaussianProcess:
        """The process with more scores and the same covariance; with those it predicts it only becomes surer."""
        other = copy(self)
        if len(features):
            other._condition(self._known + features, np.concatenate([self._told, (scores - self._level) / self._scale]))
        return other

    def predict(self, features: Features) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noise-free scores of students, (m,) each, in the scores' unit."""
        cross = self._covariance(self._known, features, self._parameters)
        mean = cross.T @ self._weights
        prior = self._diagonal(features, self._parameters)
        half = solve_triangular(self._factor[0], cross, lower=True)
        variance = np.maximum(prior - np.sum(half**2, axis=0), 1e-12)
        return self._level + self._scale * mean, self._scale * np.sqrt(variance)

    # parameters: log amplitudes^2 of the terms, log weights of size, recipe and interaction, log noise^2 -------------

    def _split(self, parameters: Floats) -> tuple[Floats, Floats, float]:
        """(3,) amplitudes^2, (3, dimensions) weights, and noise^2."""
        d = self._dimensions
        values = np.exp(parameters)
        weights = np.zeros((3, d))
        weights[0, :2] = values[3:5]
        weights[1, 2:] = values[5 : 3 + d]
        weights[2, 2:] = values[5 : 3 + d]
        weights[2, 0] = values[3 + d]
        return values[:3], weights, float(values[4 + d])

    def _prior(self) -> _Prior:
        d = self._dimensions
        mean = np.log([0.3, 0.1, 0.05, 2.0, 3.0, *[1.0] * (d - 2), 2.0, 0.1])
        std = np.array([1.0, 1.0, 1.0, 0.7, 1.0, *[0.7] * (d - 2), 0.7, 1.0])
        return _Prior(mean, std)

    def _fitted(self) -> Floats:
        chosen = np.unique(np.linspace(0, len(self._features) - 1, FITTED).round().astype(int))
        features, values = self._features[chosen], self._values[chosen]
        distances, slope = features.distances(features), _basis(features, features)
        prior, n, d = self._prior(), len(features), self._dimensions

        def loss(parameters: Floats) -> tuple[float, Floats]:
            amplitudes, weights, noise = self._split(parameters)
            terms = amplitudes[:, None, None] * np.exp(-np.tensordot(weights, distances, 1))
            factor = cho_factor(slope + terms.sum(0) + (noise + _JITTER) * np.eye(n), lower=True)
            inverse = cho_solve(factor, np.eye(n))
            told = inverse @ values
            inner = 0.5 * (np.outer(told, told) - inverse)  # d log likelihood / d covariance
            weighed = inner * terms  # (3, n, n)
            gradient = np.empty_like(parameters)
            gradient[:3] = weighed.sum((1, 2))
            pulls = -np.einsum("tij,dij->td", weighed, distances) * weights
            gradient[3:5] = pulls[0, :2]
            gradient[5 : 3 + d] = pulls[1, 2:] + pulls[2, 2:]
            gradient[3 + d] = pulls[2, 0]
            gradient[4 + d] = noise * np.trace(inner)
            away = (parameters - prior.mean) / prior.std
            likelihood = -0.5 * values @ told - np.sum(np.log(np.diag(factor[0])))
            return float(0.5 * away @ away - likelihood), away / prior.std - gradient

        found = minimize(
            loss, prior.mean, jac=True, method="L-BFGS-B", options={"maxiter": 60},
            bounds=[(m - 4 * s, m + 4 * s) for m, s in zip(prior.mean, prior.std, strict=True)],
        )  # fmt: skip
        return np.asarray(found.x)

    def _condition(self, features: Features, values: Floats) -> None:
        covariance = self._covariance(features, features, self._parameters)
        noise = self._split(self._parameters)[2] + _JITTER
        self._known, self._told = features, values
        self._factor = cho_factor(covariance + noise * np.eye(len(features)), lower=True)
        self._weights = cho_solve(self._factor, values)

    def _covariance(self, a: Features, b: Features, parameters: Floats) -> Floats:
        amplitudes, weights, _ = self._split(parameters)
        distances = a.distances(b)
        terms = amplitudes[:, None, None] * np.exp(-np.tensordot(weights, distances, 1))
        return _basis(a, b) + terms.sum(0)

    def _diagonal(self, features: Features, parameters: Floats) -> Floats:
        u = features.position[:, 0] - 0.5
        return _BASIS * (2 + 4 * u * u) + float(np.sum(self._split(parameters)[0]))


def _basis(a: Features, b: Features) -> Floats:
    level = 1 + (a.source[:, None] == b.source[None])
    return _BASIS * (level + 4 * np.outer(a.position[:, 0] - 0.5, b.position[:, 0] - 0.5))
