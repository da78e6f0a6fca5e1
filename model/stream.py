"""A student on a stream of samples, in blocks of any size.

The network's frame is computed when its hop of 256 samples is there, always one frame at a time in the same shapes: how
the samples are cut into blocks changes no bit of the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data import RATE
from data.errors import InputError
from model.engine import Engine, Kind, TorchEngine, load_engine
from model.ftjnf import FTJNF
from model.stft import FRAME, HOP, LATENCY, window

Floats = NDArray[np.float32]
LARGEST = np.float32(1e30)
"""A larger sample counts as infinite: its spectrum could overflow, and the state would be lost. It is a NumPy scalar,
as a Python float would become infinite itself beside float16 samples."""


@dataclass(frozen=True)
class StreamState:
    """All that a stream knows of the samples before: a snapshot, to be given back to a stream of the same student.

    Args:
        engine: (h, c) of the T-LSTM; None before the first frame.
        recent: (M, 512) the samples of the last frame.
        pending: (M, n) samples that wait for their hop to be complete, n < 256.
        tail: (256,) the second half of the last enhanced frame.
        fed, given: how many samples have come in and gone out.
    """

    engine: tuple[Floats, Floats] | None
    recent: Floats
    pending: Floats
    tail: Floats
    fed: int
    given: int


class Stream:
    """Enhances microphone signals as they come.

    `feed` returns the samples that are complete, `flush` the rest. Joined, they are as long as what was fed, and the
    n-th sample out belongs to the n-th sample in. A sample comes out when at most `latency` samples have been fed from
    it on; the caller who plays the output gets what was fed 512 samples = 32 ms before.

    Args:
        student: a network, or an engine of one that nobody else uses.

    Attributes:
        rate: 16000, of samples a second in and out.
        latency: 512 samples, see `model.stft`.
        frames: how many frames have been computed since the last reset.
    """

    rate = RATE
    latency = LATENCY

    def __init__(self, student: Engine | FTJNF) -> None:
        self._engine: Engine = TorchEngine(student) if isinstance(student, FTJNF) else student
        self._window = window().numpy()
        self.reset()

    @classmethod
    def load(cls, student: Path, engine: Kind | None = None) -> Stream:
        """Opens an exported student's folder, or one file of it; arguments and errors as of `load_engine`."""
        return cls(load_engine(student, engine))

    @property
    def microphones(self) -> int:
        """M."""
        return self._engine.microphones

    def reset(self) -> None:
        """Forgets all samples: what is fed next is the beginning of another signal."""
        self._engine.reset()
        self._recent = np.zeros((self.microphones, FRAME), np.float32)
        self._pending = np.zeros((self.microphones, 0), np.float32)
        self._tail = np.zeros(HOP, np.float32)
        self._fed = self._given = self.frames = 0

    def feed(self, samples: ArrayLike) -> Floats:
        """Takes samples in and returns those that are complete.

        Args:
            samples: (M, n) floating-point samples at 16 kHz, full scale 1, the reference microphone first; n may be
                anything, 0 too.

        Returns:
            (n_out,) enhanced samples that follow those of the call before.

        Raises:
            InputError: another shape or type, or a sample that is not finite; the stream is as it was before the call.
        """
        block = self._checked(samples)
        self._fed += block.shape[1]
        return self._advance(block)

    def flush(self) -> Floats:
        """Ends the signal: returns what is left of it, and resets the stream."""
        left = self._fed - self._given
        rest = np.zeros(0, np.float32)
        if left:
            missing = -self._pending.shape[1] % HOP
            rest = self._advance(np.zeros((self.microphones, missing + HOP), np.float32))[:left]
        self.reset()
        return rest

    @property
    def state(self) -> StreamState:
        """A snapshot; assigned to a stream of the same student, on any engine, that one goes on from there."""
        return StreamState(
            self._engine.state, self._recent.copy(), self._pending.copy(), self._tail.copy(), self._fed, self._given
        )

    @state.setter
    def state(self, state: StreamState) -> None:
        self._engine.state = state.engine
        self._recent, self._pending, self._tail = state.recent.copy(), state.pending.copy(), state.tail.copy()
        self._fed, self._given = state.fed, state.given
        self.frames = state.fed // HOP

    def _checked(self, samples: ArrayLike) -> Floats:
        given = np.asarray(samples)
        if given.ndim != 2 or given.shape[0] != self.microphones:
            hint = "; transpose it" if given.ndim == 2 and given.shape[1] == self.microphones else ""
            raise InputError(
                f"the student wants samples of {self.microphones} microphones in the shape ({self.microphones}, n), "
                f"got {given.shape}{hint}"
            )
        if given.dtype.kind != "f":
            raise InputError(f"samples must be floating-point with full scale 1, got {given.dtype}; divide integers")
        check_finite(given, self._fed)
        return given.astype(np.float32, copy=False)

    def _advance(self, block: Floats) -> Floats:
        """Computes the frames whose hops are complete now."""
        waiting = np.concatenate((self._pending, block), axis=1)
        hops = waiting.shape[1] // HOP
        enhanced = [self._frame(waiting[:, i * HOP : (i + 1) * HOP]) for i in range(hops)]
        self._pending = waiting[:, hops * HOP :].copy()
        if hops and self.frames == hops:  # the first frame gives what is before the signal
            del enhanced[0]
        out = np.concatenate(enhanced) if enhanced else np.zeros(0, np.float32)
        self._given += len(out)
        return out

    def _frame(self, hop: Floats) -> Floats:
        """(M, 256) samples in, the (256,) enhanced samples of the hop before out."""
        self._recent = np.concatenate((self._recent[:, HOP:], hop), axis=1)
        spectrum = np.fft.rfft(self._recent * self._window)  # (M, K) complex64
        noisy = spectrum.view(np.float32).reshape(*spectrum.shape, 2)
        enhanced = np.ascontiguousarray(self._engine.frame(noisy)).view(np.complex64)[:, 0]
        frame = np.fft.irfft(enhanced, n=FRAME) * self._window
        out = self._tail + frame[:HOP]
        self._tail = frame[HOP:]
        self.frames += 1
        return out


def check_finite(samples: NDArray[np.floating], position: int, where: str = "the input") -> None:
    """Looks for samples that would spoil all that follows.

    Args:
        samples: (M, n).
        position: of the first of them in its signal.
        where: what the signal is called.

    Raises:
        InputError: one is NaN or infinite; the message names the first one.
    """
    bad = ~(np.abs(samples) <= LARGEST)  # a NaN is not either
    if bad.any():
        sample = int(np.argmax(bad.any(axis=0)))
        microphone = int(np.argmax(bad[:, sample]))
        raise InputError(
            f"sample {position + sample} of channel {microphone} in {where} is {samples[microphone, sample]}, "
            "where finite ones are wanted (both counted from 0); mend it or cut it out"
        )
