"""The formulas of the fitted surface: what stands beside each of its coefficients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from model.ftjnf import Size
from model.macs import paper_gmac


@dataclass(frozen=True)
class Form:
    """Which formula a surface is.

    Args:
        size: how PESQ depends on the size: a key of `SIZE_TERMS`.
        method: "offset" (a constant a method), or "slope" (and one that grows with log MAC).
        to_go: "common" (what is still to be learnt decays equally for all sizes), or "by size" (there is more of it, or
            less, with log MAC).
        clock: what time is: "epochs", or "steps", the sum of the cosine schedule's learning rates, in epochs at its
            full rate: half of all epochs at the end.
    """

    size: str = "macs"
    method: str = "offset"
    to_go: str = "common"
    clock: str = "epochs"


CENTRE_GMAC = 0.2
"""The cost at which the coefficients are to be read: near the middle of the recorded sizes."""
CENTRE_SPLIT = 0.72
"""Their usual share F/(F+T)."""


def decades(size: Size) -> float:
    """log10 of the cost, from `CENTRE_GMAC` on."""
    return math.log10(paper_gmac(size) / CENTRE_GMAC)


def split(size: Size) -> float:
    """F/(F+T)."""
    return size.f_hidden / (size.f_hidden + size.t_hidden)


def _macs(size: Size) -> dict[str, float]:
    return {"per_decade": decades(size)}


def _curved(size: Size) -> dict[str, float]:
    return {"per_decade": decades(size), "per_decade_squared": decades(size) ** 2}


def _macs_split(size: Size) -> dict[str, float]:
    away = split(size) - CENTRE_SPLIT
    return _macs(size) | {"split": away, "split_squared": away**2}


def _curved_split(size: Size) -> dict[str, float]:
    return _macs_split(size) | _curved(size)


def _widths(size: Size) -> dict[str, float]:
    return {"per_doubling_of_F": math.log2(size.f_hidden / 32), "per_doubling_of_T": math.log2(size.t_hidden / 12)}


def _curved_widths(size: Size) -> dict[str, float]:
    return _widths(size) | {"per_decade_squared": decades(size) ** 2}


SIZE_TERMS = {
    "macs": _macs,
    "macs, curved": _curved,
    "macs and split": _macs_split,
    "macs, curved, and split": _curved_split,
    "widths": _widths,
    "widths, curved": _curved_widths,
}
"""What stands beside the coefficients for the size."""


@lru_cache(maxsize=100_000)
def _size_terms(name: str, size: Size) -> dict[str, float]:
    return SIZE_TERMS[name](size)


def clock(form: Form, epoch: int, epochs: int) -> float:
    """Time after an epoch, in epochs, as `Form.clock` counts it."""
    if form.clock == "epochs":
        return float(epoch)
    share = epoch / epochs
    return epochs * (share / 2 + math.sin(math.pi * share) / (2 * math.pi))


def terms(
    form: Form, size: Size, method: str, init: str, epoch: int, epochs: int, taus: Mapping[str, float]
) -> dict[str, float]:
    """What stands beside each coefficient, by its name; PESQ is the sum of the products.

    Args:
        form: the formula.
        size, method, init, epoch, epochs: as for `PesqSurface.mean`.
        taus: time constants by start, as `form.clock` counts.
    """
    found = {"centre": 1.0, **_size_terms(form.size, size)}
    if method != "none":
        found[method] = 1.0
        if form.method == "slope":
            found[f"{method}_per_decade"] = decades(size)
    left = math.exp(-(clock(form, epoch, epochs) - 1.0) / taus[init])
    found[f"{init}_to_go"] = -left
    if form.to_go == "by size":
        found[f"{init}_to_go_per_decade"] = -left * decades(size)
    if init != "slice":
        found[init] = 1.0
    if epochs != 5:
        found["per_doubling_of_epochs"] = math.log2(epochs / 5)
    return found
