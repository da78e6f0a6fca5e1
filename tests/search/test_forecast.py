from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from search.config import SearchConfig
from search.ehvi import BEGIN
from search.flags import read_flags, search_config
from search.forecast import Forecast, forecast
from search.proposals import Proposals


@pytest.fixture
def config(tmp_path: Path) -> SearchConfig:
    return search_config(read_flags(["--budget", "1.0GMAC", "--storage", str(tmp_path), "--name", "x"]))


@pytest.fixture
def of(config: SearchConfig) -> Callable[..., Forecast]:
    """The forecast of the demo search with changes."""

    def make(**changes: Any) -> Forecast:
        changed = replace(config, **changes)
        return forecast(changed, changed.space(5))

    return make


def test_with_many_trials_the_first_ones_stand_for_those_that_scores_will_decide(of: Callable[..., Forecast]) -> None:
    seen = of(trials=25)
    assert len(seen.first) == BEGIN
    assert seen.all == list(islice(cycle(seen.first), 25))


def test_there_are_no_more_students_than_configurations(of: Callable[..., Forecast]) -> None:
    assert len(of(trials=25, sizes=("8/4", "64/16"), methods=("none",)).all) == 2


def test_a_search_that_is_at_its_end_has_no_student_left(
    of: Callable[..., Forecast], config: SearchConfig, tmp_path: Path
) -> None:
    proposals = Proposals(config.space(5), tmp_path / "x" / "study.journal", config.seed)
    for number in range(2):
        proposals.propose(number)
        proposals.tell(number, 1.2)
    assert of(trials=2) == Forecast([], [])
    assert len(of(trials=3).all) == 1


def test_failed_students_are_made_up_for(of: Callable[..., Forecast], config: SearchConfig, tmp_path: Path) -> None:
    proposals = Proposals(config.space(5), tmp_path / "x" / "study.journal", config.seed)
    proposals.propose(0)
    proposals.tell(0, None, "FAIL")
    assert len(of(trials=2).all) == 2


def test_other_seeds_of_the_front_are_reckoned_with_until_they_were_trained(
    of: Callable[..., Forecast], config: SearchConfig, tmp_path: Path
) -> None:
    assert of(trials=25).repeats == []
    seen = of(trials=25, repeat_front=2)
    assert seen.repeats == [*seen.first[:5], *seen.first[:5]]
    assert len(of(trials=3, repeat_front=2).repeats) == 2  # of a third of the students
    proposals = Proposals(config.space(5), tmp_path / "x" / "study.journal", config.seed)
    for number in range(3):
        proposals.propose(number)
        proposals.tell(number, 1.2)
    proposals.declare(replace(proposals.trials()[0].choice, repeat=1))
    later = of(trials=3, repeat_front=2)
    assert (later.all, len(later.repeats)) == ([proposals.trials()[3].choice], 1)  # what was begun is unfinished
