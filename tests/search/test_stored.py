"""The teacher's outputs on disk: made once for all students, within --cache-size, and safe from other searches."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import model.targets
from data.plan import Sets, prepare
from model.fresh_targets import FreshTargets
from model.ftjnf import Size
from model.gram import Gram
from model.target_plan import TargetPlan
from model.targets import CachedTargets, TeacherBeside
from model.train_config import TrainConfig
from search.dimensions import Dimension
from search.groundwork import Groundwork
from search.stored import in_words, plan_of, teachers

Make = Callable[..., Groundwork]
TEACHER = Size(24, 8)
METHODS = ("none", "linear", "t-lstm", "multi")


@pytest.fixture
def fixed(ground: Make, tmp_path: Path) -> Make:
    """The groundwork of a search on fixed sets, with a cache of its own."""
    data = replace(ground().config.data, remix=False)
    return lambda **changes: replace(ground(**{"data": data} | changes), cache=tmp_path / "cache")


@pytest.fixture
def fresh(ground: Make, tmp_path: Path) -> Make:
    """Likewise of one on fresh scenes."""
    data = replace(ground().config.data, remix=True)
    return lambda **changes: replace(ground(**{"data": data} | changes), cache=tmp_path / "cache")


def make(one: Groundwork, cache: Path) -> tuple[Sets, TargetPlan]:
    """Makes the targets of a search."""
    sets = prepare(one.config.data, cache)
    teacher = one.teacher(sets)
    one.targets(teacher, sets)
    return sets, one.plan(None if teacher is None else teacher.net.size, sets)


def said(ground: Groundwork) -> str:
    assert isinstance(ground.console.file, io.StringIO)
    return ground.console.file.getvalue()


def written(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != "index.json")


def indices(folder: Path) -> set[Path]:
    return {path.parent for path in folder.rglob("index.json")}


def test_targets_are_made_once_for_all_students(fixed: Make, tmp_path: Path, cache: Path) -> None:
    one = fixed()
    _, plan = make(one, cache)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    assert len(indices(tmp_path / "cache")) == 2  # training and validation
    assert written(tmp_path / "cache") == plan.bytes
    assert "on disk, computed once for all students.\n" in said(one)
    make(one, cache)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == made


@pytest.mark.parametrize(("forms", "made"), [(("exact", "positions"), 2), (("exact", "frame"), 0)])
def test_targets_are_made_where_any_student_reads_them(
    fixed: Make, tmp_path: Path, cache: Path, forms: tuple[str, ...], made: int
) -> None:
    train = replace(fixed().config.train, gram=Gram("exact"))
    one = fixed(train=train, methods=("t-lstm",), dimensions=(Dimension("gram_form", forms),))
    make(one, cache)
    assert len(indices(tmp_path / "cache")) == made


def test_targets_that_do_not_fit_are_not_made_and_it_is_said(fixed: Make, tmp_path: Path, cache: Path) -> None:
    one = fixed(cache_size=1e4)
    make(one, cache)
    assert not indices(tmp_path / "cache")
    assert "as --cache-size is 10 KB, the teacher runs in every step of the students with linear," in said(one)


def test_training_and_validation_together_stay_within_the_limit(fixed: Make, tmp_path: Path, cache: Path) -> None:
    whole = plan_of(fixed(methods=METHODS).config, TEACHER, prepare(fixed().config.data, cache)).bytes
    tight = fixed(methods=METHODS, cache_size=0.9 * whole)
    _, plan = make(tight, cache)
    assert written(tmp_path / "cache") == plan.bytes <= 0.9 * whole
    assert plan.position_sets < 4
    assert f"a clip has {plan.position_sets} of 4 sets of positions" in said(tight)


def test_method_whose_layers_are_stored_reads_them_though_others_do_not_fit(
    fixed: Make, tmp_path: Path, cache: Path
) -> None:
    one = fixed(methods=METHODS)
    sets = prepare(one.config.data, cache)
    least = plan_of(fixed(methods=("linear", "t-lstm")).config, TEACHER, sets)
    one = fixed(methods=METHODS, cache_size=0.5 * least.bytes)
    sets, plan = make(one, cache)
    assert len(plan.layers) == 1
    (held,) = (name for name in ("linear", "t-lstm") if plan.holds(name))
    teacher = one.teacher(sets)
    assert teacher is not None
    for method in METHODS[1:]:
        config = TrainConfig(Size(8, 4), method=method)
        train, val = teachers(plan, config, teacher.net, sets, one.cache, 0, torch.device("cpu"))
        kind = CachedTargets if method == held else TeacherBeside
        assert isinstance(train, kind)
        assert isinstance(val, kind)
    assert "the teacher runs in every step of the students with" in said(one)


def test_targets_of_earlier_searches_make_room(fixed: Make, tmp_path: Path, cache: Path) -> None:
    old = tmp_path / "cache" / "targets" / "targets-old"
    old.mkdir(parents=True)
    (old / "linear").write_bytes(bytes(10**6))
    _, plan = make(fixed(), cache)
    assert old.exists()
    tight = fixed(cache_size=float(plan.bytes))
    for folder in indices(tmp_path / "cache"):
        shutil.rmtree(folder)
    make(tight, cache)
    assert not old.exists()
    assert written(tmp_path / "cache") == plan.bytes


@pytest.mark.parametrize("remix", [False, True])
def test_search_that_goes_on_finds_its_own_targets(
    fixed: Make, fresh: Make, tmp_path: Path, cache: Path, remix: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = fresh if remix else fixed
    sets = prepare(kind().config.data, cache)
    limit = float(plan_of(kind().config, TEACHER, sets).bytes)
    first = kind(cache_size=limit)
    make(first, cache)
    made = indices(tmp_path / "cache")
    assert len(made) == (1 if remix else 2)
    first.held.close()
    monkeypatch.setattr(model.targets, "_compute", lambda *_: pytest.fail("computed again"))
    make(kind(cache_size=limit), cache)
    assert indices(tmp_path / "cache") == made


def test_targets_of_a_search_that_runs_are_left_alone_until_it_ends(
    fixed: Make, fresh: Make, tmp_path: Path, cache: Path
) -> None:
    running = fixed()
    make(running, cache)
    its = indices(tmp_path / "cache")
    make(fresh(cache_size=4e5), cache)
    assert all(folder.exists() for folder in its)
    running.held.close()
    make(fresh(cache_size=4e5, methods=("none", "t-lstm")), cache)
    assert not any(folder.exists() for folder in its)


def test_scenes_that_cannot_be_stored_for_all_epochs_come_again_and_it_is_said(fresh: Make, cache: Path) -> None:
    one = fresh()
    sets = prepare(one.config.data, cache)
    train = replace(one.config.train, epochs=10)
    whole = plan_of(fresh(train=train).config, TEACHER, sets)
    assert whole.cycle is None
    tight = fresh(train=train, cache_size=whole.bytes / 3)
    _, plan = make(tight, cache)
    assert plan.cycle is not None
    assert f"the scenes of {plan.cycle} epochs take turns in all of a student's epochs" in said(tight)
    once = in_words(tight.config, replace(plan, cycle=1))
    assert once is not None
    assert "the scenes of one epoch come again in all of a student's epochs" in once
    config = TrainConfig(Size(8, 4), method="linear")
    teacher = tight.teacher(sets)
    assert teacher is not None
    stored, _ = teachers(plan, config, teacher.net, sets, tight.cache, 0, torch.device("cpu"))
    assert isinstance(stored, FreshTargets)
    assert stored.cycle == plan.cycle
    less = fresh(train=train, cache_size=1e3)
    assert make(less, cache)[1].cycle is None, "what is not stored need not come again"


def test_on_a_cluster_room_is_made_and_told_and_the_students_compute(fixed: Make, tmp_path: Path, cache: Path) -> None:
    old = tmp_path / "cache" / "targets" / "targets-old"
    old.mkdir(parents=True)
    (old / "linear").write_bytes(bytes(10**7))
    one = fixed(address="auto", cache_size=4e5)
    make(one, cache)
    assert not old.exists()
    assert not indices(tmp_path / "cache")
    assert "Teacher's outputs: " in said(one)


@pytest.mark.parametrize("changes", [{"methods": ("none",)}, {"teacher": "none", "methods": ("none",)}])
def test_no_targets_are_made_where_none_are_needed(
    fixed: Make, tmp_path: Path, cache: Path, changes: dict[str, Any]
) -> None:
    one = fixed(inits=("random",), **changes)
    _, plan = make(one, cache)
    assert not (tmp_path / "cache").exists()
    assert plan == TargetPlan(())
    assert in_words(one.config, plan) is None
