"""The adapter through which Ray Tune asks for students. All state is in the journal of `Proposals`, none in here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from data.files import write_atomic
from search.certainty import is_repeat
from search.halving import Rungs
from search.proposals import Proposals
from search.space import Choice

FINAL_STATES = ("COMPLETE", "PRUNED", "FAIL")
BROKEN = 3
"""Students in a row whose trials end with an error, until the search ends: then it is not the students."""


class TuneSearcher(Searcher):
    """Hands proposals to Tune and tells how they ended.

    A trial's configuration is `{"number": n, "choice": {fields of Choice}}`. A trial is told when its last result says
    itself how it ended: `state` (COMPLETE, PRUNED or FAIL) and `pesq`. A trial that Tune ends without such a result is
    told nothing and stays unfinished, to be resumed: the search was interrupted, or Tune gave the trial up for an error
    that is none of its configuration's (a full disk, a process killed for memory, a GPU that is gone). After `BROKEN`
    such errors in a row no more students are handed out. How many trials run at once is left to Tune.

    Args:
        proposals: the study.
        may_start: whether a student may still be started, such as for the time left. Of the queue the first one that
            may is handed out, and the others stay unfinished; the first refusal of a new one ends the search without
            recording it.
        limit: number of students, those of earlier runs of the same search included, but not trainings of the front by
            other seeds. A student known to have failed
            does not count, up to as many as the limit: beyond, something is broken that more students will not mend.
        queue: (number, choice) of students that an earlier run left unfinished or cut short, handed out before anything
            new.
        rungs: where students wait, or None. One that can be promoted comes before a new one; while it may still come to
            that, the search does not finish.
        spare: whether those that wait are trained on, the best first, once nothing else is left to do.
        stalled: whether nothing but the queue is to be begun or trained on as things stand. While students are in
            training it is asked again, as their scores may change that.
    """

    def __init__(
        self,
        proposals: Proposals,
        *,
        may_start: Callable[[Choice], bool] | None = None,
        limit: int | None = None,
        queue: Iterable[tuple[int, Choice]] = (),
        rungs: Rungs | None = None,
        spare: bool = False,
        stalled: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__()
        self._proposals: Proposals | None = proposals
        self._may_start = may_start
        self._limit = limit
        self._queue = list(queue)
        self._rungs, self._spare = rungs, spare
        self._stalled, self._held = stalled, False
        self._refused = False  # a new student: then there are no more
        self._running: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._errors = 0  # since a trial last ended by itself

    @property
    def broken(self) -> bool:
        """Whether so many trials in a row ended with an error that the search ends."""
        return self._errors >= BROKEN

    @property
    def started(self) -> int:
        """Students that this session has started."""
        return len(self._numbers)

    # Tune's annotation leaves out the word FINISHED that its documentation asks for
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """Returns the configuration of Tune's next trial, FINISHED, or None to be asked again."""
        proposal = self._next()
        if proposal is None:
            # what a student in training will score may promote one that waits, and it may come to wait itself
            waits = (self._rungs is not None or self._held) and self._running and not self.broken
            return None if waits else Searcher.FINISHED
        number, choice = proposal
        self._numbers[trial_id] = number
        self._running.add(trial_id)
        return {"number": number, "choice": asdict(choice)}

    def _next(self) -> tuple[int, Choice] | None:
        if self._proposals is None or self.broken:
            return None
        for place, (number, choice) in enumerate(self._queue):
            if self._may_start is None or self._may_start(choice):
                self._queue.pop(place)
                return number, self._proposals.go_on(number)
        self._held = self._stalled is not None and self._stalled()
        if self._held:
            return None
        if self._rungs is None:
            return self._new()
        return (
            self._promoted(self._rungs, self._rungs.promotable())
            or self._new()
            or (self._promoted(self._rungs, self._rungs.paused()) if self._spare else None)
        )

    def _promoted(self, rungs: Rungs, waiting: Iterable[int]) -> tuple[int, Choice] | None:
        assert self._proposals is not None
        trials = self._proposals.trials()
        for number in waiting:
            if self._may_start is None or self._may_start(trials[number].choice):
                rungs.promote(number)
                return number, self._proposals.go_on(number)
        return None

    def _new(self) -> tuple[int, Choice] | None:
        assert self._proposals is not None
        if self._refused:
            return None
        trials = self._proposals.trials()
        if self._limit is not None:
            begun = [trial for trial in trials if not is_repeat(trial.choice, self._proposals.space)]
            failed = sum(trial.state == "FAIL" for trial in begun)
            if len(begun) - min(failed, self._limit) >= self._limit:
                return None
        new = self._proposals.propose(len(trials), accept=self._may_start)
        self._refused = new is None
        return None if new is None else (len(trials), new)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells how a trial ended, if it is known to have ended."""
        self._running.discard(trial_id)
        number = self._numbers.get(trial_id)
        if number is None or self._proposals is None:
            return
        if error:
            self._errors += 1
        elif result is not None and result.get("state") in FINAL_STATES:
            self._errors = 0
            cut = result.get("stopped") == "time"
            self._proposals.tell(number, result.get("pesq"), result["state"], cut=cut)
        elif self._rungs is not None and number in self._rungs.paused():
            self._errors = 0

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles searchers with the experiment; such a copy has no study and proposes nothing.

        A search is continued by a new searcher on the same journal, so nothing that cannot be pickled (open files, the
        clock behind `may_start`) has to be.
        """
        return {**self.__dict__, "_proposals": None, "_may_start": None, "_stalled": None}

    def save(self, checkpoint_path: str) -> None:
        """Writes the file that Tune expects; there is nothing to save."""
        write_atomic(Path(checkpoint_path), "the state of the search is in its journal\n")

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: there is nothing to restore."""
