"""What a network costs, in closed form, and the budget it has to stay within.

Two units are in use, and they are not the same thing:

- the *paper's axis*, `GMAC`: the column "MACs [10^9]" of Table 1. It is what the `thop` counter gives for 257 x 96 =
  24 672 time-frequency cells (96 frames, 1.536 s), additions of biases and products of gates included. A budget of
  `1.0GMAC` means this axis;
- the *true cost*, `GMAC/s` or `MMAC/frame`: multiply-accumulates of the matrix products alone, for 62.5 frames of 257
  cells a second.

`python -m model.macs` prints Table 1, printed and computed side by side.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from data import RATE
from data.errors import InputError, run_command
from model.ftjnf import TABLE_1, Size
from model.stft import BINS, FRAME, HOP

FRAMES_PER_SECOND = RATE / HOP
"""62.5 frames of 16 ms."""
PAPER_CELLS = BINS * 96
"""Time-frequency cells over which Table 1 counts: found by fitting the nine rows, all of which it then gives."""


def _directions(size: Size) -> int:
    return 2 if size.bi_freq else 1


def cell_macs(size: Size) -> int:
    """True multiply-accumulates of one time-frequency cell: the matrix products of both LSTMs and the linear layer."""
    f, t, d = size.f_hidden, size.t_hidden, _directions(size)
    return d * 4 * f * (2 * size.microphones + f) + 4 * t * (d * f + t) + 2 * t


def parameters(size: Size) -> int:
    """Trainable parameters; as in PyTorch each LSTM and direction has two bias vectors of 4 hidden sizes."""
    f, t, d = size.f_hidden, size.t_hidden, _directions(size)
    return cell_macs(size) + d * 8 * f + 8 * t + 2


def fp32_bytes(size: Size) -> int:
    """Bytes of the weights in 32-bit floats."""
    return 4 * parameters(size)


def gmac_per_s(size: Size) -> float:
    """True cost of a second of signal in 10^9 multiply-accumulates."""
    return cell_macs(size) * BINS * FRAMES_PER_SECOND / 1e9


def mmac_per_frame(size: Size) -> float:
    """True cost of one frame of 16 ms in 10^6 multiply-accumulates."""
    return cell_macs(size) * BINS / 1e6


def paper_gmac(size: Size) -> float:
    """Cost on the paper's axis (Table 1, "MACs [10^9]").

    The counter's rule for an LSTM with I inputs and H hidden units is 4H(I+H) for the products, 12H for adding the two
    biases and the two products of each gate, and 4H for the new cell and output state; the two directions of a
    bi-directional layer count as two LSTMs. The paper has only uni-directional networks with five microphones: for all
    others this is the same rule applied to another network, not a number from the paper.
    """
    f, t, d = size.f_hidden, size.t_hidden, _directions(size)
    return (cell_macs(size) + d * 16 * f + 16 * t) * PAPER_CELLS / 1e9


def torchinfo_bytes(size: Size) -> int:
    """The "Estimated Total Size" of torchinfo for a (1, M, 1024) input, which is what Table 1 calls "Size [MB]".

    It adds the input, the outputs of the layers with parameters (twice, for the gradients) and the parameters. 1024
    samples are three frames if nothing is padded. It is no file size: see `fp32_bytes` for that.
    """
    cells = BINS * ((1024 - FRAME) // HOP + 1)
    outputs = _directions(size) * size.f_hidden + size.t_hidden + 2
    return 4 * (size.microphones * 1024 + 2 * cells * outputs + parameters(size))


Unit = Literal["GMAC", "GMAC/s", "MMAC/frame"]

COSTS: dict[Unit, Callable[[Size], float]] = {"GMAC": paper_gmac, "GMAC/s": gmac_per_s, "MMAC/frame": mmac_per_frame}
"""The cost of a size in each unit."""

_EXAMPLES = "write for example 1.0GMAC (the paper's axis), 0.63GMAC/s or 10MMAC/frame"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)"


@dataclass(frozen=True)
class Budget:
    """The largest cost that a student may have.

    Args:
        limit: the cost, in `unit`.
        unit: `GMAC` is the paper's axis, the others are the true cost.
    """

    limit: float
    unit: Unit = "GMAC"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.limit) and self.limit > 0):
            raise InputError(f"budget must be a finite number above zero but is {self.limit:g}; {_EXAMPLES}")

    def __str__(self) -> str:
        return f"{float(self.limit)!r}{self.unit}"

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads `1.0GMAC` or `850MMAC` (the paper's axis), `0.65GMAC/s`, `650MMAC/s` or `10.4MMAC/frame` (true cost).

        Case and spaces between number and unit do not matter.

        Raises:
            InputError: no number, not above zero, not finite, or a unit that is none of these. A number without unit,
                or with a mere `G` or `M`, could mean three different budgets: the message shows what each would be.
        """
        match = re.fullmatch(rf"\s*({_NUMBER})\s*(.*?)\s*", text, re.IGNORECASE)
        if match is None:
            what = f"budget {text!r} does not start with a number" if text.strip() else "the budget is empty"
            raise InputError(f"{what}; {_EXAMPLES}")
        number, unit = float(match[1]), re.sub(r"\s", "", match[2]).lower()
        if not (math.isfinite(number) and number > 0):
            raise InputError(f"budget {text!r} is not a finite number above zero; {_EXAMPLES}")
        if unit in ("", "g", "m"):
            raise InputError(_three_readings(text, number, unit.upper() or "G"))
        known = re.fullmatch(r"([gm])mac(|/s|/frame)", unit)
        if known is None:
            raise InputError(
                f"budget {text!r} has the unit {match[2]!r}, which is none of GMAC, MMAC, GMAC/s, MMAC/s, GMAC/frame "
                f"and MMAC/frame; {_EXAMPLES}"
            )
        if known[2] == "/frame":
            return cls(number * 1000 if known[1] == "g" else number, "MMAC/frame")
        return cls(number / 1000 if known[1] == "m" else number, "GMAC/s" if known[2] else "GMAC")

    def allows(self, size: Size) -> bool:
        """Whether the size costs at most the limit, to the last digit: `1.1GMAC` excludes size E (1.1096)."""
        return COSTS[self.unit](size) <= self.limit

    def readings(self) -> dict[Unit, float]:
        """The limit in all three units.

        Only the one in the budget's own unit is exact. The ratio of the units depends on the size, because the paper's
        axis counts biases and gates too (0.61 GMAC/s for each GMAC at size I, 0.65 at A): the ratio taken is that of
        the size of Table 1 whose cost is nearest.
        """

        def distance(size: Size) -> float:
            return abs(math.log(COSTS[self.unit](size) / self.limit))

        nearest = min(TABLE_1.values(), key=distance)
        scale = self.limit / COSTS[self.unit](nearest)
        return {unit: self.limit if unit == self.unit else cost(nearest) * scale for unit, cost in COSTS.items()}

    def describe(self) -> str:
        """The budget in one line, in all units, with the rows of Table 1 that fit."""
        gmac, per_s, per_frame = self.readings().values()
        about = {unit: "" if unit == self.unit else "about " for unit in COSTS}
        rows = [name for name, size in TABLE_1.items() if self.allows(size)]
        return (
            f"budget {about['GMAC']}{_plain(gmac)} GMAC on the axis of the paper's Table 1; true cost "
            f"{about['GMAC/s']}{_plain(per_s)} GMAC/s = {about['MMAC/frame']}{_plain(per_frame)} MMAC/frame; "
            f"rows of Table 1 within it: {', '.join(rows) or 'none'}"
        )


