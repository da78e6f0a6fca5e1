"""A student on a recording: `python -m model.enhance STUDENT IN.wav OUT.wav`.

The recording may be of any length and rate. It is read, resampled to 16 kHz, enhanced and written in blocks, so the
memory does not grow with it. The output has one channel, and the rate and length of the input; what a student gives
ends at 8 kHz.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import signal
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from data import RATE
from data.errors import InputError, Interrupted, run_command
from data.files import check_target
from data.flags import CommandParser
from data.units import duration
from model.engine import Kind
from model.stft import HOP
from model.stream import Stream, check_finite

Floats = NDArray[np.float32]
FORMATS = {".wav": "WAV", ".flac": "FLAC"}
"""What is written, by the name of the file."""
LARGEST_WAV = 4_000_000_000
"""Bytes; a longer file becomes RF64, WAV's form without the limit of 4 GB."""
BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4}
"""Sample formats that are kept, and their size."""


@dataclass(frozen=True)
class _Form:
    """libsndfile's names of a file format and of its sample format."""

    kind: str
    subtype: str


@dataclass(frozen=True)
class Enhanced:
    """What became of a recording.

    Args:
        samples: length of input and output.
        rate: of both, in Hz.
        clipped: output samples beyond full scale, which the file's sample format cannot hold.
        frame_seconds: what each frame of 16 ms took, transforms included; empty unless it was asked for.
        wall_seconds: what all of it took, with reading, resampling and writing.
    """

    samples: int
    rate: int
    clipped: int
    frame_seconds: Sequence[float]
    wall_seconds: float

    def realtime(self) -> dict[str, float]:
        """Real-time factors and frame times in ms, of a recording with `frame_seconds`."""
        times = np.asarray(self.frame_seconds)
        p50, p99 = np.percentile(1000 * times, [50, 99])
        return {
            "real_time_factor": float(times.sum() * RATE / (HOP * len(times))),
            "with_files": self.wall_seconds * self.rate / self.samples,
            "frame_ms_p50": float(p50),
            "frame_ms_p99": float(p99),
            "frame_ms_worst": float(1000 * times.max()),
            "frames": len(times),
        }


