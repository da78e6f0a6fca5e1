"""What the figures show, apart from how it is drawn: points, reference lines, colours, words and ticks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

import numpy as np

from analysis.front import pareto_mask

Record = Mapping[str, Any]
"""One student, as in `front.json`; what a figure needs beyond it is named in that figure's docstring."""


@dataclass(frozen=True)
class Lines:
    """What stands beside the students, from the same clips, and which clips they are.

    Args:
        teacher: `pesq` of the teacher; None without one.
        unprocessed: `pesq` of the noisy reference microphone; None if it is not known yet.
        budget_gmac: where the budget ends on the paper's axis; None without one.
        budget_name: the budget as the user wrote it, where that is not on the paper's axis.
        data: which data, as it shall stand in the title: "demo corpus (synthetic)", or the user's own.
        split: which scores of the records are shown.
        teacher_name: for instance "teacher C (128/32)".
        teacher_by_snr, unprocessed_by_snr: median PESQ by SNR in dB ("-5", "0", ...).
        teacher_spread_by_snr, unprocessed_spread_by_snr: its quartiles over clips, [low, high] by SNR.
    """

    teacher: float | None
    unprocessed: float | None
    budget_gmac: float | None = None
    data: str = "demo corpus"
    split: Literal["validation", "test"] = "validation"
    teacher_name: str = "teacher"
    teacher_by_snr: Mapping[str, float] | None = None
    unprocessed_by_snr: Mapping[str, float] | None = None
    teacher_spread_by_snr: Mapping[str, Sequence[float]] | None = None
    unprocessed_spread_by_snr: Mapping[str, Sequence[float]] | None = None
    budget_name: str | None = None

    @property
    def budget_text(self) -> str:
        """The budget in words; empty without one."""
        return self.budget_name or ("" if self.budget_gmac is None else gmac_text(self.budget_gmac))


@dataclass(frozen=True)
class Style:
    """How one KD method looks everywhere: name, colour (Okabe and Ito's palette), matplotlib's and plotly's marker."""

    name: str
    colour: str
    marker: str
    symbol: str


STYLES = {
    "none": Style("no KD", "#5B6770", "o", "circle"),
    "mask": Style("KD Mask", "#56B4E9", "v", "triangle-down"),
    "linear": Style("KD Linear", "#0072B2", "s", "square"),
    "f-lstm": Style("KD F-LSTM", "#CC79A7", "P", "cross"),
    "t-lstm": Style("KD T-LSTM", "#009E73", "^", "triangle-up"),
    "multi": Style("KD Multi", "#D55E00", "D", "diamond"),
}
TEACHER_COLOUR = "#B07D00"
SAME = "~"
"""Marks a member of the front that cannot be told from a cheaper one."""
NOTHING = "No student has finished yet."
INK = "#222222"
FAINT_INK = "#6B6B6B"


def style(method: str) -> Style:
    """The look of a method; one that is not in Table 2 is drawn in black under its own name."""
    return STYLES.get(method, Style(method, "#000000", "X", "x"))


@dataclass(frozen=True)
class Point:
    """One student in a figure.

    Args:
        record: where it comes from.
        gmac: cost on the paper's axis.
        pesq: of the split shown.
        interval: its confidence interval, if known.
        front: whether it is on the Pareto front.
    """

    record: Record
    gmac: float
    pesq: float
    interval: tuple[float, float] | None
    front: bool

    @property
    def method(self) -> str:
        return str(self.record["kd_method"])

    @property
    def size(self) -> str:
        return size_name(self.record)

    @property
    def label(self) -> str:
        """Its size, with a mark if it cannot be told from a cheaper member of the front."""
        return self.size + (f" {SAME}" if self.record.get("told_apart_from_cheaper") is False else "")


def score(record: Record, split: str) -> float | None:
    """`pesq_val` or `pesq_test` of a record; None if it has none, or none that is finite."""
    value = record.get("pesq_val" if split == "validation" else "pesq_test")
    return float(value) if is_number(value) else None


def points(records: Sequence[Record], split: str) -> list[Point]:
    """The students with a score, cheapest first.

    The front is what the records' `front` says, or the non-dominated students where no record has that key.
    """
    scored = [(record, value) for record in records if (value := score(record, split)) is not None]
    scored.sort(key=lambda pair: (pair[0]["paper_gmac"], pair[1]))
    front = pareto_mask([record["paper_gmac"] for record, _ in scored], [value for _, value in scored]).tolist()
    if any("front" in record for record, _ in scored):
        front = [bool(record.get("front")) for record, _ in scored]
    found = []
    for (record, value), on_front in zip(scored, front, strict=True):
        ends: Sequence[Any] = record.get("pesq_val_interval" if split == "validation" else "pesq_test_interval") or ()
        interval = (float(ends[0]), float(ends[1])) if len(ends) == 2 and all(map(is_number, ends)) else None
        found.append(Point(record, float(record["paper_gmac"]), value, interval, on_front))
    return found


def size_name(record: Record) -> str:
    """F/T of a student."""
    return f"{record['f_hidden']}/{record['t_hidden']}" + ("bi" if record.get("bi_freq") else "")


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a record's value is there and finite; JSON has null where a score is missing."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def seeds_of(record: Record, split: str) -> int:
    """How many trainings a record's `pesq_val` ("val") or `pesq_test` ("test") is the mean of; 1 if it does not tell.

    Not all need to have a test score: the weights of some may have been gone by then.
    """
    return len(record.get(f"pesq_{split}_seeds") or (0,))


