"""Which students are trained again by other seeds, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from model.macs import Budget
from search.certainty import doubtful, near_rivals, seed_noise, wanted
from search.proposal import Proposal
from search.results import Record, student_records
from search.space import Space

SPACE = Space(Budget.parse("1.0GMAC"), ("none",), ("two-stage",), ("random",))


Trained = Callable[..., list[Proposal]]


def numbers(records: list[Record]) -> list[int]:
    return [record["trial"] for record in records]


def test_least_certain_places_come_first_and_far_losers_not_at_all(tmp_path: Path, trained: Trained) -> None:
    # 0 and 3 are far above what is cheaper, 1 is hardly above 0, 2 hardly below 1, 4 is far below 3
    proposals = trained(1.5, 1.502, 1.501, 1.8, 1.6)
    records = student_records(tmp_path, proposals)
    assert [record["trial"] for record in records if record["front"]] == [0, 1, 3]
    found = numbers(doubtful(tmp_path, records))
    assert set(found) == {0, 1, 2, 3}
    assert set(found[:2]) == {1, 2}
    assert found[-1] == 0  # nothing is cheaper, and no rival is near it


def test_everyone_gets_its_second_seed_before_anyone_gets_a_third(tmp_path: Path, trained: Trained) -> None:
    proposals = trained(1.5, 1.8, 1.2, 1.2, 1.2, 1.2)
    records = student_records(tmp_path, proposals)
    choices = wanted(tmp_path, proposals, records, SPACE, 2)
    assert [choice.repeat for choice in choices] == [1, 1, 2, 2]
    assert {choice.f_hidden for choice in choices[:2]} == {8, 16}
    assert wanted(tmp_path, proposals, records, SPACE, 0) == []
    # those that were begun count, whatever became of them
    begun = [*proposals, Proposal(6, choices[0], "FAIL", None)]
    assert wanted(tmp_path, begun, records, SPACE, 2) == choices[1:]


def test_there_are_never_more_of_them_than_students_of_the_search(tmp_path: Path, trained: Trained) -> None:
    proposals = trained(1.5, 1.8)
    records = student_records(tmp_path, proposals)
    choices = wanted(tmp_path, proposals, records, SPACE, 5)
    assert len(choices) == 2
    begun = [*proposals, *(Proposal(2 + n, one, "FAIL", None) for n, one in enumerate(choices))]
    assert wanted(tmp_path, begun, records, SPACE, 5) == []


def test_repeats_that_the_search_itself_goes_through_are_not_taken_for_them(tmp_path: Path, trained: Trained) -> None:
    proposals = trained(1.5, 1.8, 1.2, 1.2)
    proposals[2] = replace(proposals[2], choice=replace(proposals[0].choice, repeat=1))
    records = student_records(tmp_path, proposals)
    space = replace(SPACE, repeats=2)
    assert {choice.repeat for choice in wanted(tmp_path, proposals, records, space, 1)} == {2}


def test_seed_noise_is_pooled_and_makes_more_rivals_near(tmp_path: Path, trained: Trained) -> None:
    records = student_records(tmp_path, trained(1.5, 1.42, 1.8, clips=0.002))
    assert seed_noise(records) is None
    assert numbers(near_rivals(records)) == []
    records[0] |= {"seeds": 3, "pesq_val_seeds": [1.45, 1.5, 1.55]}
    records[2] |= {"seeds": 2, "pesq_val_seeds": [1.75, 1.85]}
    assert seed_noise(records) == pytest.approx(((2 * 0.05**2 + 2 * 0.05**2) / 3) ** 0.5)
    assert numbers(near_rivals(records)) == [1]


def test_rival_whose_weights_are_gone_is_not_trained_again(tmp_path: Path, trained: Trained) -> None:
    records = student_records(tmp_path, trained(1.5, 1.502, 1.501, 1.8))
    assert 2 in numbers(doubtful(tmp_path, records))
    records[2]["checkpoint"] = None
    assert 2 not in numbers(doubtful(tmp_path, records))
