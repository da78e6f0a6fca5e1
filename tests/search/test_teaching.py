from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import search.teaching
from data.array import Array
from data.errors import InputError
from data.plan import Sets, prepare
from model.ftjnf import FTJNF, Size
from model.weights import load_network, save_network
from search.config import SearchConfig
from search.flags import read_flags, search_config
from search.teaching import (
    check_starts,
    given_teacher,
    is_wanted,
    kept_at,
    teacher_to_train,
    too_small,
    trained_teacher,
)

CPU = torch.device("cpu")


def config_of(*flags: str) -> SearchConfig:
    return search_config(read_flags(["--budget", "0.1GMAC", "--name", "x", *flags]))


@pytest.fixture(scope="module")
def own(corpus_flags: list[str]) -> SearchConfig:
    return config_of(*corpus_flags, "--train-clips", "4", "--val-clips", "2", "--score-clips", "2", "--test-clips", "2",
                     "--clip-seconds", "1", "--lr", "1e-3", "--teacher-size", "8/4")  # fmt: skip


@pytest.fixture(scope="module")
def sets(own: SearchConfig, cache: Path) -> Sets:
    return prepare(own.data, cache)


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in place of the packaged teacher."""
    path = tmp_path / "packaged.safetensors"
    save_network(FTJNF(Size(16, 8)), path)
    monkeypatch.setattr(search.teaching, "PACKAGED", path)
    return path


@pytest.fixture
def _ten_seconds_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured: an epoch of 13.5 s (one training step and the forward pass of one)."""
    monkeypatch.setattr(search.teaching, "time_step", lambda *_: 10.0)


def test_demo_takes_the_packaged_teacher(packaged: Path) -> None:
    teacher = given_teacher(config_of(), 5)
    assert teacher is not None
    assert teacher.path == packaged
    assert teacher.net.size == Size(16, 8)
    assert teacher.name == "teacher 16/8"


def test_demo_trains_one_where_none_is_packaged_or_another_is_asked_for(
    packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert given_teacher(config_of("--teacher-size", "B"), 5) is None
    monkeypatch.setattr(search.teaching, "PACKAGED", packaged.with_name("gone"))
    assert given_teacher(config_of(), 5) is None


def test_own_corpora_never_get_the_packaged_teacher(packaged: Path, own: SearchConfig) -> None:
    assert given_teacher(replace(own, teacher_size=None), 5) is None


def test_file_of_the_user_comes_before_all(packaged: Path, teacher_file: Path, own: SearchConfig) -> None:
    for config in (config_of("--teacher", str(teacher_file)), replace(own, teacher=str(teacher_file))):
        teacher = given_teacher(config, 5)
        assert teacher is not None
        assert teacher.path == teacher_file
    with pytest.raises(InputError, match="5 microphones but the array has 3"):
        given_teacher(config_of("--teacher", str(teacher_file)), 3)


def saved_for(path: Path, array: str | None, *, places: bool = True) -> Path:
    """Weights whose recipe says which array they were trained on."""
    recipe: dict[str, Any] = {} if array is None else {"data": {"array": array}}
    if array is not None and places:
        recipe["array"] = Array.parse(array).to_dict()
    save_network(FTJNF(Size(16, 8)), path, recipe)
    return path


@pytest.mark.parametrize("places", [True, False])
def test_packaged_teacher_serves_its_own_array_alone(packaged: Path, tmp_path: Path, places: bool) -> None:
    saved_for(packaged, "cross", places=places)
    assert given_teacher(config_of(), 5) is not None
    assert given_teacher(config_of("--array", "line"), 5) is None
    (tmp_path / "mine.json").write_text(json.dumps(Array.parse("line").positions))
    assert given_teacher(config_of("--array", str(tmp_path / "mine.json")), 5) is None
    (tmp_path / "three.json").write_text(json.dumps(Array.parse("cross").positions[:3]))
    assert given_teacher(config_of("--array", str(tmp_path / "three.json")), 3) is None


def test_packaged_teacher_of_this_version_is_one_for_the_cross() -> None:
    assert given_teacher(config_of(), 5) is not None
    assert given_teacher(config_of("--array", "line"), 5) is None


@pytest.mark.parametrize("places", [True, False])
def test_file_of_another_array_is_refused_and_both_are_named(tmp_path: Path, places: bool) -> None:
    path = saved_for(tmp_path / "t.safetensors", "line", places=places)
    assert given_teacher(config_of("--teacher", str(path), "--array", "line"), 5) is not None
    with pytest.raises(InputError, match=r"t\.safetensors was trained on the array line, not on cross"):
        given_teacher(config_of("--teacher", str(path)), 5)


def test_places_of_the_microphones_count_and_not_the_name_of_the_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(Array.parse("cross").positions))
    flags = ["--teacher", str(saved_for(tmp_path / "t.safetensors", str(mine)))]
    assert given_teacher(config_of(*flags), 5) is not None
    mine.write_text(json.dumps(Array.parse("line").positions))
    with pytest.raises(InputError, match="their microphones stand at different places"):
        given_teacher(config_of(*flags, "--array", str(mine)), 5)


