"""What computes a student's frames: the network in torch, or its exported file in onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from data.errors import InputError
from model.ftjnf import FTJNF, REFERENCE, State
from model.stft import BINS
from model.weights import load_network

Floats = NDArray[np.float32]
Kind = Literal["torch", "onnx"]
FILES: dict[Kind, str] = {"onnx": "student.onnx", "torch": "student.safetensors"}
"""What each engine runs of a student's folder; the first one that is there is taken."""


class Engine(Protocol):
    """Enhances one STFT frame after the other.

    Attributes:
        microphones: M.
        state: the T-LSTM's (h, c) after the last frame, each (1, K, T); None before the first. What one engine of a
            student gives, another one of the same student takes.
    """

    microphones: int
    state: tuple[Floats, Floats] | None

    def frame(self, noisy: Floats) -> Floats:
        """(M, K, 2), real and imaginary part of each microphone's frame -> (K, 2), the enhanced frame."""
        ...

    def reset(self) -> None:
        """Forgets all frames."""
        ...


class TorchEngine:
    """A network in torch, where its weights are.

    Args:
        net: left in evaluation mode.
    """

    def __init__(self, net: FTJNF) -> None:
        self._net = net.eval()
        self._device = next(net.parameters()).device
        self._state: State | None = None
        self.microphones = net.size.microphones

    @torch.inference_mode()
    def frame(self, noisy: Floats) -> Floats:
        """See `Engine`."""
        spectrum = torch.view_as_complex(torch.from_numpy(noisy).to(self._device))[None, ..., None]  # (1, M, K, 1)
        activations = self._net(spectrum, self._state)
        self._state = activations.state
        enhanced = (activations.mask * spectrum[:, REFERENCE])[0, :, 0]  # eq. 3, (K,)
        return torch.view_as_real(enhanced).cpu().numpy()

    def reset(self) -> None:
        """See `Engine`."""
        self._state = None

    @property
    def state(self) -> tuple[Floats, Floats] | None:
        """See `Engine`."""
        if self._state is None:
            return None
        h, c = (part.detach().cpu().numpy().copy() for part in self._state)
        return h, c

    @state.setter
    def state(self, state: tuple[Floats, Floats] | None) -> None:
        if state is None:
            self._state = None
            return
        h, c = (torch.from_numpy(part.copy()).to(self._device) for part in state)
        self._state = h, c


class OnnxEngine:
    """A file that `model.export.export_onnx` wrote, in onnxruntime on one CPU thread.

    Args:
        path: of the file.

    Raises:
        InputError: missing, broken, no student, or with weights that are not finite.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime  # the torch engine does without it

        if not Path(path).is_file():
            raise InputError(f"no student at {path}; give a folder that `python analysis/choose.py` wrote")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a frame is too small to be shared
        options.log_severity_level = 3  # errors only
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no class in common but this one
            reason = (str(error) or repr(error)).splitlines()[0]
            raise InputError(f"{path} cannot be read as ONNX ({reason}); choose and export the student anew") from None
        shapes: dict[str, Any] = {node.name: tuple(node.shape) for node in self._session.get_inputs()}
        noisy, state = shapes.get("noisy", ()), shapes.get("h", ())
        expected = (
            len(noisy) == 4 and (noisy[0], *noisy[2:]) == (1, BINS, 2)
            and len(state) == 3 and state[:2] == (1, BINS) and shapes.get("c") == state
            and {node.name for node in self._session.get_outputs()} == {"enhanced", "h_out", "c_out"}
        )  # fmt: skip
        if not expected:
            raise InputError(f"{path} is no student of this project, its inputs are {shapes}; give an exported one")
        self.microphones = int(noisy[1])
        self._start: tuple[Floats, Floats] = np.zeros(state, np.float32), np.zeros(state, np.float32)
        self._h, self._c = self._start
        self.reset()
        if not np.isfinite(self.frame(np.ones(noisy[1:], np.float32))).all():
            raise InputError(f"{path} holds weights that are not finite; choose and export the student anew")
        self.reset()

    def frame(self, noisy: Floats) -> Floats:
        """See `Engine`."""
        inputs = {"noisy": noisy[None], "h": self._h, "c": self._c}
        enhanced, self._h, self._c = self._session.run(["enhanced", "h_out", "c_out"], inputs)
        self._begun = True
        return enhanced[0]

    def reset(self) -> None:
        """See `Engine`."""
        self._h, self._c = self._start
        self._begun = False  # whether there is a state

    @property
    def state(self) -> tuple[Floats, Floats] | None:
        """See `Engine`."""
        return (self._h.copy(), self._c.copy()) if self._begun else None

    @state.setter
    def state(self, state: tuple[Floats, Floats] | None) -> None:
        self.reset()
        if state is not None:
            self._h, self._c = state[0].copy(), state[1].copy()
            self._begun = True


def load_engine(student: Path, kind: Kind | None = None) -> Engine:
    """Opens a student.

    Args:
        student: the folder that `model.export.export_student` wrote, or one of the files in it, `*.onnx` or
            `*.safetensors`.
        kind: which file of a folder: "onnx" or "torch"; None for `student.onnx` if it is there.

    Raises:
        InputError: no student there, or one that cannot be used.
    """
    student = Path(student)
    if student.is_dir():
        kinds = [kind] if kind is not None else list(FILES)
        there = [one for one in kinds if (student / FILES[one]).is_file()]
        if not there:
            wanted = " nor ".join(FILES[one] for one in kinds)
            raise InputError(
                f"no {wanted} in the folder {student}; give a folder that `python analysis/choose.py` wrote"
            )
        return load_engine(student / FILES[there[0]])
    of_file: Kind = "onnx" if student.suffix == ".onnx" else "torch"
    if student.is_file() and kind not in (None, of_file):
        raise InputError(f"{student} is no file for the engine {kind}; give the student's folder, or another engine")
    if not student.is_file():
        raise InputError(f"no student at {student}; give a folder that `python analysis/choose.py` wrote")
    return OnnxEngine(student) if of_file == "onnx" else TorchEngine(load_network(student)[0])
