"""What a review shows, gathered from a run folder as plain values: the page is made from these alone."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.importance import importance
from analysis.paper_figures import size_students, snr_students
from analysis.progress import hypervolumes, learning_curve
from analysis.scenes import TestScores, heard, picks
from analysis.series import (
    Lines,
    Record,
    by_snr,
    points,
    seeds_of,
    snr_numbers,
    snr_quartiles,
    spread_by_snr,
    start_name,
    style,
)
from data.array import Array
from data.errors import InputError
from data.examples import ExampleSet
from data.files import plain, read_json
from data.passwords import without_password
from model.frame_time import HOP_MS, frame_times, torch_frame
from model.ftjnf import FTJNF, TABLE_1, Size
from model.macs import Budget, gmac_per_s, mmac_per_frame, paper_gmac
from model.score import Enhancer, delay_and_sum, network_enhancer, unprocessed
from model.stft import BINS
from model.weights import load_network
from search.tracking_store import OWN_SERVER, run_address

log = logging.getLogger(__name__)

Evidence = dict[str, Any]

COUNTED_DB = 0.0
"""SNR of the paper's Figure 4."""

ANY_RUN = "{run}"
"""In the place of a run's id in an address."""


def gather(folder: Path, examples: ExampleSet | None = None, silent: str = "") -> Evidence:
    """Reads a run folder, measures the front's frame times, and renders what is to be heard. Takes seconds.

    Args:
        folder: of a search with at least one finished student.
        examples: its test scenes; None leaves the listening out.
        silent: then, why.

    Returns:
        Values as JSON has them. What could not be had is empty or null, and said where it would stand.

    Raises:
        InputError: the folder is none of a search, or no student has finished.
    """
    settings, records = read_json(folder / "search.json"), read_json(folder / "students.json")
    if not records:
        raise InputError(f"no student of {folder} has finished; let the search finish one, then make the review")
    beside = read_json(folder / "beside.json") if (folder / "beside.json").is_file() else _beside_of(records)
    budget = Budget.parse(settings["budget"])
    lines = _lines(settings, beside, records, budget)
    varied = [str(one["name"]) for one in settings.get("dimensions") or () if "name" in one]
    front = [point.record for point in points(records, "validation") if point.front]
    networks = _networks(folder, front)
    scenes, counted, silent = _scenes(folder, settings, examples, front, networks, silent)
    return plain(
        {
            "name": settings["name"],
            "folder": shlex.quote(str(folder.resolve())),
            "budget": lines.budget_text,
            "budget_gmac": lines.budget_gmac,
            "data": lines.data,
            "teacher": _teacher(settings, beside, lines),
            "beside": {
                name: {split: beside[split].get(name, {}).get("pesq") for split in ("val", "test")}
                for name in ("unprocessed", "delay-and-sum", "teacher")
                if name in beside["val"]
            },
            "students": [
                _student(point.record, point.front, varied)
                | {"kept": (folder / str(point.record.get("checkpoint"))).is_file()}
                for point in points(records, "validation")
            ],
            "tracking": _tracking(folder),
            "remarks": _remarks(folder),
            "figure3": _figure3(records, lines),
            "figure4": _figure4(records, lines),
            "importance": asdict(importance(records, varied)),
            "hypervolume": hypervolumes(folder, records, lines, beside.get("range_gmac")),
            "curves": [
                {"trial": record["trial"]} | learning_curve(folder / "students" / f"{record['trial']:04d}")
                for record in front
            ],
            "frames": _frame_times(networks),
            "frame_ms": HOP_MS,
            "scenes": scenes,
            "below_input": counted,
            "silent": silent,
        }
    )


def _beside_of(records: list[Record]) -> dict[str, Any]:
    """The validation scores beside the students as their records have them, before the end of a search."""
    names = {"unprocessed": "pesq_val_unprocessed", "delay-and-sum": "pesq_val_delay_and_sum",
             "teacher": "pesq_val_teacher"}  # fmt: skip
    val = {name: {"pesq": records[0].get(key)} for name, key in names.items() if records[0].get(key) is not None}
    return {"val": val, "test": {}, "teacher": None}


