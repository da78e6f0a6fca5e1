"""The model-based sampler: TPE over (log-MAC, split, method, schedule, start), after a stratified start."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from model.macs import paper_gmac
from search.coordinates import Coordinates
from search.proposal import Proposal
from search.space import Choice, Space
from search.start import START, start

ASKS = 20
"""How often TPE is asked for a configuration that is new, before any untried one is taken."""

_DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)  # PESQ, log10 GMAC


class Tpe:
    """First `search.start.start`, sizes stratified over log-MAC; then multivariate TPE for high PESQ and low log10
    GMAC, which keeps away from students in training.

    It samples where a feasible size is certain: along log-MAC up to the budget and along the split between F and T, and
    takes the nearest size.

    Args:
        space: what may be proposed.
        seed: of the draws.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._seed, self._coordinates = seed, Coordinates(space)
        self._start = list(start(space, START, self._rng(0)))

    def candidates(self, number: int, trials: Sequence[Proposal]) -> Iterator[Choice]:
        """Asks TPE in a study of its own, made anew from the trials.

        There it knows the sizes that were trained, not the positions they were rounded from, and an answer that is a
        repetition stays as a student in training and pushes the next answer away. The sampler is seeded by the number:
        a search that was stopped and continued asks as one that was not.
        """
        if len(trials) < len(self._start):
            yield self._start[number]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of multivariate and group
            sampler = optuna.samplers.TPESampler(
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=START,
                seed=int(self._rng(number).integers(2**31)),
            )
        study = optuna.create_study(directions=_DIRECTIONS, sampler=sampler)
        distributions = self._coordinates.distributions()
        for trial in trials:
            if trial.state == "FAIL" or trial.elsewhere:  # scores by other settings cannot be ranked with these
                continue
            told = trial.pesq if trial.state == "COMPLETE" and not trial.cut else None
            values = None if told is None else [told, math.log10(paper_gmac(trial.choice.size))]
            params = self._coordinates.of(trial.choice, trial.number)
            state = TrialState["RUNNING" if trial.cut else "PRUNED" if trial.state == "PAUSED" else trial.state]
            study.add_trial(create_trial(state=state, values=values, params=params, distributions=distributions))
        for _ in range(ASKS):
            yield self._coordinates.choice(study.ask(distributions).params)

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, number])
