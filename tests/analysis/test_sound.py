from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from analysis.sound import LEVEL_DBFS, PEAK, data_uri, flac, loudest_db, matched, spectrogram
from data import RATE


def rms_db(sound: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))))


def tone(hertz: float, height: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (height * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def test_sounds_are_equally_loud_where_the_speech_is() -> None:
    clean = tone(500, 0.01)
    clean[8192:] = 0  # the speech ends, and what follows does not count
    noisy = tone(500, 0.003)
    noisy[8192:] = 0.01
    found, gains = matched({"clean": clean, "noisy": noisy}, clean)
    assert rms_db(found["clean"][:8192]) == pytest.approx(LEVEL_DBFS, abs=0.01)
    assert rms_db(found["noisy"][:8192]) == pytest.approx(LEVEL_DBFS, abs=0.01)
    assert gains["clean"] == pytest.approx(LEVEL_DBFS - rms_db(clean[:8192]), abs=0.01)


def test_a_peak_that_would_clip_makes_all_sounds_softer_alike() -> None:
    clean = tone(500, 0.1)
    peaky = np.zeros_like(clean)
    peaky[::4000] = 0.5
    found, _ = matched({"clean": clean, "peaky": peaky}, clean)
    assert np.abs(found["peaky"]).max() == pytest.approx(PEAK, abs=1e-4)
    assert rms_db(found["clean"]) == pytest.approx(rms_db(found["peaky"]), abs=0.01)
    assert rms_db(found["clean"]) < LEVEL_DBFS


def test_silence_stays_silence() -> None:
    silent = np.zeros(RATE, np.float32)
    found, gains = matched({"silent": silent, "clean": tone(500, 0.1)}, tone(500, 0.1))
    assert not found["silent"].any()
    assert gains["silent"] == 0.0
    found, _ = matched({"silent": silent}, silent)
    assert not found["silent"].any()


def test_flac_gives_the_samples_back() -> None:
    sound = tone(440, 0.4, 0.1)
    read, rate = soundfile.read(io.BytesIO(flac(sound)))
    assert rate == RATE
    np.testing.assert_allclose(read, sound, atol=1 / 32768)


def test_a_spectrogram_shows_a_tone_in_its_row_and_the_rest_dark() -> None:
    sound = tone(1000, 0.5)
    image = Image.open(io.BytesIO(spectrogram(sound, loudest_db(sound))))
    assert image.size == (64, 128)
    lightness = np.asarray(image.convert("L"), dtype=float)[:, 10:50].mean(axis=1)
    assert int(lightness.argmax()) == 127 - 1000 // 62.5  # 62.5 Hz a row, low frequencies below
    assert lightness.max() > 200
    assert lightness[:60].max() < 10  # 4 to 8 kHz


def test_softer_sounds_are_darker_on_one_scale() -> None:
    loud = tone(1000, 0.5)
    top = loudest_db(loud)
    loud_image, soft_image = (
        np.asarray(Image.open(io.BytesIO(spectrogram(sound, top))).convert("L"), dtype=int).max()
        for sound in (loud, 0.03 * loud)
    )
    assert soft_image < loud_image - 40


def test_a_data_uri_holds_the_file() -> None:
    head, _, body = data_uri(b"\x00\xff<", "audio/flac").partition(",")
    assert head == "data:audio/flac;base64"
    assert base64.b64decode(body) == b"\x00\xff<"
