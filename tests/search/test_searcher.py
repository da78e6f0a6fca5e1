from __future__ import annotations

import threading
from pathlib import Path

import cloudpickle
import pytest

from model.macs import Budget
from search.halving import Rungs
from search.proposals import Proposals
from search.searcher import TuneSearcher
from search.space import Choice, Space, parse_sizes

FINISHED = TuneSearcher.FINISHED


@pytest.fixture
def proposals(tmp_path: Path) -> Proposals:
    space = Space(Budget.parse("1.0GMAC"), ("none", "linear"), ("two-stage",), sizes=parse_sizes("8/4,64/16"))
    return Proposals(space, tmp_path / "study.journal")


def states(proposals: Proposals) -> list[str]:
    return [trial.state for trial in proposals.trials()]


def test_a_suggestion_is_the_number_and_the_fields_of_the_choice(proposals: Proposals) -> None:
    config = TuneSearcher(proposals).suggest("a")
    assert isinstance(config, dict)
    assert config["number"] == 0
    assert Choice(**config["choice"]) == proposals.trials()[0].choice


def test_it_counts_what_this_session_has_started(proposals: Proposals) -> None:
    proposals.propose(0)
    searcher = TuneSearcher(proposals, limit=2)
    assert searcher.started == 0
    searcher.suggest("a")
    searcher.suggest("b")
    assert searcher.started == 1


def test_the_search_finishes_with_the_space(proposals: Proposals) -> None:
    searcher = TuneSearcher(proposals)
    suggestions = [searcher.suggest(name) for name in "abcde"]
    assert [s["number"] for s in suggestions[:4]] == [0, 1, 2, 3]
    assert suggestions[4] == FINISHED


def test_the_search_finishes_at_its_limit_which_counts_earlier_students(proposals: Proposals) -> None:
    proposals.propose(0)
    proposals.tell(0, 1.5)
    searcher = TuneSearcher(proposals, limit=2)
    assert searcher.suggest("a") != FINISHED
    assert searcher.suggest("b") == FINISHED


def test_failed_students_are_made_up_for_but_not_for_ever(proposals: Proposals) -> None:
    searcher = TuneSearcher(proposals, limit=1)
    for name in "ab":
        assert searcher.suggest(name) != FINISHED
        searcher.on_trial_complete(name, {"state": "FAIL"})
    assert searcher.suggest("c") == FINISHED


def test_a_student_that_may_not_start_ends_the_search_and_is_not_recorded(proposals: Proposals) -> None:
    asked: list[Choice] = []
    searcher = TuneSearcher(proposals, may_start=lambda choice: bool(asked.append(choice)))
    assert searcher.suggest("a") == FINISHED
    assert len(asked) == 1
    assert proposals.trials() == []


def test_nothing_new_begins_while_it_has_stalled_which_a_student_in_training_may_change(proposals: Proposals) -> None:
    held: list[bool] = [False, True, True, False, True]
    searcher = TuneSearcher(proposals, stalled=lambda: held.pop(0))
    assert searcher.suggest("a") != FINISHED
    assert [searcher.suggest("b"), searcher.suggest("b")] == [None, None]
    searcher.on_trial_complete("a", {"state": "COMPLETE", "pesq": 1.5})
    assert searcher.suggest("b") != FINISHED
    searcher.on_trial_complete("b", {"state": "COMPLETE", "pesq": 1.5})
    assert searcher.suggest("c") == FINISHED


def test_unfinished_students_come_first_and_count_towards_the_limit(proposals: Proposals) -> None:
    waiting = [(number, proposals.propose(number)) for number in range(2)]
    searcher = TuneSearcher(proposals, queue=waiting, limit=3)
    assert [searcher.suggest(name)["number"] for name in "abc"] == [0, 1, 2]
    assert searcher.suggest("d") == FINISHED


def test_an_unfinished_student_that_may_not_start_stays_unfinished(proposals: Proposals) -> None:
    searcher = TuneSearcher(proposals, queue=[(0, proposals.propose(0))], may_start=lambda choice: False)
    assert searcher.suggest("a") == FINISHED
    assert states(proposals) == ["RUNNING"]


def test_an_unfinished_student_that_may_not_start_holds_up_neither_the_others_nor_new_ones(
    proposals: Proposals,
) -> None:
    waiting = [(number, proposals.propose(number)) for number in range(3)]
    too_large = waiting[0][1]
    searcher = TuneSearcher(proposals, queue=waiting, may_start=lambda choice: choice != too_large)
    assert [searcher.suggest(name)["number"] for name in "abc"] == [1, 2, 3]
    assert searcher.suggest("d") == FINISHED
    assert states(proposals) == ["RUNNING"] * 4


