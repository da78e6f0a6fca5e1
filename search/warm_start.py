"""`--warm-start`: what an earlier search on the same data has scored, for the sampler of this one.

The first session asks MLflow and writes `warm_start.json`; all sessions read that file, so a resumed search proposes
what an uninterrupted one does. The scores inform the sampler, and are no students of this search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import read_json, text_digest, write_json
from model.ftjnf import Size
from search.dimensions import SETTINGS
from search.proposal import Proposal
from search.space import Choice, Space

FILE = "warm_start.json"
SETS = ("train", "val", "score_val")
"""What scores depend on; the test set may differ."""

_NO_SETTING = ("trial", "size", "seed", "repeat")
"""Parameters of a student in which it may differ from another one of the same training."""


def data_digest(manifest: Mapping[str, Any]) -> str:
    """What two searches have in common if their scores can be compared: a hash of their example sets'."""
    return text_digest([manifest["sets"][name]["digest"] for name in SETS])


def write_warm_start(folder: Path, search: str, students: Sequence[tuple[Mapping[str, str], float]]) -> None:
    """Keeps what was found.

    Args:
        folder: of the run.
        search: the earlier one's name.
        students: parameters, as MLflow has them, and validation PESQ of each.
    """
    found = [{"params": dict(params), "pesq": pesq} for params, pesq in students]
    write_json(folder / FILE, {"search": search, "students": found})


def read_warm_start(
    folder: Path, space: Space, params_of: Callable[[Choice], Mapping[str, Any]] | None = None
) -> list[Proposal]:
    """The earlier students, numbered -1, -2 and so on; none if the search had no warm start.

    Args:
        folder: of the run.
        space: of this search. A setting that it varies is part of a configuration, others are of the training.
        params_of: all parameters that this search would log for a configuration, to tell trainings by other settings,
            such as fewer epochs; None takes all for trained as here.

    Raises:
        InputError: the file cannot be read.
    """
    if not (folder / FILE).exists():
        return []
    try:
        students = [(dict(one["params"]), float(one["pesq"])) for one in read_json(folder / FILE)["students"]]
        found = [_proposal(-i - 1, *student, space, params_of) for i, student in enumerate(students)]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / FILE} is not what --warm-start wrote ({error}); restore it, or delete it to go on without"
        ) from None
    return [one for one in found if one is not None]


def _proposal(
    number: int, params: dict[str, str], pesq: float, space: Space,
    params_of: Callable[[Choice], Mapping[str, Any]] | None,
) -> Proposal | None:  # fmt: skip
    method, init = params["kd_method"], params["init"]
    size = Size(
        int(params["f_hidden"]), int(params["t_hidden"]), params["bi_freq"] == "True", int(params["microphones"])
    )
    schedule = params["alpha_schedule"]
    if size.bi_freq != space.bi_freq or size.microphones != space.microphones:
        return None  # another kind of network: neither its costs nor its scores say anything here
    varied = {one.name: one for one in space.dimensions if one.heeded(method, schedule)}
    known = {name: value for name in varied if (value := params.get(name, "none")) != "none"}
    settings = {name: float(value) if varied[name].ordered else value for name, value in known.items()}
    choice = Choice.of(size, method, schedule, init, int(params.get("repeat", 0)), **settings)
    elsewhere = False
    if params_of is not None:
        fields = {*asdict(choice), *_NO_SETTING} - {*SETTINGS} | {*varied}
        here = {name: str(value) for name, value in params_of(choice).items()}
        elsewhere = any(here.get(name) != params.get(name) for name in {*here, *params} - fields)
    return Proposal(number, choice, "COMPLETE", pesq, elsewhere)
