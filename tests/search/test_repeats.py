from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.macs import Budget
from search.proposals import Proposals
from search.repeats import RepeatSearcher
from search.searcher import TuneSearcher
from search.space import Space


@pytest.fixture
def proposals(tmp_path: Path) -> Proposals:
    made = Proposals(Space(Budget.parse("1.0GMAC"), ("none",), ("two-stage",), ("random",)), tmp_path / "journal")
    for number in range(2):
        made.propose(number)
        made.tell(number, 1.5)
    return made


def test_given_configurations_are_handed_out_in_order_each_once(proposals: Proposals) -> None:
    choices = [replace(one.choice, repeat=1) for one in proposals.trials()[::-1]]
    searcher = RepeatSearcher(proposals, choices, lambda choice: True)
    first, second, third = (searcher.suggest(name) for name in "abc")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["number"], second["number"]) == (2, 3)
    assert [one.choice for one in proposals.trials()[2:]] == choices
    assert third == RepeatSearcher.FINISHED
    searcher.on_trial_complete("a", {"state": "COMPLETE", "pesq": 1.6})
    assert [one.state for one in proposals.trials()] == ["COMPLETE"] * 3 + ["RUNNING"]


def test_one_for_which_there_is_no_time_leaves_no_trace(proposals: Proposals) -> None:
    dear, cheap = (replace(one.choice, repeat=1) for one in proposals.trials())
    searcher = RepeatSearcher(proposals, [dear, cheap], lambda choice: choice == cheap)
    suggestion = searcher.suggest("a")
    assert isinstance(suggestion, dict)
    assert suggestion["choice"]["f_hidden"] == cheap.f_hidden
    assert searcher.suggest("b") == RepeatSearcher.FINISHED
    assert [one.choice for one in proposals.trials()[2:]] == [cheap]


def test_they_do_not_count_as_students_of_the_search(proposals: Proposals) -> None:
    proposals.declare(replace(proposals.trials()[0].choice, repeat=1))
    searcher = TuneSearcher(proposals, limit=3)
    suggestion = searcher.suggest("a")
    assert isinstance(suggestion, dict)
    assert suggestion["number"] == 3
    assert suggestion["choice"]["repeat"] == 0
    assert searcher.suggest("b") == TuneSearcher.FINISHED
