"""Each disturbance does to the input what it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from data.array import Array
from data.examples import SetSpec, scenes_of_clip
from data.scene import SceneSource, active, power, render
from model.disturbances import CONDITIONS, Clip

TRIPLE = Array("triple", ((0.0, 0.0, 0.0), (0.03, 0.0, 0.0), (0.0, 0.03, 0.0)))
SPEC = SetSpec("score", 1, 10.0, 4)


@pytest.fixture(scope="module")
def clip(tiny_source) -> Clip:
    source = tiny_source(array=TRIPLE)

    def redrawn(array: Array) -> list:
        return list(scenes_of_clip(SceneSource(source.speech, source.noise, source.rirs, array), SPEC, 0))

    scenes = redrawn(TRIPLE)
    return Clip(render(scenes)[0], scenes, redrawn, TRIPLE)


@pytest.fixture(scope="module")
def heard(clip: Clip) -> Callable[..., Tensor]:
    return lambda name, seed=0: CONDITIONS[name].hear(clip, np.random.default_rng(seed))


def level(signal: Tensor) -> Tensor:
    """(B, M) in dBFS."""
    return 10 * torch.log10(signal.double().square().mean(-1))


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_input_is_finite_repeatable_and_its_source_untouched(name: str, clip: Clip, heard) -> None:
    before = clip.noisy.clone()
    one, two = heard(name), heard(name)
    assert one.shape in (clip.noisy.shape, (1, *clip.noisy.shape[1:]))
    assert one.dtype == torch.float32
    assert torch.isfinite(one).all()
    assert torch.equal(one, two)
    assert torch.equal(clip.noisy, before)


def test_soft_speech_has_its_level_and_the_scenes_snr(clip: Clip, heard) -> None:
    gain = heard("low_level")[:, 0, 0] / clip.noisy[:, 0, 0]
    clean = render(clip.scenes)[1] * gain[:, None]
    np.testing.assert_allclose(10 * torch.log10(power(clean, active(clean))), -40, atol=0.01)
    np.testing.assert_allclose(heard("low_level"), clip.noisy * gain[:, None, None], rtol=1e-5)


def test_an_overloaded_input_stands_at_full_scale(heard) -> None:
    clipped = heard("clipping")
    assert clipped.abs().amax() == 1
    assert ((clipped.abs() == 1).float().mean(dim=(1, 2)) > 0.001).all()


def test_an_offset_is_on_all_microphones(clip: Clip, heard) -> None:
    np.testing.assert_allclose(heard("dc") - clip.noisy, 0.05, atol=1e-6)


@pytest.mark.parametrize(("name", "dead"), [("dead_microphone", 1), ("dead_reference", 0)])
def test_one_microphone_is_dead(name: str, dead: int, clip: Clip, heard) -> None:
    alive = [m for m in range(3) if m != dead]
    assert not heard(name)[:, dead].any()
    assert torch.equal(heard(name)[:, alive], clip.noisy[:, alive])


def test_two_microphones_are_swapped(clip: Clip, heard) -> None:
    assert torch.equal(heard("swapped"), clip.noisy[:, [0, 2, 1]])


def test_moved_microphones_hear_the_same_scene_a_little_earlier_or_later(clip: Clip, heard) -> None:
    drawn: list[Array] = []

    def redrawn(array: Array) -> list:
        drawn.append(array)
        return list(clip.redrawn(array))

    CONDITIONS["moved"].hear(Clip(clip.noisy, clip.scenes, redrawn, TRIPLE), np.random.default_rng(0))
    steps = np.asarray(drawn[0].positions) - np.asarray(TRIPLE.positions)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), 0.005)
    for scene, moved in zip(clip.scenes, clip.redrawn(drawn[0]), strict=True):
        assert np.array_equal(scene.speech, moved.speech)
        assert np.array_equal(scene.noise_rir, moved.noise_rir)
        assert (scene.snr_db, scene.level_dbfs) == (moved.snr_db, moved.level_dbfs)
        shift = np.abs(scene.speech_delays - moved.speech_delays)
        assert 0.01 < shift.max() < 2 * 0.005 / 343 * 16_000 + 0.01
    difference = level(heard("moved") - clip.noisy) - level(clip.noisy)
    assert (difference[:, 1:] > -40).all()
    assert (difference < -3).all()
    assert not torch.equal(heard("moved", seed=1), heard("moved"))


def test_gains_are_off_by_one_db(clip: Clip, heard) -> None:
    off = level(heard("gains")) - level(clip.noisy)
    np.testing.assert_allclose(off.abs(), 1, atol=1e-3)
    assert len({tuple(off.sign()[0].tolist()), tuple((level(heard("gains", 3)) - level(clip.noisy)).sign()[0])}) == 2


def test_clean_speech_is_the_target_at_the_reference(clip: Clip, heard) -> None:
    clean = heard("clean")
    np.testing.assert_allclose(clean[0, 0], render(clip.scenes)[1][0], atol=1e-5)
    assert clean[0, 1:].abs().amax() > 0.01


def test_quiet_is_each_microphones_own_noise(heard) -> None:
    quiet = heard("quiet")
    np.testing.assert_allclose(level(quiet), -70, atol=0.3)
    assert abs(np.corrcoef(quiet[0])[0, 1]) < 0.05


def test_silence_is_zero(heard) -> None:
    assert not heard("silence").any()
