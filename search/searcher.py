"""The adapter through which Ray Tune asks for students. All state is in the journal of `Proposals`, none in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from data.files import write_atomic
from search.sampler import Proposals
from search.space import Choice

FINAL_STATES = ("COMPLETE", "PRUNED", "FAIL")


class TuneSearcher(Searcher):
    """Hands proposals to Tune and tells how they ended.

    A trial's configuration is `{"number": n, "choice": {fields of Choice}}`. A trial is told when Tune gives it up for
    an error (FAIL), or when its last result says itself how it ended: `state` (COMPLETE, PRUNED or FAIL) and `pesq`. A
    trial that Tune ends without such a result, as it does when the search is interrupted, is told nothing and stays
    unfinished, to be resumed; so whoever stops a trial for good without a last result of its own must tell `Proposals`
    (telling twice changes nothing). How many trials run at once is left to Tune.

    Args:
        proposals: the study.
        may_start: whether a student may still be started, such as for the time left; the first refusal ends the search
            without recording the student.
        limit: number of students, those of earlier runs of the same search included. A student known to have failed
            does not count, up to as many as the limit: beyond, something is broken that more students will not mend.
        queue: unfinished (number, choice) of an earlier run, handed out before anything new.
    """

    def __init__(
        self,
        proposals: Proposals,
        *,
        may_start: Callable[[Choice], bool] | None = None,
        limit: int | None = None,
        queue: Iterable[tuple[int, Choice]] = (),
    ) -> None:
        super().__init__()
        self._proposals: Proposals | None = proposals
        self._may_start = may_start
        self._limit = limit
        self._queue = list(queue)
        self._numbers: dict[str, int] = {}

    @property
    def started(self) -> int:
        """Students that this session has started."""
        return len(self._numbers)

    # Tune's annotation leaves out the word FINISHED that its documentation asks for
    def suggest(self, trial_id: str) -> dict[str, Any] | str:  # type: ignore[override]
        """Returns the configuration of Tune's next trial, or FINISHED."""
        proposal = self._next()
        if proposal is None:
            return Searcher.FINISHED
        number, choice = proposal
        self._numbers[trial_id] = number
        return {"number": number, "choice": asdict(choice)}

    def _next(self) -> tuple[int, Choice] | None:
        if self._proposals is None:
            return None
        if self._queue:
            if self._may_start is not None and not self._may_start(self._queue[0][1]):
                return None
            return self._queue.pop(0)
        trials = self._proposals.trials()
        if self._limit is not None:
            failed = sum(trial.state == "FAIL" for trial in trials)
            if len(trials) - min(failed, self._limit) >= self._limit:
                return None
        choice = self._proposals.propose(len(trials), accept=self._may_start)
        return None if choice is None else (len(trials), choice)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells how a trial ended, if it is known to have ended."""
        number = self._numbers.get(trial_id)
        if number is None or self._proposals is None:
            return
        if error:
            self._proposals.tell(number, None, "FAIL")
        elif result is not None and result.get("state") in FINAL_STATES:
            self._proposals.tell(number, result.get("pesq"), result["state"])

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles searchers with the experiment; such a copy has no study and proposes nothing.

        A search is continued by a new searcher on the same journal, so nothing that cannot be pickled (open files, the
        clock behind `may_start`) has to be.
        """
        return {**self.__dict__, "_proposals": None, "_may_start": None}

    def save(self, checkpoint_path: str) -> None:
        """Writes the file that Tune expects; there is nothing to save."""
        write_atomic(Path(checkpoint_path), "the state of the search is in its journal\n")

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: there is nothing to restore."""
