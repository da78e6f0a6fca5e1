"""What stands beside the students: the unprocessed input, delay-and-sum and the teacher, scored on the same clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.plots import Lines
from model.ftjnf import Size
from model.macs import Budget
from search.results import Record, budget_gmac

BASELINES = ("unprocessed", "delay-and-sum")


@dataclass(frozen=True)
class Beside:
    """Score summaries by "unprocessed", "delay-and-sum" and, where there is one, "teacher".

    Args:
        val, test: summaries by what was scored; `test` is empty until the end of the search.
        teacher: size of the teacher, or None.
        warning: what is to be known of the teacher.
        range_gmac: the cheapest size of the space and where the budget ends, on the paper's axis; None if not known.
            With the scores they are the plane of the hypervolume.
    """

    val: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    test: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    teacher: str | None = None
    warning: str | None = None
    range_gmac: tuple[float, float] | None = None

    def into(self, record: Record) -> None:
        """Writes the validation scores into a record."""
        for key in (*BASELINES, "teacher"):
            record[f"pesq_val_{key.replace('-', '_')}"] = self.val.get(key, {}).get("pesq")

    def lines(self, split: str, budget: Budget | None, demo: bool, sizes: Sequence[Size] = ()) -> Lines:
        """As the figures want it.

        Args:
            split: "validation" or "test".
            budget: of the search, or None.
            demo: whether the scores are of the demo corpus.
            sizes: within the budget.
        """
        scores = self.val if split == "validation" else self.test
        teacher, noisy = scores.get("teacher", {}), scores.get("unprocessed", {})
        return Lines(
            teacher=teacher.get("pesq"),
            unprocessed=noisy.get("pesq"),
            budget_gmac=None if budget is None else budget_gmac(budget, sizes),
            budget_name=None if budget is None or budget.unit == "GMAC" else str(budget),
            data="demo corpus (synthetic)" if demo else "own corpora",
            split="validation" if split == "validation" else "test",
            teacher_name="teacher" if self.teacher is None else f"teacher {self.teacher}",
            teacher_by_snr=teacher.get("pesq_by_snr"),
            unprocessed_by_snr=noisy.get("pesq_by_snr"),
            teacher_spread_by_snr=teacher.get("spread_by_snr"),
            unprocessed_spread_by_snr=noisy.get("spread_by_snr"),
        )
