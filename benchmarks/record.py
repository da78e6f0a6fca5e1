"""Records the learning curves of finished students: one line a student, appended to a file of curves.

    python benchmarks/record.py RUN [RUN ...] [--out FILE]

RUN is the folder of a search, finished or still at work; students that are not finished yet are left for the next
call. A student that is in the file already is not added again, so the command may be repeated as a search goes on.
`benchmarks/curves/README.md` tells the format and how the curves that come with this project were made.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.curve import RECORDED, Curve, add_curves
from benchmarks.measure import machine
from data.errors import InputError, run_command
from data.files import file_digest, read_json
from data.flags import CommandParser
from model.weights import load_network
from search.space import Choice

SETS = ("train", "val", "score_val")
SAME_ELSEWHERE = ("size", "method", "schedule", "init", "seed", "nested")
"""Settings of a training that the choice or the seed say already, or that students do not have."""
SNRS = (-5, 0, 5, 10, 15)


def main(words: list[str] | None = None) -> None:
    """The command line."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a search")
    parser.add_argument("--out", type=Path, default=RECORDED, help="file of curves (default: %(default)s)")
    arguments = parser.parse_args(words)
    for run in arguments.runs:
        found = list(finished(run))
        print(f"{run}: {len(found)} finished, {add_curves(arguments.out, found)} of them new in {arguments.out}")


def finished(run: Path) -> Iterator[Curve]:
    """The curves of a run folder's finished students that have a score, by their numbers.

    Raises:
        InputError: it is no run folder, or a file in it is broken.
    """
    if not (run / "search.json").is_file():
        raise InputError(f"{run} is no folder of a search, as it has no search.json; give runs/NAME")
    sets = read_json(run / "data.json")["sets"]
    data = {name: str(sets[name]["digest"]) for name in SETS}
    taught, where = _teacher(run), machine()
    made = {"torch": str(where["torch"]), "cpu": str(where["cpu"])}
    beside = _beside(run)
    if beside is None:  # the first student ends with them
        return
    for folder in sorted((run / "students").glob("[0-9]*")):
        if all((folder / name).is_file() for name in ("result.json", "scores.json", "history.jsonl")):
            curve = _curve(folder, data, taught, beside, made)
            if curve is not None:
                yield curve


def _teacher(run: Path) -> dict[str, str] | None:
    path = run / "teacher.safetensors"
    if not path.is_file():
        return None
    return {"digest": file_digest(path)[:16], "size": str(load_network(path)[0].size)}


def _beside(run: Path) -> dict[str, float | None] | None:
    """Validation PESQ of what stands beside the students; None as long as the run has not written it."""
    if (run / "beside.json").is_file():
        val = read_json(run / "beside.json").get("val", {})
        return {name: _round(val.get(name, {}).get("pesq")) for name in ("unprocessed", "delay-and-sum", "teacher")}
    front = read_json(run / "front.json") if (run / "front.json").is_file() else []
    if not front:
        return None
    names = {"unprocessed": "unprocessed", "delay-and-sum": "delay_and_sum", "teacher": "teacher"}
    return {name: _round(front[0][f"pesq_val_{key}"]) for name, key in names.items()}


def _curve(
    folder: Path,
    data: dict[str, str],
    teacher: dict[str, str] | None,
    beside: dict[str, float | None],
    made: dict[str, str],
) -> Curve | None:
    """One student's curve; None if it failed, was stopped on its way, or could not be scored."""
    result, config, scores = (read_json(folder / f"{name}.json") for name in ("result", "config", "scores"))
    if result.get("state") != "COMPLETE" or result.get("stopped") or scores["val"]["pesq"] is None:
        return None
    history = read_json_lines(folder / "history.jsonl")
    epochs, in_stage = [], 0
    for i, one in enumerate(history):
        in_stage = in_stage + 1 if i and one["stage"] == history[i - 1]["stage"] else 1
        by_snr = [one.get(f"pesq_{'minus_' if snr < 0 else ''}{abs(snr)}_db") for snr in SNRS]
        losses = {name: _round(one[name], 5) for name in ("loss_val_hard", "loss_val_soft")}
        epochs.append({
            "epoch": one["epoch"], "epoch_in_stage": in_stage, "stage": one["stage"], "alpha": _round(one["alpha"]),
            **losses, "pesq": _round(one.get("pesq")), "pesq_by_snr": [_round(value) for value in by_snr],
        })  # fmt: skip
    return Curve(
        choice=Choice(**config["choice"]),
        train={name: value for name, value in config["train"].items() if name not in SAME_ELSEWHERE},
        seed=config["train"]["seed"],
        data=data,
        teacher=teacher,
        epochs=epochs,
        best_epoch=result["best_epoch"],
        pesq=round(scores["val"]["pesq"], 4),
        clips=[[_round(value) for value in row] for row in scores["val_table"]],
        beside=beside,
        made=made,
    )


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one a line.

    Raises:
        InputError: a line is not JSON.
    """
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise InputError(f"{path} cannot be read as lines of JSON ({error}); restore it from a copy") from None


def _round(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


if __name__ == "__main__":
    run_command(main)
