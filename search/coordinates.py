"""The flat space in which samplers with a model work: where a configuration lies, and which one lies at a point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from search.space import Choice, Space


class Coordinates:
    """Coordinates of configurations: u along log-MAC and v, the split between F and T, each within 0..1, and one for
    every other dimension with something to choose: numbers have equal parts of 0..1 in
    their order, words are categories.

    The space is flat: every coordinate is always asked for, as samplers model conditional ones poorly.

    Args:
        space: what may be proposed.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._dimensions = [one for one in space.dimensions if len(one.options) > 1]

    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna's samplers draw from."""
        return {
            "u": FloatDistribution(0.0, 1.0),
            "v": FloatDistribution(0.0, 1.0),
            "kd_method": CategoricalDistribution(self._space.methods),
            "alpha_schedule": CategoricalDistribution(self._space.schedules or ("none",)),
            "init": CategoricalDistribution(self._space.inits),
        } | {
            one.name: FloatDistribution(0.0, 1.0) if one.ordered else CategoricalDistribution(one.options)
            for one in self._dimensions
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
        params = {"u": u, "v": v, "kd_method": choice.kd_method, "alpha_schedule": schedule, "init": choice.init}
        for one in self._dimensions:
            value = getattr(choice, one.name)
            known = value in one.options  # not where it means nothing, or a choice comes from elsewhere
            which = one.options.index(value) if known else number % len(one.options)
            params[one.name] = (which + 0.5) / len(one.options) if one.ordered else one.options[which]
        return params

    def choice(self, params: Mapping[str, Any]) -> Choice:
        """The configuration at a point: the feasible size nearest to (u, v) with the point's categories."""
        size = self._space.nearest(params["u"], params["v"])
        settings: dict[str, Any] = {one.name: one.options[0] for one in self._space.dimensions}
        for one in self._dimensions:
            point, last = params[one.name], len(one.options) - 1
            settings[one.name] = one.options[min(int(point * len(one.options)), last)] if one.ordered else point
        return Choice.of(size, params["kd_method"], params["alpha_schedule"], params["init"], **settings)
