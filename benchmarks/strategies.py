"""Ways to search, for the simulator: this project's, and what it is compared with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import optuna
from ray.tune.schedulers import ASHAScheduler
from ray.tune.schedulers.trial_scheduler import TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.simulator import Verdict, log_gmac
from model.ftjnf import Size
from search.halving import ETA, WORTH, Rungs, planned_rungs
from search.proposals import Proposals
from search.space import F_HIDDEN, T_HIDDEN, Choice, Space, paper_sizes


class Ours:
    """`Proposals` with one of its samplers, and with `halving` also `Rungs`.

    Args:
        space: what may be proposed.
        seed: of the sampler.
        sampler: key of `search.sampler.SAMPLERS`.
        halving: epochs of a stage if students are to be stopped early, by the rungs of a real search; else None.
    """

    def __init__(self, space: Space, seed: int, sampler: str, halving: int | None = None) -> None:
        self.proposals = Proposals(space, None, seed, sampler)
        self.rungs = () if halving is None else planned_rungs(True, halving, WORTH)
        self._halving = Rungs()
        self._choices: list[Choice] = []

    def next(self, *, more: bool) -> tuple[int, Choice] | None:
        """See `Strategy.next`."""
        for number in self._halving.promotable():
            self._halving.promote(number)
            return number, self.proposals.go_on(number)
        choice = self.proposals.propose(len(self._choices)) if more else None
        if choice is None:
            return None
        self._choices.append(choice)
        return len(self._choices) - 1, choice

    def verdict(self, number: int, rung: int, pesq: float) -> Verdict:
        """See `Strategy.verdict`."""
        self._halving.report(number, log_gmac(self._choices[number].size), rung, pesq)
        if self._halving.decide(number) == "go on":
            return "go on"
        self.proposals.pause(number, pesq)
        return "pause"

    def ended(self, number: int, pesq: float) -> None:
        """See `Strategy.ended`."""
        self.proposals.tell(number, pesq)


def paper_grid(space: Space) -> Space:
    """The rows of Table 1 within the budget with every method: what the paper trained."""
    sizes = paper_sizes(space.budget, space.microphones)
    return Space(space.budget, space.methods, space.schedules, space.inits, sizes, space.bi_freq, space.microphones)


class Box:
    """The smallest box around the sizes within the budget: what one searches who cannot tell the cost beforehand.

    Args:
        space: the budget, the methods, schedules and starts.
    """

    def __init__(self, space: Space) -> None:
        sizes = space.feasible()
        self.space = space
        self.f_hidden = [f for f in F_HIDDEN if f <= max(size.f_hidden for size in sizes)]
        self.t_hidden = [t for t in T_HIDDEN if t <= max(size.t_hidden for size in sizes)]

    def options(self) -> dict[str, Sequence[Any]]:
        """By dimension what there is to choose from."""
        space = self.space
        return {"f_hidden": self.f_hidden, "t_hidden": self.t_hidden, "kd_method": space.methods,
                "alpha_schedule": space.schedules or ("none",), "init": space.inits}  # fmt: skip

    def choice(self, values: dict[str, Any]) -> Choice:
        """A configuration of the box."""
        size = Size(values["f_hidden"], values["t_hidden"], self.space.bi_freq, self.space.microphones)
        return Choice.of(size, values["kd_method"], values["alpha_schedule"], values["init"])


class RandomBox:
    """Draws over the box, over the budget or not.

    Args:
        space: what the box is laid around.
        seed: of the draws.
    """

    rungs: tuple[int, ...] = ()

    def __init__(self, space: Space, seed: int) -> None:
        self._box, self._rng, self._count = Box(space), np.random.default_rng([seed, 1]), 0

    def next(self, *, more: bool) -> tuple[int, Choice] | None:
        """See `Strategy.next`."""
        if not more:
            return None
        self._count += 1
        options = self._box.options()
        return self._count - 1, self._box.choice({k: v[int(self._rng.integers(len(v)))] for k, v in options.items()})

    def verdict(self, number: int, rung: int, pesq: float) -> Verdict:
        """Never asked."""
        raise AssertionError(number, rung, pesq)

    def ended(self, number: int, pesq: float) -> None:
        """Learns nothing."""


class Stock:
    """Ray's own `OptunaSearch`, driven as Tune drives it, over the box, for high PESQ and low cost.

    Args:
        space: what the box is laid around.
        seed: of the sampler.
        sampler: of Optuna; None for OptunaSearch's default, TPE.
        asha: epochs of a stage if Ray's ASHA is to stop students by their PESQ, else None. It has the reduction factor
            and the first rung of our rungs, and they lie in the same stage as ours: where the output is trained.
    """

    def __init__(
        self, space: Space, seed: int, sampler: optuna.samplers.BaseSampler | None = None, asha: int | None = None
    ) -> None:
        self._box = Box(space)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        distributions: dict[str, Any] = {
            name: optuna.distributions.IntDistribution(values[0], values[-1], step=values[0])
            if name.endswith("_hidden")
            else optuna.distributions.CategoricalDistribution(values)
            for name, values in self._box.options().items()
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._search = OptunaSearch(
                distributions, metric=["pesq", "log_gmac"], mode=["max", "min"], sampler=sampler,
                seed=None if sampler is not None else seed,
            )  # fmt: skip
        self.rungs: tuple[int, ...] = ()
        if asha is not None and (ours := planned_rungs(True, asha, WORTH)):
            scheduler = ASHAScheduler("epoch", "pesq", "max", max_t=asha, grace_period=ours[0], reduction_factor=ETA)
            self._bracket = scheduler._brackets[0]
            self.rungs = tuple(sorted(int(epoch) for epoch, _ in self._bracket._rungs if epoch < asha))
        self._choices: list[Choice] = []

    def next(self, *, more: bool) -> tuple[int, Choice] | None:
        """See `Strategy.next`."""
        if not more:
            return None
        values = self._search.suggest(str(len(self._choices)))
        assert values is not None
        self._choices.append(self._box.choice(values))
        return len(self._choices) - 1, self._choices[-1]

    def verdict(self, number: int, rung: int, pesq: float) -> Verdict:
        """ASHA's, by the rule of its bracket; to the sampler a stopped student is one that scored this."""
        if self._bracket.on_result(cast(Any, _Trial(number)), self.rungs[rung], pesq) == TrialScheduler.CONTINUE:
            return "go on"
        self.ended(number, pesq)
        return "stop"

    def ended(self, number: int, pesq: float) -> None:
        """See `Strategy.ended`."""
        result = {"pesq": pesq, "log_gmac": log_gmac(self._choices[number].size)}
        self._search.on_trial_complete(str(number), result)


class _Trial:
    """What a bracket wants to know of a trial."""

    def __init__(self, number: int) -> None:
        self.trial_id = str(number)
