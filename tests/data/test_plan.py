"""From three folders to the example sets of a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import data.examples
import data.plan
from data import RATE
from data.errors import InputError
from data.examples import ExampleSet, FreshScenes, scenes_of_clip
from data.plan import DataPlan, open_sets, prepare, scenes_for_test, shortages
from data.scene import render


@pytest.fixture
def plan(small_corpus) -> DataPlan:
    return DataPlan(
        small_corpus.speech,
        small_corpus.noise,
        small_corpus.rirs,
        train_clips=6,
        val_clips=3,
        score_clips=1,
        test_clips=2,
        clip_seconds=0.5,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """One cache for all tests of this file: what they check is how it is used."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def no_rendering(monkeypatch) -> Callable[[], None]:
    def forbid() -> None:
        monkeypatch.setattr(data.examples, "render", lambda scenes: pytest.fail("rendered again"))

    return forbid


def test_sets_have_the_sizes_of_the_plan(plan, cache):
    sets = prepare(plan, cache)
    assert isinstance(sets.train, ExampleSet)
    assert [len(part) for part in (sets.train, sets.val, sets.score_val, sets.score_test)] == [6, 3, 5, 10]
    assert set(sets.train.lengths) == set(sets.val.lengths) == {RATE // 2}
    assert set(sets.score_test.lengths) <= {RATE, 1.25 * RATE, 1.5 * RATE}, "scored clips keep their own length"
    assert sets.train.mixture(0).shape == (5, RATE // 2)


def test_no_more_clips_are_scored_than_there_are(plan, cache):
    sets = prepare(replace(plan, test_clips=1000), cache)
    assert len(sets.score_test) == 6 * 5, "two test speakers with three clips each"


def test_prepared_again_nothing_is_rendered(plan, cache, no_rendering):
    first = prepare(plan, cache)
    no_rendering()
    assert prepare(plan, cache).folders == first.folders


@pytest.mark.parametrize("setting", [{"seed": 1}, {"array": "line"}, {"clip_seconds": 0.6}, {"hours": (0.001, 1, 1)}])
def test_changed_setting_meets_no_old_training_set(plan, cache, setting):
    old, new = prepare(plan, cache), prepare(replace(plan, **setting), cache)
    assert old.train.digest != new.train.digest


def test_another_process_opens_the_sets_without_looking_at_the_corpora(plan, cache, no_rendering):
    sets = prepare(plan, cache)
    no_rendering()
    elsewhere = replace(plan, speech=Path("gone"), noise=Path("gone"), rirs=Path("gone"))
    opened = open_sets(elsewhere, json.loads(json.dumps(sets.folders)), cache)
    for name in ("train", "val", "score_val", "score_test"):
        assert getattr(opened, name).digest == getattr(sets, name).digest
        assert torch.equal(getattr(opened, name).batch([0])[0], getattr(sets, name).batch([0])[0])


def test_remixed_training_draws_the_same_scenes_in_every_process(plan, cache):
    remixed = replace(plan, remix=True)
    sets = prepare(remixed, cache)
    assert isinstance(sets.train, FreshScenes)
    assert len(sets.train) == 6
    opened = open_sets(remixed, sets.folders, cache)
    assert isinstance(opened.train, FreshScenes)
    assert opened.digests == sets.digests
    assert sets.manifest["sets"]["train"]["digest"] == sets.digests["train"]
    assert torch.equal(opened.train.batch([0, 3], epoch=2)[0], sets.train.batch([0, 3], epoch=2)[0])


@pytest.mark.parametrize("remix", [False, True])
def test_changed_training_sound_changes_the_digest_of_training_alone(plan, cache, tmp_path, remix):
    plan = replace(plan, remix=remix, speech=shutil.copytree(plan.speech, tmp_path / "speech"))
    before = prepare(plan, cache).digests
    clip = plan.speech / "clips" / "de_0_0.mp3"  # speaker 0 is one of training
    clip.write_bytes((plan.speech / "clips" / "de_1_1.mp3").read_bytes())
    after = prepare(plan, cache).digests
    assert {name for name in before if before[name] != after[name]} == {"train"}


def test_machine_without_the_sets_makes_the_same_ones(plan, cache, tmp_path):
    sets = prepare(plan, cache)
    made = open_sets(plan, {name: str(tmp_path / "nowhere") for name in sets.folders}, tmp_path)
    assert made.train.folder.is_relative_to(tmp_path)
    assert made.train.digest == sets.train.digest
    assert torch.equal(made.train.batch([5])[0], sets.train.batch([5])[0])


def test_manifest_tells_what_the_sets_are_made_from(plan, cache):
    manifest = json.loads(json.dumps(prepare(plan, cache).manifest))
    assert manifest["corpus"] == "own"
    assert manifest["folders"] == [str(plan.speech), str(plan.noise), str(plan.rirs)]
    assert len(manifest["array"]["positions_m"]) == 5
    speakers = {split: banks["speech"]["groups"] for split, banks in manifest["banks"].items()}
    assert speakers == {"train": 8, "val": 2, "test": 2}
    assert {name: part["examples"] for name, part in manifest["sets"].items()} == {
        "train": 6,
        "val": 3,
        "score_val": 5,
        "score_test": 10,
    }


def test_without_folders_the_demo_corpus_is_used(small_corpus, cache, plan, monkeypatch):
    monkeypatch.setattr(data.plan, "demo_corpus", lambda: small_corpus)
    demo = replace(plan, speech=None, noise=None, rirs=None)
    assert demo.demo
    sets = prepare(demo, cache)
    assert sets.manifest["corpus"] == "demo"
    assert sets.folders == prepare(plan, cache).folders


def test_plan_comes_back_from_json(plan):
    named = replace(plan, hours=(3.0, 1.0, 0.5))
    for one in (named, named.of_demo()):
        assert DataPlan.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"speech": None}, "--speech is missing"),
        ({"noise": None, "rirs": None}, "--noise, --rirs is missing"),
        ({"train_clips": 0}, "train_clips must be at least 1 but is 0"),
        ({"test_clips": -3}, "test_clips must be at least 1 but is -3"),
        ({"clip_seconds": 0.1}, "clip_seconds must lie between"),
        ({"clip_seconds": float("nan")}, "clip_seconds must lie between"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_plan_that_cannot_be_followed_is_refused(plan, wrong, complaint):
    with pytest.raises(InputError, match=complaint):
        replace(plan, **wrong)


def test_folder_without_audio_is_refused_before_anything_is_made(plan, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no audio"):
        prepare(replace(plan, noise=tmp_path / "empty"), tmp_path / "cache")


def test_of_a_large_corpus_no_more_is_decoded_than_the_sets_need(plan):
    hours, responses = replace(plan, train_clips=600, clip_seconds=2.0, test_clips=600).limits()
    assert hours == {"train": 8.0, "val": 1.0, "test": 8.0}
    assert responses == data.plan.RESPONSES
    most, _ = replace(plan, train_clips=34_200, clip_seconds=4.0).limits()
    assert most["train"] == 38.0


def test_hours_that_are_named_are_the_only_limit(plan):
    assert replace(plan, hours=(100.0, 2.0, 3.0)).limits() == ({"train": 100.0, "val": 2.0, "test": 3.0}, None)


def test_demo_corpus_is_decoded_whole(plan):
    assert plan.of_demo().limits() == (None, None)


def test_small_corpus_is_used_whole_and_keeps_its_content_hash(plan, cache, monkeypatch):
    limited = prepare(plan, cache)
    assert [
        bank["listed"] - bank["clips"] for banks in limited.manifest["banks"].values() for bank in banks.values()
    ] == [0] * 9
    monkeypatch.setattr(DataPlan, "limits", lambda self: (None, None))
    assert prepare(plan, cache).train.digest == limited.train.digest


def test_what_is_left_of_a_corpus_and_what_a_set_lacks_is_told(plan, cache):
    assert shortages(plan, prepare(plan, cache).manifest) == []
    wanting = replace(plan, test_clips=500)
    assert shortages(wanting, prepare(wanting, cache).manifest) == [
        "only 6 clips of test speech are scored, where --test-clips is 500: there is no more"
    ]


def test_corpus_that_is_used_in_part_is_told(plan, cache, monkeypatch):
    monkeypatch.setattr(data.plan, "RESPONSES", {"train": 4, "val": 2, "test": 2})
    manifest = prepare(plan, cache).manifest
    (line,) = shortages(plan, manifest)
    assert "train rirs 4 of 12 files" in line
    assert "--hours takes more or less" in line
    named = replace(plan, hours=(0.001, 1.0, 0.0005), test_clips=6)
    part, scored = shortages(named, prepare(named, cache).manifest)
    assert " of 24 files" in part
    assert "as --hours says: train speech" in part
    assert "--hours takes more of it" in scored


def test_test_scenes_are_those_of_the_test_set_without_making_it(plan, cache, no_rendering):
    expected = prepare(plan, cache).score_test
    no_rendering()
    source, spec, digest = scenes_for_test(plan, cache)
    assert digest == expected.digest
    for number in range(spec.clips):
        mixture, target = render(list(scenes_of_clip(source, spec, number)))
        noisy, clean = expected.batch(range(5 * number, 5 * number + 5))
        assert torch.equal(mixture, noisy)
        assert torch.equal(target, clean)
    assert 5 * spec.clips == len(expected)