def enhance_file(
    stream: Stream,
    source: Path,
    target: Path,
    *,
    force: bool = False,
    timed: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Enhanced:
    """Enhances a recording into another file, which is there at the end or not at all.

    Args:
        stream: with a student; reset before and after.
        source: audio of M channels, the reference microphone first.
        target: a .wav or .flac file. The sample format of the source is kept where it is 16, 24 or 32 bit or float.
        force: whether a file that is there may be replaced.
        timed: whether to measure `Enhanced.frame_seconds`.
        progress: called with the share that is done.

    Raises:
        InputError: the source is missing, unreadable, empty, of another channel count or not finite; the target is
            there already or cannot be written.
    """
    started = time.perf_counter()
    source, target = Path(source), Path(target)
    check_out(target, force)
    with _opened(source) as recording:
        if recording.channels != stream.microphones:
            raise InputError(
                f"{source} has {recording.channels} channel{'s' * (recording.channels != 1)} but the student wants "
                f"{stream.microphones}, one a microphone, the reference first; give a recording of its array"
            )
        form = _form(recording, target)
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
        try:
            samples, clipped, times = _enhance(stream, recording, source, partial, form, timed, progress)
            partial.replace(target)
        finally:
            stream.reset()
            partial.unlink(missing_ok=True)
        return Enhanced(samples, recording.samplerate, clipped, times, time.perf_counter() - started)


def check_out(target: Path, force: bool) -> None:
    """Tells before the work whether an output may be written.

    Raises:
        InputError: it is a folder, there already, or of a name that no format goes with.
    """
    check_target("the output", target)
    if target.suffix.lower() not in FORMATS:
        raise InputError(f"the output {target} is neither a .wav nor a .flac file; give it such a name")
    if target.exists() and not force:
        raise InputError(f"the output {target} is there already; --force replaces it")
    if not target.parent.is_dir():
        raise InputError(f"the folder of the output {target} does not exist; make it, or choose another")


def _enhance(
    stream: Stream,
    recording: soundfile.SoundFile,
    source: Path,
    partial: Path,
    form: _Form,
    timed: bool,
    progress: Callable[[float], None] | None,
) -> tuple[int, int, Sequence[float]]:
    """Writes the enhanced recording; returns its length, how many samples were clipped, and the frames' times."""
    rate, length = recording.samplerate, recording.frames
    down, up = _resampler(rate, RATE, recording.channels), _resampler(RATE, rate, 1)
    heard = written = clipped = 0
    times = array("d")
    stream.reset()

    def enhanced(block: Floats) -> Floats:
        """(n, M) samples at 16 kHz in, (n_out, 1) out: hop by hop, as a device does it."""
        parts = [np.zeros(0, np.float32)]
        for first in range(0, len(block), HOP):
            parts.append(_clocked(stream, block[first : first + HOP].T, times if timed else None))
        return np.concatenate(parts)[:, None]

    with _writing(partial, rate, form) as out:

        def write(block: Floats) -> None:
            nonlocal written, clipped
            kept = block[: heard - written]  # resampled twice, the signal may be a sample longer
            clipped += 0 if form.subtype == "FLOAT" else int((np.abs(kept) > 1).sum())
            out.write(kept)
            written += len(kept)

        for block in _blocks(recording, source):
            check_finite(block.T, heard, str(source))
            heard += len(block)
            write(up(enhanced(down(block, False)), False))
            if progress is not None:
                progress(min(1.0, heard / max(1, length)))
        last = enhanced(down(np.zeros((0, recording.channels), np.float32), True))
        write(up(np.concatenate((last, stream.flush()[:, None])), True))
        write(np.zeros((heard - written, 1), np.float32))  # or a sample shorter
    if heard == 0:
        raise InputError(f"{source} is empty; give a recording with samples in it")
    # libsndfile does not say when the last bytes find no room
    if not (partial.is_file() and _length(partial) == heard):
        raise InputError(f"{partial.parent} has no room for the output; make some, or choose another place")
    return heard, clipped, times


def _clocked(stream: Stream, hop: Floats, times: array[float] | None) -> Floats:
    """What a stream gives for up to a hop; if it computed a frame, its time is added."""
    before, started = stream.frames, time.perf_counter()
    out = stream.feed(hop)
    if times is not None and stream.frames > before:
        times.append(time.perf_counter() - started)
    return out


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[soundfile.SoundFile]:
    if source.is_dir():
        raise InputError(f"{source} is a folder; give an audio file")
    if not source.exists():
        raise InputError(f"{source} does not exist; give an audio file")
    try:
        recording = soundfile.SoundFile(source)
    except (soundfile.LibsndfileError, ValueError, TypeError) as error:  # the latter two for names such as .raw
        raise InputError(f"{source} cannot be read as audio ({error}); give a wav or flac file") from None
    with recording:
        yield recording


def _blocks(recording: soundfile.SoundFile, source: Path) -> Iterator[Floats]:
    """(n, M) samples, about a second each; what the header says of the length does not count."""
    size = max(recording.samplerate, HOP)
    while True:
        try:
            block = recording.read(size, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise InputError(f"{source} is damaged ({error}); restore it from a copy") from None
        if len(block) == 0:
            return
        yield block


@contextlib.contextmanager
def _writing(partial: Path, rate: int, form: _Form) -> Iterator[soundfile.SoundFile]:
    try:
        with soundfile.SoundFile(partial, "w", rate, 1, form.subtype, format=form.kind) as out:
            yield out
    except soundfile.LibsndfileError as error:
        raise InputError(f"the output cannot be written in {partial.parent} ({error}); choose another place") from None


def _length(path: Path) -> int:
    try:
        return int(soundfile.info(path).frames)
    except soundfile.LibsndfileError:
        return -1


def _form(recording: soundfile.SoundFile, target: Path) -> _Form:
    """The format that the output's name says, with the sample format of the input or what comes nearest to it."""
    kind, given = FORMATS[target.suffix.lower()], recording.subtype
    subtype = given if given in BYTES else "FLOAT" if given == "DOUBLE" else "PCM_16"
    if not soundfile.check_format(kind, subtype):
        subtype = "PCM_24"  # FLAC knows no more
    if kind == "WAV" and recording.frames * BYTES[subtype] > LARGEST_WAV:
        kind = "RF64"
    return _Form(kind, subtype)


def _resampler(from_rate: int, to_rate: int, channels: int) -> Callable[[Floats, bool], Floats]:
    """Takes (n, channels) and whether they are the last ones; gives what is complete, aligned with the input."""
    if from_rate == to_rate:
        return lambda block, last: block
    resampling = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="HQ")
    return lambda block, last: resampling.resample_chunk(np.ascontiguousarray(block), last=last)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Lets SIGTERM raise `Interrupted`, so that the unfinished output is removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def read_flags(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's flags."""
    parser = CommandParser(prog="python -m model.enhance", description="Enhances a recording with an exported student.")
    parser.add_argument("student", type=Path, help="a folder that `python analysis/choose.py` wrote")
    parser.add_argument("source", type=Path, metavar="IN", help="a recording, one channel a microphone")
    parser.add_argument("target", type=Path, metavar="OUT", help="a .wav or .flac file")
    parser.add_argument("--engine", choices=get_args(Kind), help="default: onnx if the folder has student.onnx")
    parser.add_argument("--realtime", action="store_true", help="report the real-time factor and the frames' times")
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = read_flags(argv)
    check_out(flags.target, flags.force)
    torch.set_num_threads(1)  # a frame is too small to be shared
    stream = Stream.load(flags.student, flags.engine)
    with _stoppable(), _progress(flags.source.name) as progress:
        done = enhance_file(
            stream, flags.source, flags.target, force=flags.force, timed=flags.realtime, progress=progress
        )
    print(f"{flags.target}: {duration(done.samples / done.rate)} at {done.rate} Hz")
    if done.clipped:
        print(f"{done.clipped} samples were beyond full scale and are clipped; a float file would hold them")
    if flags.realtime and not done.frame_seconds:
        print("the recording is shorter than a frame: no times")
    elif flags.realtime:
        print(_told(done.realtime()))


def _told(times: dict[str, Any]) -> str:
    return (
        f"real-time factor {times['real_time_factor']:.4f}, {times['with_files']:.4f} with files and resampling\n"
        f"a frame of {1000 * HOP // RATE} ms takes {times['frame_ms_p50']:.3f} ms (median), "
        f"{times['frame_ms_p99']:.3f} ms (99 %), {times['frame_ms_worst']:.3f} ms (worst of {times['frames']})"
    )


if __name__ == "__main__":
    run_command(main)
