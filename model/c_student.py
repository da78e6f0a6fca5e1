"""The C student run from Python: compiled as a library and called through ctypes, for its proof and its timing."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from model.c_source import c_state_bytes, compile_c
from model.ftjnf import Size
from model.stft import BINS, HOP

Frames = NDArray[np.float32]
_FLOATS = ctypes.POINTER(ctypes.c_float)


class CStudent:
    """A compiled `student.c` with one state.

    Args:
        folder: where `student.c` and `student.h` lie.
        size: of the student.
        flags: of the compiler, beside `-std=c99`.

    Raises:
        InputError: no compiler, it refuses the source, or the library may not be loaded.
    """

    def __init__(self, folder: Path, size: Size, flags: Sequence[str] = ("-O3",)) -> None:
        self.size = size
        with tempfile.TemporaryDirectory() as place:
            library = Path(place) / "student.so"
            compile_c([folder / "student.c"], library, [*flags, "-shared", "-fPIC"])
            try:
                self._library: Any = ctypes.CDLL(str(library))  # stays loaded when the file is gone
            except OSError as error:
                raise InputError(
                    f"the compiled student cannot be loaded ({error}); set TMPDIR to a folder that may hold programs"
                ) from None
        self._state = np.zeros(c_state_bytes(size) // 4, np.float32)
        self.reset()

    def reset(self) -> None:
        """The beginning of another signal."""
        self._library.student_init(_pointer(self._state))

    @property
    def state(self) -> tuple[Frames, Frames]:
        """The T-LSTM's h and c, each (1, K, T)."""
        padded = -(-self.size.t_hidden // 8) * 8
        count = (BINS + 3) * padded
        parts = (self._state[i * count : (i + 1) * count].reshape(-1, padded) for i in range(2))
        h, c = (part[None, :BINS, : self.size.t_hidden].copy() for part in parts)
        return h, c

    def frame(self, noisy: Frames) -> Frames:
        """One STFT frame: (M, K, 2) in, (K, 2) out."""
        noisy, enhanced = np.ascontiguousarray(noisy, np.float32), np.empty((BINS, 2), np.float32)
        if noisy.shape != (self.size.microphones, BINS, 2):
            raise ValueError(f"expected {(self.size.microphones, BINS, 2)}, got {noisy.shape}")
        self._library.student_frame(_pointer(self._state), _pointer(noisy), _pointer(enhanced))
        return enhanced

    def hop(self, samples: Frames) -> Frames:
        """One hop: (256, M) samples in, the enhanced hop before it (256,) out."""
        samples, enhanced = np.ascontiguousarray(samples, np.float32), np.empty(HOP, np.float32)
        if samples.shape != (HOP, self.size.microphones):
            raise ValueError(f"expected {(HOP, self.size.microphones)}, got {samples.shape}")
        self._library.student_hop(_pointer(self._state), _pointer(samples), _pointer(enhanced))
        return enhanced


def _pointer(array: Frames) -> Any:
    return array.ctypes.data_as(_FLOATS)
