"""Scenes against physics that is derived here once more, on signals short enough to check every sample."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from data import RATE
from data.array import ARRAYS, FRONT, Array
from data.scene import Scene, SceneSource, crop, cut_at_direct_path, loop, render

SILENT_NOISE = 200.0
"""An SNR in dB at which nothing of the noise is left in float32."""
SILENT_SPEECH = -200.0
ANECHOIC = np.ones(1, dtype=np.float32)
SKEW = Array("skew", ((0.0, 0.0, 0.0), (0.05, 0.01, 0.02), (-0.11, 0.07, -0.03)))


def white(samples: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.1, size=samples).astype(np.float32)


def soft(samples: int, seed: int = 0) -> np.ndarray:
    """Noise that fades towards 8 kHz: what stands right there is delayed as one filter length or the other has it."""
    return np.convolve(white(samples, seed), [0.25, 0.5, 0.25], mode="same").astype(np.float32)


def words(seed: int = 0) -> np.ndarray:
    """32 frames of 512 samples: sound, as long a pause, sound at a tenth of the level (-20 dB, still speech)."""
    sound = white(32 * 512, seed)
    sound[8 * 512 : 16 * 512] = 0
    sound[16 * 512 :] *= 0.1
    return sound


def scene(array: Array = SKEW, talker: tuple[float, float] = (0.0, 0.0), noise_from: float = 180.0, **other) -> Scene:
    values = {
        "speech": white(),
        "noise": white(seed=1),
        "speech_rir": ANECHOIC,
        "noise_rir": ANECHOIC,
        "speech_delays": array.delays(*talker),
        "noise_delays": array.delays(noise_from, 0.0),
        "snr_db": SILENT_NOISE,
        "level_dbfs": -26.0,
        "clip": 0,
    }
    return Scene(**(values | other))


def heard(one: Scene) -> tuple[np.ndarray, np.ndarray]:
    mixture, clean = render([one])
    return mixture[0].double().numpy(), clean[0].double().numpy()


def expected_delay(microphone, reference, azimuth: float, elevation: float) -> float:
    """In samples at 16 kHz: path from a source at 5 m to the microphone less the path to the reference, at 343 m/s."""
    height = 5 * math.sin(math.radians(elevation))
    ground = 5 * math.cos(math.radians(elevation))
    source = (ground * math.cos(math.radians(azimuth)), ground * math.sin(math.radians(azimuth)), height)
    return (math.dist(source, microphone) - math.dist(source, reference)) / 343 * 16_000


def measured_delay(late: np.ndarray, early: np.ndarray) -> float:
    """In samples: slope of the cross-spectrum's phase, averaged over frames of 1024, up to 7 kHz."""
    frames = len(late) // 1024
    spectra = (np.fft.rfft(x[: frames * 1024].reshape(frames, 1024) * np.hanning(1024)) for x in (late, early))
    first, second = spectra
    cross = (first * second.conj()).sum(axis=0)[: round(1024 * 7000 / RATE)]
    omega = 2 * np.pi * np.arange(len(cross)) / 1024
    return float(-np.polyfit(omega, np.unwrap(np.angle(cross)), 1)[0])


def power(signal: np.ndarray) -> float:
    return float(np.mean(np.square(signal)))


# Geometry


@pytest.mark.parametrize("array", [*(Array.parse(name) for name in ARRAYS), SKEW], ids=lambda array: array.name)
@pytest.mark.parametrize("direction", [(0, 0), (-30, 10), (25, -10)])
def test_talker_reaches_every_microphone_within_a_tenth_of_a_sample(array, direction):
    mixture, _ = heard(scene(array, direction))
    for microphone, position in zip(mixture, array.positions, strict=True):
        expected = expected_delay(position, array.positions[0], *direction)
        assert measured_delay(microphone, mixture[0]) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("azimuth", range(0, 360, 45))
def test_noise_reaches_every_microphone_within_a_tenth_of_a_sample(azimuth):
    mixture, _ = heard(scene(SKEW, noise_from=azimuth, snr_db=SILENT_SPEECH))
    for microphone, position in zip(mixture, SKEW.positions, strict=True):
        expected = expected_delay(position, SKEW.positions[0], azimuth, 0)
        assert measured_delay(microphone, mixture[0]) == pytest.approx(expected, abs=0.1)


