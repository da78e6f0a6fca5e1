"""Fits the surface of PESQ to the recorded curves, and says how far it is to be trusted.

    python benchmarks/surface_fit.py [--curves FILE] [--out FILE] [--json]

A surface is asked for sizes that were not recorded. So forms are compared by their error for sizes that were left out
of the fit, and the one with the fewest coefficients among those within 2 % of the best is kept and written. Forms that
come out unsound (PESQ that falls where MACs grow at the usual split, or a split that is worst in the middle) are not
kept: a search would run after their errors. Only trainings by the standard settings count.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve import RECORDED, Curve, read_curves, repeats, usual
from benchmarks.hull import convex_hull
from benchmarks.seed_noise import seed_noise
from benchmarks.surface import FITTED, Floats, Noise, Surface
from benchmarks.surface_first import fit_first
from benchmarks.surface_terms import CENTRE_SPLIT, SIZE_TERMS, Form, split, terms
from data.errors import InputError, run_command
from data.flags import CommandParser
from model.ftjnf import Size
from model.macs import paper_gmac

TAUS = {"slice": (0.4, 0.7, 1.2, 2.0), "random": (0.7, 1.2, 2.0, 3.5)}
"""Time constants that are tried, in the clock's epochs; shorter ones are over before the first score."""
FORMS = tuple(
    Form(*parts)
    for parts in itertools.product(SIZE_TERMS, ("offset", "slope"), ("common", "by size"), ("epochs", "steps"))
)
NEARLY = 1.02
"""Errors whose ratio is below this count as equal."""


def main(words: list[str] | None = None) -> None:
    """The command line."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=RECORDED, help="recorded curves (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=FITTED, help="of the surface (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the surface as one JSON object")
    arguments = parser.parse_args(words)
    surface = fit(read_curves(arguments.curves))
    surface.write(arguments.out)
    if arguments.json:
        print(arguments.out.read_text(encoding="utf-8"))
    else:
        show(surface)


@dataclass(frozen=True)
class Points:
    """All scored epochs of the curves.

    Args:
        curves: (points,) whose they are.
        epochs: (points,) epoch in the last stage, from 1.
        pesq: (points,).
    """

    curves: list[Curve]
    epochs: list[int]
    pesq: Floats

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> Points:
        """The scored epochs of some curves."""
        found = [
            (curve, epoch, value)
            for curve in curves
            for epoch, value in enumerate(curve.last_stage, 1)
            if not math.isnan(value)
        ]  # fmt: skip
        return cls([one for one, _, _ in found], [epoch for _, epoch, _ in found], np.array([v for _, _, v in found]))

    def matrix(self, form: Form, taus: dict[str, float]) -> tuple[list[str], Floats]:
        """Names of the coefficients and (points, coefficients) what stands beside them."""
        rows = [
            terms(form, curve.choice.size, curve.choice.kd_method, curve.choice.init, epoch,
                  curve.train["epochs"], taus)
            for curve, epoch in zip(self.curves, self.epochs, strict=True)
        ]  # fmt: skip
        names = list(dict.fromkeys(name for row in rows for name in row))
        return names, np.array([[row.get(name, 0.0) for name in names] for row in rows])

    def groups(self, of: str) -> NDArray[np.int64]:
        """(points,) number of the configuration, or of the size."""
        keys = [curve.configuration if of == "configuration" else str(curve.choice.size) for curve in self.curves]
        order = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        return np.array([order[key] for key in keys])


@dataclass(frozen=True)
class Fit:
    """A form with its best coefficients, and its errors."""

    form: Form
    coefficients: dict[str, float]
    taus: dict[str, float]
    residuals: Floats
    left_out: dict[str, Floats]

    def error(self, of: str = "configuration") -> float:
        """Root mean square error for configurations (or sizes) that were left out."""
        return float(np.sqrt(np.mean(self.left_out[of] ** 2)))


def fit(curves: Sequence[Curve]) -> Surface:
    """The surface of some curves.

    Raises:
        InputError: there are fewer than three configurations of the usual settings, or PESQ falls with their MACs.
    """
    used = [curve for curve in usual(curves) if curve.choice.init in TAUS]
    groups = repeats(used)
    if len(groups) < 3:
        raise InputError(f"{len(groups)} configurations of the usual settings are too few for a surface; record more")
    points = Points.of(used)
    inits = tuple(name for name in TAUS if any(curve.choice.init == name for curve in used))
    fits = [fit_form(points, form, inits) for form in FORMS]
    candidates = [one for one in fits if sound(one, used)]
    if not candidates:
        raise InputError(
            "no form has PESQ that grows with the MACs of these curves; record more sizes, repeats or epochs"
        )
    lowest = min(one.error("size") for one in candidates)
    best = min(
        (one for one in candidates if one.error("size") <= NEARLY * lowest),
        key=lambda one: (len(one.coefficients), round(one.error("size"), 4)),
    )
    noise = seed_noise(list(groups.values()))
    if noise is None:
        noise = _noise_of_residuals(best.residuals, points.groups("configuration"))
    beside = used[0].beside
    corners = convex_hull([(math.log10(paper_gmac(c.choice.size)), split(c.choice.size)) for c in used])
    surface = Surface(
        form=best.form,
        coefficients=best.coefficients,
        taus=best.taus,
        noise=noise,
        hull=tuple(corners),
        longest=max(curve.train["epochs"] for curve in used),
        methods=tuple(dict.fromkeys(["none", *(curve.choice.kd_method for curve in used)])),
        inits=inits,
        unprocessed=float(beside["unprocessed"] or math.nan),
        teacher=float(beside["teacher"] or math.nan),
    )
    stage_1, error = fit_first(surface, used)
    found = quality(points, best, fits, noise, len(used), len(groups)) | {"stage_1": error}
    return replace(surface, stage_1=stage_1, quality=found)


def _noise_of_residuals(residuals: Floats, groups: NDArray[np.int64]) -> Noise:
    """What takes the place of the noise of seeds where nothing was repeated: a curve's mean residual, and the rest."""
    shared = np.array([residuals[groups == group].mean() for group in groups])
    return Noise(luck=float(np.sqrt(np.mean(shared**2))), wander=float(np.sqrt(np.mean((residuals - shared) ** 2))))