def _lines(settings: Mapping[str, Any], beside: Mapping[str, Any], records: list[Record], budget: Budget) -> Lines:
    teacher, noisy = beside["val"].get("teacher", {}), beside["val"].get("unprocessed", {})
    dearest = max(record["paper_gmac"] for record in records)
    end = (beside.get("range_gmac") or (0, max(dearest, budget.readings()["GMAC"])))[1]
    return Lines(
        teacher=teacher.get("pesq"),
        unprocessed=noisy.get("pesq"),
        budget_gmac=float(end),
        budget_name=None if budget.unit == "GMAC" else str(budget),
        data="demo corpus (synthetic)" if settings["data"]["speech"] is None else "own corpora",
        teacher_name="teacher" if beside.get("teacher") is None else f"teacher {beside['teacher']}",
        teacher_by_snr=teacher.get("pesq_by_snr"),
        unprocessed_by_snr=noisy.get("pesq_by_snr"),
        teacher_spread_by_snr=teacher.get("spread_by_snr"),
        unprocessed_spread_by_snr=noisy.get("spread_by_snr"),
    )


def _teacher(settings: Mapping[str, Any], beside: Mapping[str, Any], lines: Lines) -> dict[str, Any] | None:
    if lines.teacher is None:
        return None
    told: dict[str, Any] = {"name": lines.teacher_name, "gmac": None}
    if beside.get("teacher") is not None:
        size = Size.parse(beside["teacher"], Array.parse(settings["data"]["array"]).microphones)
        told |= {"gmac": paper_gmac(size), "gmac_per_s": gmac_per_s(size), "mmac_per_frame": mmac_per_frame(size)}
    return told


def _student(record: Record, on_front: bool, varied: list[str]) -> dict[str, Any]:
    """A student as the page shows it; `varied` are keys for what the search varied beside size, method and start."""
    point = {
        "trial": record["trial"],
        "size": f"{record['f_hidden']}/{record['t_hidden']}" + ("bi" if record.get("bi_freq") else ""),
        "method": record["kd_method"],
        "method_name": style(str(record["kd_method"])).name,
        "schedule": str(record.get("alpha_schedule") or "none"),
        "start": start_name(str(record["init"])) if record.get("init") else "",
        "parameters": record["parameters"],
        "gmac": record["paper_gmac"],
        "gmac_per_s": record["gmac_per_s"],
        "mmac_per_frame": record["gmac_per_s"] * HOP_MS,
        "pesq_val": record["pesq_val"],
        "seeds": {split: seeds_of(record, split) for split in ("val", "test")},
        "front": on_front,
        "settings": {name: record[name] for name in varied if record.get(name) is not None},
    }
    optional = ("pesq_val_interval", "pesq_test", "pesq_test_interval", "epochs", "best_epoch", "seconds", "stopped",
                "mlflow_run_id")  # fmt: skip
    told: dict[str, Any] = {key: record.get(key) for key in optional}
    for key in ("pesq_val_interval", "pesq_test_interval"):
        if told[key] is not None and None in told[key]:  # of a single clip there is none
            told[key] = None
    return point | told


def _networks(folder: Path, front: list[Record]) -> dict[str, Any]:
    """The teacher, where there is one, and the front's members by number; the dearest first."""
    paths = {"teacher": folder / "teacher.safetensors"}
    paths |= {str(record["trial"]): folder / str(record["checkpoint"]) for record in reversed(front)}
    found = {}
    for name, path in paths.items():
        try:
            found[name] = load_network(path)[0]
        except InputError as error:
            if name != "teacher":  # a search without a teacher has none
                log.warning("student %s is left out where it would run: %s", name, error)
    return found


def _frame_times(networks: Mapping[str, FTJNF]) -> dict[str, dict[str, float]]:
    """Milliseconds a frame of each network as a stream, one thread, by turns: the median, and what nine of ten keep."""
    rng = np.random.default_rng(0)
    times: dict[str, NDArray[np.float64]] = {}
    for microphones in {net.size.microphones for net in networks.values()}:
        runs = {name: torch_frame(net) for name, net in networks.items() if net.size.microphones == microphones}
        frames = rng.standard_normal((20, microphones, BINS, 2)).astype(np.float32)
        times |= frame_times(runs, frames, rounds=2)
    return {name: {"p50": float(np.quantile(one, 0.5)), "p90": float(np.quantile(one, 0.9))}
            for name, one in times.items()}  # fmt: skip


