from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from data.cores import usable_cores
from data.errors import InputError
from data.files import read_json, write_json
from data.plan import Sets
from model.ftjnf import Size
from model.pace import Pace
from search.clock import Clock
from search.flags import read_flags, search_config
from search.groundwork import Groundwork
from search.ray_session import Machine

Make = Callable[..., Groundwork]


@pytest.fixture
def sets(ground: Make) -> Sets:
    return ground().sets()


def said(ground: Groundwork) -> str:
    assert isinstance(ground.console.file, io.StringIO)
    return ground.console.file.getvalue()


def test_sets_are_told_with_what_could_not_be_used(ground: Make, tmp_path: Path, small_corpus) -> None:
    noise = tmp_path / "noise"
    noise.mkdir()
    for path in small_corpus.noise.iterdir():
        (noise / path.name).symlink_to(path)
    broken = noise / "hum0_0.wav"
    broken.unlink()
    broken.write_bytes(b"")
    first = ground()
    one = ground(data=replace(first.config.data, noise=noise))
    one.sets()
    assert str(noise) in said(one)
    assert "8 speakers" in said(one)
    (line,) = [line for line in said(one).splitlines() if "skipped" in line]
    assert line.startswith("  skipped 1 unusable files of ")
    assert str(broken) in line


def test_students_at_a_time_follow_from_what_each_is_given(ground: Make) -> None:
    assert ground().slots() == usable_cores()
    assert ground().slots([Machine(4)]) == 4
    assert ground(cpus_per_trial=2.0).slots([Machine(5)]) == 2
    assert ground(cpus_per_trial=0.5).slots([Machine(2)]) == 4
    with pytest.raises(InputError, match="--cpus-per-trial 3 is more than the 2 CPUs there are; lower it to 2"):
        ground(cpus_per_trial=3.0).slots([Machine(2)])