def test_results_that_name_their_end_are_told_and_errors_are_not(proposals: Proposals) -> None:
    searcher = TuneSearcher(proposals)
    for name in "abcd":
        searcher.suggest(name)
    searcher.on_trial_complete("a", {"state": "COMPLETE", "pesq": 1.5})
    searcher.on_trial_complete("b", {"state": "PRUNED", "pesq": 1.2})
    searcher.on_trial_complete("c", error=True)
    searcher.on_trial_complete("d", {"state": "COMPLETE"})
    assert states(proposals) == ["COMPLETE", "PRUNED", "RUNNING", "FAIL"]
    assert proposals.trials()[0].pesq == 1.5


def test_student_that_the_time_cut_short_may_go_on_in_a_later_search(proposals: Proposals) -> None:
    searcher = TuneSearcher(proposals, limit=1)
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"state": "COMPLETE", "pesq": 1.5, "stopped": "time"})
    assert [(one.state, one.cut) for one in proposals.trials()] == [("COMPLETE", True)]
    queue = [(one.number, one.choice) for one in proposals.trials()]
    late = TuneSearcher(proposals, queue=queue, limit=1, may_start=lambda choice: False)
    assert late.suggest("b") == FINISHED
    assert states(proposals) == ["COMPLETE"], "it keeps what it has"
    assert TuneSearcher(proposals, queue=queue, limit=1).suggest("c")["number"] == 0
    assert states(proposals) == ["RUNNING"]


def test_errors_in_a_row_end_the_search_and_leave_their_students_to_a_later_one(tmp_path: Path) -> None:
    space = Space(Budget.parse("1.0GMAC"), ("none", "linear"), ("two-stage",))
    proposals = Proposals(space, tmp_path / "study.journal")
    searcher = TuneSearcher(proposals)
    for name in "ab":
        searcher.suggest(name)
        searcher.on_trial_complete(name, error=True)
    searcher.suggest("c")
    searcher.on_trial_complete("c", {"state": "FAIL"})  # its own doing: the machine is well
    for name in "def":
        assert not searcher.broken
        assert searcher.suggest(name) != FINISHED
        searcher.on_trial_complete(name, error=True)
    assert searcher.broken
    assert searcher.suggest("g") == FINISHED
    assert states(proposals) == ["RUNNING", "RUNNING", "FAIL", "RUNNING", "RUNNING", "RUNNING"]

    later = TuneSearcher(proposals, queue=[(one.number, one.choice) for one in proposals.unfinished()])
    assert [later.suggest(name)["number"] for name in "abcde"] == [0, 1, 3, 4, 5]


def test_a_trial_that_was_interrupted_is_told_nothing(proposals: Proposals) -> None:
    searcher = TuneSearcher(proposals)
    searcher.suggest("a")
    searcher.on_trial_complete("a")
    searcher.on_trial_complete("a", {"pesq": 1.3, "epoch": 2})
    searcher.on_trial_complete("unknown", {"state": "COMPLETE", "pesq": 1.3})
    assert states(proposals) == ["RUNNING"]


def test_tune_can_pickle_it_whatever_the_clock_holds_and_the_copy_proposes_nothing(proposals: Proposals) -> None:
    lock = threading.Lock()  # cannot be pickled
    searcher = TuneSearcher(proposals, may_start=lambda choice: not lock.locked())
    searcher.suggest("a")
    copy = cloudpickle.loads(cloudpickle.dumps(searcher))
    assert copy.suggest("b") == FINISHED
    copy.on_trial_complete("a", error=True)
    assert states(proposals) == ["RUNNING"]
    assert searcher.suggest("b") != FINISHED


def test_tune_can_save_and_restore_it(proposals: Proposals, tmp_path: Path) -> None:
    searcher = TuneSearcher(proposals)
    searcher.save_to_dir(str(tmp_path), "session")
    searcher.restore_from_dir(str(tmp_path))
    assert searcher.suggest("a") != FINISHED


# with rungs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path: Path) -> Proposals:
    return Proposals(Space(Budget.parse("1.0GMAC"), ("none", "linear"), ("two-stage",)), tmp_path / "many.journal")


