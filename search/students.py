"""The students of a session: those of the search, then the front's by other seeds, all through Ray Tune."""

from __future__ import annotations

from rich.console import Console

from data.errors import InputError
from search.board import Board
from search.certainty import is_repeat, wanted
from search.clock import Clock
from search.follow import Follower
from search.halving import Rungs
from search.halving_scheduler import HalvingScheduler, leave_paused
from search.history import read_history, share_left
from search.live import LiveTable
from search.proposals import Proposals
from search.repeats import RepeatSearcher
from search.searcher import BROKEN, TuneSearcher
from search.signals import Signals
from search.space import Choice
from search.stopping import Ended
from search.student import StudentJob
from search.tuning import tune_students


class Students:
    """Trains the students of a session.

    Args:
        board: what they are found to be; says what is searched.
        proposals: the study.
        job: what all students share.
        clock: the time of the search.
        reserve: seconds kept for the end of the session.
        for_repeats: seconds kept, before that, for the trainings by other seeds.
        signals: that stop it.
        console: where a person reads.
        rungs: where students wait for one another, or None.
    """

    def __init__(
        self,
        board: Board,
        proposals: Proposals,
        job: StudentJob,
        clock: Clock,
        reserve: float,
        for_repeats: float,
        signals: Signals,
        console: Console,
        rungs: Rungs | None = None,
    ) -> None:
        self._board, self._config, self._space = board, board.config, board.space
        self._proposals, self._job, self._clock = proposals, job, clock
        self._reserve, self._for_repeats = reserve, for_repeats
        self._signals, self._console, self._rungs = signals, console, rungs

    def search(self) -> Ended:
        """Trains what earlier sessions left, then new students. Returns what ended it.

        Raises:
            InputError: several students in a row ended with an error that is none of their training's.
        """
        config, space, epochs = self._config, self._space, self._job.train.epochs
        reserve = self._reserve + self._for_repeats
        queue = [(one.number, one.choice) for one in self._board.resumable(self._proposals.trials())]
        stopping = self._board.stopping(self._proposals.trials())
        self._board.hypervolume = stopping.volume
        late: set[Choice] = set()  # for whom there is no time

        def stalled() -> bool:
            stopping.stands(self._finished(), self._board.hypervolume)
            return stopping.stalled

        def may_start(choice: Choice) -> bool:
            if self._signals.caught is not None or choice in late:
                return False
            trials = self._proposals.trials()
            first = not searcher.started and all(one.state != "COMPLETE" for one in trials)
            # a student that an earlier session has begun for certainty has that time, too
            kept = self._reserve if is_repeat(choice, space) else reserve
            begun = next((one.number for one in trials if one.choice == choice), None)
            share = 1.0 if begun is None else self._left(begun, choice)
            fits = self._clock.fits(choice, epochs, kept, first=first, share=share)
            if not fits:
                late.add(choice)
            return fits

        searcher = TuneSearcher(
            self._proposals, may_start=may_start, limit=config.trials, queue=queue, rungs=self._rungs,
            spare=self._job.deadline is not None, stalled=stalled,
        )  # fmt: skip
        follower = self._train(searcher, max(1, config.trials - self._finished()), self._rungs)
        if self._signals.caught is not None:
            return "stopped"
        leave_paused(self._proposals, self._job.folder, follower.halved)
        return self._why(late, stalled=stalled())

    def _left(self, number: int, choice: Choice) -> float:
        """The share of its training that a student that was begun has still before it."""
        told = read_history(self._job.folder(number) / "history.jsonl")
        return share_left(told, choice.training(self._job.train))

    def _why(self, late: set[Choice], *, stalled: bool) -> Ended:
        """What ended the search.

        Args:
            late: for whom there was no time. Those that wait at a rung are stopped by that, whatever time there is.
            stalled: whether the front no longer grows.
        """
        trials = self._proposals.trials()
        if any(one.cut or one.choice in late for one in self._board.resumable(trials)):
            return "time budget"  # it may have begun all, but has not ended them
        begun = [one for one in trials if not is_repeat(one.choice, self._space)]
        failed = min(sum(one.state == "FAIL" for one in begun), self._config.trials)
        if len(begun) - failed >= self._config.trials:
            return "trials"
        if late - {one.choice for one in trials}:  # a new one
            return "time budget"
        return "patience" if stalled else "all tried"

    def repeat(self) -> int:
        """Trains the front and its near rivals by other seeds, as long as there is time. Returns how many it began.

        The means may bring others to the front: then those get other seeds as well.

        Raises:
            InputError: as for `search`.
        """
        begun = 0

        def may_start(choice: Choice) -> bool:
            return self._signals.caught is None and self._clock.fits(choice, self._job.train.epochs, self._reserve)

        while choices := self.wanted():
            searcher = RepeatSearcher(self._proposals, choices, may_start)
            if not any(may_start(choice) for choice in choices):
                break
            self._console.print(f"Certainty: {len(choices)} trainings of the front and its near rivals by other seeds")
            self._train(searcher, len(choices))
            begun += searcher.started
            if self._signals.caught is not None or searcher.started == 0:
                break
        return begun

    def wanted(self) -> list[Choice]:
        """The trainings by other seeds that are missing."""
        board = self._board
        return wanted(board.students, self._proposals.trials(), board.records, self._space, self._config.repeat_front)

    def _told(self, number: int) -> None:
        self._board.finished(number, self._proposals.trials())

    def _finished(self) -> int:
        trials = self._proposals.trials()
        return len(self._board.ended(trials))

    def _train(self, searcher: TuneSearcher, planned: int, rungs: Rungs | None = None) -> Follower:
        table = LiveTable(self._console, self._job.train.epochs, planned, self._job.deadline)
        follower = Follower(table, self._board.tracker, self._job, self._told)
        scheduler = None if rungs is None else HalvingScheduler(rungs, self._proposals, follower.paused)
        table.start()
        try:
            with self._signals.tuning():
                tune_students(self._config, self._job, searcher, follower, self._clock.slots, scheduler)
        finally:
            table.stop()
        self._board.gather(self._proposals.trials())
        if searcher.broken:
            self._board.show()
            raise InputError(
                f"{BROKEN} students in a row ended with an error that is none of their training's, the last one with: "
                f"{follower.last_error}; mend the cause, then go on with --resume {self._config.name}"
            )
        return follower
