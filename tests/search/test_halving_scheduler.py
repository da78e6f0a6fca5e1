"""The scheduler with stand-in trials; no Ray cluster runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from analysis.front import pareto_mask
from data.files import read_json
from model.macs import Budget, paper_gmac
from search.halving import Rungs
from search.halving_scheduler import HalvingScheduler, leave_paused
from search.proposals import Proposals
from search.searcher import TuneSearcher
from search.space import Choice, Space

CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
SPACE = Space(Budget.parse("1.0GMAC"), ("none", "linear"), ("two-stage",))


class Search:
    """A search by hand: trials are handed out and report, as Tune would have it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.students = folder / "students"
        self.proposals = Proposals(SPACE, folder / "study.journal", sampler="tpe")  # a wide spread of sizes
        self.rungs = Rungs.from_histories(self.students, self.proposals.trials())
        self.told: list[int] = []
        self.scheduler = HalvingScheduler(self.rungs, self.proposals, self.told.append)
        queue = [(one.number, one.choice) for one in self.proposals.unfinished()]
        self.searcher = TuneSearcher(self.proposals, queue=queue, rungs=self.rungs, **settings)
        self.trials = 0

    def next(self) -> Any:
        """Tune's next trial, or what stands for none."""
        self.trials += 1
        config = self.searcher.suggest(str(self.trials))
        return SimpleNamespace(trial_id=str(self.trials), config=config) if isinstance(config, dict) else config

    def epoch(self, trial: Any, epoch: int, pesq: float | None = None, rung: int | None = None) -> str:
        """A student writes its history and reports; on STOP its trial is ended."""
        result: dict[str, Any] = {"epoch": epoch, "seconds": 1.5 * epoch}
        result |= {} if pesq is None else {"pesq": pesq}
        result |= {} if rung is None else {"rung": rung}
        folder = self.students / f"{trial.config['number']:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "history.jsonl", "a") as file:
            file.write(str(result).replace("'", '"') + "\n")
        decision = self.scheduler.on_trial_result(None, trial, result)
        if decision == STOP:
            self.end(trial, result)
        return decision

    def end(self, trial: Any, result: dict[str, Any]) -> None:
        self.scheduler.on_trial_complete(None, trial, result)
        self.searcher.on_trial_complete(trial.trial_id, result)

    def states(self) -> list[str]:
        return [one.state for one in self.proposals.trials()]


def behind(search: Search, choice: Choice, score: float = 2.0, count: int = 3) -> None:
    """Students of the same cost have been at the first rung."""
    for number in range(1000, 1000 + count):
        search.rungs.report(number, float(np.log10(paper_gmac(choice.size))), 0, score)


def test_epochs_between_the_rungs_and_the_end_are_not_decided_on(tmp_path: Path) -> None:
    search = Search(tmp_path)
    trial = search.next()
    behind(search, Choice(**trial.config["choice"]))
    assert search.epoch(trial, 1) == CONTINUE
    assert search.epoch(trial, 2, pesq=1.1) == CONTINUE
    assert search.scheduler.on_trial_result(None, trial, {"state": "COMPLETE", "pesq": 1.1}) == CONTINUE


def test_a_student_that_is_to_wait_ends_its_trial_and_stands_in_the_journal(tmp_path: Path) -> None:
    search = Search(tmp_path)
    trial = search.next()
    behind(search, Choice(**trial.config["choice"]))
    assert search.epoch(trial, 3, pesq=1.1, rung=0) == STOP
    assert search.told == [0]
    (one,) = search.proposals.trials()
    assert (one.state, one.pesq) == ("PAUSED", 1.1)


def test_a_student_that_is_good_for_its_cost_goes_on(tmp_path: Path) -> None:
    search = Search(tmp_path)
    trial = search.next()
    behind(search, Choice(**trial.config["choice"]), score=1.1)
    assert search.epoch(trial, 3, pesq=1.2, rung=0) == CONTINUE
    search.end(trial, {"state": "COMPLETE", "pesq": 1.4})
    assert search.told == []
    assert search.states() == ["COMPLETE"]


def test_a_repeat_is_trained_whatever_it_scores_and_is_compared_with_nobody(tmp_path: Path) -> None:
    search = Search(tmp_path)
    choice = Choice(**search.next().config["choice"])
    behind(search, choice)
    repeat = SimpleNamespace(config={"number": 1, "choice": asdict(choice) | {"repeat": 1}})
    assert search.epoch(repeat, 3, pesq=1.1, rung=0) == CONTINUE
    assert search.epoch(repeat, 3, pesq=4.0, rung=0) == CONTINUE
    search.rungs.report(5, 0.0, 0, 1.9)
    assert search.rungs.shortfall(5) == pytest.approx(0.1)


