"""The end of a search: test scores of its front, its report, its page for a person."""

from __future__ import annotations

from dataclasses import asdict, replace

from rich.console import Console

from data.errors import InputError
from data.files import write_json
from data.plan import Sets
from search.board import Board
from search.certainty import is_repeat
from search.config import SearchConfig
from search.ending import Ending
from search.final import add_test_scores, ends_apart, final_metrics
from search.proposal import Proposal
from search.report import draw_review, print_front, write_report
from search.scoring import Scorer
from search.signals import Signals
from search.space import Space
from search.stopping import Ended
from search.timing import Timing


class Closing:
    """Ends a search.

    Args:
        config: of the search.
        space: what may be tried.
        console: where a person reads.
        signals: that may stop it.
        timing: where its time goes.
        started: `time.time()` at the command's start.
    """

    def __init__(
        self, config: SearchConfig, space: Space, console: Console, signals: Signals, timing: Timing, started: float
    ) -> None:
        self._config, self._space, self._console = config, space, console
        self._signals, self._timing, self._started = signals, timing, started

    def end(self, scorer: Scorer, board: Board, ended: Ended, trials: list[Proposal]) -> None:
        """Reads the test split, once: for the members of the front, to be shown. Prints the front.

        Args:
            scorer: of the search.
            board: what it has found.
            ended: why it trains no more.
            trials: all of them.

        Raises:
            InputError: no student has finished.
        """
        front, states = board.front, [one.state for one in trials]
        if not front:
            raise InputError(
                f"no student has finished ({states.count('FAIL')} failed, "
                f"{states.count('PRUNED') + states.count('PAUSED')} were stopped early, "
                f"{states.count('RUNNING')} are unfinished); raise --time-budget, look at {board.students} for "
                f"what went wrong, or go on with --resume {self._config.name}"
            )
        self._timing.begins("test scores")
        with self._signals.hold():
            beside, by_number = scorer.test(self._config.folder, front, self._tell_scored)
        members = [list(seeds.values()) for seeds in by_number]
        board.beside = replace(board.beside, test={name: one.summary() for name, one in beside.items()})
        write_json(self._config.folder / "beside.json", asdict(board.beside))
        self._timing.begins("report")
        add_test_scores(front, members, beside)
        repeats = sum(is_repeat(one.choice, self._space) for one in trials)
        since = board.patience_since()  # by the ending that this one takes the place of
        cut = sum(one.cut for one in trials)
        ending = Ending.of(ended, self._config, repeats, ends_apart(members), len(trials), since, cut)
        board.show()
        report = write_report(self._config.folder, self._config, board.records, board.beside, ending)
        ending.write(self._config.folder)
        tracker = board.tracker
        tracker.describe(report.read_text(encoding="utf-8"))
        tracker.tag_parent({"ended": ending.ended})
        for record, seeds in zip(front, by_number, strict=True):
            for number, scores in seeds.items():
                tracker.figures(number, {"pesq_test": scores.mean}, record["epochs"])
            if seeds:
                tracker.figures(record["trial"], final_metrics(record), record["epochs"])
        self.show(board, ending)
        self._console.print(f"Where the time went: {self._timing.told()}")

    def show(self, board: Board, ending: Ending) -> None:
        """Prints the front and where it is to be seen."""
        own = board.tracker.own_page()
        page = board.tracker.page() + (f"\n         and then {own}" if own else "")
        print_front(self._console, self._config, board.records, board.beside, ending, page, self._started)

    def review(self, sets: Sets, board: Board) -> None:
        """The page for a person. It comes last, since it names the MLflow runs, and tells each front member's time."""
        pages, times = draw_review(self._config.folder, sets.score_test)
        for path in pages:
            board.tracker.artifact(path)
            self._console.print(f"Review:  {path}")
        for record in board.records:
            if record["trial"] in times:
                board.tracker.figures(record["trial"], {"ms_per_frame": times[record["trial"]]}, record["epochs"])

    def _tell_scored(self, done: int, of: int) -> None:
        self._signals.heed()
        if self._console.is_terminal:
            self._console.print(f"  test scores: {done} of {of}", end="\n" if done == of else "\r")