def pause(searcher: TuneSearcher, proposals: Proposals, rungs: Rungs, name: str, number: int, pesq: float) -> None:
    """What the scheduler does with a student that is to wait, and Tune after it."""
    for other in range(100, 103):
        rungs.report(other, 0.0, 0, 2.0)
    rungs.report(number, 0.0, 0, pesq)
    assert rungs.decide(number) == "pause"
    proposals.pause(number, pesq)
    searcher.on_trial_complete(name, {"rung": 0, "pesq": pesq})


def promote_all(rungs: Rungs) -> None:
    """Later reports at the rung that make every paused student one of the best."""
    for other in range(200, 230):
        rungs.report(other, 0.0, 0, 1.0)


def test_a_student_that_can_be_promoted_comes_before_a_new_one(many: Proposals) -> None:
    rungs = Rungs()
    searcher = TuneSearcher(many, rungs=rungs)
    first = searcher.suggest("a")
    pause(searcher, many, rungs, "a", 0, 1.5)
    assert states(many) == ["PAUSED"]
    assert searcher.suggest("b")["number"] == 1
    promote_all(rungs)
    assert searcher.suggest("c") == first
    assert states(many) == ["RUNNING", "RUNNING"]
    assert searcher.suggest("d")["number"] == 2


def test_at_its_limit_it_waits_for_those_in_training_and_then_finishes(many: Proposals) -> None:
    rungs = Rungs()
    searcher = TuneSearcher(many, rungs=rungs, limit=2)
    for name in "ab":
        searcher.suggest(name)
    pause(searcher, many, rungs, "a", 0, 1.5)
    assert searcher.suggest("c") is None
    promote_all(rungs)
    assert searcher.suggest("c")["number"] == 0
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("b", {"state": "COMPLETE", "pesq": 1.6})
    pause_again = searcher.suggest("d")
    assert pause_again is None
    searcher.on_trial_complete("c", {"state": "COMPLETE", "pesq": 1.6})
    assert searcher.suggest("d") == FINISHED


def test_with_time_to_spare_those_that_wait_are_trained_on_the_best_first(many: Proposals) -> None:
    rungs = Rungs()
    searcher = TuneSearcher(many, rungs=rungs, limit=2, spare=True)
    for number, name in enumerate("ab"):
        searcher.suggest(name)
        pause(searcher, many, rungs, name, number, 1.5 + 0.1 * number)
    assert [searcher.suggest(name)["number"] for name in "cd"] == [1, 0]
    assert rungs.paused() == []

    without = TuneSearcher(many, rungs=Rungs(), limit=2)
    assert without.suggest("e") == FINISHED


def test_who_waits_is_not_trained_on_while_the_front_no_longer_grows(many: Proposals) -> None:
    rungs = Rungs()
    held: list[bool] = []
    searcher = TuneSearcher(many, rungs=rungs, limit=1, spare=True, stalled=lambda: bool(held))
    searcher.suggest("a")
    pause(searcher, many, rungs, "a", 0, 1.5)
    held.append(True)
    assert searcher.suggest("b") == FINISHED
    held.clear()
    assert searcher.suggest("b")["number"] == 0


def test_a_student_that_can_be_promoted_but_would_not_be_done_in_time_waits(many: Proposals) -> None:
    rungs, asked = Rungs(), []

    def may_start(choice: Choice) -> bool:
        asked.append(choice)
        return len(asked) == 1

    searcher = TuneSearcher(many, rungs=rungs, may_start=may_start, spare=True)
    searcher.suggest("a")
    pause(searcher, many, rungs, "a", 0, 1.5)
    promote_all(rungs)
    assert searcher.suggest("b") == FINISHED
    assert states(many) == ["PAUSED"]


def test_a_new_student_that_was_refused_is_not_asked_for_again(many: Proposals) -> None:
    asked: list[Choice] = []
    searcher = TuneSearcher(many, rungs=Rungs(), may_start=lambda choice: asked.append(choice) or len(asked) == 1)
    searcher.suggest("a")
    assert [searcher.suggest("b") for _ in range(3)] == [None] * 3
    assert len(asked) == 2


def test_a_student_that_waits_says_that_the_machine_is_well(many: Proposals) -> None:
    rungs = Rungs()
    searcher = TuneSearcher(many, rungs=rungs)
    for number, name in enumerate("abcde"):
        searcher.suggest(name)
        if name == "c":
            pause(searcher, many, rungs, name, number, 1.5)
        else:
            searcher.on_trial_complete(name, error=True)
    assert not searcher.broken
