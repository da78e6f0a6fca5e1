"""Example sets: rendered once, found again by what shapes them, never half there."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch

import data.examples
import data.scene
from data import RATE
from data.array import Array
from data.errors import InputError
from data.examples import ExampleSet, FreshScenes, JoinedExamples, SetSpec, build_set, scenes_of
from data.scene import SNRS_DB, render

TRAIN = SetSpec("train", clips=5, seconds=0.3, seed=0)
SCORE = SetSpec("score", clips=3, seconds=10.0, seed=0)
WIDER = Array("wider", ((0.0, 0.0, 0.0), (0.06, 0.0, 0.0)))


@pytest.fixture
def rendered(monkeypatch) -> list[int]:
    """How many scenes each call of `render` rendered."""
    counts: list[int] = []

    def counted(scenes):
        counts.append(len(scenes))
        return render(scenes)

    monkeypatch.setattr(data.examples, "render", counted)
    return counts


def test_set_holds_the_scenes_it_was_made_from(tiny_source, tmp_path):
    source = tiny_source()
    made = build_set(source, "sounds", TRAIN, tmp_path)
    scenes = list(scenes_of(source, TRAIN))
    assert len(made) == len(scenes) == 5
    assert made.seconds == pytest.approx(1.5)
    assert made.snr_db.tolist() == [scene.snr_db for scene in scenes]
    assert made.clip.tolist() == [scene.clip for scene in scenes]
    for i, scene in enumerate(scenes):
        mixture, clean = render([scene])
        assert made.mixture(i).shape == (2, round(0.3 * RATE))
        np.testing.assert_allclose(made.mixture(i), mixture[0], atol=2e-4)
        np.testing.assert_allclose(made.target(i), clean[0], atol=1e-6)


def test_batch_is_the_examples_asked_for_in_order(tiny_source, tmp_path):
    made = build_set(tiny_source(), "sounds", TRAIN, tmp_path)
    noisy, clean = made.batch([3, 1])
    assert noisy.shape == (2, 2, 4800)
    assert noisy.dtype == clean.dtype == torch.float32
    np.testing.assert_array_equal(noisy[0], made.mixture(3))
    np.testing.assert_array_equal(clean[1], made.target(1))


def test_every_clip_is_used_before_one_is_used_again(tiny_source, tmp_path):
    used = build_set(tiny_source(), "sounds", TRAIN, tmp_path).clip.tolist()
    assert sorted(used[:3]) == [0, 1, 2]


def test_same_set_is_opened_without_rendering(tiny_source, tmp_path, rendered):
    first = build_set(tiny_source(), "sounds", TRAIN, tmp_path)
    assert sum(rendered) == 5
    again = build_set(tiny_source(), "sounds", TRAIN, tmp_path)
    assert sum(rendered) == 5
    assert (again.folder, again.digest) == (first.folder, first.digest)
    np.testing.assert_array_equal(again.mixture(4), first.mixture(4))


@pytest.mark.parametrize("setting", [{"seed": 1}, {"seconds": 0.2}, {"clips": 4}, {"role": "val"}])
def test_set_of_another_setting_is_another_set(tiny_source, tmp_path, rendered, setting):
    first = build_set(tiny_source(), "sounds", TRAIN, tmp_path)
    rendered.clear()
    other = build_set(tiny_source(), "sounds", replace(TRAIN, **setting), tmp_path)
    assert rendered
    assert other.folder != first.folder
    assert other.digest != first.digest


def test_set_of_other_sounds_or_of_another_array_is_another_set(tiny_source, tmp_path):
    sets = [
        build_set(tiny_source(), "sounds", TRAIN, tmp_path),
        build_set(tiny_source(seed=1), "other sounds", TRAIN, tmp_path),
        build_set(tiny_source(array=WIDER), "sounds", TRAIN, tmp_path),
    ]
    assert len({made.digest for made in sets}) == len({made.folder for made in sets}) == 3
    assert not np.allclose(sets[0].mixture(0), sets[2].mixture(0))


@pytest.mark.parametrize(
    ("name", "value"),
    [("LEVELS_DBFS", (-30.0, -20.0)), ("AUDIBLE", 1e-2), ("DISTANCE", 3.0), ("SPEED_OF_SOUND", 340.0)],
)
def test_set_of_other_constants_of_the_scenes_is_another_set(tiny_source, tmp_path, monkeypatch, name, value):
    first = build_set(tiny_source(), "sounds", TRAIN, tmp_path)
    fresh = FreshScenes(tiny_source(), TRAIN, "sounds")
    monkeypatch.setattr(data.scene, name, value)
    assert build_set(tiny_source(), "sounds", TRAIN, tmp_path).digest != first.digest
    assert FreshScenes(tiny_source(), TRAIN, "sounds").digest != fresh.digest


def test_fresh_scenes_have_the_digest_of_all_that_shapes_them(tiny_source, tmp_path):
    source = tiny_source()
    digests = {
        FreshScenes(source, TRAIN, "sounds").digest,
        FreshScenes(source, TRAIN, "other sounds").digest,
        FreshScenes(source, replace(TRAIN, seconds=0.2), "sounds").digest,
        FreshScenes(tiny_source(array=WIDER), TRAIN, "sounds").digest,
        build_set(source, "sounds", TRAIN, tmp_path).digest,
    }
    assert len(digests) == 5
    assert FreshScenes(tiny_source(), TRAIN, "sounds").digest in digests


def test_seed_decides_the_scenes(tiny_source, tmp_path):
    first, again, other = (
        build_set(tiny_source(), "sounds", replace(TRAIN, seed=seed), tmp_path / folder)
        for seed, folder in ((0, "a"), (0, "b"), (1, "b"))
    )
    np.testing.assert_array_equal(first.mixture(2), again.mixture(2))
    assert not np.allclose(first.mixture(2), other.mixture(2))


def test_example_does_not_depend_on_how_many_follow(tiny_source, tmp_path):
    few, many = (build_set(tiny_source(), "sounds", replace(TRAIN, clips=clips), tmp_path) for clips in (2, 9))
    for i in range(2):
        np.testing.assert_allclose(few.mixture(i), many.mixture(i), atol=2e-4)


def test_score_set_has_each_clip_at_five_snrs_with_one_target(tiny_source, tmp_path):
    source = tiny_source()
    made = build_set(source, "sounds", SCORE, tmp_path)
    assert made.snr_db.tolist() == list(SNRS_DB) * 3
    for first in range(0, 15, 5):
        clip = int(made.clip[first])
        assert set(made.clip[first : first + 5]) == {clip}
        assert set(made.lengths[first : first + 5]) == {len(source.speech.samples(clip))}, "clips keep their own length"
        for i in range(first + 1, first + 5):
            np.testing.assert_array_equal(made.target(i), made.target(first))
            assert not np.array_equal(made.mixture(i), made.mixture(first))


def test_five_examples_of_a_clip_differ_in_nothing_but_the_noises_level(tiny_source, tmp_path):
    made = build_set(tiny_source(), "sounds", SCORE, tmp_path)
    steps = [made.mixture(i + 1) - made.mixture(i) for i in range(4)]  # each a multiple of one noise
    for step in steps[1:]:
        gain = np.vdot(step, steps[0]) / np.vdot(steps[0], steps[0])
        np.testing.assert_allclose(step, gain * steps[0], atol=1e-4)


def test_score_clip_over_the_longest_length_is_cropped(tiny_source, tmp_path):
    made = build_set(tiny_source(), "sounds", replace(SCORE, seconds=1.02), tmp_path)
    assert sorted(set(made.lengths.tolist())) == [RATE, round(1.02 * RATE)]


def test_failing_render_leaves_nothing(tiny_source, tmp_path, monkeypatch):
    calls = []

    def fails(scenes):
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("no memory")
        return render(scenes)

    monkeypatch.setattr(data.examples, "render", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        build_set(tiny_source(), "sounds", replace(TRAIN, clips=20), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_set_that_another_process_finished_first_is_taken(tiny_source, tmp_path, monkeypatch):
    faster = build_set(tiny_source(), "sounds", TRAIN, tmp_path / "theirs")
    ours = tmp_path / "ours"

    def overtaken(scenes):
        if not ours.joinpath(faster.folder.name).exists():
            faster.folder.rename(ours / faster.folder.name)
        return render(scenes)

    monkeypatch.setattr(data.examples, "render", overtaken)
    made = build_set(tiny_source(), "sounds", TRAIN, ours)
    assert [path.name for path in ours.iterdir()] == [made.folder.name] == [faster.folder.name]


@pytest.mark.parametrize("part", ["mixture.f32", "target.f32"])
def test_damaged_set_is_refused_by_name(tiny_source, tmp_path, part):
    made = build_set(tiny_source(), "sounds", TRAIN, tmp_path)
    os.truncate(made.folder / part, 1000)
    with pytest.raises(InputError, match=f"{made.folder.name} holds no whole example set; delete it"):
        ExampleSet(made.folder)
    (made.folder / part).unlink()
    with pytest.raises(InputError, match="no whole example set"):
        ExampleSet(made.folder)


@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
def test_other_users_of_a_shared_cache_can_read_the_set(tiny_source, tmp_path):
    umask = os.umask(0o022)
    try:
        made = build_set(tiny_source(), "sounds", TRAIN, tmp_path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o755
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in made.folder.iterdir())


def test_progress_ends_at_one(tiny_source, tmp_path):
    shares: list[float] = []
    build_set(tiny_source(), "sounds", replace(TRAIN, clips=20), tmp_path, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 1


def test_fresh_scenes_are_the_same_in_one_epoch_and_others_in_the_next(tiny_source):
    first, again = FreshScenes(tiny_source(), TRAIN, "sounds"), FreshScenes(tiny_source(), TRAIN, "sounds")
    noisy, clean = first.batch([0, 1, 4], epoch=3)
    assert noisy.shape == (3, 2, 4800)
    assert clean.shape == (3, 4800)
    assert torch.equal(noisy, again.batch([0, 1, 4], epoch=3)[0])
    assert not torch.allclose(noisy, first.batch([0, 1, 4], epoch=4)[0])
    other = FreshScenes(tiny_source(), replace(TRAIN, seed=1), "sounds")
    assert not torch.allclose(noisy, other.batch([0, 1, 4], epoch=3)[0])


def test_fresh_scenes_that_cycle_are_those_of_the_first_epochs(tiny_source):
    endless = FreshScenes(tiny_source(), TRAIN, "sounds")
    cycling = endless.cycling(2)
    for epoch in range(4):
        assert torch.equal(cycling.batch([3], epoch)[0], endless.batch([3], epoch % 2)[0])
    assert not torch.equal(endless.batch([3], 0)[0], endless.batch([3], 2)[0])
    assert cycling.digest == endless.digest, "they are scenes of the same kind, and an epoch's are the same"


def test_fresh_scene_does_not_depend_on_the_batch_it_is_in(tiny_source):
    fresh = FreshScenes(tiny_source(), TRAIN, "sounds")
    assert len(fresh) == 5
    torch.testing.assert_close(fresh.batch([4, 2], 1)[0][1], fresh.batch([2], 1)[0][0], atol=2e-4, rtol=0)


def test_joined_examples_come_in_the_order_of_their_indices(tiny_source):
    first = FreshScenes(tiny_source(), TRAIN, "sounds")
    second = FreshScenes(tiny_source(), replace(TRAIN, seed=1), "sounds")
    joined = JoinedExamples(first, second)
    n = len(first)
    assert len(joined) == 2 * n
    noisy, clean = joined.batch([n + 1, 0, n, 2], epoch=3)
    a_noisy, a_clean = first.batch([0, 2], epoch=3)
    b_noisy, b_clean = second.batch([1, 0], epoch=3)
    assert torch.equal(noisy, torch.stack([b_noisy[0], a_noisy[0], b_noisy[1], a_noisy[1]]))
    assert torch.equal(clean, torch.stack([b_clean[0], a_clean[0], b_clean[1], a_clean[1]]))
    assert torch.equal(joined.batch([n + 2])[0], second.batch([2])[0])
