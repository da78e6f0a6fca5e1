"""The flat space in which samplers with a model work: where a configuration lies, and which one lies at a point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from search.space import Choice, Space


class Coordinates:
    """Coordinates of configurations: u along log-MAC and v, the split between F and T, each within 0..1, and a category
    for every other dimension.

    The space is flat: every coordinate is always asked for, as samplers model conditional ones poorly.

    Args:
        space: what may be proposed.
    """

    def __init__(self, space: Space) -> None:
        self._space = space

    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna's samplers draw from."""
        return {
            "u": FloatDistribution(0.0, 1.0),
            "v": FloatDistribution(0.0, 1.0),
            "kd_method": CategoricalDistribution(self._space.methods),
            "alpha_schedule": CategoricalDistribution(self._space.schedules or ("none",)),
            "init": CategoricalDistribution(self._space.inits),
        }

    def of(self, choice: Choice, number: int) -> dict[str, Any]:
        """Where a configuration lies.

        Args:
            choice: the configuration.
            number: of the student. A dimension that means nothing for the configuration, such as the schedule of
                `none`, takes its options in turn by it, so that none of them is credited with the score.
        """
        u, v = self._space.position(choice.size)
        schedule = choice.alpha_schedule
        if choice.kd_method == "none":
            schedules = self._space.schedules or ("none",)
            schedule = schedules[number % len(schedules)]
        return {"u": u, "v": v, "kd_method": choice.kd_method, "alpha_schedule": schedule, "init": choice.init}

    def choice(self, params: Mapping[str, Any]) -> Choice:
        """The configuration at a point: the feasible size nearest to (u, v) with the point's categories."""
        size = self._space.nearest(params["u"], params["v"])
        return Choice.of(size, params["kd_method"], params["alpha_schedule"], params["init"])