def test_front_microphone_hears_a_talker_in_front_first_and_the_back_one_last():
    centre, front, left, back, right = heard(scene(Array.parse("cross")))[0]
    assert measured_delay(front, centre) == pytest.approx(-0.03 / 343 * 16_000, abs=0.02)
    assert measured_delay(back, centre) == pytest.approx(+0.03 / 343 * 16_000, abs=0.02)
    assert measured_delay(left, right) == pytest.approx(0, abs=0.02)


def test_talker_to_the_left_reaches_the_left_microphone_first():
    _, _, left, _, right = heard(scene(Array.parse("cross"), (30, 0)))[0]
    assert measured_delay(left, right) == pytest.approx(-0.06 * math.sin(math.radians(30)) / 343 * 16_000, abs=0.02)


def test_all_microphones_hear_a_source_at_the_same_level():
    mixture, _ = heard(scene(SKEW, (20, 10)))
    inner = mixture[:, 100:-100]  # what a delay moves past the ends differs
    assert np.mean(inner**2, axis=1) == pytest.approx(power(inner[0]), rel=0.01)


# Target


def test_anechoic_noiseless_mixture_at_the_reference_is_the_target():
    mixture, clean = heard(scene(SKEW, (-30, 5)))
    correlation = np.correlate(mixture[0], clean[100:-100], mode="valid")
    assert np.argmax(correlation) == 100, "lag 0"
    assert mixture[0] @ clean / (clean @ clean) == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(mixture[0], clean, atol=1e-5)


def test_target_is_the_direct_path_in_time_level_and_sign():
    rir = np.zeros(1000, dtype=np.float32)
    rir[37], rir[337] = -0.02, 0.01  # the direct path is negative, an echo follows after 300 samples
    mixture, clean = heard(scene(speech_rir=cut_at_direct_path(rir)))
    np.testing.assert_allclose(mixture[0, :300], clean[:300], atol=1e-5)
    np.testing.assert_allclose(mixture[0, 300:] - clean[300:], -0.5 * clean[:-300], atol=1e-5)


@pytest.mark.parametrize("level", [-36.0, -21.5, -16.0])
def test_clean_speech_has_the_level_asked_for_where_it_is_active(level):
    _, clean = heard(scene(speech=words(), noise=white(32 * 512, 1), level_dbfs=level))
    active = np.concatenate([clean[: 8 * 512], clean[16 * 512 :]])
    assert 10 * math.log10(power(active)) == pytest.approx(level, abs=0.05)
    assert not clean[8 * 512 : 16 * 512].any()


def test_target_does_not_depend_on_the_noise():
    assert np.array_equal(heard(scene(snr_db=-5.0))[1], heard(scene(snr_db=15.0))[1])


# SNR


@pytest.mark.parametrize("snr", [-5.0, 0.0, 7.3, 15.0])
def test_snr_at_the_front_microphone_holds_where_speech_is_active(snr):
    rng = np.random.default_rng(4)
    rirs = [np.concatenate([[1], 0.3 * rng.normal(size=200) * np.exp(-np.arange(200) / 60)]) for _ in range(2)]
    noise = white(32 * 512, 1)
    noise[8 * 512 : 16 * 512] *= 10  # louder in the pause, which must not count
    one = scene(SKEW, (15, -5), speech=words(), noise=noise, speech_rir=rirs[0], noise_rir=rirs[1], snr_db=snr)
    mixture, _ = heard(one)
    speech, _ = heard(replace(one, snr_db=SILENT_NOISE))
    active = np.r_[0 : 8 * 512, 16 * 512 : 32 * 512]
    ratio = power(speech[FRONT, active]) / power((mixture - speech)[FRONT, active])
    assert 10 * math.log10(ratio) == pytest.approx(snr, abs=0.1)


def test_snr_is_that_of_the_front_microphone_and_not_of_the_reference():
    """A click reaches the front microphone while speech is active, the reference 2.3 samples later, in the pause."""
    noise = 1e-3 * soft(32 * 512, 1)
    noise[8 * 512 + 1] = 1.0
    one = scene(SKEW, noise_from=0.0, speech=words(), noise=noise, snr_db=5.0)
    mixture, _ = heard(one)
    speech, _ = heard(replace(one, snr_db=SILENT_NOISE))
    active = np.r_[0 : 8 * 512, 16 * 512 : 32 * 512]
    ratios = [10 * math.log10(power(s[active]) / power((m - s)[active])) for m, s in zip(mixture, speech, strict=True)]
    assert ratios[FRONT] == pytest.approx(5.0, abs=0.1)
    assert ratios[0] > 10


