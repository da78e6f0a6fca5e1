"""The end of a search: test scores, read once, for the members of the front and what stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.files import plain, write_json
from data.scene import SNRS_DB
from model.score import Scores


def add_test_scores(front: Sequence[dict[str, Any]], members: Sequence[Scores], beside: dict[str, Scores]) -> None:
    """Writes test scores into the records of the front, with intervals and with what stands beside them.

    Args:
        front: records, in the order of `members`.
        members: their scores.
        beside: scores of "unprocessed", "delay-and-sum" and, where there is one, "teacher".
    """
    from analysis.front import bootstrap_interval

    teacher = beside.get("teacher")
    for record, scores in zip(front, members, strict=True):
        summary = scores.summary()
        low, high = bootstrap_interval(scores.pesq)
        record |= {
            "pesq_test": summary["pesq"],
            "pesq_test_interval": [low, high],
            "pesq_by_snr": summary["pesq_by_snr"],
            "pesq_spread_by_snr": summary["spread_by_snr"],
            "si_sdr_test": summary.get("si_sdr"),
            "estoi_test": summary.get("estoi"),
            "unscored_test": summary["unscored"],
            "pesq_test_unprocessed": beside["unprocessed"].mean,
            "pesq_test_delay_and_sum": beside["delay-and-sum"].mean,
            "pesq_test_teacher": None if teacher is None else teacher.mean,
        }


def final_metrics(record: dict[str, Any]) -> dict[str, float]:
    """What MLflow is told of a member of the front at the end, beside its validation scores."""
    low, high = record["pesq_test_interval"]
    pesq = record["pesq_test"]
    told = {"pesq_test": pesq, "pesq_test_low": low, "pesq_test_high": high}
    return told | {"pesq_test_gain": pesq - record["pesq_test_unprocessed"]}


def write_test_scores(
    folder: Path, digest: str, front: Sequence[dict[str, Any]], members: Sequence[Scores], beside: dict[str, Scores]
) -> None:
    """Writes `test_scores.json` into the run folder: PESQ of each test clip at each SNR, null where it has none.

    Args:
        folder: of the run.
        digest: of the test set, which tells whether its scenes are still the same.
        front, members, beside: as for `add_test_scores`.
    """
    content = {
        "set": digest,
        "snrs_db": list(SNRS_DB),
        "beside": {name: plain(scores.pesq.tolist()) for name, scores in beside.items()},
        "students": {
            str(record["trial"]): plain(scores.pesq.tolist()) for record, scores in zip(front, members, strict=True)
        },
    }
    write_json(folder / "test_scores.json", content)


def ends_apart(members: Sequence[Scores]) -> tuple[float, float, float] | None:
    """Test PESQ gained from the cheapest member of the front to the dearest, and its paired 95 % interval."""
    if len(members) < 2:
        return None
    from analysis.front import paired_bootstrap

    low, high = paired_bootstrap(members[-1].pesq, members[0].pesq)
    return members[-1].mean - members[0].mean, float(np.float64(low)), float(np.float64(high))
