"""A student as C: `student.c` and `student.h`, plain C99 with the weights as arrays, for devices without a runtime."""

from __future__ import annotations

import functools
import hashlib
import math
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from string import Template

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data.errors import InputError
from data.files import write_atomic
from model.ftjnf import FTJNF, Size
from model.stft import FRAME, window

TEMPLATES = Path(__file__).parent / "packaged"
_WIDTH = 8
"""Units are padded to a multiple of it: the loops then have lengths that vector units like."""

Floats = NDArray[np.float32]


def write_c(net: FTJNF, folder: Path) -> None:
    """Writes `student.c` and `student.h` into a folder.

    Args:
        net: of any size, direction over frequency and number of microphones.
        folder: where to.
    """
    header, source = c_source(net)
    write_atomic(folder / "student.h", header)
    write_atomic(folder / "student.c", source)


def c_source(net: FTJNF) -> tuple[str, str]:
    """The texts of `student.h` and `student.c`; how they are used is said at the head of the first."""
    size = net.size
    f_units, t_units = _padded(size.f_hidden), _padded(size.t_hidden)
    directions = 2 if size.bi_freq else 1
    features = 2 * size.microphones
    below = [(d * size.f_hidden, d * f_units) for d in range(directions)]
    suffixes = ["", "_reverse"][:directions]
    # inputs of a cell: first column of the weights, first row here, how many
    f_inputs = [(0, 0, features)]
    t_inputs = [(start, row, size.f_hidden) for start, row in below]
    f_cells = [_cell(net.f_lstm, suffix, f_inputs, features, f_units, features + f_units) for suffix in suffixes]
    t_rows = directions * f_units + t_units
    t_weights, t_bias = _cell(net.t_lstm, "", t_inputs, directions * f_units, t_units, t_rows)
    linear = np.zeros((2, t_units), np.float32)
    linear[:, : size.t_hidden] = _numpy(net.linear.weight)
    turns = -2 * np.pi * np.arange(FRAME) / FRAME
    tables = [
        _table("window", window().numpy()),
        _table("circle_re", np.cos(turns)),
        _table("circle_im", np.sin(turns)),
        _table("f_input_weights", np.stack([weights[:features] for weights, _ in f_cells])),
        _table("f_weights", np.stack([weights[features:] for weights, _ in f_cells])),
        _table("f_bias", np.stack([bias for _, bias in f_cells])),
        _table("t_weights", t_weights.ravel()),
        _table("t_bias", t_bias),
        _table("linear_weights", linear),
        _table("linear_bias", _numpy(net.linear.bias)),
    ]
    weights = hashlib.sha256("".join(tables).encode()).hexdigest()[:8]
    words = {
        "size": str(size),
        "guard": f"STUDENT_{weights.upper()}_H",  # of each student its own, so that two headers may meet
        "microphones": size.microphones,
        "f_hidden": size.f_hidden,
        "t_hidden": size.t_hidden,
        "f_units": f_units,
        "t_units": t_units,
        "t_rows": t_rows,
        "directions": directions,
        "kilobytes": math.ceil(c_state_bytes(size) / 1000),
        "constant_kilobytes": math.ceil(c_constant_bytes(size) / 1000),
        "tables": "\n".join(tables),
        "backward_member": _BACKWARD_MEMBER if size.bi_freq else "",
        "backward_pass": _BACKWARD_PASS if size.bi_freq else "",
        "backward_copy": _BACKWARD_COPY if size.bi_freq else "",
    }
    header, source = (
        Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(words)
        for name in ("student.h.in", "student.c.in")
    )
    return header, source


def c_state_bytes(size: Size) -> int:
    """Bytes of `student_state`: the memory that a stream takes beside the constants and the stack."""
    f_units, t_units, bins = _padded(size.f_hidden), _padded(size.t_hidden), FRAME // 2 + 1
    t_rows = (2 if size.bi_freq else 1) * f_units + t_units
    remembered = 2 * (bins + 3) * t_units + (size.microphones + 1) * FRAME // 2
    working = 2 * (size.microphones + 1) * bins + 8 * size.microphones + 18 * f_units + 4 * (t_rows + 4 * t_units)
    return 4 * (remembered + working + 3 * FRAME + (bins * f_units if size.bi_freq else 0))


def c_constant_bytes(size: Size) -> int:
    """Bytes of the constants in `student.c`: padded weights, window and circle; the code itself comes on top."""
    f_units, t_units, directions = _padded(size.f_hidden), _padded(size.t_hidden), 2 if size.bi_freq else 1
    f_rows = 2 * size.microphones + f_units + 1  # of a direction; the last is the bias
    t_rows = directions * f_units + t_units + 1
    return 4 * (directions * f_rows * 4 * f_units + t_rows * 4 * t_units + 2 * t_units + 2 + 3 * FRAME)