def test_noise_level_of_the_recording_does_not_matter():
    loud, quiet = (heard(scene(noise=gain * white(seed=1), snr_db=0.0))[0] for gain in (1.0, 1e-3))
    np.testing.assert_allclose(loud, quiet, atol=1e-4)


# Rendering of batches


def test_scene_sounds_the_same_alone_and_in_a_batch():
    rng = np.random.default_rng(2)
    scenes = [
        scene(SKEW, (5.0 * i, 0), speech=soft(6000, i), noise=soft(6000, 9 + i), snr_db=5.0 * i,
              speech_rir=np.r_[1, rng.normal(scale=0.1, size=500 * i)])
        for i in range(3)
    ]  # fmt: skip
    mixture, clean = render(scenes)
    assert mixture.shape == (3, 3, 6000)
    assert clean.shape == (3, 6000)
    assert mixture.dtype == clean.dtype == torch.float32
    for i, one in enumerate(scenes):
        alone, alone_clean = heard(one)
        np.testing.assert_allclose(mixture[i], alone, atol=1e-4)
        np.testing.assert_allclose(clean[i], alone_clean, atol=1e-6)


def test_nothing_of_the_end_comes_round_to_the_beginning():
    speech = np.zeros(4000, dtype=np.float32)
    speech[-600:] = soft(600)
    rir = np.r_[1, np.zeros(800), 0.9].astype(np.float32)
    mixture, _ = heard(scene(speech=speech, noise=white(4000, 1), speech_rir=rir))
    assert np.abs(mixture[:, :3000]).max() < 1e-3 * np.abs(mixture).max()


# Room impulse responses


def test_response_is_cut_at_its_direct_path_and_divided_by_it():
    rir = np.array([0, 0.001, -0.01, 0.02, 0.5, -0.25, 0.1], dtype=np.float32)
    np.testing.assert_allclose(cut_at_direct_path(rir), [1, -0.5, 0.2])


def test_negative_direct_path_becomes_one_and_turns_the_rest():
    np.testing.assert_allclose(cut_at_direct_path(np.array([0, -0.5, 0.25], dtype=np.float32)), [1, -0.5])


def test_reflection_stronger_than_the_direct_path_is_not_taken_for_it():
    rir = np.zeros(100, dtype=np.float32)
    rir[[10, 40]] = 0.6, 1.0
    cut = cut_at_direct_path(rir)
    assert len(cut) == 90
    assert cut[0] == 1
    assert cut[30] == pytest.approx(1 / 0.6)


def test_direct_path_spread_over_samples_is_cut_at_its_peak():
    np.testing.assert_allclose(cut_at_direct_path(np.array([0.1, 0.6, 1.0, 0.5], dtype=np.float32)), [1, 0.5])


# Pieces of sound


def test_crop_of_a_longer_signal_is_a_piece_of_it():
    signal = np.arange(100, dtype=np.float32)
    starts = set()
    for seed in range(50):
        piece = crop(signal, 98, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.diff(piece), np.ones(97))
        starts.add(int(piece[0]))
    assert starts == {0, 1, 2}


def test_crop_of_a_shorter_signal_sets_it_whole_among_zeros():
    places = set()
    for seed in range(50):
        piece = crop(np.array([1, 2, 3], dtype=np.float32), 5, np.random.default_rng(seed))
        assert piece.shape == (5,)
        np.testing.assert_array_equal(np.trim_zeros(piece), [1, 2, 3])
        places.add(int(np.argmax(piece == 1)))
    assert places == {0, 1, 2}


def test_loop_repeats_a_short_recording_without_a_gap():
    piece = loop(np.array([0, 1, 2], dtype=np.float32), 10, np.random.default_rng(1))
    assert piece.shape == (10,)
    np.testing.assert_array_equal(np.diff(piece) % 3, np.ones(9))
    assert loop(np.arange(20, dtype=np.float32), 10, np.random.default_rng(1)).shape == (10,)


# Drawing of scenes