def test_older_file_of_an_own_array_is_compared_by_name(tmp_path: Path) -> None:
    for name in ("mine", "other"):
        (tmp_path / f"{name}.json").write_text(json.dumps(Array.parse("cross").positions))
    path = saved_for(tmp_path / "t.safetensors", str(tmp_path / "mine.json"), places=False)
    flags = ["--teacher", str(path), "--array"]
    assert given_teacher(config_of(*flags, str(tmp_path / "mine.json")), 5) is not None
    with pytest.raises(InputError, match=r"trained on the array .*mine\.json, not on .*other\.json"):
        given_teacher(config_of(*flags, str(tmp_path / "other.json")), 5)


def test_none_is_a_search_without_kd_and_slices(packaged: Path) -> None:
    assert is_wanted(config_of())
    without = config_of("--teacher", "none", "--methods", "none", "--init", "random")
    assert not is_wanted(without)
    assert given_teacher(without, 5) is None
    for flags in (["--methods", "none", "--init", "slice,random"], ["--methods", "none,mask", "--init", "random"]):
        with pytest.raises(InputError, match="--methods none --init random"):
            is_wanted(config_of("--teacher", "none", *flags))


def test_size_and_time_of_a_teacher_trained_first(own: SearchConfig) -> None:
    auto = replace(own, teacher_size=None)
    assert teacher_to_train(auto, 5, CPU) == (Size(128, 32), None)  # C
    assert teacher_to_train(auto, 3, torch.device("cuda")) == (Size(512, 128, microphones=3), None)  # A
    assert teacher_to_train(own, 5, CPU)[0] == Size(8, 4)
    timed = replace(own, time_budget=900.0)
    assert teacher_to_train(timed, 5, CPU)[1] == 300.0
    assert teacher_to_train(replace(timed, teacher_time=120.0), 5, CPU)[1] == 120.0
    assert teacher_to_train(replace(own, teacher_time=120.0), 5, CPU)[1] == 120.0
    with pytest.raises(InputError) as caught:
        teacher_to_train(replace(timed, teacher_time=301.0), 5, CPU)
    for part in ("5 min 01 s is more than a third of --time-budget 15 min 00 s", "5 min 00 s", "--teacher FILE"):
        assert part in str(caught.value)


def test_slices_need_the_directions_of_their_teacher() -> None:
    sliced, random = config_of("--init", "slice,random"), config_of("--init", "random")
    one, both = Size(8, 4), Size(8, 4, bi_freq=True)
    for sizes, teacher in (([one, both], Size(16, 8)), ([one], Size(16, 8, bi_freq=True))):
        check_starts(random, sizes, teacher)
        with pytest.raises(InputError, match="cannot be a slice of a teacher 16/8"):
            check_starts(sliced, sizes, teacher)
    check_starts(sliced, [one], Size(16, 8))