def starts(records: Sequence[Record]) -> list[str]:
    """The starts among the records, `random` first."""
    return sorted({str(record["init"]) for record in records if record.get("init")})


def start_name(start: str) -> str:
    """A start in words."""
    return {"random": "random start", "slice": "slice of the teacher"}.get(start, f"start {start}")


_HOW = {"random": "at random", "slice": "as slices of the teacher"}


def words(records: Sequence[Record], lines: Lines, *more: str) -> str:
    """The two lines below every title: which data; how the students started, and what else there is to say."""
    data = lines.data if len(lines.data) <= 90 else "…" + lines.data[-89:]  # of a long path the end says most
    found = starts(records)
    how = [f"all students start {_HOW.get(found[0], found[0])}" if len(found) == 1 else "starts: see legend"]
    return f"{data}, {lines.split} clips\n" + "; ".join([*(how if found else []), *more])


def by_snr(record: Record, split: str) -> dict[float, float]:
    """Median PESQ by SNR of a record: `pesq_val_by_snr` for validation, `pesq_by_snr` for test."""
    return snr_numbers(record.get("pesq_val_by_snr" if split == "validation" else "pesq_by_snr"))


def spread_by_snr(record: Record, split: str) -> dict[float, tuple[float, float]]:
    """Quartiles by SNR of a record: `pesq_val_spread_by_snr` for validation, `pesq_spread_by_snr` for test."""
    return snr_quartiles(record.get("pesq_val_spread_by_snr" if split == "validation" else "pesq_spread_by_snr"))


def snr_numbers(values: Mapping[str, float] | None) -> dict[float, float]:
    """The values by SNR as number, lowest SNR first; what is no finite number is left out."""
    return dict(sorted((float(snr), float(value)) for snr, value in (values or {}).items() if is_number(value)))


def snr_quartiles(values: Mapping[str, Sequence[float]] | None) -> dict[float, tuple[float, float]]:
    """[low, high] by SNR as number; pairs that are empty or hold no finite numbers are left out."""
    pairs = {float(snr): ends for snr, ends in (values or {}).items() if len(ends) == 2 and all(map(is_number, ends))}
    return {snr: (float(ends[0]), float(ends[1])) for snr, ends in sorted(pairs.items())}


def series(records: Sequence[Record]) -> list[list[Record]]:
    """The students by KD method (in the order of Table 2) and start: what one line may join."""
    grouped: dict[tuple[int, str, str], list[Record]] = {}
    for record in records:
        method = str(record["kd_method"])
        grouped.setdefault((method_order(method), method, str(record.get("init"))), []).append(record)
    return [grouped[key] for key in sorted(grouped)]


def method_order(method: str) -> int:
    """Place of a method in legends."""
    return list(STYLES).index(method) if method in STYLES else len(STYLES)


def true_cost(records: Sequence[Record]) -> tuple[float, float]:
    """(a, b) of GMAC/s = a * GMAC^b, fitted to the students: the ratio of both axes changes slightly with the size.

    Without clearly different costs b is 1, and without any cost a is 1 / 1.536 s, the signal behind the paper's count.
    """
    pairs = {(record["paper_gmac"], record["gmac_per_s"]) for record in records}
    if not pairs:
        return 1 / 1.536, 1.0
    gmac, per_s = np.log(np.array(sorted(pairs), np.float64)).T
    b = float(np.polyfit(gmac, per_s, 1)[0]) if np.ptp(gmac) > 0.5 else 1.0  # too near, and b is chance
    return float(np.exp(np.mean(per_s - b * gmac))), b


def gmac_text(gmac: float) -> str:
    """A cost on the paper's axis in words, `1.0 GMAC`."""
    text = f"{gmac:.3g}"
    return f"{text if '.' in text or 'e' in text else text + '.0'} GMAC"


def pareto_title(lines: Lines) -> str:
    """Title of both Pareto plots."""
    return "PESQ against cost" + (f" within {lines.budget_text}" if lines.budget_text else "")


def pareto_words(found: Sequence[Point], lines: Lines) -> str:
    """The lines below that title."""
    more = [f"{sum(point.front for point in found)} of {len(found)} on the front"] if found else []
    if any(point.interval for point in found):
        seeds = any(point.record.get("seeds", 1) > 1 for point in found)
        more.append("bars: 95 % interval over clips" + (" and seeds" if seeds else ""))
    if any(point.front and point.label != point.size for point in found):
        more.append(f"{SAME}: not told from a cheaper one")
    return words([point.record for point in found], lines, *more)


def cost_range(costs: Sequence[float], budget: float | None) -> tuple[float, float]:
    """Limits of a logarithmic cost axis that shows all costs and the budget, with some room."""
    within = [*costs, budget] if budget is not None else list(costs)
    left, right = min(within, default=0.1) / 1.3, max(within, default=1.0) * 1.2
    spread = 8 * left / right
    if spread > 1:  # one size, or only the budget: do not blow up a sliver of the axis
        left, right = (left / spread, right) if budget is not None else (left / spread**0.5, right * spread**0.5)
    return left, right


_STEPS = (
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
    (1, 1.5, 2, 3, 4, 5, 6, 8),
    (1, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)


def log_ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Round numbers within [low, high] for a logarithmic axis: the densest series with at most `most` of them."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in _STEPS:
        candidates = [float(f"{step}e{decade}") for decade in decades for step in steps]
        ticks = [tick for tick in candidates if low <= tick <= high]
        if len(ticks) <= most:
            break
    return ticks