def test_scenes_are_drawn_from_the_directions_levels_and_snrs_of_the_paper(tiny_source):
    source = tiny_source(array=SKEW)
    scenes = [source.draw(np.random.default_rng(seed), 0, 4000) for seed in range(300)]

    def allowed(azimuths, elevations):
        table = [
            [expected_delay(p, SKEW.positions[0], a, e) for p in SKEW.positions] for a in azimuths for e in elevations
        ]
        return np.array(table)

    talkers, noises = allowed(range(-30, 31, 5), range(-10, 11, 5)), allowed(range(0, 360, 45), [0])
    for delays, table in (([s.speech_delays for s in scenes], talkers), ([s.noise_delays for s in scenes], noises)):
        far = np.abs(np.array(delays)[:, None] - table).max(axis=2)
        assert far.min(axis=1).max() < 1e-6
        assert len(set(far.argmin(axis=1))) > 0.9 * len(table)
    for values, low, high in (([s.snr_db for s in scenes], -5, 15), ([s.level_dbfs for s in scenes], -36, -16)):
        assert low <= min(values) < low + 1
        assert high - 1 < max(values) <= high


def test_talker_and_noise_stand_in_one_room_and_get_different_responses_of_it(tiny_source):
    source = tiny_source()
    rooms = [{cut_at_direct_path(source.rirs.samples(i)).tobytes() for i in pair} for pair in ((0, 1), (2, 3))]
    drawn = [source.draw(np.random.default_rng(seed), 0, 4000) for seed in range(40)]
    pairs = [{one.speech_rir.tobytes(), one.noise_rir.tobytes()} for one in drawn]
    assert all(pair in rooms for pair in pairs)
    assert all(room in pairs for room in rooms)


def test_scene_follows_its_generator(tiny_source):
    mixtures = [render([tiny_source().draw(np.random.default_rng(seed), 1, 4000)])[0] for seed in (7, 7, 8)]
    assert torch.equal(mixtures[0], mixtures[1])
    assert not torch.equal(mixtures[0], mixtures[2])


def test_scene_without_a_crop_has_the_clips_own_length(tiny_source):
    one = tiny_source().draw(np.random.default_rng(0), 2, None, snr_db=10.0)
    assert len(one.speech) == len(one.noise) == len(tiny_source().speech.samples(2))
    assert one.snr_db == 10.0
    assert one.clip == 2


def with_sounds(tiny_source, speech, noise) -> SceneSource:
    class One:
        groups = ("g",)

        def __init__(self, signal):
            self.signal = signal

        def __len__(self):
            return 1

        def samples(self, index):
            return self.signal

    ordinary = tiny_source()
    return SceneSource(One(speech), One(noise), ordinary.rirs, ordinary.array)


def test_crop_of_speech_always_has_speech_in_it(tiny_source):
    speech = np.zeros(60 * RATE, dtype=np.float32)
    speech[30 * RATE : 31 * RATE] = white()
    source = with_sounds(tiny_source, speech, white())
    for seed in range(20):
        assert power(source.draw(np.random.default_rng(seed), 0, RATE).speech) > 1e-6


def bangs(every: int) -> np.ndarray:
    """20 s of digital silence with a bang every so many samples."""
    noise = np.zeros(20 * RATE, dtype=np.float32)
    noise[::every] = 0.5
    return noise


def test_noise_that_pauses_is_drawn_so_that_it_is_heard_while_speech_is_active(tiny_source):
    speech = np.zeros(RATE, dtype=np.float32)
    speech[: RATE // 2] = white(RATE // 2)
    source = with_sounds(tiny_source, speech, bangs(every=RATE))
    for seed in range(20):
        assert source.draw(np.random.default_rng(seed), 0).noise[: RATE // 2].any()


def test_noise_that_cannot_be_heard_while_speech_is_active_does_not_burst_out_elsewhere(tiny_source):
    speech = np.zeros(RATE, dtype=np.float32)
    speech[:600] = white(600)
    source = with_sounds(tiny_source, speech, bangs(every=5 * RATE))
    for seed in range(20):
        one = source.draw(np.random.default_rng(seed), 0, None, snr_db=0.0)
        mixture, clean = heard(replace(one, speech_rir=ANECHOIC, noise_rir=ANECHOIC))
        assert power(mixture[FRONT]) < 1500 * power(clean[:1024])


def test_scene_is_the_same_to_the_last_bit_whatever_the_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    speech, noise = (rng.normal(size=32_000).astype(np.float32) for _ in range(2))
    one = scene(talker=(3.0, 1.0), noise_from=77.0, speech=speech, noise=noise, snr_db=5.0)
    threads, heard_by = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            heard_by.append(render([one])[0])
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(heard_by[1], heard_by[0])
    assert torch.equal(heard_by[2], heard_by[0])
