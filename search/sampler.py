"""What to try next: an Optuna study that never leaves the budget and lives in the run folder.

The cost of a size is known before it is trained, so the study samples where a feasible size is certain: along log-MAC
up to the budget and along the split between F and T, and takes the nearest size. The journal is the only state: each
proposal depends on the seed, its number and what the journal holds, not on how often the search was stopped.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from data.errors import InputError
from data.files import drop_torn_line
from model.macs import paper_gmac
from search.space import Choice, Space
from search.start import start

Sampler = Literal["tpe", "random", "grid"]
State = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL"]
FinalState = Literal["COMPLETE", "PRUNED", "FAIL"]

START = 10
"""Sizes of the stratified start, and finished students before TPE trusts its model."""
ASKS = 20
"""How often the sampler is asked for a configuration that is new, before any untried one is taken."""

_DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)  # PESQ, log10 GMAC


@dataclass(frozen=True)
class Proposal:
    """A configuration that was proposed, and what became of it; `pesq` is None unless the state is COMPLETE."""

    number: int
    choice: Choice
    state: State
    pesq: float | None


class Proposals:
    """Proposes configurations by number and is told what they scored.

    `tpe`: first `search.start.start`, sizes stratified over log-MAC; then multivariate TPE for high PESQ and low log10
    GMAC, which keeps away from students in training. `random`: size, method, schedule and start uniformly at random, as
    a baseline. `grid`: all configurations in the order of `Space.configurations`.

    Args:
        space: what may be proposed.
        journal: the file that holds the study; made if it does not exist, continued if it does.
        seed: the same seed and the same tells in the same order give the same proposals.
        sampler: `tpe`, `random` or `grid`.

    Raises:
        InputError: the journal cannot be written or read.
    """

    def __init__(self, space: Space, journal: Path, seed: int = 0, sampler: Sampler = "tpe") -> None:
        if sampler not in get_args(Sampler):
            raise InputError(f"sampler {sampler!r} is not known; choose from {', '.join(get_args(Sampler))}")
        self.space = space
        self._seed = seed
        self._sampler = sampler
        self._study = _open_study(Path(journal))
        self._start = list(start(space, START, self._rng(0))) if sampler == "tpe" else []

    def trials(self) -> list[Proposal]:
        """All proposals so far, by number."""
        return [
            Proposal(
                trial.number,
                Choice(**trial.user_attrs["choice"]),
                cast(State, trial.state.name),
                trial.values[0] if trial.values else None,
            )
            for trial in self._study.get_trials(deepcopy=False)
        ]

    def unfinished(self) -> list[Proposal]:
        """The proposals that were never told, after a restart those to be resumed."""
        return [trial for trial in self.trials() if trial.state == "RUNNING"]

    def propose(self, number: int, accept: Callable[[Choice], bool] | None = None) -> Choice | None:
        """Returns the configuration of this number; a number asked for before gives the same again.

        Args:
            number: counts from 0, without gaps.
            accept: if it refuses the new configuration, nothing is recorded.

        Returns:
            A configuration never proposed before, whatever became of the others; None if there is none left or it was
            refused.

        Raises:
            ValueError: the number leaves a gap.
        """
        trials = self.trials()
        if 0 <= number < len(trials):
            return trials[number].choice
        if number != len(trials):
            raise ValueError(f"numbers count from 0 without gaps: the next is {len(trials)}, got {number}")
        tried = {trial.choice for trial in trials}
        choice = next((c for c in self._candidates(number, trials) if c not in tried), None)
        if choice is None:
            untried = [c for c in self.space.configurations() if c not in tried]
            if not untried:
                return None
            choice = untried[self._rng(number).integers(len(untried))]
        if accept is not None and not accept(choice):
            return None
        # in one entry of the journal, so that a crash leaves either all of it or nothing
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=self._coordinates(choice, number),
                distributions=self._distributions(),
                user_attrs={"choice": asdict(choice)},
            )
        )
        return choice

    def tell(self, number: int, pesq: float | None, state: FinalState = "COMPLETE") -> None:
        """Records how a proposal ended; a second tell of the same number changes nothing.

        Args:
            number: of the proposal.
            pesq: validation PESQ; of a COMPLETE student without a finite one the state becomes FAIL. Not kept for other
                states: the score of a student that was stopped early is no measurement of its configuration.
            state: COMPLETE, PRUNED (stopped early) or FAIL.

        Raises:
            ValueError: the number was never proposed, or the state is none of these.
        """
        if state not in get_args(FinalState):
            raise ValueError(f"state must be one of {get_args(FinalState)}, got {state!r}")
        trials = self.trials()
        if not 0 <= number < len(trials):
            raise ValueError(f"number {number} was never proposed; there are {len(trials)} proposals")
        if state == "COMPLETE" and pesq is not None and math.isfinite(pesq):
            values = [float(pesq), math.log10(paper_gmac(trials[number].choice.size))]
            self._study.tell(number, values, skip_if_finished=True)
        else:
            final = TrialState.PRUNED if state == "PRUNED" else TrialState.FAIL
            self._study.tell(number, state=final, skip_if_finished=True)

    def _candidates(self, number: int, trials: list[Proposal]) -> Iterator[Choice]:
        if number < len(self._start):
            yield self._start[number]
        if self._sampler == "grid":
            yield from self.space.configurations()
        elif self._sampler == "random":
            yield from self._random(self._rng(number))
        else:
            yield from self._tpe(number, trials)

    def _random(self, rng: np.random.Generator) -> Iterator[Choice]:
        space, sizes = self.space, self.space.feasible()
        parts = (space.methods, space.schedules or ("none",), space.inits)
        for _ in range(ASKS):
            size = sizes[rng.integers(len(sizes))]
            method, schedule, init = (options[rng.integers(len(options))] for options in parts)
            yield Choice.of(size, method, schedule, init, int(rng.integers(space.repeats)))

    def _tpe(self, number: int, trials: list[Proposal]) -> Iterator[Choice]:
        """Asks TPE in a study of its own, made anew from the trials.

        There it knows the sizes that were trained, not the positions they were rounded from, and an answer that is a
        repetition stays as a student in training and pushes the next answer away. The sampler is seeded by the number:
        a search that was stopped and continued asks as one that was not.
        """
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
        distributions = self._distributions()
        for trial in trials:
            if trial.state == "FAIL":
                continue
            values = None if trial.pesq is None else [trial.pesq, math.log10(paper_gmac(trial.choice.size))]
            params = self._coordinates(trial.choice, trial.number)
            state = TrialState[trial.state]
            study.add_trial(create_trial(state=state, values=values, params=params, distributions=distributions))
        for _ in range(ASKS):
            params = study.ask(distributions).params
            size = self.space.nearest(params["u"], params["v"])
            yield Choice.of(size, params["kd_method"], params["alpha_schedule"], params["init"])

    def _distributions(self) -> dict[str, BaseDistribution]:
        """The flat space: every parameter is always asked for, as samplers model conditional ones poorly."""
        return {
            "u": FloatDistribution(0.0, 1.0),
            "v": FloatDistribution(0.0, 1.0),
            "kd_method": CategoricalDistribution(self.space.methods),
            "alpha_schedule": CategoricalDistribution(self.space.schedules or ("none",)),
            "init": CategoricalDistribution(self.space.inits),
        }

    def _coordinates(self, choice: Choice, number: int) -> dict[str, Any]:
        u, v = self.space.position(choice.size)
        schedule = choice.alpha_schedule
        if choice.kd_method == "none":
            # `none` has no schedule: each takes its turn, so that none of them is credited with the score
            schedules = self.space.schedules or ("none",)
            schedule = schedules[number % len(schedules)]
        return {"u": u, "v": v, "kd_method": choice.kd_method, "alpha_schedule": schedule, "init": choice.init}

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, number])


def _open_study(journal: Path) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        drop_torn_line(journal)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        return optuna.create_study(
            study_name="students",
            storage=storage,
            directions=_DIRECTIONS,
            sampler=optuna.samplers.RandomSampler(),  # never asked: `_tpe` asks in a study of its own
            load_if_exists=True,
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{journal} is no journal of a search ({error}); restore it or use another --name") from error
