"""How Ray Tune asks for the trainings by other seeds that tell how certain the front is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from search.proposals import Proposals
from search.searcher import TuneSearcher
from search.space import Choice


class RepeatSearcher(TuneSearcher):
    """Hands out given configurations, each declared as it starts: one for which there is no time leaves no trace.

    Args:
        proposals: the study.
        choices: what to train, in this order.
        may_start: whether one may still be started; one that may not is passed over, for a cheaper one to take its
            place.
    """

    def __init__(self, proposals: Proposals, choices: Iterable[Choice], may_start: Callable[[Choice], bool]) -> None:
        super().__init__(proposals, may_start=may_start)
        self._choices = list(choices)

    def _next(self) -> tuple[int, Choice] | None:
        while self._choices and self._proposals is not None and self._may_start is not None and not self.broken:
            choice = self._choices.pop(0)
            if self._may_start(choice):
                return self._proposals.declare(choice), choice
        return None

    def __getstate__(self) -> dict[str, Any]:
        """As for `TuneSearcher`: a copy hands out nothing."""
        return super().__getstate__() | {"_choices": []}
