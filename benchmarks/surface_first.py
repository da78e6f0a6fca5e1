"""What stage 1 of two-stage KD scores, where it trains the output: so much against training without KD."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.curve import Curve
from benchmarks.surface import Surface
from benchmarks.surface_terms import decades


def fit_first(surface: Surface, curves: Sequence[Curve]) -> tuple[dict[str, tuple[float, float]], float | None]:
    """The terms of `Surface.first`, by least squares, and the error that they leave.

    Args:
        surface: fitted to the last stages.
        curves: recorded ones of standard settings.

    Returns:
        By method what stage 1 adds to the PESQ of `none` after as many epochs, at `CENTRE_GMAC` and for a decade more
        (0 for the decade where one size was recorded); only methods that were scored there. And the root mean square
        error in PESQ, None where nothing was scored.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    for curve in curves:
        size, epochs = curve.choice.size, curve.train["epochs"]
        for epoch, pesq in enumerate(curve.first_stage, 1):
            if np.isfinite(pesq):
                plain = surface.mean(size, "none", curve.choice.init, epoch, epochs)
                points.setdefault(curve.choice.kd_method, []).append((decades(size), float(pesq) - plain))
    found, errors = {}, []
    for method, pairs in points.items():
        place, above = np.array(pairs).T
        x = np.column_stack([np.ones_like(place), place])
        terms = np.linalg.pinv(x) @ above if np.ptp(place) > 0 else np.array([above.mean(), 0.0])
        found[method] = (float(terms[0]), float(terms[1]))
        errors.append(above - x @ terms)
    return found, float(np.sqrt(np.mean(np.concatenate(errors) ** 2))) if errors else None
