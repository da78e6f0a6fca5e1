"""Measured on one clip of a second, with PESQ in this process."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import model.sturdiness
from data.errors import InputError
from data.examples import SetSpec
from data.plan import DataPlan
from model.disturbances import CONDITIONS
from model.pesq_pool import PesqPool
from model.score import network_enhancer, unprocessed
from model.sturdiness import main, measure, plan_of, sturdiness_table
from model.weights import save_network

SPEC = SetSpec("score", 2, 10.0, 4)


def strict_json(values) -> str:
    return json.dumps(values, allow_nan=False)


@pytest.fixture(scope="module")
def of_input(tiny_source) -> dict:
    """What the unprocessed input gives: all figures are known from the disturbances alone."""
    return measure(unprocessed, tiny_source(), SPEC, PesqPool(0))


def test_every_condition_that_an_array_can_have_is_measured(of_input) -> None:
    assert set(of_input["conditions"]) == {name for name, one in CONDITIONS.items() if one.least <= 2}
    assert of_input["clips"] == 2
    assert of_input["finite"]
    strict_json(of_input)


def test_levels_are_those_of_the_output(of_input) -> None:
    told = of_input["conditions"]
    for name in ("undisturbed", "low_level", "clipping", "gains", "clean", "quiet"):
        assert told[name]["level_change_db"] == pytest.approx(0, abs=1e-6)
    assert told["quiet"]["level_dbfs"] == pytest.approx(-70, abs=0.3)
    for name in ("dead_reference", "silence"):
        assert told[name]["level_dbfs"] is None
        assert told[name]["level_change_db"] is None


def test_pesq_is_compared_with_the_undisturbed_scenes(of_input) -> None:
    told = of_input["conditions"]
    before = told["undisturbed"]
    assert "change" not in before
    for name in ("low_level", "dead_microphone"):  # PESQ has no level, and the reference hears what it heard
        assert told[name]["change"] == pytest.approx(0, abs=0.02)
    assert told["clipping"]["change"] == pytest.approx(told["clipping"]["pesq"] - before["pesq"])
    low, high = told["clipping"]["interval"]
    assert low <= told["clipping"]["change"] <= high
    assert told["clean"]["pesq"] > 4.5
    assert "change" not in told["clean"]
    for name in ("silence", "quiet"):
        assert "pesq" not in told[name]


def test_a_condition_without_any_score_has_none(of_input) -> None:
    dead = of_input["conditions"]["dead_reference"]
    assert (dead["pesq"], dead["change"], dead["interval"]) == (None, None, [None, None])
    assert dead["unscored"] == 10
    assert dead["finite"]


def test_examples_that_one_side_has_no_score_for_are_left_out_of_the_change(tiny_source) -> None:
    class Forgetful(PesqPool):
        """Scores what it is given by its loudness, and the second clip's only where it is undisturbed."""

        calls = 0

        def scores(self, pairs):
            self.calls += 1
            second = self.calls > 10 and len(pairs) == 5
            value = 3.0 if self.calls == 11 else float("nan") if second else 1.5 + 0.1 * (self.calls == 1)
            return [value] * len(pairs)

    told = measure(unprocessed, tiny_source(), SPEC, Forgetful())["conditions"]
    scored = [name for name in told if "pesq" in told[name]]
    assert len(scored) == 9
    assert told["undisturbed"]["pesq"] == pytest.approx(np.mean([1.6, 1.5]))
    assert told["dc"]["pesq"] == 1.5
    assert told["dc"]["change"] == pytest.approx(-0.1)


def test_an_enhancer_that_gives_nan_is_told_and_leaves_none_in_the_figures(tiny_source) -> None:
    def broken(noisy):
        return torch.full_like(noisy[:, 0], float("nan")) if noisy.abs().max() == 1 else noisy[:, 0]

    values = measure(broken, tiny_source(), replace(SPEC, clips=1), PesqPool(0))
    strict_json(values)
    assert not values["finite"]
    assert [name for name, one in values["conditions"].items() if not one["finite"]] == ["clipping"]
    assert values["conditions"]["clipping"]["pesq"] is None
    assert values["conditions"]["clipping"]["level_dbfs"] is None
    assert "NOT FINITE" in sturdiness_table(values)


def test_a_network_is_measured_the_same_way_twice(tiny_source, network) -> None:
    shares: list[float] = []
    spec, enhancer = replace(SPEC, clips=1), network_enhancer(network())
    once = measure(enhancer, tiny_source(), spec, PesqPool(0), progress=shares.append)
    assert once["finite"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert measure(enhancer, tiny_source(), spec, PesqPool(0)) == once


def test_the_table_has_a_line_for_each_condition(of_input) -> None:
    table = sturdiness_table(of_input)
    changed = of_input["conditions"]["dc"] | {"change": -0.001, "interval": [-0.004, 0.002]}
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(of_input["conditions"])
    assert {row.count("|") for row in rows} == {6}
    assert next(row for row in rows if "reference, dead" in row).endswith("| none |  |  | silent |")
    assert "| digital silence |  |  |  | silent |" in rows
    assert "All samples of all outputs are finite." in table
    assert "median over 2 clips" in table
    assert "nan" not in table.lower()
    assert "None" not in table
    assert "-0.00" not in sturdiness_table(of_input | {"conditions": {"dc": changed}})
    assert sturdiness_table(json.loads(strict_json(of_input))) == table


def test_the_students_recipe_says_on_which_data(small_corpus, tmp_path: Path) -> None:
    assert plan_of({}) == DataPlan()
    own = DataPlan(small_corpus.speech, small_corpus.noise, small_corpus.rirs, hours=(1.0, 0.1, 0.1), remix=True)
    recipe = json.loads(json.dumps({"data": own.to_dict()}))
    assert plan_of(recipe).hours == (1.0, 0.1, 0.1)
    assert not plan_of(recipe).demo
    assert plan_of(recipe, demo=True) == DataPlan()
    recipe["data"]["noise"] = str(tmp_path / "gone")
    with pytest.raises(InputError, match=r"not here .*gone.*--demo"):
        plan_of(recipe)
    with pytest.raises(InputError, match="another version"):
        plan_of({"data": {"colour": "red"}})


@pytest.fixture
def student(small_corpus, network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FTJNF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(model.sturdiness, "PesqPool", lambda workers: PesqPool(0))
    (tmp_path / "array.json").write_text("[[0, 0, 0], [0.03, 0, 0]]")
    plan = DataPlan(small_corpus.speech, small_corpus.noise, small_corpus.rirs, str(tmp_path / "array.json"))
    save_network(network(), tmp_path / "student" / "student.safetensors", {"data": plan.to_dict()})
    return tmp_path / "student"


def test_the_command_measures_an_exported_student(student: Path, tmp_path: Path, capsys) -> None:
    main([str(student), "--clips", "1", "--json", str(tmp_path / "figures.json")])
    values = json.loads((tmp_path / "figures.json").read_text())
    assert values["clips"] == 1
    assert values["finite"]
    assert capsys.readouterr().out == sturdiness_table(values)


def test_wrong_input_is_refused(student: Path, network, tmp_path: Path) -> None:
    for flags, reason in (
        ([str(tmp_path)], "no weights at"), ([str(student), "--clips", "0"], "--clips must be at least 1"),
        ([str(student), "--json", str(tmp_path)], "is a folder"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=reason):
            main(flags)
