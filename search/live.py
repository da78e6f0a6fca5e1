"""What a person sees while a search runs: a live table on a terminal, plain lines elsewhere; on stderr."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from data.units import duration
from model.macs import paper_gmac
from search.space import Choice

SHOWN = 12
"""Finished students that the live table shows, the latest ones."""


@dataclass
class Row:
    """A student as the table shows it."""

    choice: Choice
    state: str = "starting"
    stage: str = ""
    epoch: int = 0
    epochs: int = 0
    pesq: float | None = None
    since: float = field(default_factory=time.time)


class LiveTable:
    """The students, how far they are, and the time left.

    Args:
        console: where to write.
        epochs: epochs a stage at most.
        planned: students at most.
        deadline: `time.time()` of the end of the time budget, or None.
    """

    def __init__(self, console: Console, epochs: int, planned: int, deadline: float | None) -> None:
        self.console, self.epochs, self.planned, self.deadline = console, epochs, planned, deadline
        self.rows: dict[int, Row] = {}
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(get_renderable=self.render, console=console, refresh_per_second=2, transient=True)

    def start(self) -> None:
        """Begins to draw."""
        if self._live is not None:
            self._live.start()

    def stop(self) -> None:
        """Takes the table away; what is printed next stands in its place."""
        if self._live is not None:
            self._live.stop()

    def started(self, number: int, choice: Choice, stages: int) -> None:
        """A student has begun, or goes on."""
        self.rows[number] = Row(choice, epochs=stages * self.epochs)
        if self._live is None:
            self._line(number, "started")

    def reported(self, number: int, metrics: dict[str, Any]) -> None:
        """A student has ended an epoch, or has been scored for the last time."""
        row = self.rows.get(number)
        if row is None:
            return
        row.state = "training"
        row.stage, row.epoch = metrics.get("stage", row.stage), metrics.get("epoch", row.epoch)
        row.pesq = metrics.get("pesq", row.pesq)
        if metrics.get("final"):
            row.state = {"COMPLETE": "done", "PRUNED": "stopped"}.get(metrics["state"], "failed")
            row.state += f" ({metrics['stopped']})" if metrics.get("stopped") else ""
        if self._live is None and (metrics.get("final") or "pesq" in metrics):
            self._line(number, row.state)

    def lost(self, number: int) -> None:
        """A student's process or machine is gone; Tune starts it again."""
        if number in self.rows:
            self.rows[number].state = "waiting"
            self._line(number, "lost with its process or machine; goes on from its last checkpoint")

    def paused(self, number: int) -> None:
        """A student waits at a rung."""
        if number in self.rows:
            self.rows[number].state = "paused"
            if self._live is None:
                self._line(number, "paused")

    def failed(self, number: int, reason: str) -> None:
        """A student has ended with an error."""
        if number in self.rows:
            self.rows[number].state = "failed"
            self._line(number, f"failed: {reason}")

    def left(self) -> str:
        """How far the search is and how long it may take."""
        done = [row for row in self.rows.values() if row.state.startswith(("done", "stopped", "failed"))]
        shares = sum(min(1.0, row.epoch / max(1, row.epochs)) for row in self.rows.values() if row not in done)
        share = (len(done) + shares) / max(1, self.planned)
        text = f"{len(done)} of at most {self.planned} students done"
        if self.deadline is not None:
            return f"{text}, {duration(max(0.0, self.deadline - time.time()))} of the time budget left"
        if share > 0.02 and self.rows:
            spent = time.time() - min(row.since for row in self.rows.values())
            return f"{text}, about {duration(spent * (1 - share) / share)} left"
        return text

    def render(self) -> Group:
        """The table as it is now."""
        table = Table(box=None, pad_edge=False)
        for name in ("trial", "size", "GMAC", "method", "schedule", "start", "stage", "epoch", "PESQ", ""):
            table.add_column(name, justify="right" if name in ("trial", "GMAC", "epoch", "PESQ") else "left")
        ended = [n for n, row in self.rows.items() if row.state.startswith(("done", "stopped", "failed"))]
        hidden = set(ended[:-SHOWN])
        for number, row in sorted(self.rows.items()):
            if number in hidden:
                continue
            table.add_row(
                str(number), str(row.choice.size), f"{paper_gmac(row.choice.size):.3f}", row.choice.kd_method,
                row.choice.alpha_schedule, row.choice.init, row.stage, f"{row.epoch}/{row.epochs}",
                "" if row.pesq is None else f"{row.pesq:.3f}", row.state,
                style="dim" if number in ended else None,
            )  # fmt: skip
        return Group(table, Text(self.left(), style="bold"))

    def _line(self, number: int, what: str) -> None:
        row = self.rows[number]
        pesq = "" if row.pesq is None else f"  PESQ {row.pesq:.3f}"
        self.console.print(
            f"trial {number:>3}  {row.choice.size!s:>7}  {paper_gmac(row.choice.size):.3f} GMAC  {row.choice.kd_method}"
            f"/{row.choice.alpha_schedule}/{row.choice.init}  {row.stage} {row.epoch}/{row.epochs}{pesq}  {what}; "
            f"{self.left()}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