def _plain(number: float) -> str:
    """Three significant digits, never in scientific notation for numbers a budget has; 1 is written 1.0."""
    text = f"{number:.3g}" if 1e-4 <= number < 1000 else f"{number:.6g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _three_readings(text: str, number: float, prefix: str) -> str:
    readings = []
    for unit in (f"{prefix}MAC", f"{prefix}MAC/s", "MMAC/frame"):
        gmac, per_s, _ = Budget.parse(f"{number!r}{unit}").readings().values()
        true_cost = f"about {_plain(gmac)} GMAC on that axis"
        meaning = true_cost if "/" in unit else f"the paper's axis, about {_plain(per_s)} GMAC/s"
        readings.append(f"{_plain(number)}{unit} ({meaning})")
    return f"budget {text!r} lacks a unit; write {readings[0]}, {readings[1]} or {readings[2]}"


PRINTED: dict[str, tuple[str, str, str]] = {
    "A": ("1400", "34.7", "9.64"),
    "B": ("364.9", "8.9", "3.49"),
    "C": ("92.7", "2.3", "1.44"),
    "D": ("56.4", "1.4", "1.1"),
    "E": ("44.4", "1.1", "0.95"),
    "F": ("33.9", "0.85", "0.65"),
    "G": ("24.9", "0.63", "0.64"),
    "H": ("17.4", "0.44", "0.55"),
    "I": ("13.4", "0.34", "0.48"),
}
"""Table 1 as printed, misprints included: 10^3 parameters, 10^9 MACs, size in MB, as text with its digits."""

