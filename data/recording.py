"""Audio files of any length and rate, read, resampled and written in blocks: the memory does not grow with them."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from data.errors import InputError
from data.files import check_target

Floats = NDArray[np.float32]
FORMATS = {".wav": "WAV", ".flac": "FLAC"}
"""What is written, by the name of the file."""
BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4}
"""Sample formats that are kept, and their size."""
LARGEST_WAV = 4_000_000_000
"""Bytes; a longer file becomes RF64, WAV's form without the limit of 4 GB."""


class Recording:
    """An audio file to be read once from its beginning.

    Attributes:
        path: of the file.
        rate: in Hz.
        channels: how many.
        frames: samples of a channel as the header has them, which can lie.
        subtype: libsndfile's name of the sample format, such as "PCM_16".

    Raises:
        InputError: no audio file there.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise InputError(f"{path} is a folder; give an audio file")
        if not self.path.exists():
            raise InputError(f"{path} does not exist; give an audio file")
        try:
            self._file = soundfile.SoundFile(self.path)
        except (soundfile.LibsndfileError, ValueError, TypeError) as error:  # the last two for names such as x.raw
            raise InputError(f"{path} cannot be read as audio ({error}); give a wav or flac file") from None
        self.rate, self.channels = int(self._file.samplerate), int(self._file.channels)
        self.frames, self.subtype = int(self._file.frames), str(self._file.subtype)

    def blocks(self, seconds: float = 1.0) -> Iterator[Floats]:
        """(n, channels) samples, full scale 1, until there are no more.

        Raises:
            InputError: the file is damaged.
        """
        size = max(1000, round(seconds * self.rate))
        while True:
            try:
                block = self._file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise InputError(f"{self.path} is damaged ({error}); restore it from a copy") from None
            if len(block) == 0:
                return
            yield block

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Output:
    """A file of one channel that is being written.

    Attributes:
        written: samples so far.
        clipped: those of them beyond full scale, which the sample format cannot hold.
    """

    def __init__(self, file: soundfile.SoundFile) -> None:
        self._file = file
        self.written = self.clipped = 0

    def write(self, samples: Floats) -> None:
        """Adds (n, 1) samples, full scale 1."""
        if self._file.subtype != "FLOAT":
            self.clipped += int((np.abs(samples) > 1).sum())
        self._file.write(samples)
        self.written += len(samples)


def check_output(target: Path, force: bool = False) -> None:
    """Tells before the work whether an output may be written; makes nothing.

    Args:
        target: of the file.
        force: whether one that is there may be replaced.

    Raises:
        InputError: it is a folder, there already, in a folder that is not, or of a name that no format goes with.
    """
    check_target("the output", target)
    if target.suffix.lower() not in FORMATS:
        raise InputError(f"the output {target} is neither a .wav nor a .flac file; give it such a name")
    if target.exists() and not force:
        raise InputError(f"the output {target} is there already; --force replaces it")
    if not target.absolute().parent.is_dir():
        raise InputError(f"the folder of the output {target} does not exist; make it, or choose another")


@contextlib.contextmanager
def writing(target: Path, like: Recording) -> Iterator[Output]:
    """A file of one channel, which is at `target` if the block ends well, and leaves nothing if it does not.

    Args:
        target: a .wav or .flac file.
        like: whose rate it has, and whose sample format if that is 16, 24 or 32 bit or float; else what comes nearest.

    Raises:
        InputError: it cannot be written, or not to its end.
    """
    kind, subtype = FORMATS[target.suffix.lower()], like.subtype
    if subtype not in BYTES:
        subtype = "FLOAT" if subtype == "DOUBLE" else "PCM_16"
    if not soundfile.check_format(kind, subtype):
        subtype = "PCM_24"  # FLAC knows no more
    if kind == "WAV" and like.frames * BYTES[subtype] > LARGEST_WAV:
        kind = "RF64"
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with soundfile.SoundFile(partial, "w", like.rate, 1, subtype, format=kind) as file:
            output = Output(file)
            yield output
        # libsndfile does not say when the last bytes find no room
        if soundfile.info(partial).frames != output.written:
            raise InputError(f"there is no room for {target}; make some, or choose another place")
        partial.replace(target)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{target} cannot be written ({error}); make room, or choose another place") from None
    finally:
        partial.unlink(missing_ok=True)


def resampler(from_rate: int, to_rate: int, channels: int) -> Callable[[Floats, bool], Floats]:
    """A function that takes (n, channels) samples and whether they are the last, and gives those that are complete.

    Joined, they are aligned with the input, and do not depend on how it was cut.
    """
    if from_rate == to_rate:
        return lambda block, last: block
    stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="HQ")
    return lambda block, last: stream.resample_chunk(np.ascontiguousarray(block), last=last)
