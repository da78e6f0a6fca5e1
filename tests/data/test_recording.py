"""Files read and written in blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import data.recording
from data.errors import InputError
from data.recording import Recording, check_output, resampler, writing


def noise(samples: int, channels: int = 1) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((samples, channels), dtype=np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 8000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype)
    return path


def test_blocks_are_the_file(tmp_path: Path) -> None:
    sound = noise(8000, 3)
    with Recording(write(tmp_path / "in.wav", sound, subtype="FLOAT")) as recording:
        assert (recording.rate, recording.channels, recording.frames, recording.subtype) == (8000, 3, 8000, "FLOAT")
        blocks = list(recording.blocks(0.3))
    assert [len(block) for block in blocks] == [2400, 2400, 2400, 800]
    assert np.array_equal(np.concatenate(blocks), sound)


def test_what_is_no_audio_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "empty.flac").touch()
    (tmp_path / "samples.raw").write_bytes(b"0" * 100)
    for name, reason in (
        (".", "is a folder"), ("none.wav", "does not exist"), ("text.wav", "cannot be read as audio"),
        ("empty.flac", "cannot be read as audio"), ("samples.raw", "cannot be read as audio"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=reason):
            Recording(tmp_path / name)


def test_a_damaged_file_is_an_input_error(tmp_path: Path) -> None:
    content = bytearray(write(tmp_path / "in.flac", noise(40_000)).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
    (tmp_path / "in.flac").write_bytes(content)
    with Recording(tmp_path / "in.flac") as recording, pytest.raises(InputError, match=r"in\.flac is damaged"):
        for _ in recording.blocks():
            pass


@pytest.mark.parametrize(
    ("given", "name", "wanted"),
    [
        ("PCM_16", "out.wav", "PCM_16"), ("PCM_24", "out.wav", "PCM_24"), ("FLOAT", "out.WAV", "FLOAT"),
        ("DOUBLE", "out.wav", "FLOAT"), ("PCM_U8", "out.wav", "PCM_16"), ("PCM_24", "out.flac", "PCM_24"),
        ("FLOAT", "out.flac", "PCM_24"),
    ],
)  # fmt: skip
def test_the_sample_format_is_kept_where_it_can_be(given: str, name: str, wanted: str, tmp_path: Path) -> None:
    sound = noise(500)
    with Recording(write(tmp_path / "in.wav", sound, 44_100, given)) as like, writing(tmp_path / name, like) as output:
        output.write(sound[:300])
        output.write(sound[300:])
    about = soundfile.info(tmp_path / name)
    assert (about.samplerate, about.channels, about.frames, about.subtype) == (44_100, 1, 500, wanted)
    np.testing.assert_allclose(soundfile.read(tmp_path / name)[0], sound[:, 0], atol=1e-4)


def test_a_wav_beyond_its_limit_becomes_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data.recording, "LARGEST_WAV", 900)
    with Recording(write(tmp_path / "in.wav", noise(500))) as like, writing(tmp_path / "out.wav", like) as output:
        output.write(noise(500))
    assert soundfile.info(tmp_path / "out.wav").format == "RF64"
    assert soundfile.info(tmp_path / "out.wav").frames == 500


def test_samples_beyond_full_scale_are_counted_where_they_are_clipped(tmp_path: Path) -> None:
    sound = np.array([[0.5], [1.5], [-2.0], [1.0]], np.float32)
    for subtype, clipped in (("PCM_16", 2), ("FLOAT", 0)):
        with (
            Recording(write(tmp_path / "in.wav", noise(9), subtype=subtype)) as like,
            writing(tmp_path / "out.wav", like) as output,
        ):
            output.write(sound)
        assert output.clipped == clipped
        assert output.written == 4
        loudest = np.abs(soundfile.read(tmp_path / "out.wav")[0]).max()
        assert loudest <= 1 if clipped else loudest == 2


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_a_block_that_breaks_off_leaves_the_folder_as_it_was(stop: type[BaseException], tmp_path: Path) -> None:
    write(tmp_path / "in.wav", noise(500))
    (tmp_path / "out.wav").write_text("older")
    with (  # noqa: PT012 - the exception has to come from within
        Recording(tmp_path / "in.wav") as like,
        pytest.raises(stop),
        writing(tmp_path / "out.wav", like) as output,
    ):
        output.write(noise(300))
        raise stop
    assert {path.name for path in tmp_path.iterdir()} == {"in.wav", "out.wav"}
    assert (tmp_path / "out.wav").read_text() == "older"


def test_a_file_that_lost_its_end_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "in.wav", noise(500))
    kept = soundfile.SoundFile.write
    monkeypatch.setattr(soundfile.SoundFile, "write", lambda file, samples: kept(file, samples[:-1]))  # a full disk
    with (
        Recording(tmp_path / "in.wav") as like,
        pytest.raises(InputError, match="no room"),
        writing(tmp_path / "out.wav", like) as output,
    ):
        output.write(noise(300))
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_an_output_that_must_not_be_is_refused_beforehand(tmp_path: Path) -> None:
    (tmp_path / "there.wav").touch()
    for name, reason in (
        (".", "is a folder"), ("out.mp3", r"neither a \.wav nor a \.flac"), ("there.wav", "--force replaces it"),
        ("none/out.wav", "does not exist"), ("there.wav/out.wav", "is a file and no folder"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=reason):
            check_output(tmp_path / name)
    check_output(tmp_path / "there.wav", force=True)
    check_output(tmp_path / "out.flac")


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 16_000])
def test_resampled_samples_are_aligned_and_do_not_depend_on_the_cuts(rate: int) -> None:
    time = np.arange(rate)[:, None] / rate
    tones = np.sin(2 * np.pi * np.array([300.0, 1000.0]) * time).astype(np.float32)

    def through(size: int) -> np.ndarray:
        change = resampler(rate, 16_000, 2)
        parts = [change(tones[i : i + size], False) for i in range(0, rate, size)]
        return np.concatenate([*parts, change(tones[:0], True)])

    whole = through(rate)
    assert np.array_equal(through(999), whole)
    assert abs(len(whole) - 16_000) <= 1
    expected = np.sin(2 * np.pi * np.array([300.0, 1000.0]) * np.arange(16_000)[:, None] / 16_000)
    middle = slice(1000, 15_000)
    np.testing.assert_allclose(whole[middle], expected[middle], atol=1e-3)
