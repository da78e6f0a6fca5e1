"""The flags that say what a run learns from."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from data.flags import CommandParser, add_data_arguments, data_plan, parse_hours, with_budget
from data.plan import DataPlan

BASE = DataPlan(train_clips=7, clip_seconds=2.0, remix=True)


def plan_of(*flags: str) -> DataPlan:
    parser = CommandParser(prog="test")
    add_data_arguments(parser)
    parser.add_argument("--seed", type=int, default=0)
    return data_plan(parser.parse_args(flags), BASE)


def test_without_flags_the_plan_is_the_presets():
    assert plan_of() == BASE


def test_flags_say_otherwise_one_by_one():
    plan = plan_of("--train-clips", "9", "--array", "line", "--no-remix", "--seed", "3", "--hours", "2,1,0.5")
    assert (plan.train_clips, plan.array, plan.remix, plan.seed, plan.hours) == (9, "line", False, 3, (2.0, 1.0, 0.5))
    assert plan.clip_seconds == 2.0


def test_three_folders_go_together():
    plan = plan_of("--speech", "a", "--noise", "b", "--rirs", "c")
    assert (plan.speech, plan.noise, plan.rirs) == (Path("a"), Path("b"), Path("c"))
    with pytest.raises(InputError, match="--rirs is missing"):
        plan_of("--speech", "a", "--noise", "b")


def test_hours_are_read_for_three_splits_or_for_training():
    assert parse_hours("38,4.8,1.2") == (38.0, 4.8, 1.2)
    assert parse_hours("32") == (32.0, 4.0, 1.0)


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "a", "0", "1,-1,1", "nan", "inf,1,1", "1;2;3"])
def test_hours_that_are_not_understood_are_refused(text):
    with pytest.raises(InputError, match=r"--hours '.*' is not understood; write hours"):
        parse_hours(text)


def test_budget_below_zero_is_a_value_and_no_flag():
    assert with_budget(["a", "--budget", "-1GMAC", "--json"]) == ["a", "--budget=-1GMAC", "--json"]
    assert with_budget(["--budget"]) == ["--budget"]
    assert with_budget(["--budget=1GMAC", "b"]) == ["--budget=1GMAC", "b"]


def test_wrong_flag_is_one_sentence_and_no_usage(capsys):
    for flags, complaint in (
        (["--hour", "1", "--nonsense"], "--nonsense"),
        (["--val-clips", "x"], "invalid int value"),
    ):
        with pytest.raises(InputError, match=f"{complaint}.*; --help lists the flags"):
            plan_of(*flags)
    assert capsys.readouterr().err == ""