def _scenes(
    folder: Path,
    settings: Mapping[str, Any],
    examples: ExampleSet | None,
    front: Sequence[Record],
    networks: Mapping[str, FTJNF],
    silent: str,
) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    """What is heard; of each student the test scenes below the input, of how many; and why nothing is heard.

    The page shows one training of each member of the front: other seeds and former members are scored as well, but
    nobody could hear them here.
    """
    if not (folder / "test_scores.json").is_file():
        return [], {}, silent or "The search has not scored its test scenes yet: it does at its end."
    try:
        scores = TestScores.read(folder).of([record["trial"] for record in front])
    except InputError as error:
        return [], {}, str(error)
    scored = scores.beside["unprocessed"].size
    counted = {"of": scored, "students": {str(n): int((loss > 0).sum()) for n, loss in scores.losses().items()}}
    if examples is None:
        return [], counted, silent
    array = Array.parse(settings["data"]["array"])
    enhancers: dict[str, Enhancer] = {"unprocessed": unprocessed, "delay-and-sum": delay_and_sum(array)}
    enhancers |= {name: network_enhancer(net) for name, net in networks.items()}
    try:
        audible = scores.of([number for number in scores.students if str(number) in networks])
        return heard(examples, scores, picks(audible), enhancers), counted, ""
    except InputError as error:
        return [], counted, str(error)


def _figure3(records: list[Record], lines: Lines) -> dict[str, Any]:
    """The form of the paper's Figure 3: median PESQ over SNR by method."""
    size, best = snr_students(records, lines)
    series = [
        {
            "name": style(str(record["kd_method"])).name
            + ("" if size else f" {record['f_hidden']}/{record['t_hidden']}"),
            "method": record["kd_method"],
            "points": _by_snr(by_snr(record, lines.split), spread_by_snr(record, lines.split)),
        }
        for record in best
    ]
    for name, kind, values, spread in (
        (lines.teacher_name, "teacher", lines.teacher_by_snr, lines.teacher_spread_by_snr),
        ("unprocessed", "unprocessed", lines.unprocessed_by_snr, lines.unprocessed_spread_by_snr),
    ):
        if values:
            spread_found = snr_quartiles(spread)
            series.append({"name": name, "method": kind, "points": _by_snr(snr_numbers(values), spread_found)})
    return {"size": size, "series": series}


def _by_snr(
    values: Mapping[float, float], spread: Mapping[float, tuple[float, float]]
) -> list[tuple[float, float, float | None, float | None]]:
    return [(snr, value, *(spread.get(snr) or (None, None))) for snr, value in values.items()]


def _figure4(records: list[Record], lines: Lines) -> dict[str, Any]:
    """The form of the paper's Figure 4: median PESQ at 0 dB over cost by method."""
    series = []
    for group in size_students(records, lines, COUNTED_DB):
        members = sorted(group, key=lambda record: record["paper_gmac"])
        found = []
        for record in members:
            spread = spread_by_snr(record, lines.split).get(COUNTED_DB) or (None, None)
            found.append((record["paper_gmac"], by_snr(record, lines.split)[COUNTED_DB], *spread))
        first = members[0]
        name = f"{style(str(first['kd_method'])).name}, {start_name(str(first.get('init')))}"
        series.append({"name": name, "method": first["kd_method"], "start": first.get("init"), "points": found})
    teacher, noisy = (
        snr_numbers(values).get(COUNTED_DB) for values in (lines.teacher_by_snr, lines.unprocessed_by_snr)
    )
    return {"snr_db": COUNTED_DB, "series": series, "teacher": teacher, "unprocessed": noisy,
            "size_e_gmac": paper_gmac(TABLE_1["E"])}  # fmt: skip


def _remarks(folder: Path) -> list[str]:
    """What `report.md` says below its table."""
    path = folder / "report.md"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [line.removeprefix("- ") for line in lines if line.startswith("- ")]


def _tracking(folder: Path) -> dict[str, Any]:
    """Where the search stands in MLflow.

    `runs` is the address of a run with `ANY_RUN` in the place of its id: on its server, or in MLflow on the reader's
    own machine, which `command` starts. `open` is the search's page on a server.
    """
    try:
        told = read_json(folder / "tracking.json")
        page, experiment = str(told.get("page") or ""), told.get("experiment_id")
    except (InputError, AttributeError):
        page, experiment = "", None
    if re.match("https?://", page) is None:
        own = run_address(OWN_SERVER, experiment, ANY_RUN) if page and experiment else None
        return {"runs": own, "open": None, "command": without_password(page) or None}
    address = re.sub("//[^/@]*@", "//", page)  # a reader has a name and password of their own
    server, _, _ = address.partition("/#/")
    runs = run_address(server, str(experiment), ANY_RUN) if experiment else None
    return {"runs": runs, "open": address, "command": None}
