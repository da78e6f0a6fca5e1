"""Choose a student of a finished search and export it: `python analysis/choose.py [RUN FOLDER] [--rule within:0.1]`.

It lists the Pareto front, picks by a rule, says why and what the neighbours on the front would give, and writes the
student's folder (`model.export.export_student`). Validation scores alone decide; test scores are only shown.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.choice import DEFAULT_RULE, Choice, Pace, Search, choose, latest_search, name_of, read_search
from analysis.listing import pesq_text, print_choice, print_front
from analysis.origin import (
    OTHER_CORPORA,
    again,
    cache_of,
    known_pesq,
    own_pesq,
    own_tables,
    scores_by_snr,
    search_clips,
)
from analysis.registry import ALIAS, register
from analysis.series import Record, is_number, seeds_of, size_name
from analysis.speed import frame_ms, weights_of
from data.cores import usable_cores
from data.errors import InputError, run_command, stoppable
from data.files import file_digest, plain, read_json
from data.flags import CommandParser, with_budget
from data.passwords import masked
from data.plan import scenes_for_test
from model.card import not_measured
from model.clips import Tell, progress_lines
from model.export import check_vacant, export_student
from model.frame_time import HOP_MS
from model.ftjnf import FTJNF
from model.macs import Budget
from model.pesq_pool import PesqPool
from model.proof import proved
from model.score import network_enhancer
from model.sturdiness import measure, plan_of, sturdiness_table
from model.weights import load_network

STURDINESS_CLIPS = 6
"""Test clips, each at five SNRs, on which odd input is tried for the card; `python -m model.sturdiness` takes more."""


def _check_origin(path: Path, recipe: Mapping[str, Any], student: Record, settings: Mapping[str, Any] | None) -> None:
    """Makes sure that weights are those whose scores the search has listed, as far as both sides tell.

    Args:
        path: of the weights.
        recipe: what the weights say of themselves.
        student: what the search says of them.
        settings: the search's configuration.

    Raises:
        InputError: they are another student's.
    """
    told = dict(recipe.get("choice") or {}) | {"trial": recipe.get("number")}
    told["seed"] = (recipe.get("train") or {}).get("seed")
    listed = dict(student)
    seed = ((settings or {}).get("train") or {}).get("seed")
    listed["seed"] = None if seed is None else seed + student["trial"]
    keys = ("trial", "f_hidden", "t_hidden", "bi_freq", "kd_method", "alpha_schedule", "init", "seed")
    other = [key for key in keys if None not in (told.get(key), listed.get(key)) and told[key] != listed[key]]
    if other:
        differences = ", ".join(f"{key} {told[key]} instead of {listed[key]}" for key in other)
        raise InputError(
            f"{path} holds the weights of another student than {name_of(student)} ({differences}); restore the "
            "student's own, or choose another"
        )
    if student.get("weights_sha256") not in (None, file_digest(path)):
        raise InputError(
            f"{path} has changed since {name_of(student)} was scored; restore it from a copy, or choose another"
        )


def _export(search: Search, choice: Choice, out: Path, tell: Tell) -> dict[str, Any]:
    """Loads the student's weights, sees that they are the listed student's, and writes its folder; what was proved."""
    student = choice.student
    path = weights_of(search, student)
    net, recipe = load_network(path)
    listed = (student["f_hidden"], student["t_hidden"], bool(student.get("bi_freq", net.size.bi_freq)))
    if (net.size.f_hidden, net.size.t_hidden, net.size.bi_freq) != listed:
        raise InputError(f"{path} holds a network {net.size}, not {name_of(student)}; restore it or choose another")
    settings, manifest = search.folder / "search.json", search.folder / "data.json"
    teacher, epochs = search.folder / "teacher.safetensors", search.folder / "epochs.json"
    configuration = read_json(settings) if settings.is_file() else None
    _check_origin(path, recipe, student, configuration)
    command, space = again(configuration, read_json(epochs).get("epochs") if epochs.is_file() else None)
    tables = own_tables(search.folder, student)
    pesq = own_pesq(student, tables)
    origin: dict[str, Any] = {
        "run": search.folder.resolve().name,
        "why": choice.why,
        "student": student,
        "weights_sha256": file_digest(path),
        "data_manifest_sha256": file_digest(manifest) if manifest.is_file() else None,
        "teacher_sha256": file_digest(teacher) if teacher.is_file() else None,
        "trained_with": (configuration or {}).get("code"),
        "command": command,
        "space": space,
        "pesq": pesq,
        "scores": scores_by_snr(student, tables),
        "search": masked(configuration),  # this folder goes to others: no passwords in it
    }
    check_vacant(out)  # before the clips, which may take a minute
    clips = search_clips(search.folder, configuration)
    if clips.test is not None:
        known = known_pesq(search.folder, student["trial"], origin["weights_sha256"], clips.test.digest)
        clips = replace(clips, network=known)
    if clips.test is None:
        sturdiness = not_measured(clips.why)
    else:
        sturdiness = _sturdiness(net, configuration or {}, search.folder, clips.test.digest, tell)
    return export_student(
        net, recipe, out, origin=origin, notes=_notes(origin["run"], choice, pesq), clips=clips, sturdiness=sturdiness,
        tell=tell,
    )  # fmt: skip


def _sturdiness(net: FTJNF, configuration: Mapping[str, Any], folder: Path, test_set: str, tell: Tell) -> str:
    """The card's table on odd input, from the first test scenes of the search, or why it is not there.

    The scenes are drawn anew. Where the corpora have changed since they are others, also of training speakers: then
    the set that they make has another digest than the search's `test_set`.
    """
    try:
        source, spec, digest = scenes_for_test(plan_of(configuration), cache_of(folder))
    except (InputError, OSError) as error:
        tell(f"odd input is not measured: {error}")
        return not_measured(str(error))
    if digest != test_set:
        tell(f"odd input is not measured: {OTHER_CORPORA}")
        return not_measured(OTHER_CORPORA)
    clips = min(spec.clips, STURDINESS_CLIPS)
    tell(f"odd input: level, clipping, broken and displaced microphones, on {clips} test clips")
    with PesqPool(max(1, usable_cores())) as pool:
        progress = progress_lines(tell, "odd input")
        found = measure(network_enhancer(net), source, replace(spec, clips=clips), pool, progress=progress)
    return sturdiness_table(found)


def _teller(started: float, *, quiet: bool) -> Tell:
    """Says what is being done, and after how many seconds; to stderr where stdout is for a program."""

    def tell(line: str) -> None:
        print(f"  {time.monotonic() - started:4.0f} s  {line}", file=sys.stderr if quiet else sys.stdout, flush=True)

    return tell


def _notes(run: str, choice: Choice, own: Mapping[str, float | None]) -> list[str]:
    """The lines of `CARD.md` on origin and scores; `own` are those of the very training that is exported."""
    student = choice.student
    notes = [f"Trial {student['trial']} of the search {run}: {choice.why}."]
    if seeds_of(student, "val") > 1:
        notes.append(
            f"Its configuration was trained by {seeds_of(student, 'val')} seeds. The search goes by their mean; these "
            "are the weights of the one of the best validation PESQ, and the scores below are its own."
        )
    for split, key in (("validation", "val"), ("test", "test")):
        mean, seeds = student.get(f"pesq_{key}"), seeds_of(student, key)
        if not is_number(mean):
            continue
        texts = {name: pesq_text(student.get(f"pesq_{key}_{name}")) for name in ("unprocessed", "teacher")}
        texts["student"] = pesq_text(own[key]) + (f" (mean of {seeds} seeds {pesq_text(mean)})" if seeds > 1 else "")
        told = ", ".join(
            f"{name} {texts[name]}" for name in ("unprocessed", "student", "teacher") if texts[name] != "-"
        )
        notes.append(f"PESQ, mean over -5, 0, 5, 10, 15 dB of the median over clips, {split}: {told}.")
    return notes


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python analysis/choose.py",
        description="Lists the Pareto front of a search, picks a student by a rule, writes a folder to deploy.",
        epilog="examples: python analysis/choose.py runs/first --rule within:0.1 --budget 0.6GMAC; "
        "python analysis/choose.py --trial 7 --out student",
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="RUN", help="run folder (default: latest in ./runs)")
    parser.add_argument(
        "--rule",
        help="best: the highest PESQ; knee: after it more cost buys least; within:X: the cheapest within X of the "
        f"teacher's PESQ (default: {DEFAULT_RULE}, or best if there is none, or knee without a teacher)",
    )
    parser.add_argument("--budget", metavar="COST", help="only students that cost at most that, e.g. 0.6GMAC")
    parser.add_argument(
        "--max-ms",
        type=float,
        metavar="MS",
        help="only students whose frame takes at most that here (median of one thread, onnxruntime; a new frame comes "
        f"every {HOP_MS:g} ms)",
    )
    parser.add_argument("--trial", type=int, metavar="N", help="take this student, instead of a rule")
    parser.add_argument("--out", type=Path, metavar="DIR", help="new or empty folder (default: RUN/student-F-T)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def read_flags(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line.

    Raises:
        InputError: an unknown flag, or a value of the wrong kind.
    """
    arguments = _parser().parse_args(with_budget(argv))
    if arguments.max_ms is not None and not (math.isfinite(arguments.max_ms) and arguments.max_ms > 0):
        raise InputError(f"--max-ms must be a positive number of milliseconds but is {arguments.max_ms:g}")
    return arguments


