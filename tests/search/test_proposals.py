from __future__ import annotations

import math
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from data.errors import InputError
from model.ftjnf import Size
from model.macs import Budget, paper_gmac
from search.dimensions import SETTINGS, Dimension
from search.proposal import FinalState
from search.proposals import Proposals
from search.space import Choice, Space, parse_sizes
from search.start import START


def space(budget: str = "1.0GMAC", **settings) -> Space:
    defaults = {"methods": ("none", "linear", "t-lstm"), "schedules": ("two-stage", "cosine"), "inits": ("slice",)}
    return Space(Budget.parse(budget), **{**defaults, **settings})


def pesq_of(choice: Choice) -> float:
    """A made-up score: better with more MACs and the paper's split, and for one method."""
    split = choice.f_hidden / (choice.f_hidden + choice.t_hidden)
    return 1.5 + 0.2 * math.log(paper_gmac(choice.size)) - (split - 0.75) ** 2 + 0.05 * (choice.kd_method == "t-lstm")


def run(proposals: Proposals, n: int, workers: int = 1) -> list[Choice]:
    """Proposes n students and tells their scores, each when `workers` later ones have been proposed."""
    choices: list[Choice] = []
    first = len(proposals.trials())
    for number in range(first, first + n):
        choice = proposals.propose(number)
        assert choice is not None
        choices.append(choice)
        told = number - workers + 1
        if told >= first:
            proposals.tell(told, pesq_of(choices[told - first]))
    return choices


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize(("seed", "budget"), [(0, "1.0GMAC"), (1, "0.3GMAC"), (2, "0.694GMAC/s"), (3, "12MMAC/frame")])
def test_nothing_over_budget_and_nothing_twice(tmp_path: Path, sampler: str, seed: int, budget: str) -> None:
    choices = run(Proposals(space(budget), tmp_path / "study.journal", seed, sampler), 30, workers=3)
    assert all(Budget.parse(budget).allows(choice.size) for choice in choices)
    assert len(set(choices)) == 30


def test_sixty_proposals_repeat_nothing_although_few_sizes_remain(tmp_path: Path) -> None:
    small = space("0.1GMAC", inits=("slice", "random"))
    assert small.count() == 80
    assert len(set(run(Proposals(small, tmp_path / "study.journal"), 60))) == 60


def test_both_ends_of_the_range_come_first(tmp_path: Path) -> None:
    some = space()
    first, second = run(Proposals(some, tmp_path / "study.journal"), 2, workers=2)
    assert first.size == some.feasible()[-1] == Size(80, 24)
    assert second.size == some.feasible()[0]


def test_the_model_is_used_after_the_start(tmp_path: Path) -> None:
    """TPE learns which split and method score well; random draws do not."""

    def regret(sampler: str) -> float:
        late = run(Proposals(space(), tmp_path / sampler, 0, sampler), 50)[START:]
        return float(np.mean([abs(c.f_hidden / (c.f_hidden + c.t_hidden) - 0.75) for c in late]))

    assert regret("tpe") < 0.6 * regret("random")


def test_an_exhausted_space_gives_none(tmp_path: Path) -> None:
    proposals = Proposals(space(sizes=parse_sizes("64/16,8/4")), tmp_path / "study.journal")
    choices = run(proposals, 10)
    assert set(choices) == set(proposals.space.configurations())
    assert proposals.propose(10) is None
    assert len(proposals.trials()) == 10


def test_a_failed_configuration_is_not_proposed_again(tmp_path: Path) -> None:
    proposals = Proposals(space(sizes=(Size(8, 4),), methods=("none",)), tmp_path / "study.journal")
    assert proposals.propose(0) is not None
    proposals.tell(0, None, "FAIL")
    assert proposals.propose(1) is None


def test_a_number_asked_for_again_is_the_same_choice_also_after_reopening(tmp_path: Path) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    choices = run(proposals, 12, workers=2)
    assert [proposals.propose(number) for number in range(12)] == choices
    assert [Proposals(space(), tmp_path / "study.journal").propose(number) for number in range(12)] == choices
    assert len(proposals.trials()) == 12