def sound(one: Fit, curves: Sequence[Curve]) -> bool:
    """Whether more MACs never cost PESQ at the usual split, and no split is worse than those on both of its sides.

    Args:
        one: the fit.
        curves: what it is a fit of; checked over the range of their costs.
    """
    if one.coefficients.get("split_squared", 0.0) > 0:
        return False
    dear = max(curve.gmac for curve in curves)
    cheap = min(curve.gmac for curve in curves)
    usual = [Size(f, round(f * (1 / CENTRE_SPLIT - 1))) for f in range(4, 512, 2)]
    means = []
    for size in (size for size in usual if cheap <= paper_gmac(size) <= dear):
        found = terms(one.form, size, "none", "slice", 5, 5, one.taus | {"slice": one.taus.get("slice", 1.0)})
        means.append(sum(one.coefficients.get(name, 0.0) * value for name, value in found.items()))
    return bool((np.diff(means) >= -1e-6).all())


def fit_form(points: Points, form: Form, inits: Sequence[str]) -> Fit:
    """The least-squares fit of one form, and its errors for what is left out; time constants are fitted each time."""
    options = [dict(zip(inits, values, strict=True)) for values in itertools.product(*(TAUS[i] for i in inits))]
    made = [points.matrix(form, taus) for taus in options]
    designs = [x for _, x in made]
    y = points.pesq
    whole = [_normal(x, y) for x in designs]
    best, solution = _best(whole)
    left_out = {}
    for of in ("configuration", "size"):
        groups = points.groups(of)
        errors = np.empty(len(y))
        for group in range(groups.max() + 1):
            out = groups == group
            parts = [_normal(x[out], y[out]) for x in designs]
            at, found = _best([_less(all_, part) for all_, part in zip(whole, parts, strict=True)])
            errors[out] = y[out] - designs[at][out] @ found
        left_out[of] = errors
    coefficients = {name: float(value) for name, value in zip(made[best][0], solution, strict=True)}
    return Fit(form, coefficients, options[best], y - designs[best] @ solution, left_out)


Normal = tuple[Floats, Floats, float]
"""The products x'x, x'y and y'y, which a group of points adds its share to."""


def _normal(x: Floats, y: Floats) -> Normal:
    return x.T @ x, x.T @ y, float(y @ y)


def _less(whole: Normal, part: Normal) -> Normal:
    return whole[0] - part[0], whole[1] - part[1], whole[2] - part[2]


