"""What a finished search offers, and the rules by which one of its students is chosen: by validation PESQ alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.front import pareto_mask, pick
from analysis.series import Record, is_number, score, size_name
from data.errors import InputError
from data.files import read_json
from model.macs import FRAMES_PER_SECOND, Budget, Unit

DEFAULT_RULE = "within:0.1"
_REQUIRED = ("trial", "f_hidden", "t_hidden", "paper_gmac", "gmac_per_s")


@dataclass(frozen=True)
class Search:
    """A finished search.

    Args:
        folder: the run folder.
        records: all students with a score, those of `students.json`; where that is missing, those of `front.json`.
        front: its non-dominated students in paper GMAC and validation PESQ, cheapest first; at least one.
        teacher, unprocessed: validation PESQ of the teacher and of the noisy reference microphone; None if not known.
    """

    folder: Path
    records: list[Record]
    front: list[Record]
    teacher: float | None
    unprocessed: float | None


@dataclass(frozen=True)
class Pace:
    """A limit on the time of a frame.

    Args:
        max_ms: milliseconds a frame may take.
        ms: what those take that can be chosen, by trial (`analysis.speed`).
    """

    max_ms: float
    ms: Mapping[int, float]

    def holds(self, record: Record) -> bool:
        """Whether a student keeps the limit."""
        return self.ms[record["trial"]] <= self.max_ms


@dataclass(frozen=True)
class Choice:
    """A student, why it was chosen (a sentence's end), and its neighbours on the front; None where there is none."""

    student: Record
    why: str
    cheaper: Record | None
    dearer: Record | None


def latest_search(root: Path = Path("runs")) -> Path:
    """The run folder with the newest `front.json`.

    Raises:
        InputError: there is none.
    """
    found = sorted(root.glob("*/front.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError(f"no finished search in {root.resolve()}; run search/run.py first, or name a run folder")
    return found[-1].parent


def read_search(folder: Path) -> Search:
    """Reads a run folder.

    Raises:
        InputError: no such folder, or no usable student in its `front.json`.
    """
    path = folder / "front.json"
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a run folder of search/run.py, one that holds front.json")
    if not path.is_file():
        raise InputError(f"{path} does not exist; let the search finish a student first, or name another run folder")
    records = _read_records(path)
    members = pareto_mask([record["paper_gmac"] for record in records], _validation(records))
    front = [record for record, member in zip(records, members, strict=True) if member]
    if not front:
        raise InputError(f"{path} holds no student with a validation PESQ; let the search finish at least one")
    front.sort(key=lambda record: float(record["paper_gmac"]))
    every = folder / "students.json"
    if every.is_file():  # those off the front can be asked for by number
        known = {record["trial"] for record in records}
        records += [record for record in _read_records(every) if record["trial"] not in known]
    return Search(folder, records, front, _first(records, "pesq_val_teacher"), _first(records, "pesq_val_unprocessed"))


def _read_records(path: Path) -> list[Record]:
    """Students from a file of the run folder.

    Raises:
        InputError: it holds something else.
    """
    records = read_json(path)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{path} must hold a list of students; give a run folder of search/run.py")
    for record in records:
        missing = [key for key in _REQUIRED if not is_number(record.get(key))]
        if missing:
            raise InputError(f"a student in {path} has no number for {', '.join(missing)}; name another run folder")
    return records


def _validation(records: Sequence[Record]) -> list[float]:
    values = [score(record, "validation") for record in records]
    return [math.nan if value is None else value for value in values]


def _first(records: Sequence[Record], key: str) -> float | None:
    return next((float(record[key]) for record in records if is_number(record.get(key))), None)


def choose(
    search: Search,
    rule: str | None = None,
    budget: Budget | None = None,
    trial: int | None = None,
    pace: Pace | None = None,
) -> Choice:
    """Picks a student.

    Args:
        search: what to pick from.
        rule: see `analysis.front.pick`, by validation PESQ. None stands for `within:0.1`, for `best` where no student
            is that near the teacher, and for `knee` where the teacher's score is not known.
        budget: leaves out what costs more.
        trial: the number of the student to take, instead of a rule.
        pace: leaves out what is slower.

    Raises:
        InputError: no such trial, nothing within the budget or fast enough, or a rule that is not understood or that
            nobody satisfies.
    """
    if trial is not None and rule is not None:
        raise InputError(f"--trial {trial} and --rule {rule} exclude each other; pass one of them")
    if trial is not None:
        student, why = _by_number(search, trial, budget, pace)
    else:
        student, why = _by_rule(search, rule, budget, pace)
    cost = student["paper_gmac"]
    others = [record for record in search.front if record["trial"] != student["trial"]]
    cheaper = [record for record in others if record["paper_gmac"] <= cost]
    dearer = [record for record in others if record["paper_gmac"] > cost]
    return Choice(student, why, cheaper[-1] if cheaper else None, dearer[0] if dearer else None)


def _by_number(search: Search, trial: int, budget: Budget | None, pace: Pace | None) -> tuple[Record, str]:
    student = next((record for record in search.records if record["trial"] == trial), None)
    if student is None:
        deployed = next((record for record in search.records if trial in (record.get("trials") or ())), None)
        if deployed is not None:
            raise InputError(
                f"trial {trial} of {search.folder} is another seed of {name_of(deployed)}, which is the one that is "
                f"deployed; pass --trial {deployed['trial']}"
            )
        numbers = ", ".join(str(record["trial"]) for record in search.front)
        raise InputError(f"{search.folder} has no trial {trial} with a score; on its front are {numbers}")
    if budget is not None and cost_of(student, budget.unit) > budget.limit:
        raise InputError(f"{name_of(student)} costs {costs_of(student)}, more than --budget {budget}; drop either")
    if pace is not None and not pace.holds(student):
        raise InputError(
            f"a frame of {name_of(student)} takes {pace.ms[trial]:.3g} ms here, more than --max-ms {pace.max_ms:g}; "
            "drop either"
        )
    if any(record is student for record in search.front):
        return student, "as asked for"
    fault = "another student dominates it" if score(student, "validation") is not None else "it has no validation PESQ"
    return student, f"as asked for, although it is not on the front: {fault}"


def _by_rule(search: Search, rule: str | None, budget: Budget | None, pace: Pace | None) -> tuple[Record, str]:
    front = [record for record in search.front if budget is None or cost_of(record, budget.unit) <= budget.limit]
    if not front:
        cheapest = search.front[0]
        raise InputError(
            f"no student on the front of {search.folder} costs at most {budget}; the cheapest, {name_of(cheapest)}, "
            f"costs {costs_of(cheapest)}"
        )
    if pace is not None:
        fastest = min(front, key=lambda record: pace.ms[record["trial"]])
        front = [record for record in front if pace.holds(record)]
        if not front:
            raise InputError(
                f"no student on the front of {search.folder} takes at most {pace.max_ms:g} ms a frame here; the "
                f"fastest, {name_of(fastest)}, takes {pace.ms[fastest['trial']]:.3g} ms"
            )
    cost, pesq = [record["paper_gmac"] for record in front], _validation(front)
    limit = "" if budget is None else f" within the budget of {budget}"
    limit += "" if pace is None else f" of those that take at most {pace.max_ms:g} ms a frame here"
    remark = ""
    if rule is None:
        rule, remark = _default_rule(cost, pesq, search.teacher)
    index = pick(rule, cost, pesq, search.teacher)
    return front[index], _reason(rule, index, search) + limit + remark


def _default_rule(cost: Sequence[float], pesq: Sequence[float], teacher: float | None) -> tuple[str, str]:
    """The rule where none was given, and what is to be said about it."""
    if teacher is None:
        return "knee", "; the search does not know its teacher's validation PESQ"
    try:
        pick(DEFAULT_RULE, cost, pesq, teacher)
    except InputError:
        gap = f"{teacher - max(pesq):.3g}"
        return "best", f"; none is within 0.1 PESQ of the teacher, and this one, the nearest, is {gap} below it"
    return DEFAULT_RULE, ""


def _reason(rule: str, index: int, search: Search) -> str:
    if rule == "best":
        return "the best validation PESQ"
    if rule == "knee" and index == 0:
        return "the cheapest student, as the front has no knee: no member lies above the line between its ends"
    if rule == "knee":
        return "the knee of the front, after which more cost buys least validation PESQ"
    delta = float(rule.partition(":")[2])
    return f"the cheapest student within {delta:g} PESQ of the teacher ({search.teacher:.2f}) in validation"


def cost_of(record: Record, unit: Unit) -> float:
    """The cost of a student in a unit of `model.macs`."""
    if unit == "GMAC":
        return float(record["paper_gmac"])
    per_second = float(record["gmac_per_s"])
    return per_second if unit == "GMAC/s" else 1000 * per_second / FRAMES_PER_SECOND


def name_of(record: Record) -> str:
    """A student in words: `trial 7 (64/16)`."""
    return f"trial {record['trial']} ({size_name(record)})"


def costs_of(record: Record) -> str:
    """Its cost on the paper's axis and the true one, in words."""
    return f"{record['paper_gmac']:.3g} GMAC = {record['gmac_per_s']:.3g} GMAC/s"
