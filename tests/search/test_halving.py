from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from analysis.front import hypervolume
from search.halving import Rungs, halving_in_words, planned_rungs, rung_epochs
from search.proposal import Proposal, State
from search.space import Choice


@pytest.mark.parametrize(
    ("epochs", "eta", "first", "rungs"),
    [(30, 3, 3, (3, 10)), (100, 3, 3, (4, 11, 33)), (9, 3, 3, (3,)), (7, 3, 3, ()), (6, 2, 3, (3,)), (2, 2, 1, (1,))],
)
def test_rungs_are_shares_of_a_stage_and_never_its_end(
    epochs: int, eta: int, first: int, rungs: tuple[int, ...]
) -> None:
    assert rung_epochs(epochs, eta, first) == rungs


@pytest.mark.parametrize(("eta", "first"), [(1.5, 3), (3, 0)])
def test_rungs_that_cannot_be_are_refused(eta: float, first: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        rung_epochs(30, eta, first)


@pytest.mark.parametrize("wrong", [{"eta": 1}, {"factor": 0.5}, {"tolerance": -0.1}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="eta must be at least 2"):
        Rungs(**wrong)


@pytest.mark.parametrize(
    ("wanted", "epochs", "trials", "rungs"),
    [
        (None, 30, 16, (3, 10)),
        (None, 9, 12, (3,)),
        (None, 7, 40, ()),  # too few epochs for a score that says something
        (None, 30, 10, ()),  # too few students for two of similar cost
        (True, 7, 3, (1, 2)),
        (True, 1, 3, ()),
        (False, 100, 40, ()),
    ],
)
def test_halving_is_on_where_it_is_worth_it_or_asked_for(
    wanted: bool | None, epochs: int, trials: int, rungs: tuple[int, ...]
) -> None:
    assert planned_rungs(wanted, epochs, trials) == rungs


def test_rungs_are_said_in_words() -> None:
    assert halving_in_words((), 30).startswith("off")
    assert "after 3 of the 9 epochs" in halving_in_words((3,), 9)
    assert "after 4, 11 and 33 of the 100 epochs" in halving_in_words((4, 11, 33), 100)


def reported(*scores: float, log_cost: float = 0.0, rung: int = 0, **settings: float) -> Rungs:
    """Students of one cost with these scores at a rung."""
    rungs = Rungs(**settings)
    for number, score in enumerate(scores):
        rungs.report(number, log_cost, rung, score)
    return rungs


def test_of_similar_cost_the_best_third_goes_on() -> None:
    rungs = reported(1.1, 1.6, 1.2, 1.5, 1.3, 1.4)
    assert [rungs.decide(number) for number in range(6)] == ["pause", "go on", "pause", "go on", "pause", "pause"]
    assert rungs.paused() == [5, 4, 2, 0]


def test_only_those_of_similar_cost_are_ranked() -> None:
    rungs = Rungs()
    for number, factor in enumerate((1.0, 1.9, 2.1)):  # all behind a cheap one, the dearest the least
        rungs.report(number, math.log10(factor), 0, 1.2 + 0.1 * number)
    rungs.report(3, -1.0, 0, 1.6)
    assert rungs.decide(2) == "pause", "two of similar cost are none to choose a third of"
    rungs.report(4, math.log10(2.0), 0, 1.3)
    assert rungs.decide(2) == "go on"
    assert rungs.decide(1) == "pause"


def test_a_student_that_no_cheaper_one_beats_by_more_than_the_noise_goes_on() -> None:
    rungs = reported(1.5, 1.5, 1.5, 1.5, 1.5, 1.49, 1.47, tolerance=0.02)
    assert rungs.decide(5) == "go on"
    assert rungs.decide(6) == "pause"
    assert rungs.shortfall(6) == pytest.approx(0.03)


def test_what_costs_more_never_ends_what_costs_less() -> None:
    rungs = reported(*[2.0] * 20, log_cost=0.1)
    rungs.report(20, 0.0, 0, 1.1)
    assert rungs.shortfall(20) == 0
    assert rungs.decide(20) == "go on"


def test_scores_at_other_rungs_are_not_compared() -> None:
    rungs = reported(*[2.0] * 10, rung=1)
    rungs.report(10, 0.0, 0, 1.1)
    assert rungs.decide(10) == "go on"
    rungs.report(10, 0.0, 1, 1.1)
    assert rungs.decide(10) == "pause"


def test_a_paused_student_can_be_promoted_once_later_ones_score_less() -> None:
    rungs = reported(1.6, 1.5, 1.4, 1.3)
    assert [rungs.decide(number) for number in (0, 1)] == ["go on", "pause"]
    assert rungs.promotable() == []
    rungs.report(4, 0.0, 0, 1.2)
    rungs.report(5, 0.0, 0, 1.1)
    assert rungs.promotable() == [1]
    rungs.promote(1)
    assert rungs.promotable() == rungs.paused() == []
    rungs.report(6, 0.0, 0, 1.7)
    assert rungs.decide(1) == "go on", "told again, as a resumed training does"


def test_promotable_students_come_by_rung_then_by_shortfall() -> None:
    rungs = Rungs(tolerance=0.0)
    for number, (rung, score) in enumerate([(0, 1.4), (0, 1.5), (0, 1.6), (1, 1.1), (1, 1.2)]):
        rungs.report(number, 0.0, rung, score)
        if score in (1.4, 1.5, 1.1):
            rungs.report(9, 0.0, rung, 2.0)
            assert rungs.decide(number) == "pause"
    assert rungs.paused() == [3, 1, 0]
    rungs.drop(1)
    assert rungs.paused() == [3, 0]


def test_a_score_that_is_none_is_no_reason_to_wait() -> None:
    rungs = reported(*[2.0] * 10)
    rungs.report(10, 0.0, 0, math.nan)
    assert rungs.decide(10) == "go on"


# after a restart ------------------------------------------------------------------------------------------------------


def history(students: Path, number: int, *lines: dict[str, object]) -> None:
    (students / f"{number:04d}").mkdir()
    text = "".join(json.dumps({"epoch": 1 + epoch} | line) + "\n" for epoch, line in enumerate(lines))
    (students / f"{number:04d}" / "history.jsonl").write_text(text)


def student(number: int, state: State = "COMPLETE", repeat: int = 0) -> Proposal:
    choice = Choice(64, 16, "linear", "two-stage", "slice", repeat=repeat)
    return Proposal(number, choice, state, None)


def test_after_a_restart_the_rungs_are_what_the_histories_say(tmp_path: Path) -> None:
    for number, score in enumerate([1.6, 1.5, 1.4, 1.3, 1.2, 1.1]):
        history(tmp_path, number, {}, {"rung": 0, "pesq": score}, *([{"pesq": 1.7}] if number == 0 else []))
    states: list[State] = ["COMPLETE", "PAUSED", "PAUSED", "PAUSED", "PRUNED", "RUNNING"]
    rungs = Rungs.from_histories(tmp_path, [student(n, state) for n, state in enumerate(states)])
    assert rungs.paused() == [1, 2, 3]
    assert rungs.promotable() == [1]
    assert rungs.decide(0) == "go on"
    assert rungs.decide(5) == "pause", "it was stopped before the decision"


def test_a_student_that_was_trained_beyond_a_rung_has_passed_it(tmp_path: Path) -> None:
    history(tmp_path, 0, {"rung": 0, "pesq": 1.1}, {})
    for number in range(1, 9):
        history(tmp_path, number, {"rung": 0, "pesq": 1.6})
    rungs = Rungs.from_histories(tmp_path, [student(n, "RUNNING") for n in range(9)])
    assert rungs.decide(0) == "go on"


def test_histories_that_are_torn_unscored_or_absent_do_no_harm(tmp_path: Path) -> None:
    history(tmp_path, 0, {"rung": 0, "pesq": None})
    history(tmp_path, 1, {"rung": 0, "pesq": 1.5})
    with open(tmp_path / "0001" / "history.jsonl", "a") as file:
        file.write('{"epoch": 2, "rung": 1, "pes')
    rungs = Rungs.from_histories(tmp_path, [student(0, "PAUSED"), student(1, "PAUSED"), student(2)])
    assert rungs.paused() == [1]
    assert rungs.shortfall(1) == 0


def test_repeats_are_no_candidates(tmp_path: Path) -> None:
    history(tmp_path, 0, {"rung": 0, "pesq": 1.5})
    history(tmp_path, 1, {"rung": 0, "pesq": 1.9})
    rungs = Rungs.from_histories(tmp_path, [student(0), student(1, repeat=1)])
    assert rungs.shortfall(0) == 0


# on a made-up surface -------------------------------------------------------------------------------------------------


def surface(count: int) -> list[tuple[float, float, float]]:
    """Students of all costs: log10 GMAC, PESQ at the first rung and at the end. Larger ones score higher."""
    rng = np.random.default_rng(0)
    log_cost = rng.uniform(-1.6, 0.0, count)
    end = 1.5 + 0.15 * log_cost - np.abs(rng.normal(0, 0.08, count))
    return list(zip(log_cost.tolist(), (end - 0.1 + rng.normal(0, 0.008, count)).tolist(), end.tolist(), strict=True))


def test_the_whole_front_survives_its_cheap_end_included() -> None:
    students, rungs = surface(90), Rungs()
    for number, (log_cost, early, _) in enumerate(students):
        rungs.report(number, log_cost, 0, early)
        rungs.decide(number)
    while rungs.promotable():
        rungs.promote(rungs.promotable()[0])
    waiting = set(rungs.paused())
    assert len(waiting) > 30
    costs, _, ends = (np.array(column) for column in zip(*students, strict=True))
    of_all = hypervolume(costs, ends, 0.0, 1.1)
    on = [number for number in range(90) if number not in waiting]
    assert hypervolume(costs[on], ends[on], 0.0, 1.1) > 0.98 * of_all
    cheapest = np.argsort(costs)[:10].tolist()
    assert min(cheapest, key=lambda number: -ends[number]) not in waiting