def _asks(arguments: argparse.Namespace) -> bool:
    """Whether a person is there to be asked, and has not said already what to take."""
    said = (arguments.rule, arguments.budget, arguments.max_ms, arguments.trial, arguments.out)
    return all(one is None for one in said) and not arguments.json and sys.stdin.isatty() and sys.stdout.isatty()


def _ask(search: Search, proposed: Choice) -> Choice:
    """Shows the front and asks which student to take; Enter takes the proposed one.

    Raises:
        InputError: the input ended without an answer.
    """
    try:
        ms = frame_ms(search, search.front)
    except InputError:  # weights are missing; that is said of the one that is taken
        ms = {}
    print_front(search, proposed.student, ms)
    print(f"\nproposed: {name_of(proposed.student)}, {proposed.why}")
    while True:
        try:
            said = input(f"Which student? Its trial, or Enter for {proposed.student['trial']}: ").strip()
        except EOFError:  # Ctrl-D
            print()
            raise InputError("no student was chosen, as the input ended; name one with --trial, or a --rule") from None
        if not said:
            return proposed
        try:
            return choose(search, trial=int(said))
        except ValueError:
            print(f"{said!r} is no number of a trial.")
        except InputError as error:
            print(f"{error}.")


def _register(search: Search, choice: Choice, out: Path, *, quiet: bool) -> dict[str, str] | None:
    """Registers the exported student in MLflow. A store that is away takes nothing from the folder that was written."""
    settings = search.folder / "search.json"
    told = sys.stderr if quiet else sys.stdout
    try:
        if not settings.is_file():
            raise InputError(f"{settings} is not there to name the store")
        name, version = register(search.folder, read_json(settings), choice.student, out, choice.why)
    except InputError as error:
        print(f"not registered in MLflow: {error}", file=told)
        return None
    print(f"registered in MLflow: model {name}, version {version}, alias {ALIAS}", file=told)
    return {"model": name, "version": version, "alias": ALIAS}


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = read_flags(sys.argv[1:] if argv is None else argv)
    budget = None if arguments.budget is None else Budget.parse(arguments.budget)
    search = read_search(latest_search() if arguments.folder is None else arguments.folder)
    ms = {}
    if arguments.max_ms is not None:
        asked = [record for record in search.records if record["trial"] == arguments.trial]
        ms = frame_ms(search, asked or search.front)
    choice = choose(search, arguments.rule, budget, arguments.trial, Pace(arguments.max_ms, ms) if ms else None)
    if _asks(arguments):
        choice = _ask(search, choice)
    out = arguments.out or search.folder / f"student-{size_name(choice.student).replace('/', '-')}"
    if not arguments.json:
        print_front(search, choice.student, ms)
        print_choice(choice, budget)
    started = time.monotonic()
    with stoppable():  # else the unfinished folder would stay
        proof = _export(search, choice, out, _teller(started, quiet=arguments.json))
    registered = _register(search, choice, out, quiet=arguments.json)
    if arguments.json:
        report = {
            "run": str(search.folder),
            "front": search.front,
            "chosen": choice.student,
            "why": choice.why,
            "frame_ms": {str(trial): value for trial, value in ms.items()},
            "cheaper": choice.cheaper,
            "dearer": choice.dearer,
            "out": str(out),
            "largest_difference": proof["largest_difference"],
            "proof": plain(proof),
            "registered": registered,
        }
        print(json.dumps(report, indent=2))
    else:
        print(f"written in {time.monotonic() - started:.0f} s: {out}; {proved(proof)}; its CARD.md tells how to use it")


if __name__ == "__main__":
    run_command(main)
