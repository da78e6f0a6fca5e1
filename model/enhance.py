"""A student on a recording: `python -m model.enhance STUDENT IN.wav OUT.wav`.

The recording may be of any length and rate. It is read, resampled to 16 kHz, enhanced and written in blocks, so the
memory does not grow with it. The output has one channel, and the rate and length of the input; what a student gives
ends at 8 kHz.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from data import RATE
from data.errors import InputError, run_command, stoppable
from data.flags import CommandParser
from data.recording import Recording, check_output, resampler, writing
from data.units import duration
from model.engine import Kind
from model.stft import HOP
from model.stream import Stream, check_finite

Floats = NDArray[np.float32]


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
        target: a .wav or .flac file, see `data.recording.writing`.
        force: whether a file that is there may be replaced.
        timed: whether to measure `Enhanced.frame_seconds`.
        progress: called with the share that is done.

    Raises:
        InputError: the source is missing, unreadable, empty, of another channel count or not finite; the target is
            there already or cannot be written.
    """
    started = time.perf_counter()
    source, target = Path(source), Path(target)
    check_output(target, force)
    times = array("d")
    heard = 0
    stream.reset()
    try:
        with Recording(source) as recording:
            if recording.channels != stream.microphones:
                raise InputError(
                    f"{source} has {recording.channels} channel{'s' * (recording.channels != 1)} but the student wants "
                    f"{stream.microphones}, one a microphone, the reference first; give a recording of its array"
                )
            down = resampler(recording.rate, RATE, recording.channels)
            up = resampler(RATE, recording.rate, 1)
            with writing(target, recording) as output:
                for block in recording.blocks():
                    check_finite(block.T, heard, str(source))
                    heard += len(block)
                    enhanced = _by_hops(stream, down(block, False), times if timed else None)
                    output.write(up(enhanced, False)[: heard - output.written])
                    if progress is not None:
                        progress(min(1.0, heard / max(1, recording.frames)))
                if heard == 0:
                    raise InputError(f"{source} is empty; give a recording with samples in it")
                end = down(np.zeros((0, recording.channels), np.float32), True)
                enhanced = _by_hops(stream, end, times if timed else None)
                enhanced = up(np.concatenate((enhanced, stream.flush()[:, None])), True)
                output.write(enhanced[: heard - output.written])  # resampled twice, the signal may be a sample longer
                output.write(np.zeros((heard - output.written, 1), np.float32))  # or shorter
    finally:
        stream.reset()
    return Enhanced(heard, recording.rate, output.clipped, times, time.perf_counter() - started)


def _by_hops(stream: Stream, samples: Floats, times: array[float] | None) -> Floats:
    """(n, M) samples in, (n_out, 1) out, hop by hop as a device does it; the time of each frame is added to `times`."""
    parts = [np.zeros(0, np.float32)]
    for first in range(0, len(samples), HOP):
        before, started = stream.frames, time.perf_counter()
        parts.append(stream.feed(samples[first : first + HOP].T))
        if times is not None and stream.frames > before:
            times.append(time.perf_counter() - started)
    return np.concatenate(parts)[:, None]


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
    check_output(flags.target, flags.force)
    torch.set_num_threads(1)  # a frame is too small to be shared
    stream = Stream.load(flags.student, flags.engine)
    with stoppable(), _progress(flags.source.name) as progress:
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