def test_a_promoted_student_is_a_new_trial_of_the_same_number_and_passes_its_rung(tmp_path: Path) -> None:
    search = Search(tmp_path)
    first = search.next()
    behind(search, Choice(**first.config["choice"]))
    assert search.epoch(first, 3, pesq=1.5, rung=0) == STOP
    for number in range(20):  # worse ones
        search.rungs.report(2000 + number, float(np.log10(paper_gmac(Choice(**first.config["choice"]).size))), 0, 1.2)
    again = search.next()
    assert again.config == first.config
    assert again.trial_id != first.trial_id
    assert search.states() == ["RUNNING"]
    assert search.epoch(again, 3, pesq=1.5, rung=0) == CONTINUE, "its run begins with its last report"
    assert search.epoch(again, 4) == CONTINUE
    assert search.told == [0]


def test_rungs_survive_a_search_that_is_stopped(tmp_path: Path) -> None:
    search, decisions = Search(tmp_path), []
    for number in range(30):
        decisions.append(search.epoch(search.next(), 3, pesq=1.5 - 0.01 * number, rung=0))
    assert {CONTINUE, STOP} == set(decisions)
    later = Search(tmp_path)
    assert later.rungs.paused() == search.rungs.paused()
    assert later.rungs.promotable() == search.rungs.promotable()
    assert later.states() == search.states()


def test_students_that_still_wait_at_the_end_say_so_and_go_on_waiting(tmp_path: Path) -> None:
    search = Search(tmp_path)
    trial = search.next()
    behind(search, Choice(**trial.config["choice"]))
    search.epoch(trial, 2, pesq=1.2)
    search.epoch(trial, 3, pesq=1.1, rung=0)
    search.next()  # in training
    ended: list[tuple[int, dict[str, Any]]] = []
    folder = search.students / "0000"
    assert leave_paused(search.proposals, lambda number: folder, lambda *one: ended.append(one)) == [0]
    assert search.states() == ["PAUSED", "RUNNING"]
    assert ended == [(0, read_json(folder / "result.json"))]
    assert ended[0][1] == {
        "pesq": 1.2, "state": "PRUNED", "epoch": 3, "best_epoch": 2, "seconds": 4.5, "final": True, "stopped": "halved",
    }  # fmt: skip
    longer = Search(tmp_path)
    assert longer.rungs.paused() == [0]
    for number in range(20):  # worse ones
        log_cost = float(np.log10(paper_gmac(Choice(**trial.config["choice"]).size)))
        longer.rungs.report(2000 + number, log_cost, 0, 1.0)
    assert longer.next().config["number"] == 1, "who was left in training comes first"
    assert longer.next().config == trial.config


def test_copy_that_tune_keeps_with_the_experiment_decides_nothing(tmp_path: Path) -> None:
    search = Search(tmp_path)
    trial = search.next()
    behind(search, Choice(**trial.config["choice"]))
    copy = cloudpickle.loads(cloudpickle.dumps(search.scheduler))
    assert copy.on_trial_result(None, trial, {"epoch": 3, "pesq": 1.0, "rung": 0}) == CONTINUE
    copy.on_trial_complete(None, trial, {})
    assert search.states() == ["RUNNING"]


def test_the_cheap_end_of_the_front_survives_where_asha_would_end_it(tmp_path: Path) -> None:
    """On a surface where larger students score higher, and half of each size learn badly."""
    search = Search(tmp_path)
    asha = AsyncHyperBandScheduler(time_attr="epoch", metric="pesq", mode="max", grace_period=3, max_t=9,
                                   reduction_factor=3)  # fmt: skip
    rng = np.random.default_rng(0)
    costs, scores, ours, theirs = {}, {}, {}, {}
    for _ in range(60):
        trial = search.next()
        number, size = trial.config["number"], Choice(**trial.config["choice"]).size
        if number not in scores:
            costs[number] = paper_gmac(size)
            scores[number] = 1.5 + 0.15 * float(np.log10(costs[number])) - (0.1 if rng.random() < 0.5 else 0.0)
            asha.on_trial_add(None, trial)
            theirs[number] = asha.on_trial_result(None, trial, {"epoch": 3, "pesq": scores[number]})
        ours[number] = search.epoch(trial, 3, pesq=scores[number], rung=0)
    front = [number for number, on in enumerate(pareto_mask(*(list(one.values()) for one in (costs, scores)))) if on]
    assert {ours[number] for number in front} == {CONTINUE}
    cheap = [number for number in front if costs[number] < 0.1 and number >= 10]  # ASHA knows large students by then
    assert len(cheap) >= 2
    assert {theirs[number] for number in cheap} == {STOP}
    assert sum(decision == STOP for decision in ours.values()) >= 15
