"""What a search has found: its students as records, the front among them, and the files that say so."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.front import bootstrap_interval, hierarchical_interval, hypervolume_share, pareto_mask
from data.errors import InputError
from data.files import file_digest, plain, read_json, write_atomic, write_json
from model.ftjnf import Size
from model.macs import Budget, gmac_per_s, mmac_per_frame, paper_gmac, parameters
from search.dimensions import SETTINGS
from search.proposal import Proposal
from search.space import Choice
from search.standing import scored_weights, was_cut

Record = dict[str, Any]

TEST_KEYS = (
    "pesq_test", "pesq_test_interval", "pesq_test_seeds", "pesq_by_snr", "pesq_spread_by_snr", "si_sdr_test",
    "estoi_test", "unscored_test", "pesq_test_unprocessed", "pesq_test_delay_and_sum", "pesq_test_teacher",
    "told_apart_from_cheaper",
)  # fmt: skip
"""What `search.final` writes into the records of the front at the end; null until then, and in all other records."""

_NESTED = ("_interval", "_by_snr", "_seeds", "trials")
"""How the names of values end that a table has no cell for: pairs, and values by SNR or seed."""


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


def range_gmac(budget: Budget, sizes: Sequence[Size]) -> tuple[float, float]:
    """The cheapest of some sizes and where the budget ends, on the paper's axis."""
    return min(paper_gmac(size) for size in sizes), budget_gmac(budget, sizes)


def training_record(folder: Path, number: int, choice: Choice) -> Record | None:
    """A finished training as a record, or None if it has no validation score.

    Its `checkpoint` is relative to the run folder, which may be moved, renamed and copied; it is None where the weights
    were removed, as those of a student far from the front are.

    Args:
        folder: the student's in the run folder, with `scores.json`.
        number: of the trial.
        choice: its configuration.
    """
    if not (folder / "scores.json").exists():
        return None
    val = read_json(folder / "scores.json")
    if val["val"]["pesq"] is None:  # PESQ could not score a single clip at some SNR
        return None
    result, weights = read_json(folder / "result.json"), scored_weights(folder)
    low, high = bootstrap_interval(_array(val["val_table"]), n=500)
    digest = val.get("weights_sha256")
    return {
        "trial": number,
        "trials": [number],
        "f_hidden": choice.f_hidden,
        "t_hidden": choice.t_hidden,
        "bi_freq": choice.bi_freq,
        "kd_method": choice.kd_method,
        "alpha_schedule": choice.alpha_schedule,
        "init": choice.init,
        **choice.settings,
        **costs(choice.size),
        "seeds": 1,
        "pesq_val": val["val"]["pesq"],
        "pesq_val_interval": [low, high],
        "pesq_val_seeds": [val["val"]["pesq"]],
        "pesq_val_by_snr": val["val"]["pesq_by_snr"],
        "pesq_val_spread_by_snr": val["val"]["spread_by_snr"],
        "unscored_val": val["val"]["unscored"],
        "epochs": result["epoch"],
        "best_epoch": result["best_epoch"],
        "seconds": result["seconds"],
        "stopped": result["stopped"],
        **dict.fromkeys(TEST_KEYS),
        "checkpoint": f"{folder.parent.name}/{folder.name}/{weights.name}" if weights.exists() else None,
        "weights_sha256": digest or (file_digest(weights) if weights.exists() else None),
        "mlflow_run_id": None,
    }


def val_table(students: Path, number: int) -> NDArray[np.float64]:
    """Validation PESQ of a finished training, (clips, SNRs)."""
    return _array(read_json(students / f"{number:04d}" / "scores.json")["val_table"])


def val_tables(students: Path, record: Record) -> NDArray[np.float64]:
    """Validation PESQ of a record's trainings, (seeds, clips, SNRs)."""
    return np.stack([val_table(students, number) for number in record["trials"]])


