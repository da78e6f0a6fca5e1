"""The command, on recordings of a second and with a network of a few units."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import model.enhance
from data.errors import InputError, Interrupted
from model.enhance import enhance_file, main
from model.stream import Stream


def recorded(path: Path, samples: int = 16_000, rate: int = 16_000, channels: int = 2, subtype: str = "FLOAT") -> Path:
    """Low noise, as a resampler leaves it as it is."""
    noise = np.random.default_rng(0).standard_normal((samples + 63, channels))
    smooth = np.apply_along_axis(lambda one: np.convolve(one, np.hanning(64) / 32, "valid"), 0, noise)
    soundfile.write(path, 0.3 * smooth[:samples], rate, subtype)
    return path


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_the_output_is_what_the_network_makes_of_the_whole(
    engine, student_folder: Path, network, tmp_path: Path
) -> None:
    source, target = recorded(tmp_path / "in.wav", 20_011), tmp_path / "out.wav"
    main([str(student_folder), str(source), str(target), "--engine", engine])
    noisy = torch.from_numpy(soundfile.read(source, dtype="float32")[0].T.copy())
    with torch.no_grad():
        expected = network().enhance(noisy[None])[0].numpy()
    out, rate = soundfile.read(target, dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(out, expected, atol=1e-4)
    assert np.abs(expected).max() > 1e-2


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000, 11_025])
@pytest.mark.parametrize("samples", [1, 257, 15_013])
def test_the_output_has_rate_and_length_of_the_input_and_is_aligned_with_it(
    rate: int, samples: int, through: Any, tmp_path: Path
) -> None:
    source, target = recorded(tmp_path / "in.flac", samples, rate, subtype="PCM_24"), tmp_path / "out.flac"
    done = enhance_file(Stream(through), source, target)
    assert (done.samples, done.rate, done.clipped) == (samples, rate, 0)
    heard, _ = soundfile.read(source)
    out, out_rate = soundfile.read(target)
    assert (out.shape, out_rate) == ((samples,), rate)
    if samples > 10_000:  # away from the ends, where a resampler has to guess
        middle = slice(1000, -1000)
        error = out[middle] - heard[middle, 0]
        assert np.sqrt(np.mean(error**2)) < 0.02 * np.sqrt(np.mean(heard[middle, 0] ** 2))


def test_a_stream_may_have_been_used_before(student_folder: Path, tmp_path: Path) -> None:
    source, stream = recorded(tmp_path / "in.wav", 3000), Stream.load(student_folder)
    enhance_file(stream, source, tmp_path / "a.wav")
    stream.feed(np.ones((2, 700), np.float32))
    enhance_file(stream, source, tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_every_frame_is_timed_where_that_is_asked_for(student_folder: Path, tmp_path: Path) -> None:
    source = recorded(tmp_path / "in.wav", 16_000)
    done = enhance_file(Stream.load(student_folder), source, tmp_path / "out.wav", timed=True)
    assert len(done.frame_seconds) == 62  # complete hops of 256 samples
    times = done.realtime()
    assert times["frames"] == 62
    assert 0 < times["frame_ms_p50"] <= times["frame_ms_p99"] <= times["frame_ms_worst"]
    assert times["real_time_factor"] == pytest.approx(sum(done.frame_seconds) / (62 * 0.016))
    assert times["with_files"] == pytest.approx(done.wall_seconds)
    untimed = enhance_file(Stream.load(student_folder), source, tmp_path / "out.wav", force=True)
    assert len(untimed.frame_seconds) == 0


def test_realtime_is_reported(student_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(student_folder), str(recorded(tmp_path / "in.wav")), str(tmp_path / "out.wav"), "--realtime"])
    told = capsys.readouterr().out
    assert "out.wav: 1 s at 16000 Hz" in told
    assert "real-time factor" in told
    assert "(worst of 62)" in told
    main([str(student_folder), str(recorded(tmp_path / "in.wav", 200)), str(tmp_path / "short.wav"), "--realtime"])
    assert "shorter than a frame" in capsys.readouterr().out


def test_clipped_samples_are_told(through: Any, tmp_path: Path) -> None:
    loud = np.full((3000, 2), 0.99)
    loud[1::2] = -0.99
    soundfile.write(tmp_path / "in.wav", loud, 16_000, "PCM_16")
    through.gain = 2
    done = enhance_file(Stream(through), tmp_path / "in.wav", tmp_path / "out.wav")
    assert done.clipped > 2000
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0]).max() <= 1


def test_progress_rises_to_one(student_folder: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    source = recorded(tmp_path / "in.wav", 40_000)
    enhance_file(Stream.load(student_folder), source, tmp_path / "out.wav", progress=shares.append)
    assert shares == pytest.approx([0.4, 0.8, 1.0])


def refused(student: Path, source: Path, target: Path, *flags: str) -> str:
    """The message; whatever was beside the output before is all that is there after."""
    before = sorted(target.parent.iterdir()) if target.parent.is_dir() else None
    with pytest.raises(InputError) as error:
        main([str(student), str(source), str(target), *flags])
    assert before is None or sorted(target.parent.iterdir()) == before
    return str(error.value)


def test_another_channel_count_is_refused(student_folder: Path, tmp_path: Path) -> None:
    five, one = recorded(tmp_path / "5.wav", 900, channels=5), recorded(tmp_path / "1.wav", 900, channels=1)
    assert "5.wav has 5 channels but the student wants 2," in refused(student_folder, five, tmp_path / "out.wav")
    assert "1.wav has 1 channel but the student wants 2," in refused(student_folder, one, tmp_path / "out.wav")


def test_an_empty_recording_is_refused(student_folder: Path, tmp_path: Path) -> None:
    assert "in.wav is empty" in refused(student_folder, recorded(tmp_path / "in.wav", 0), tmp_path / "out.wav")


def test_a_sample_that_is_not_finite_is_named_by_its_place_in_the_file(student_folder: Path, tmp_path: Path) -> None:
    sound = np.zeros((60_000, 2), np.float32)
    sound[51_234, 1] = np.nan
    soundfile.write(tmp_path / "in.wav", sound, 48_000, "FLOAT")
    message = refused(student_folder, tmp_path / "in.wav", tmp_path / "out.wav")
    assert message.startswith("sample 51234 of channel 1 in")
    assert "in.wav is nan" in message


def test_what_is_not_there_or_no_student_is_refused(student_folder: Path, tmp_path: Path) -> None:
    source, target = recorded(tmp_path / "in.wav", 900), tmp_path / "out.wav"
    assert "no student at" in refused(tmp_path / "none", source, target)
    assert "in the folder" in refused(tmp_path, source, target)
    assert "none.wav does not exist" in refused(student_folder, tmp_path / "none.wav", target)
    assert "is a folder" in refused(student_folder, tmp_path, target)


def test_an_output_that_is_there_is_replaced_only_by_force(student_folder: Path, tmp_path: Path) -> None:
    source, target = recorded(tmp_path / "in.wav", 900), tmp_path / "out.wav"
    target.write_text("mine")
    assert "--force replaces it" in refused(student_folder, source, target)
    assert target.read_text() == "mine"
    main([str(student_folder), str(source), str(target), "--force"])
    assert soundfile.info(target).frames == 900
    main([str(student_folder), str(source), str(source), "--force"])  # the input itself
    assert soundfile.info(source).channels == 1
    assert "is a folder" in refused(student_folder, target, tmp_path, "--force")


@pytest.mark.parametrize(("number", "stop"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Interrupted)])
def test_a_signal_leaves_no_half_written_output(
    number: signal.Signals,
    stop: type[BaseException],
    student_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, feed = recorded(tmp_path / "in.wav", 40_000), Stream.feed
    partial: list[Path] = []

    def interrupted(stream: Stream, samples: np.ndarray) -> np.ndarray:
        if stream.frames == 100:
            partial.extend(path for path in tmp_path.iterdir() if path != source)
            os.kill(os.getpid(), number)
        return feed(stream, samples)

    monkeypatch.setattr(model.enhance.Stream, "feed", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what a shell starts in the background ignores it
    with pytest.raises(stop):
        main([str(student_folder), str(source), str(tmp_path / "out.wav")])
    assert len(partial) == 1, "it was being written"
    assert list(tmp_path.iterdir()) == [source]
    signal.signal(signal.SIGINT, ignored)
    assert signal.getsignal(signal.SIGTERM) is before