def test_gpus_bound_the_students_at_a_time(ground: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert ground(gpus_per_trial=0.5, cpus_per_trial=0.1).slots() == 2
    assert ground(gpus_per_trial=0.25).slots([Machine(16, 1)]) == 4
    with pytest.raises(InputError, match="--gpus-per-trial 2 is more than the 1 GPUs there are; lower it to 1"):
        ground(gpus_per_trial=2.0).slots([Machine(16, 1)])


def test_a_clusters_machines_count_and_not_this_one(ground: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert ground(gpus_per_trial=0.5).slots([Machine(4), Machine(8, 2), Machine(1, 4)]) == 5
    assert ground(cpus_per_trial=3.0).slots([Machine(4), Machine(2), Machine(6)]) == 3
    with pytest.raises(InputError, match="more than the 0 GPUs the largest machine of the cluster has; leave it out"):
        ground(gpus_per_trial=0.25).slots([Machine(4), Machine(4)])
    with pytest.raises(InputError, match="more than the 4 CPUs the largest machine of the cluster has; lower it to 4"):
        ground(cpus_per_trial=6.0).slots([Machine(4), Machine(4)])
    with pytest.raises(InputError, match="no machine of the cluster has 2 CPUs and 1 GPUs for a student"):
        ground(cpus_per_trial=2.0, gpus_per_trial=1.0).slots([Machine(4), Machine(1, 1)])


def test_search_keeps_a_copy_of_its_teacher_and_needs_no_other(
    ground: Make, sets: Sets, teacher_file: Path, tmp_path: Path
) -> None:
    first = ground().teacher(sets)
    assert first is not None
    assert first.path == tmp_path / "x" / "teacher.safetensors"
    assert first.path.read_bytes() == teacher_file.read_bytes()
    later = ground(teacher=str(tmp_path / "gone"))
    later.check()
    again = later.teacher(sets)
    assert again is not None
    assert again.digest == first.digest


def slow(sets: Sets, one: Groundwork) -> Clock:
    """A clock for which a step takes a second."""
    return replace(one.clock(sets, 2), pace=Pace(1.0, 0.0))


def test_clock_knows_the_amounts_of_data(ground: Make, sets: Sets) -> None:
    clock = ground(time_budget=60.0).clock(sets, 2)
    assert (clock.budget, clock.slots, clock.train_clips, clock.val_clips) == (60.0, 2, 4, 2)
    assert clock.score_seconds == sets.score_val.seconds
    assert clock.step_seconds == 4.0  # four clips of a second
    assert clock.pace.step(Size(8, 4)) > 0


def test_epochs_are_what_fits_into_the_time_and_never_more_than_asked_for(ground: Make, sets: Sets) -> None:
    train = replace(ground().config.train, epochs=500)
    fitted = ground(time_budget=200.0, train=train)
    clock = slow(sets, fitted)
    epochs, students = fitted.epochs(clock, None)
    assert 1 < epochs < 200
    assert len(students.all) == 3
    assert clock.fits(students.first[0], epochs, fitted.reserve(clock, None))  # or nothing would be trained
    few = ground(time_budget=200.0, train=replace(train, epochs=2))
    assert few.epochs(slow(sets, few), None)[0] == 2
    endless = ground(train=train)
    assert endless.epochs(slow(sets, endless), None)[0] == 500


@pytest.mark.parametrize("preset", ["full", "paper", "short"])
def test_every_preset_fits_its_epochs_to_a_time_budget(
    tmp_path: Path, ground: Make, sets: Sets, corpus_flags: list[str], preset: str
) -> None:
    flags = ["--budget", "1GMAC", *corpus_flags, "--preset", preset, "--time-budget", "7min"]
    config = search_config(read_flags([*flags, "--storage", str(tmp_path), "--name", "x"]))
    one = replace(ground(), config=config, space=config.space(5))
    clock = replace(slow(sets, one), train=config.train)
    epochs, students = one.epochs(clock, None)
    assert 1 <= epochs < config.train.epochs
    assert clock.fits(students.first[0], epochs, one.reserve(clock, None))


def test_halving_is_decided_with_the_epochs_and_makes_room_for_more(ground: Make, sets: Sets, tmp_path: Path) -> None:
    train = replace(ground().config.train, epochs=500)
    off = ground(time_budget=600.0, train=train, trials=12, halving=False)
    clock = slow(sets, off)
    without, _ = off.epochs(clock, None)
    assert off.rungs(without) == ()
    one = ground(time_budget=600.0, train=train, trials=12)
    epochs = one.decide_epochs(clock, None)
    assert without < epochs < 2 * without
    assert read_json(tmp_path / "x" / "epochs.json")["rungs"] == list(one.rungs(epochs)) != []
    assert ground(trials=3).rungs(epochs) == one.rungs(epochs)  # as the first session decided
    write_json(tmp_path / "x" / "epochs.json", {"epochs": 30})  # of a search before there were rungs
    assert one.rungs(30) == ()


def test_epochs_are_decided_once_for_all_sessions(ground: Make, sets: Sets, tmp_path: Path) -> None:
    train = replace(ground().config.train, epochs=500)
    one = ground(time_budget=200.0, train=train)
    epochs = one.decide_epochs(slow(sets, one), None)
    assert read_json(tmp_path / "x" / "epochs.json")["epochs"] == epochs
    faster = replace(one.clock(sets, 2), pace=Pace(0.001, 0.0))
    assert one.decide_epochs(faster, None) == epochs
    late = replace(one, started=one.started - 1000)
    late.check_time(slow(sets, late), sets)  # a resumed search has its epochs, and students to show
    assert late.decide_epochs(slow(sets, late), None) == epochs


def test_time_that_is_too_short_names_one_that_is_not(ground: Make, sets: Sets, tmp_path: Path) -> None:
    short = ground(time_budget=30.0)
    with pytest.raises(InputError) as caught:
        short.decide_epochs(slow(sets, short), None)
    assert not (tmp_path / "x").exists()
    (minutes,) = map(int, re.findall(r"at least --time-budget (\d+)min", str(caught.value)))
    assert "--time-budget 30 s leaves" in str(caught.value)
    enough = ground(time_budget=60.0 * minutes)
    assert enough.decide_epochs(slow(sets, enough), None) == 1


def test_time_for_a_teacher_to_be_trained_counts(ground: Make, sets: Sets) -> None:
    clock, first = slow(sets, ground()), ground().epochs(slow(sets, ground()), None)[1].first[0]
    needed = clock.reserve(Size(16, 4), Size(128, 32)) + clock.student_seconds(first, 1)
    teachers = (ground().config.teacher, None)
    given, trained = (ground(time_budget=1.3 * needed, teacher=teacher) for teacher in teachers)
    given.check_time(slow(sets, given), sets)
    with pytest.raises(InputError, match=r"--time-budget .* leaves"):  # a third of it is the teacher's
        trained.check_time(slow(sets, trained), sets)


def test_time_is_kept_for_other_seeds_of_the_front(ground: Make, sets: Sets) -> None:
    plain, certain = (ground(time_budget=3600.0, repeat_front=n) for n in (0, 2))
    clock = slow(sets, certain)
    assert plain.for_repeats(clock, 1, 0.0) == 0.0
    assert certain.for_repeats(clock, 1, 0.0) > 0.0
    assert certain.for_repeats(clock, 10_000, 0.0) == pytest.approx(
        clock.left() / 2, rel=0.01
    )  # the search comes first
    assert certain.reserve(clock, None) > plain.reserve(clock, None)  # each seed's test scores
