"""What a search has found: its students as records, the front among them, and the files that say so."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.front import bootstrap_interval, hypervolume_share, pareto_mask
from data.errors import InputError
from data.files import file_digest, plain, read_json, write_atomic, write_json
from model.ftjnf import Size
from model.macs import Budget, gmac_per_s, mmac_per_frame, paper_gmac, parameters
from search.dimensions import SETTINGS
from search.proposal import Proposal
from search.space import Choice

Record = dict[str, Any]

TEST_KEYS = (
    "pesq_test", "pesq_test_interval", "pesq_by_snr", "pesq_spread_by_snr", "si_sdr_test", "estoi_test",
    "unscored_test", "pesq_test_unprocessed", "pesq_test_delay_and_sum", "pesq_test_teacher",
)  # fmt: skip
"""What `search.final` writes into the records of the front at the end; null until then, and in all other records."""

_NESTED = ("_interval", "_by_snr")
"""How the names of values end that a table has no cell for: pairs, and values by SNR."""


def costs(size: Size) -> dict[str, float]:
    """All costs of a size, as they stand in records and in MLflow."""
    return {
        "parameters": parameters(size),
        "paper_gmac": paper_gmac(size),
        "gmac_per_s": gmac_per_s(size),
        "mmac_per_frame": mmac_per_frame(size),
    }


def budget_gmac(budget: Budget, sizes: Sequence[Size]) -> float:
    """Where the budget ends on the paper's axis, in GMAC.

    A budget of true cost has only an approximate reading there, beyond which some sizes that it allows may lie: then
    it ends at the dearest of them.

    Args:
        budget: in any unit.
        sizes: those within it.
    """
    return max([budget.readings()["GMAC"], *(paper_gmac(size) for size in sizes)])


def student_record(folder: Path, number: int, choice: Choice) -> Record | None:
    """A finished student as a record, or None if it has no validation score.

    Its `checkpoint` is relative to the run folder, which may be moved, renamed and copied.

    Args:
        folder: the student's in the run folder, with `scores.json` and `best.safetensors`.
        number: of the trial.
        choice: its configuration.
    """
    if not ((folder / "scores.json").exists() and (folder / "best.safetensors").exists()):
        return None
    val = read_json(folder / "scores.json")
    if val["val"]["pesq"] is None:  # PESQ could not score a single clip at some SNR
        return None
    result = read_json(folder / "result.json")
    low, high = bootstrap_interval(_array(val["val_table"]), n=500)
    return {
        "trial": number,
        "f_hidden": choice.f_hidden,
        "t_hidden": choice.t_hidden,
        "bi_freq": choice.bi_freq,
        "kd_method": choice.kd_method,
        "alpha_schedule": choice.alpha_schedule,
        "init": choice.init,
        **choice.settings,
        **costs(choice.size),
        "pesq_val": val["val"]["pesq"],
        "pesq_val_interval": [low, high],
        "pesq_val_by_snr": val["val"]["pesq_by_snr"],
        "pesq_val_spread_by_snr": val["val"]["spread_by_snr"],
        "unscored_val": val["val"]["unscored"],
        "epochs": result["epoch"],
        "best_epoch": result["best_epoch"],
        "seconds": result["seconds"],
        "stopped": result["stopped"],
        **dict.fromkeys(TEST_KEYS),
        "checkpoint": f"{folder.parent.name}/{folder.name}/best.safetensors",
        "weights_sha256": file_digest(folder / "best.safetensors"),
        "mlflow_run_id": None,
    }


def student_records(students: Path, proposals: Sequence[Proposal], known: Sequence[Record] = ()) -> list[Record]:
    """The records of all finished students, `front` saying which are on the front; the cheapest first.

    Test scores that an earlier session wrote into `students.json` stay with their students until they are scored anew.

    Args:
        students: folder of the students' folders.
        proposals: all trials; those that are COMPLETE count.
        known: records from an earlier call, which are not read again.
    """
    by_number = {record["trial"]: record for record in known}
    scored = {} if known else _tested(students.parent / "students.json")
    records = []
    for proposal in proposals:
        if proposal.state == "COMPLETE":
            record = by_number.get(proposal.number) or student_record(
                students / f"{proposal.number:04d}", proposal.number, proposal.choice
            )
            if record is not None:
                records.append(record | scored.get(record["weights_sha256"], {}))
    return mark_front(records)


def _tested(path: Path) -> dict[str, Record]:
    """The test scores in an earlier session's `students.json`, by the digest of the weights that have them."""
    try:
        earlier = read_json(path)
        return {one["weights_sha256"]: {key: one[key] for key in TEST_KEYS} for one in earlier if one["pesq_test"]}
    except (InputError, KeyError, TypeError):  # none, or another version's: the front is scored anew in any case
        return {}


def mark_front(records: list[Record]) -> list[Record]:
    """Sorts records by cost and says of each in `front` whether no other has more validation PESQ for no more cost."""
    records = sorted(records, key=lambda record: (record["paper_gmac"], -record["pesq_val"]))
    mask = pareto_mask(
        np.array([record["paper_gmac"] for record in records]), np.array([record["pesq_val"] for record in records])
    )
    for record, on_front in zip(records, mask, strict=True):
        record["front"] = bool(on_front)
    return records


def hypervolume(records: Sequence[Record], smallest: Size, budget_gmac: float, low: float, high: float | None) -> float:
    """The dominated share of the plane of log10 paper GMAC, smallest size to budget, and PESQ, unprocessed to teacher.

    Args:
        records: students.
        smallest: the cheapest size of the space.
        budget_gmac: on the paper's axis.
        low: validation PESQ of the unprocessed input.
        high: that of the teacher; 1 PESQ above `low` where there is none.
    """
    return hypervolume_share(
        np.log10([record["paper_gmac"] for record in records]) if records else np.empty(0),
        np.array([record["pesq_val"] for record in records], dtype=float),
        math.log10(budget_gmac),
        low,
        math.log10(paper_gmac(smallest)),
        high if high is not None and high > low else low + 1.0,
    )


def write_front(folder: Path, records: Sequence[Record]) -> None:
    """Writes `front.json` and `front.csv`: the members of the front."""
    front = [record for record in records if record["front"]]
    write_json(folder / "front.json", plain(front))
    write_json(folder / "students.json", plain(records))
    table = io.StringIO()
    if front:
        # what only some members have, such as an alpha, stands beside the others
        names = [name for name in max(front, key=len) if not name.endswith(_NESTED)]
        names += [name for record in front for name in SETTINGS if name in record and name not in names]
        writer = csv.DictWriter(table, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(front)
    write_atomic(folder / "front.csv", table.getvalue())


def _array(table: list[list[float | None]]) -> NDArray[np.float64]:
    return np.array([[math.nan if value is None else value for value in row] for row in table], dtype=np.float64)
