"""What a dry run says is what the search would do."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import search.dry_run
from data.cores import usable_cores
from data.errors import InputError
from data.files import write_json
from model.pace import Pace
from search.dimensions import Dimension
from search.dry_run import dry_run
from search.groundwork import Groundwork
from search.proposals import Proposals
from search.ray_session import Machine

Make = Callable[..., Groundwork]


def said(ground: Groundwork) -> str:
    assert isinstance(ground.console.file, io.StringIO)
    return ground.console.file.getvalue()


def test_it_reckons_with_the_teacher(ground: Make, tmp_path: Path) -> None:
    one = ground(teacher=None, teacher_size="16/4", time_budget=600.0)
    shown = dry_run(one)
    assert "one of size 16/4 would be trained first, in 3 min 20 s" in said(one)
    assert f"{usable_cores()} at a time" in said(one)
    assert "Nothing was trained." in said(one)
    assert (shown["teacher"]["size"], shown["teacher"]["training_seconds"]) == ("16/4", 200)
    assert not (tmp_path / "x").exists()


def test_values_are_json_and_say_the_same_as_the_words(ground: Make) -> None:
    one = ground()
    shown = json.loads(json.dumps(dry_run(one)))
    students = shown["students"]
    assert f"up to 3, {students['at_a_time']} at a time, {students['epochs_a_stage']} epochs a stage" in said(one)
    assert (shown["configurations"], shown["sizes"]["count"], shown["sizes"]["smallest"]["size"]) == (27, 3, "8/4")
    assert shown["data"]["banks"]["train"]["speech"]["groups"] == 8
    assert (students["to_train"], students["fitting"]) == (3, 3)


def test_what_else_is_varied_is_shown(ground: Make) -> None:
    nothing = ground(dimensions=())
    dry_run(nothing)
    assert "Varied too" not in said(nothing)
    one = ground(schedules=("constant",), dimensions=(Dimension("alpha", (0.3, 0.5)), Dimension("lr", (1e-3,))))
    shown = json.loads(json.dumps(dry_run(one)))
    assert "Varied too, where heeded: alpha 0.3, 0.5; lr 0.001." in said(one)
    assert (shown["dimensions"], shown["priors"]) == ({"alpha": [0.3, 0.5], "lr": [0.001]}, "paper")
    assert shown["configurations"] == 3 * (1 + 2)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("trials", [1, 3])
def test_first_sizes_are_those_that_the_search_proposes_first(
    ground: Make, tmp_path: Path, sampler: str, trials: int
) -> None:
    one = ground(trials=trials, sampler=sampler, sizes=None)
    first = dry_run(one)["students"]["first"]
    proposals = Proposals(one.space, tmp_path / "journal", one.config.seed, sampler)  # type: ignore[arg-type]
    assert first == [choice.key() for n in range(trials) if (choice := proposals.propose(n)) is not None]
    assert len(first) == trials


def test_students_that_do_not_fit_are_told(ground: Make) -> None:
    class Slow(Groundwork):
        def clock(self, *args: Any) -> Any:
            return replace(super().clock(*args), slots=1, pace=Pace(20.0, 0.0))

    one = ground(time_budget=600.0)
    slow = Slow(one.config, one.space, one.cache, one.console, one.started)
    students = dry_run(slow)["students"]
    assert students["epochs_a_stage"] == 1
    assert 1 <= students["fitting"] < 3
    assert f"about {students['fitting']} of them fit, within 10 min 00 s in all" in said(slow)


def test_it_says_whether_students_may_be_stopped_early_and_where(ground: Make) -> None:
    one = ground()
    assert dry_run(one)["students"]["rungs"] == []
    assert "Halving: off" in said(one)
    halved = ground(halving=True, train=replace(one.config.train, epochs=9))
    assert dry_run(halved)["students"]["rungs"] == [3]
    assert "Halving: on, students may be stopped after 3 of the 9 epochs" in said(halved)
    whole = ground(halving=False, train=replace(one.config.train, epochs=9))
    assert dry_run(halved)["seconds"] <= dry_run(whole)["seconds"]


def test_a_stopped_search_shows_what_is_left_with_the_epochs_that_were_decided(ground: Make) -> None:
    one = ground(time_budget=600.0)
    write_json(one.config.folder / "epochs.json", {"epochs": 7})
    proposals = Proposals(one.space, one.config.folder / "study.journal", one.config.seed)
    started = [proposals.propose(number) for number in range(2)]
    proposals.tell(0, 1.5)
    students = dry_run(one)["students"]
    assert students["epochs_a_stage"] == 7
    assert students["to_train"] == 2
    assert started[1] is not None
    assert students["first"][0] == started[1].key()
    assert len(proposals.trials()) == 2  # nothing was proposed


def test_a_cluster_is_looked_at(ground: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = {"here:6379": [Machine(3), Machine(4)]}
    monkeypatch.setattr(search.dry_run, "look", machines.__getitem__)
    assert dry_run(ground(address="here:6379"))["students"]["at_a_time"] == 7
    with pytest.raises(InputError, match="--gpus-per-trial 1 is more than the 0 GPUs"):
        dry_run(ground(address="here:6379", gpus_per_trial=1.0))


def test_time_for_other_seeds_of_the_front_is_declared(ground: Make) -> None:
    one = ground(repeat_front=2, patience=12, time_budget=600.0)
    shown = dry_run(one)
    assert "Then the front and its near rivals are trained by 2 other seeds each: about 2 trainings" in said(one)
    assert "kept for them within that time" in said(one)
    assert "ends before that if 12 students bring less than 1 %" in said(one)
    assert (shown["repeat_front"]["of_each"], shown["repeat_front"]["trainings"], shown["patience"]) == (2, 2, 12)
    assert shown["repeat_front"]["seconds"] > 0
    assert "other seeds" not in said(ground())