def _padded(count: int) -> int:
    return -(-count // _WIDTH) * _WIDTH


def _numpy(tensor: Tensor) -> Floats:
    return tensor.detach().to("cpu", torch.float32).numpy()


def _cell(
    lstm: nn.LSTM, suffix: str, inputs: Sequence[tuple[int, int, int]], own: int, units: int, rows: int
) -> tuple[Floats, Floats]:
    """An LSTM's weights (rows, 4 * units) and bias (4 * units,) as the C program reads them.

    The gates stand as i, f, o, g; those of the first three are halved, so that one tanh serves all four.

    Args:
        lstm: the layer.
        suffix: of its parameters' names: the direction.
        inputs: first column of the input weights, first row here and number, for each stretch of inputs.
        own: first row of the recurrent weights.
        units: hidden units, padded.
        rows: of the result.
    """
    hidden = lstm.hidden_size
    w_ih, w_hh = _numpy(getattr(lstm, f"weight_ih_l0{suffix}")), _numpy(getattr(lstm, f"weight_hh_l0{suffix}"))
    both = _numpy(getattr(lstm, f"bias_ih_l0{suffix}") + getattr(lstm, f"bias_hh_l0{suffix}"))
    weights, bias = np.zeros((rows, 4, units), np.float32), np.zeros((4, units), np.float32)
    for gate, (theirs, scale) in enumerate(((0, 0.5), (1, 0.5), (3, 0.5), (2, 1.0))):
        of_gate = slice(theirs * hidden, (theirs + 1) * hidden)
        for column, row, count in inputs:
            weights[row : row + count, gate, :hidden] = scale * w_ih[of_gate, column : column + count].T
        weights[own : own + hidden, gate, :hidden] = scale * w_hh[of_gate].T
        bias[gate, :hidden] = scale * both[of_gate]
    return weights.reshape(rows, -1), bias.ravel()


def _table(name: str, values: NDArray[np.floating]) -> str:
    """An array as C; matrices of more than two axes have all but the first joined."""
    values = np.asarray(values, np.float32)
    values = values.reshape(len(values), -1) if values.ndim > 2 else values
    shape = "".join(f"[{length}]" for length in values.shape)
    rows = ["{" + _numbers(row) + "}" for row in values] if values.ndim == 2 else [_numbers(values)]
    return f"static const float {name}{shape} ALIGNED = {{\n" + ",\n".join(rows) + "\n};\n"


def _numbers(values: Floats) -> str:
    texts = [f"{np.format_float_scientific(value, trim='0')}f" if value else "0.0f" for value in values]
    return ",\n".join(", ".join(texts[start : start + 8]) for start in range(0, len(texts), 8))


_BACKWARD_MEMBER = """\
    /* The outputs of the F-LSTM's backward direction. */
    float backward[STUDENT_BINS][STUDENT_F_UNITS];
"""
_BACKWARD_PASS = """\
    f_begin(state);
    for (k = (BINS - 1) / 4 * 4; k >= 0; k -= 4) {
        f_features(state, 1, noisy, k);
        for (lane = 3; lane >= 0; lane--)
            if (k + lane < BINS) {
                f_step(state, 1, lane);
                memcpy(state->backward[k + lane], state->f_output, F_UNITS * sizeof(float));
            }
    }
"""
_BACKWARD_COPY = """\
            memcpy(inputs + F_UNITS, state->backward[k + lane], F_UNITS * sizeof(float));
"""


@functools.cache
def c_compiler() -> str | None:
    """The C compiler of this machine, or None."""
    return next((found for name in ("gcc", "cc", "clang") if (found := shutil.which(name))), None)


def compile_c(sources: Sequence[Path], out: Path, flags: Sequence[str] = ("-O3",)) -> None:
    """Compiles C sources to a program, or with `-shared -fPIC` among the flags to a library.

    Raises:
        InputError: no compiler, or it refuses the sources.
    """
    compiler = c_compiler()
    if compiler is None:
        raise InputError("no C compiler is here; install gcc")
    command = [compiler, "-std=c99", *flags, *map(str, sources), "-o", str(out), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError(f"{compiler} cannot be run ({error.strerror or error}); install gcc anew") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise InputError(f"{compiler} cannot compile {sources[0]} ({said}); install a compiler for C99")
