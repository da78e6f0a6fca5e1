"""The students that were proposed, and what became of them: an Optuna study in the run folder.

The journal is the only state: each proposal depends on the seed, its number and what the journal holds, not on how
often the search was stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import optuna
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from data.errors import InputError
from data.files import drop_torn_line
from model.macs import paper_gmac
from search.proposal import FinalState, Proposal, State
from search.sampler import DEFAULT_SAMPLER, make_sampler
from search.space import Choice, Space

_DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)  # PESQ, log10 GMAC
_STANDING = "standing"
"""Attribute of a trial that may go on: the score of a student that is paused, or `state` and `pesq` of one that the
time has cut short; null once it goes on."""


class Proposals:
    """Numbers configurations and is told what they scored.

    Args:
        space: what may be proposed.
        journal: the file that holds the study; made if it does not exist, continued if it does. None keeps the study in
            memory, for simulated searches.
        seed: the same seed and the same tells in the same order give the same proposals.
        sampler: key of `search.sampler.SAMPLERS`.
        earlier: students of an earlier search that inform the sampler, see `search.warm_start`. Those that were trained
            by the settings of this search are not proposed again.

    Raises:
        InputError: the journal cannot be written or read, or an unknown sampler.
    """

    def __init__(
        self,
        space: Space,
        journal: Path | None,
        seed: int = 0,
        sampler: str = DEFAULT_SAMPLER,
        earlier: Sequence[Proposal] = (),
    ) -> None:
        self.space = space
        self._seed = seed
        self._earlier = list(earlier)
        self._sampler = make_sampler(sampler, space, seed)
        self._study = _open_study(None if journal is None else Path(journal))
        self._ended: dict[int, Proposal] = {}

    def trials(self) -> list[Proposal]:
        """All proposals so far, by number."""
        proposals = []
        for trial in self._study.get_trials(deepcopy=False):
            if trial.number in self._ended:  # they never change again, and there may be a thousand of them
                proposals.append(self._ended[trial.number])
                continue
            choice = Choice(**trial.user_attrs["choice"])
            standing = trial.user_attrs.get(_STANDING)
            if trial.state == TrialState.RUNNING and isinstance(standing, dict):
                proposals.append(Proposal(trial.number, choice, standing["state"], standing["pesq"], cut=True))
            elif trial.state == TrialState.RUNNING and standing is not None:
                proposals.append(Proposal(trial.number, choice, "PAUSED", standing))
            else:
                pesq = trial.values[0] if trial.values else None
                proposals.append(Proposal(trial.number, choice, cast(State, trial.state.name), pesq))
            if trial.state.is_finished():
                self._ended[trial.number] = proposals[-1]
        return proposals

    def unfinished(self) -> list[Proposal]:
        """The proposals that were neither told, cut short nor paused, after a restart those to be resumed."""
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
        tried = {one.choice for one in [*trials, *self._earlier] if not one.elsewhere}
        informed = [*self._earlier, *trials]
        choice = next((c for c in self._sampler.candidates(number, informed) if c not in tried), None)
        if choice is None:
            choice = self.space.untried(tried, np.random.default_rng([self._seed, number]))
        if choice is None:
            return None
        if accept is not None and not accept(choice):
            return None
        self._add(choice)
        return choice

    def declare(self, choice: Choice) -> int:
        """Records a configuration that was decided on elsewhere, such as a repeat, and returns its number.

        Raises:
            ValueError: it was proposed before, or is above the budget.
        """
        trials = self.trials()
        if any(trial.choice == choice for trial in trials):
            raise ValueError(f"{choice.key()} was proposed before; another training of it needs another `repeat`")
        if not self.space.budget.allows(choice.size):
            raise ValueError(f"{choice.key()} is above the budget of {self.space.budget}")
        self._add(choice)
        return len(trials)

    def tell(self, number: int, pesq: float | None, state: FinalState = "COMPLETE", *, cut: bool = False) -> None:
        """Records how a proposal ended; a second tell of the same number changes nothing.

        Args:
            number: of the proposal.
            pesq: validation PESQ; of a COMPLETE student without a finite one the state becomes FAIL. Not kept for other
                states: the score of a student that was stopped early is no measurement of its configuration.
            state: COMPLETE, PRUNED (stopped early) or FAIL.
            cut: whether the time ended it: then a COMPLETE or PRUNED one is told for as long as it does not `go_on`.

        Raises:
            ValueError: the number was never proposed, or the state is none of these.
        """
        if state not in get_args(FinalState):
            raise ValueError(f"state must be one of {get_args(FinalState)}, got {state!r}")
        known = self._known(number)
        value = float(pesq) if state == "COMPLETE" and pesq is not None and math.isfinite(pesq) else None
        if cut and (value is not None or state == "PRUNED"):
            if _may_go_on(known):
                self._set_attribute(number, {"state": state, "pesq": value})
        elif value is not None:
            values = [value, math.log10(paper_gmac(known.choice.size))]
            self._study.tell(number, values, skip_if_finished=True)
        else:
            final = TrialState.PRUNED if state == "PRUNED" else TrialState.FAIL
            self._study.tell(number, state=final, skip_if_finished=True)

    def pause(self, number: int, pesq: float) -> None:
        """Records that a student waits, and how it stands; `go_on` or `tell` end that.

        Raises:
            ValueError: the number was never proposed, or has been told.
        """
        self._set_standing(number, float(pesq))

    def go_on(self, number: int) -> Choice:
        """Records that a student that was paused or cut short is in training again, and returns its configuration.

        Raises:
            ValueError: the number was never proposed, or has been told.
        """
        return self._set_standing(number, None).choice

    def _set_standing(self, number: int, pesq: float | None) -> Proposal:
        known = self._known(number)
        if not _may_go_on(known):
            raise ValueError(f"number {number} has ended: {known.state}")
        self._set_attribute(number, pesq)
        return known

    def _set_attribute(self, number: int, standing: float | dict[str, Any] | None) -> None:
        trial = optuna.trial.Trial(self._study, self._study.get_trials(deepcopy=False)[number]._trial_id)
        trial.set_user_attr(_STANDING, standing)

    def _known(self, number: int) -> Proposal:
        trials = self.trials()
        if not 0 <= number < len(trials):
            raise ValueError(f"number {number} was never proposed; there are {len(trials)} proposals")
        return trials[number]

    def _add(self, choice: Choice) -> None:
        # in one entry of the journal, so that a crash leaves either all of it or nothing
        attributes: dict[str, Any] = {"choice": asdict(choice)}
        self._study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=attributes))


def _may_go_on(one: Proposal) -> bool:
    return one.state in ("RUNNING", "PAUSED") or one.cut


def _open_study(journal: Path | None) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage: optuna.storages.BaseStorage = InMemoryStorage()
        if journal is not None:
            journal.parent.mkdir(parents=True, exist_ok=True)
            drop_torn_line(journal)
            storage = JournalStorage(JournalFileBackend(str(journal)))
        return optuna.create_study(
            study_name="students",
            storage=storage,
            directions=_DIRECTIONS,
            sampler=optuna.samplers.RandomSampler(),  # never asked: the samplers ask in studies of their own
            load_if_exists=True,
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{journal} is no journal of a search ({error}); restore it or use another --name") from error