def test_a_search_reopened_at_every_step_proposes_what_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole = run(Proposals(space(), tmp_path / "whole"), 16)
    parts = [run(Proposals(space(), tmp_path / "parts"), 1)[0] for _ in range(16)]
    assert parts == whole


def test_the_same_seed_and_tells_give_the_same_proposals_and_another_seed_others(tmp_path: Path) -> None:
    runs = [run(Proposals(space(), tmp_path / str(i), seed), 15, workers=2) for i, seed in enumerate((5, 5, 7))]
    assert runs[0] == runs[1] != runs[2]


def test_a_reopened_journal_keeps_what_was_told_and_lists_the_unfinished(tmp_path: Path) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    choices = [proposals.propose(number) for number in range(4)]
    proposals.tell(0, 1.75)
    proposals.tell(2, None, "FAIL")
    proposals.tell(3, 1.2, "PRUNED")
    again = Proposals(space(), tmp_path / "study.journal")
    assert [(t.number, t.choice, t.state, t.pesq) for t in again.trials()] == [
        (0, choices[0], "COMPLETE", 1.75),
        (1, choices[1], "RUNNING", None),
        (2, choices[2], "FAIL", None),
        (3, choices[3], "PRUNED", None),
    ]
    assert [trial.number for trial in again.unfinished()] == [1]


@pytest.mark.parametrize("pesq", [None, math.nan, math.inf])
def test_a_student_without_a_finite_score_failed(tmp_path: Path, pesq: float | None) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    proposals.propose(0)
    proposals.tell(0, pesq)
    assert proposals.trials()[0].state == "FAIL"


def test_telling_twice_changes_nothing(tmp_path: Path) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    proposals.propose(0)
    proposals.tell(0, 1.5)
    proposals.tell(0, 2.5)
    proposals.tell(0, None, "FAIL")
    assert (proposals.trials()[0].state, proposals.trials()[0].pesq) == ("COMPLETE", 1.5)


@pytest.mark.parametrize(("state", "pesq"), [("COMPLETE", 1.5), ("PRUNED", None)])
def test_student_that_the_time_cut_short_has_ended_until_it_goes_on(
    tmp_path: Path, state: FinalState, pesq: float | None
) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    proposals.propose(0)
    proposals.tell(0, pesq, state, cut=True)
    for known in (proposals, Proposals(space(), tmp_path / "study.journal")):
        (one,) = known.trials()
        assert (one.state, one.pesq, one.cut) == (state, pesq, True)
        assert known.unfinished() == []
    assert proposals.go_on(0) == one.choice
    assert [(one.state, one.pesq, one.cut) for one in proposals.trials()] == [("RUNNING", None, False)]
    proposals.tell(0, 1.7)
    proposals.tell(0, 1.5, cut=True)
    assert [(one.state, one.pesq, one.cut) for one in proposals.trials()] == [("COMPLETE", 1.7, False)]


def test_pruned_and_failed_students_do_not_stop_the_sampler(tmp_path: Path) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    for number in range(30):
        choice = proposals.propose(number)
        assert choice is not None
        proposals.tell(number, pesq_of(choice), ("COMPLETE", "PRUNED", "FAIL")[number % 3])
    assert len({trial.choice for trial in proposals.trials()}) == 30


def test_a_refused_choice_is_not_recorded(tmp_path: Path) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    assert proposals.propose(0, accept=lambda choice: False) is None
    assert proposals.trials() == []
    assert proposals.propose(0, accept=lambda choice: True) is not None


def test_numbers_and_states_that_cannot_be_are_refused(tmp_path: Path) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    for number in (-1, 1):
        with pytest.raises(ValueError, match="the next is 0"):
            proposals.propose(number)
    with pytest.raises(ValueError, match="never proposed"):
        proposals.tell(0, 1.0)
    proposals.propose(0)
    with pytest.raises(ValueError, match="RUNNING"):
        proposals.tell(0, 1.0, "RUNNING")  # type: ignore[arg-type]