_NOTES = """\
"printed" is the paper's Table 1, "computed" the closed forms; the true cost counts matrix products alone, for 62.5
frames of 257 bins a second. "MACs [10^9]" counts 24 672 time-frequency cells (96 frames, 1.54 s), biases and gates
included; it is not the MACs of a frame.
Row A is printed 512/256, but all its numbers are those of 512/128. Row B's 364.9 k parameters should read 357.0 k.
"size" is torchinfo's estimated total (input, activations with gradients, parameters) for 1024 samples, not a file. The
computed one is about 0.05 MB below the printed one in all rows but F and G, whose printed sizes do not follow the rest.
"""


def _table(sizes: dict[str, Size]) -> str:
    lines = [
        f"{'':4} {'':9} {'parameters [10^3]':>18} {'MACs [10^9]':>18} {'true cost':>19} {'size [MB]':>18} {'fp32':>10}",
        f"{'row':4} {'F/T':9} {'printed':>8}  {'computed':>8} {'printed':>8}  {'computed':>8} "
        f"{'MMAC/frame':>10} {'GMAC/s':>8} {'printed':>8}  {'computed':>8} {'bytes':>10}",
    ]
    for name, size in sizes.items():
        thousands, macs, megabytes = PRINTED.get(name, ("-", "-", "-"))
        lines.append(
            f"{name if name in PRINTED else '':4} {size!s:9} {thousands:>8}  {parameters(size) / 1e3:8.2f} "
            f"{macs:>8}  {paper_gmac(size):8.3f} {mmac_per_frame(size):10.2f} {gmac_per_s(size):8.3f} "
            f"{megabytes:>8}  {torchinfo_bytes(size) / 1e6:8.2f} {fp32_bytes(size):10}"
        )
    return "\n".join(lines)


def _record(name: str, size: Size) -> dict[str, Any]:
    return {
        "name": name,
        "f_hidden": size.f_hidden,
        "t_hidden": size.t_hidden,
        "parameters": parameters(size),
        "paper_gmac": paper_gmac(size),
        "gmac_per_s": gmac_per_s(size),
        "mmac_per_frame": mmac_per_frame(size),
    }


def _parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    from data.flags import CommandParser  # here, as it brings what reads audio, and costs alone do not need that

    parser = CommandParser(prog="python -m model.macs", description="Sizes and their cost, as in Table 1.")
    parser.add_argument("--sizes", help="F/T or rows of Table 1: 64/16,80/32bi,E (default: all of Table 1)")
    parser.add_argument("--microphones", type=int, default=5, help="M (default: the paper's 5)")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    return parser


def main() -> None:
    """The command line: `python -m model.macs [--sizes 64/16,E] [--microphones M] [--json]`."""
    options = _parser().parse_args()
    wanted = list(TABLE_1) if options.sizes is None else options.sizes.split(",")
    names = {size: name for name, size in TABLE_1.items()}
    sizes = {names.get(size, str(size)): size for size in (Size.parse(text, options.microphones) for text in wanted)}
    if options.json:
        print(json.dumps([_record(name, size) for name, size in sizes.items()], indent=2))
    else:
        print(_table(sizes), _NOTES, sep="\n\n", end="")


if __name__ == "__main__":
    run_command(main)
