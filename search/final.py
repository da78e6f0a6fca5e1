"""The test scores, read once, for the members of the front and what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.front import SeedSpread, hierarchical_interval, hierarchical_paired
from model.score import Scores
from search.results import mean_by_snr


def add_test_scores(
    front: Sequence[dict[str, Any]], members: Sequence[Sequence[Scores]], beside: Mapping[str, Scores]
) -> None:
    """Writes test scores into the records of the front, with intervals and with what stands beside them.

    All figures are means over the seeds that a configuration was trained by. `told_apart_from_cheaper` says whether a
    member is above every cheaper one by more than clips and seeds explain: the paired 95 % interval over both is above
    zero on the same test clips. What seeds do is pooled over the members that have several, and counts for all; where
    none has, the intervals are over clips alone (`over_seeds`). Of the cheapest member it is true, as nothing cheaper
    could stand for it.

    Args:
        front: records, the cheapest first.
        members: their scores, one of each seed, in the order of `front`. A member whose weights are all gone has none,
            and gets none.
        beside: scores of "unprocessed", "delay-and-sum" and, where there is one, "teacher".
    """
    teacher, spread = beside.get("teacher"), _spread(members)
    for place, (record, seeds) in enumerate(zip(front, members, strict=True)):
        if not seeds:
            continue
        summaries = [scores.summary() for scores in seeds]
        record |= {
            "pesq_test": _mean(summaries, "pesq"),
            "pesq_test_interval": list(hierarchical_interval(_tables(seeds), spread=spread)),
            "pesq_test_seeds": [summary["pesq"] for summary in summaries],
            "pesq_by_snr": mean_by_snr([summary["pesq_by_snr"] for summary in summaries]),
            "pesq_spread_by_snr": mean_by_snr([summary["spread_by_snr"] for summary in summaries]),
            "si_sdr_test": _mean(summaries, "si_sdr"),
            "estoi_test": _mean(summaries, "estoi"),
            "unscored_test": sum(summary["unscored"] for summary in summaries),
            "pesq_test_unprocessed": beside["unprocessed"].mean,
            "pesq_test_delay_and_sum": beside["delay-and-sum"].mean,
            "pesq_test_teacher": None if teacher is None else teacher.mean,
            "told_apart_from_cheaper": all(_above(seeds, cheaper, spread) for cheaper in members[:place] if cheaper),
        }


def over_seeds(front: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the test intervals of a front's records hold what seeds do: one of them at least has several."""
    return any(len(record.get("pesq_test_seeds") or ()) > 1 for record in front)


def final_metrics(record: dict[str, Any]) -> dict[str, float]:
    """What MLflow is told of a member of the front at the end, beside its validation scores."""
    low, high = record["pesq_test_interval"]
    pesq = record["pesq_test"]
    told = {"pesq_test_mean": pesq, "pesq_test_low": low, "pesq_test_high": high}
    return told | {"pesq_test_gain": pesq - record["pesq_test_unprocessed"]}


def ends_apart(members: Sequence[Sequence[Scores]]) -> tuple[float, float, float] | None:
    """Test PESQ gained from the cheapest member of the front to the dearest, and its paired 95 % interval.

    Args:
        members: as for `add_test_scores`.
    """
    scored = [seeds for seeds in members if seeds]
    if len(scored) < 2:
        return None
    first, last = scored[0], scored[-1]
    low, high = hierarchical_paired(_tables(last), _tables(first), spread=_spread(scored))
    gain = np.mean([scores.mean for scores in last]) - np.mean([scores.mean for scores in first])
    return float(gain), low, high


def _above(dear: Sequence[Scores], cheap: Sequence[Scores], spread: SeedSpread) -> bool:
    low, _ = hierarchical_paired(_tables(dear), _tables(cheap), spread=spread)
    return low > 0


def _spread(members: Sequence[Sequence[Scores]]) -> SeedSpread:
    return SeedSpread.of([[scores.mean for scores in seeds] for seeds in members])


def _tables(seeds: Sequence[Scores]) -> np.ndarray:
    return np.stack([scores.pesq for scores in seeds])


def _mean(summaries: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [summary.get(name) for summary in summaries]
    return None if None in values else float(np.mean(np.array(values, np.float64)))
