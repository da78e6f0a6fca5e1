"""A student as the study knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from search.space import Choice

State = Literal["RUNNING", "PAUSED", "COMPLETE", "PRUNED", "FAIL"]
FinalState = Literal["COMPLETE", "PRUNED", "FAIL"]


@dataclass(frozen=True)
class Proposal:
    """A configuration that was proposed, and what became of it.

    Args:
        number: of the student; negative for one of an earlier search.
        choice: its configuration.
        state: RUNNING until it is told, PAUSED while it waits for a rung's decision.
        pesq: validation PESQ where the state is COMPLETE; where it is PAUSED, as the student stood then; else None.
        elsewhere: whether it was trained by other settings, in an earlier search: then its score tells how it compares
            with others trained like it.
        cut: whether the time ended its training, COMPLETE with the score of its epochs so far or PRUNED without one: it
            is no measurement of its configuration, and goes on in a session with time for it.
    """

    number: int
    choice: Choice
    state: State
    pesq: float | None
    elsewhere: bool = False
    cut: bool = False