def _best(options: Sequence[Normal]) -> tuple[int, Floats]:
    """Which option fits best by least squares, and its coefficients; of what the points do not tell, the smallest."""
    found = []
    for i, (xx, xy, yy) in enumerate(options):
        solution = np.linalg.pinv(xx, rcond=1e-10, hermitian=True) @ xy
        found.append((yy - 2 * float(solution @ xy) + float(solution @ xx @ solution), i, solution))
    _, best, solution = min(found, key=lambda one: one[:2])
    return best, solution


def quality(
    points: Points, best: Fit, fits: Sequence[Fit], noise: Noise, trainings: int, configurations: int
) -> dict[str, Any]:
    """How well a fit does: errors in PESQ, root mean square, over all scored epochs unless it says otherwise."""
    y = points.pesq
    lacking = []
    groups = points.groups("configuration")
    for group in range(groups.max() + 1):
        mine = groups == group
        count = len({id(curve) for curve, yes in zip(points.curves, mine, strict=True) if yes})
        by_chance = noise.luck**2 / count + noise.wander**2 / mine.sum() if noise.trainings else 0.0
        lacking.append(float(best.residuals[mine].mean()) ** 2 - by_chance)
    last = np.array([e == curve.train["epochs"] for curve, e in zip(points.curves, points.epochs, strict=True)])
    return {
        "trainings": trainings,
        "configurations": configurations,
        "scored_epochs": len(y),
        "r2": 1 - float(np.sum(best.residuals**2) / np.sum((y - y.mean()) ** 2)),
        "residual": float(np.sqrt(np.mean(best.residuals**2))),
        "seed_noise": noise.std if noise.trainings else None,
        "configuration_misfit": math.sqrt(max(0.0, float(np.mean(lacking)))),
        "left_out_configuration": best.error(),
        "left_out_configuration_last_epoch": float(np.sqrt(np.mean(best.left_out["configuration"][last] ** 2))),
        "left_out_size": best.error("size"),
        "spread_of_pesq": float(y.std()),
        "forms": [
            {
                **{name: getattr(one.form, name) for name in ("size", "method", "to_go", "clock")},
                "coefficients": len(one.coefficients),
                "left_out_configuration": one.error(),
                "left_out_size": one.error("size"),
                "sound": sound(one, list({id(curve): curve for curve in points.curves}.values())),
            }
            for one in sorted(fits, key=lambda one: one.error("size"))
        ],
    }


def show(surface: Surface) -> None:
    """Prints a surface for people."""
    found, form, noise = surface.quality, surface.form, surface.noise
    print(
        f"{found['trainings']} trainings of {found['configurations']} configurations, {found['scored_epochs']} scored "
        f"epochs; PESQ spreads by {found['spread_of_pesq']:.4f}"
    )
    print(f"kept form: size by {form.size}, method by {form.method}, to go {form.to_go}, time by {form.clock}")
    for name, value in surface.coefficients.items():
        print(f"  {name:28} {value:+.4f}")
    for name, (adds, per_decade) in surface.stage_1.items():
        print(f"  stage 1, {name:19} {adds:+.4f}, for a decade more {per_decade:+.4f}")
    print("  time constants: " + ", ".join(f"{name} {tau:g}" for name, tau in surface.taus.items()))
    for name in ("r2", "residual", "seed_noise", "configuration_misfit", "left_out_configuration",
                 "left_out_configuration_last_epoch", "left_out_size", "stage_1"):  # fmt: skip
        print(f"  {name:34} " + ("-" if found[name] is None else f"{found[name]:.4f}"))
    apart = ", ".join(f"{value:.2f}" for value in noise.correlations)
    print(
        f"seeds ({noise.trainings} trainings): luck {noise.luck:.4f}, wander {noise.wander:.4f}, memory "
        f"{noise.memory:g}; correlation of epochs 1, 2, ... apart: {apart or '-'}"
    )
    print("the best forms by their error for a size left out:")
    for one in found["forms"][:12]:
        print(
            f"  {one['size']:24} {one['method']:7} {one['to_go']:8} {one['clock']:7} {one['coefficients']:3} terms  "
            f"{one['left_out_size']:.4f}  (configuration left out {one['left_out_configuration']:.4f})"
            + ("" if one["sound"] else "  unsound")
        )


if __name__ == "__main__":
    run_command(main)
