"""The front of a search as a table, and what a choice and its neighbours on the front would give, in words."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.choice import Choice, Search, cost_of, costs_of, name_of
from analysis.series import SAME, Record, is_number, seeds_of, size_name
from model.macs import Budget

_LEFT = ("", "F/T", "method", "schedule", "start")
_HEAD: tuple[str, ...] = (
    "",
    "trial",
    "F/T",
    "method",
    "schedule",
    "start",
    "params",
    "GMAC",
    "GMAC/s",
    "PESQ val",
    "PESQ test",
)


def pesq_text(value: Any) -> str:
    """PESQ in two digits; a dash where there is none."""
    return f"{value:.2f}" if is_number(value) else "-"


def _row(record: Record, mark: str, ms: Mapping[int, float]) -> tuple[str, ...]:
    words = [str(record.get(key) or "-") for key in ("kd_method", "alpha_schedule", "init", "parameters")]
    costs = [f"{cost_of(record, 'GMAC'):.3f}", f"{cost_of(record, 'GMAC/s'):.3f}"]
    same = SAME * (record.get("told_apart_from_cheaper") is False)
    scores = [pesq_text(record.get("pesq_val")), pesq_text(record.get("pesq_test")) + same]
    pace = [f"{ms[record['trial']]:.2f}" if record["trial"] in ms else "-"] if ms else []
    return mark, str(record["trial"]), size_name(record), *words, *costs, *pace, *scores


def print_front(search: Search, chosen: Record, ms: Mapping[int, float] | None = None) -> None:
    """Prints the front, the chosen student marked; below it that student, if it is dominated.

    Args:
        search: whose.
        chosen: a record of it.
        ms: milliseconds a frame by trial (`analysis.speed`), for a column of its own.
    """
    print(f"{len(search.front)} students on the front of {search.folder}; validation PESQ of the unprocessed input "
          f"{pesq_text(search.unprocessed)}, of the teacher {pesq_text(search.teacher)}\n")  # fmt: skip
    dominated = [] if any(record is chosen for record in search.front) else [chosen]
    rows = [_row(record, ">" if record is chosen else "", ms or {}) for record in [*search.front, *dominated]]
    head = (*_HEAD[:-2], *(["ms a frame"] if ms else []), *_HEAD[-2:])
    several = [record for record in (*search.front, *dominated) if seeds_of(record, "val") > 1]
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in head:
            table.add_column(name.replace(" ", "\n"), justify="left" if name in _LEFT else "right")  # fits 80 columns
        for row in rows:
            table.add_row(*row, style="bold green" if row[0] else None)
        Console().print(table)
    else:
        lines = [head, *rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        for row in lines:
            aligned = [
                cell.ljust(width) if name in _LEFT else cell.rjust(width)
                for cell, width, name in zip(row, widths, head, strict=True)
            ]
            print("  ".join(aligned).rstrip())
    if several:
        counts = ", ".join(f"trial {record['trial']}: {seeds_of(record, 'val')}" for record in several)
        print(f"\nPESQ is the mean over the seeds that a student was trained by ({counts})")


def print_choice(choice: Choice, budget: Budget | None) -> None:
    """Prints what was chosen, why, and what its neighbours on the front would give."""
    student = choice.student
    ends: Sequence[Any] = student.get("pesq_val_interval") or ()
    told = [f"95 % interval {pesq_text(ends[0])} to {pesq_text(ends[1])}"] if len(ends) == 2 else []
    if seeds_of(student, "val") > 1:
        own = dict(zip(student["trials"], student["pesq_val_seeds"], strict=True))[student["trial"]]
        told = [f"mean of {seeds_of(student, 'val')} seeds", *told, f"the one exported has {pesq_text(own)}"]
    pesq = pesq_text(student.get("pesq_val")) + (f" ({', '.join(told)})" if told else "")
    print(f"\nchosen: {name_of(student)}, {choice.why}; PESQ {pesq}")
    print(f"next cheaper: {_neighbour(choice.cheaper, student, budget)}")
    print(f"next dearer: {_neighbour(choice.dearer, student, budget)}", flush=True)


def _neighbour(other: Record | None, student: Record, budget: Budget | None) -> str:
    """What a neighbour on the front would give instead."""
    if other is None:
        return "none on the front"
    ratio = other["paper_gmac"] / student["paper_gmac"] - 1
    known = is_number(student.get("pesq_val"))
    pesq = f"{other['pesq_val'] - student['pesq_val']:+.2f} PESQ" if known else f"{pesq_text(other['pesq_val'])} PESQ"
    over = budget is not None and cost_of(other, budget.unit) > budget.limit
    return f"{name_of(other)}, {pesq}, {100 * ratio:+.0f} % cost ({costs_of(other)})" + over * ", over the budget"