def student_record(students: Path, trainings: Sequence[Record]) -> Record:
    """The trainings of one configuration, by several seeds, as one record.

    `pesq_val` is the mean over the seeds, with its interval over clips and seeds; what is deployed, and says its own
    number, weights and epochs here, is the training of the best validation PESQ among those with weights.

    Args:
        students: folder of the students' folders.
        trainings: their records, one at least.
    """
    if len(trainings) == 1:
        return dict(trainings[0])
    deployed = max(trainings, key=lambda one: (one["checkpoint"] is not None, one["pesq_val"]))
    record = deployed | {"trials": [one["trial"] for one in trainings], "seeds": len(trainings)}
    ends = hierarchical_interval(val_tables(students, record), n=500)
    return record | {
        "pesq_val": float(np.mean([one["pesq_val"] for one in trainings])),
        "pesq_val_interval": list(ends),
        "pesq_val_seeds": [one["pesq_val"] for one in trainings],
        "pesq_val_by_snr": mean_by_snr([one["pesq_val_by_snr"] for one in trainings]),
        "pesq_val_spread_by_snr": mean_by_snr([one["pesq_val_spread_by_snr"] for one in trainings]),
        "unscored_val": sum(one["unscored_val"] for one in trainings),
    }


def mean_by_snr(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over seeds of numbers or pairs of numbers by SNR; empty where a seed has none."""
    names = values[0]
    return {
        name: np.mean([one[name] for one in values], axis=0).tolist() if all(one.get(name) for one in values) else []
        for name in names
    }


def student_records(students: Path, proposals: Sequence[Proposal], known: Sequence[Record] = ()) -> list[Record]:
    """The records of all configurations with a finished training, the cheapest first; `front` says which are on it.

    Test scores that an earlier session wrote into `students.json` stay with their students until the end.

    Args:
        students: folder of the students' folders.
        proposals: all trials; those that are COMPLETE count, one that the time cut short only for a configuration that
            has no other. Of such a one the score counts until it has a new one: while it goes on, and if it diverges.
        known: records from an earlier call, which are not read again; but for those of students that the time cut
            short, who may have gone on since under the same number.
    """
    by_trials = {tuple(record["trials"]): record for record in known if record["stopped"] != "time"}
    scored = _test_scores(known) if known else _tested(students.parent / "students.json")
    groups: dict[Choice, list[Proposal]] = {}
    for proposal in proposals:
        cut = proposal.state in ("RUNNING", "FAIL") and was_cut(students / f"{proposal.number:04d}")
        if cut or proposal.state == "COMPLETE":
            one = replace(proposal, cut=cut or proposal.cut)
            groups.setdefault(replace(one.choice, repeat=0), []).append(one)
    records = []
    for trainings in groups.values():
        group = [one for one in trainings if not one.cut] or trainings
        record = by_trials.get(tuple(one.number for one in group)) or _group_record(students, group)
        if record is not None:
            records.append(record | scored.get(_key(record), {}))
    return mark_front(records)


def _group_record(students: Path, group: Sequence[Proposal]) -> Record | None:
    found = [training_record(students / f"{one.number:04d}", one.number, one.choice) for one in group]
    trainings = [record for record in found if record is not None]
    return student_record(students, trainings) if trainings else None


def _key(record: Record) -> tuple[Any, ...]:
    return record["weights_sha256"], *record["trials"]


def _test_scores(records: Sequence[Record]) -> dict[tuple[Any, ...], Record]:
    """The test scores of those records that have some, by their trainings."""
    return {_key(one): {key: one[key] for key in TEST_KEYS} for one in records if one["pesq_test"]}


def _tested(path: Path) -> dict[tuple[Any, ...], Record]:
    """The test scores in an earlier session's `students.json`, by the trainings that have them."""
    try:
        return _test_scores(read_json(path))
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


def val_metrics(record: Record) -> dict[str, float]:
    """What MLflow is told of a finished student: the interval of its score, and how far it is from what stands beside.

    Runs of several searches can be compared by `pesq_gain`, as that of the unprocessed input is taken off.
    """
    low, high = record["pesq_val_interval"]
    told = {"pesq_low": low, "pesq_high": high}
    for name, other, sign in (("pesq_gain", "unprocessed", 1), ("pesq_below_teacher", "teacher", -1)):
        beside = record.get(f"pesq_val_{other}")
        if beside is not None:
            told[name] = sign * (record["pesq_val"] - beside)
    return told


def front_metrics(records: Sequence[Record]) -> dict[str, float]:
    """What MLflow is told of the front after each student, for the run of the search."""
    front = [record for record in records if record["front"]]
    return {"front_size": len(front), "pesq_best": max(record["pesq_val"] for record in front)} if front else {}


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
