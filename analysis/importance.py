"""Which of the search's dimensions explain the scores: fANOVA, with and without what the cost explains.

The larger students are the better ones, so on PESQ as it stands nearly all importance is the cost's. What a method or a
start is worth shows in what the cost leaves unexplained: PESQ less a straight line over log10 GMAC.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.series import Record, score

FEWEST = 4
"""Students below which nothing is computed."""
FEW = 30
"""Students below which the shares are mostly chance: five dimensions, and each score has an interval of its own."""

_NOTHING = 1e-9
"""Differences of PESQ that are rounding."""

_CATEGORIES = {
    "kd_method": "KD method",
    "alpha_schedule": "alpha schedule",
    "init": "start",
    "bi_freq": "directions over frequency",
}


@dataclass(frozen=True)
class Importance:
    """Shares by dimension, each series adding up to one; empty where there is nothing to tell.

    Args:
        students: how many were used.
        pesq: of the variance of validation PESQ.
        beyond_cost: of the variance of what a straight line over log10 GMAC leaves of it, without the cost itself.
        explained: share of the variance of PESQ that this line explains (R squared); None without a line.
        why_not: why there is nothing to tell.
    """

    students: int
    pesq: dict[str, float]
    beyond_cost: dict[str, float]
    explained: float | None
    why_not: str = ""


def importance(records: Sequence[Record], settings: Sequence[str] = (), seed: int = 0) -> Importance:
    """The importance of the dimensions that vary among the students with a validation score.

    Args:
        records: students as in `students.json`.
        settings: keys of the records for what else the search varied; a student may lack one that means nothing to it.
        seed: of the random forest within fANOVA.
    """
    scored = [record for record in records if score(record, "validation") is not None]
    dimensions = _dimensions(scored, settings)
    if len(scored) < FEWEST or not dimensions:
        why = f"{len(scored)} students have a score, too few to tell" if dimensions or len(scored) < FEWEST else ""
        return Importance(len(scored), {}, {}, None, why or "the students do not differ in any dimension")
    pesq = np.array([score(record, "validation") for record in scored], dtype=np.float64)
    shares = _fanova(dimensions, pesq, seed)
    cost = np.log10([record["paper_gmac"] for record in scored])
    if np.ptp(cost) == 0 or np.ptp(pesq) < _NOTHING:
        return Importance(len(scored), shares, {}, None)
    rest = pesq - np.polyval(np.polyfit(cost, pesq, 1), cost)
    others = {name: values for name, values in dimensions.items() if name != "cost"}
    return Importance(len(scored), shares, _fanova(others, rest, seed), float(1 - rest.var() / pesq.var()))


def _dimensions(records: Sequence[Record], settings: Sequence[str]) -> dict[str, list[Any]]:
    """Values by name of the dimensions that vary: the cost, how it is split between the LSTMs, and the categories."""
    columns: dict[str, list[Any]] = {
        "cost": [math.log10(record["paper_gmac"]) for record in records],
        "split between the LSTMs (T/F)": [record["t_hidden"] / record["f_hidden"] for record in records],
    }
    columns |= {name: [str(record.get(key)) for record in records] for key, name in _CATEGORIES.items()}
    columns |= {name: [str(record.get(name)) for record in records] for name in settings}
    return {name: values for name, values in columns.items() if len(set(values)) > 1}


def _fanova(dimensions: dict[str, list[Any]], target: NDArray[np.float64], seed: int) -> dict[str, float]:
    """fANOVA (Hutter et al. 2014) as Optuna has it; the largest share first."""
    if not dimensions or float(np.ptp(target)) < _NOTHING:
        return {}
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces: dict[str, BaseDistribution] = {}
    for name, values in dimensions.items():
        if isinstance(values[0], str):
            spaces[name] = CategoricalDistribution(sorted(set(values)))
        else:
            spaces[name] = FloatDistribution(min(values), max(values))
    study = optuna.create_study(direction="maximize")
    for number, value in enumerate(target):
        params = {name: values[number] for name, values in dimensions.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=spaces, value=float(value)))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}
