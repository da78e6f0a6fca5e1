"""Timings in turns, medians, and what is printed."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from benchmarks.measure import Report, in_turns, parser, ratio, show, torch_threads


def test_works_take_turns_and_the_warm_up_is_not_timed():
    done: list[str] = []
    ticks = itertools.count()
    works = {"a": lambda: done.append("a"), "b": lambda: done.append("b")}
    seconds = in_turns(works, 3, clock=lambda: float(next(ticks)), warm_up=1)
    assert done == ["a", "b"] * 4
    assert seconds == {"a": [1.0] * 3, "b": [1.0] * 3}


def test_ratio_is_of_medians():
    assert ratio([1.0, 4.0, 100.0], [2.0, 2.0, 0.1]) == 2.0


def test_threads_of_torch_are_given_back():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


REPORT = Report("toy", {"speedup": 2.5, "error": float("nan")}, {"speedup": "the slow one", "error": "none"},
                {"ours": [1.0, 3.0, 2.0]}, {"size": 7})  # fmt: skip


def test_json_is_one_object_with_the_ratios_as_numbers(capsys):
    assert parser("").parse_args(["--json"]).json is True
    show(REPORT, as_json=True)
    printed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert printed["ratios"] == {"speedup": 2.5, "error": None}
    assert printed["medians"] == {"ours": 2.0}
    assert printed["settings"] == {"size": 7}
    assert {"cpu", "cores", "gpu", "torch", "date"} <= set(printed["machine"])


def test_people_read_each_ratio_with_its_baseline(capsys):
    show(REPORT, as_json=False)
    printed = capsys.readouterr().out
    assert "toy: size 7" in printed
    assert "against the slow one" in printed
    assert "3 times" in printed