def test_a_line_torn_by_a_crash_is_dropped_and_the_search_goes_on(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    choices = run(Proposals(space(), journal), 3)
    with journal.open("a") as file:
        file.write('{"op_code":6,"worker')
    run(Proposals(space(), journal), 1)
    again = Proposals(space(), journal)
    assert [trial.choice for trial in again.trials()][:3] == choices
    assert [trial.state for trial in again.trials()] == ["COMPLETE"] * 4


@pytest.mark.parametrize("content", ["hello\nworld\n", '{"a": 1}\n{"b": 2}\n'])
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, content: str) -> None:
    journal = tmp_path / "study.journal"
    journal.write_text(content)
    with pytest.raises(InputError, match=r"study\.journal is no journal of a search"):
        Proposals(space(), journal)


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match=r"study\.journal"):
        Proposals(space(), tmp_path / "run" / "study.journal")


def test_an_unknown_sampler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'oracle' is not known; choose from ehvi, tpe, random, grid"):
        Proposals(space(), tmp_path / "study.journal", sampler="oracle")  # type: ignore[arg-type]


def test_nothing_is_printed_or_warned_about(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(Proposals(space(), tmp_path / "study.journal"), START + 2)
    assert capfd.readouterr() == ("", "")


def test_proposals_survive_pickling_with_a_callback_of_tune(tmp_path: Path) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    choice = proposals.propose(0)
    copy = cloudpickle.loads(cloudpickle.dumps(proposals))
    assert copy.propose(0) == choice


def test_a_paused_student_keeps_its_standing_and_goes_on(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    proposals = Proposals(space(), journal)
    first, _ = run(proposals, 2, workers=3)
    proposals.pause(0, 1.25)
    again = Proposals(space(), journal)
    assert [(one.state, one.pesq) for one in again.trials()] == [("PAUSED", 1.25), ("RUNNING", None)]
    assert [one.number for one in again.unfinished()] == [1]
    assert again.go_on(0) == first
    assert again.trials()[0].state == "RUNNING"
    again.pause(0, 1.3)
    again.tell(0, None, "PRUNED")
    assert again.trials()[0].state == "PRUNED"
    with pytest.raises(ValueError, match="number 0 has ended"):
        again.go_on(0)


def test_a_declared_repeat_has_a_number_and_is_no_duplicate(tmp_path: Path) -> None:
    proposals = Proposals(space(), tmp_path / "study.journal")
    first, second = run(proposals, 2)
    assert proposals.declare(replace(first, repeat=1)) == 2
    assert proposals.propose(3) not in (first, second, replace(first, repeat=1))
    with pytest.raises(ValueError, match="was proposed before"):
        proposals.declare(first)
    with pytest.raises(ValueError, match="above the budget"):
        proposals.declare(replace(first, f_hidden=512))


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_what_else_is_varied_is_proposed_within_the_space_and_never_twice(tmp_path: Path, sampler: str) -> None:
    some = space(
        "0.05GMAC", schedules=("two-stage", "constant", "cosine"),
        dimensions=(
            Dimension("alpha", (0.3, 0.5, 0.7)), Dimension("soft_share", (0.25, 0.5)), Dimension("lr", (5e-4, 1e-3)),
            Dimension("gram_normalise", ("plain", "cosine")),
        ),
    )  # fmt: skip
    choices = run(Proposals(some, tmp_path / "study.journal", 0, sampler), 30, workers=3)
    assert len(set(choices)) == 30
    assert set(choices) <= set(some.configurations())
    assert [trial.choice for trial in Proposals(some, tmp_path / "study.journal").trials()] == choices


def test_journal_of_an_older_search_is_read(tmp_path: Path) -> None:
    choice = Choice.of(Size(8, 4), "linear", "cosine", "slice")
    older = {name: value for name, value in asdict(choice).items() if name not in SETTINGS}
    assert Choice(**older) == choice