@pytest.mark.usefixtures("_ten_seconds_a_step")
def test_teacher_is_trained_once_and_kept_for_the_next_search(own: SearchConfig, sets: Sets, tmp_path: Path) -> None:
    config, lines = replace(own, teacher_time=82.0), []
    first = trained_teacher(config, 5, sets, tmp_path, CPU, lines.append)
    assert "no weights were given, so one is trained first" in lines[0]
    assert sum(line.startswith("epoch") for line in lines) == 6  # of 13.5 s
    assert first.net.size == Size(8, 4)
    assert first.path == kept_at(config, Size(8, 4), 82.0, sets, tmp_path)
    assert load_network(first.path)[0].size == Size(8, 4)

    lines.clear()
    second = trained_teacher(replace(config, name="y", budget="1.0GMAC", seed=0), 5, sets, tmp_path, CPU, lines.append)
    assert second.digest == first.digest
    assert lines == [f"teacher 8/4: taken from an earlier search ({first.path})"]
    other = replace(config, train=replace(config.train, lr=2e-3))
    assert kept_at(other, Size(8, 4), 82.0, sets, tmp_path) != first.path


@pytest.mark.parametrize("remix", [False, True])
def test_changed_training_sound_is_another_teacher(
    own: SearchConfig, cache: Path, small_corpus, tmp_path: Path, remix: bool
) -> None:
    speech = shutil.copytree(small_corpus.speech, tmp_path / "speech")
    config = replace(own, data=replace(own.data, speech=speech, remix=remix))
    before = prepare(config.data, cache)
    clip = speech / "clips" / "de_0_0.mp3"  # speaker 0 is one of training
    clip.write_bytes((speech / "clips" / "de_1_1.mp3").read_bytes())
    after = prepare(config.data, cache)
    assert after.val.digest == before.val.digest
    assert after.score_test.digest == before.score_test.digest
    where = [kept_at(config, Size(8, 4), None, sets, tmp_path) for sets in (before, after)]
    assert where[0] != where[1]


@pytest.mark.usefixtures("_ten_seconds_a_step")
def test_teacher_that_was_stopped_goes_on_with_the_epochs_decided_then(
    own: SearchConfig, sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):  # noqa: N818 - it is no error
        pass

    def killed_in_epoch_two(line: str) -> None:
        if line.startswith("epoch 2/"):
            raise Killed

    config, lines = replace(own, teacher_time=82.0), []
    with pytest.raises(Killed):
        trained_teacher(config, 5, sets, tmp_path, CPU, killed_in_epoch_two)
    with monkeypatch.context() as patch:
        patch.setattr(search.teaching, "time_step", lambda *_: 1.0)  # the machine is faster now
        trained_teacher(config, 5, sets, tmp_path, CPU, lines.append)
    assert [line[:9] for line in lines if line.startswith("epoch")] == [f"epoch {n}/6" for n in (3, 4, 5, 6)]


@pytest.mark.usefixtures("_ten_seconds_a_step")
def test_time_for_too_few_epochs_is_refused_before_the_first_step(
    own: SearchConfig, sets: Sets, tmp_path: Path
) -> None:
    config = replace(own, teacher_size="C", time_budget=180.0)
    with pytest.raises(InputError) as caught:
        trained_teacher(config, 5, sets, tmp_path, CPU, lambda line: None)
    for part in ("size 128/32", "1 min 00 s for it are too few for 5 epochs", "--time-budget 4min", "--teacher FILE"):
        assert part in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_teacher_that_is_hardly_larger_than_the_students_is_warned_of() -> None:
    assert too_small(FTJNF(Size(512, 128)), Size(88, 40)) is None
    warning = too_small(FTJNF(Size(24, 8)), Size(16, 8))
    assert warning is not None
    for part in ("24/8", "16/8", "1.8 times", "less KD has to give", "31 times"):
        assert part in warning
