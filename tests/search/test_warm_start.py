from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from data.errors import InputError
from data.files import read_json, write_json
from data.plan import Sets
from model.ftjnf import Size
from model.macs import Budget
from search.config import SearchConfig
from search.dimensions import Dimension
from search.flags import read_flags, search_config
from search.proposals import Proposals
from search.session import EXPERIMENT, Session
from search.space import Choice, Space
from search.tracking import Tracker
from search.tracking_earlier import earlier_students
from search.tracking_store import default_uri
from search.warm_start import FILE, data_digest, read_warm_start, write_warm_start

CHOICE = Choice.of(Size(40, 12), "linear", "cosine", "slice")


def space(**settings: Any) -> Space:
    defaults = {"methods": ("none", "linear"), "schedules": ("two-stage", "cosine"), "inits": ("slice",)}
    return Space(Budget.parse("1.0GMAC"), **{**defaults, **settings})


def params(choice: Choice, **training: Any) -> dict[str, Any]:
    """What a search logs of a student."""
    logged = {"trial": 0, "size": str(choice.size)} | asdict(choice) | {"lr": 1e-3, "epochs": 5, "seed": 0} | training
    return {name: "none" if value is None else value for name, value in logged.items()}


def texts(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def test_what_was_written_is_read_as_students_of_an_earlier_search(tmp_path: Path) -> None:
    write_warm_start(tmp_path, "first", [(texts(params(CHOICE, trial=7, seed=3)), 1.25)])
    (one,) = read_warm_start(tmp_path, space(), params)
    assert (one.number, one.choice, one.state, one.pesq, one.elsewhere) == (-1, CHOICE, "COMPLETE", 1.25, False)


def test_other_settings_of_the_training_are_noticed(tmp_path: Path) -> None:
    write_warm_start(tmp_path, "first", [(texts(params(CHOICE, epochs=9)), 1.25)])
    assert read_warm_start(tmp_path, space(), params)[0].elsewhere


def test_a_setting_that_the_search_varies_is_part_of_the_configuration(tmp_path: Path) -> None:
    varied = space(dimensions=(Dimension("lr", (3e-4, 1e-3)),))
    write_warm_start(tmp_path, "first", [(texts(params(CHOICE, lr=3e-4)), 1.25)])
    (one,) = read_warm_start(tmp_path, varied, params)
    assert (one.choice.lr, one.elsewhere) == (3e-4, False)


def test_another_kind_of_network_is_left_out(tmp_path: Path) -> None:
    write_warm_start(tmp_path, "first", [(texts(params(CHOICE)) | {"microphones": "3"}, 1.25)])
    assert read_warm_start(tmp_path, space(), params) == []


def test_a_search_without_warm_start_has_none(tmp_path: Path) -> None:
    assert read_warm_start(tmp_path, space()) == []


@pytest.mark.parametrize("content", [{}, {"students": [{"pesq": 1.0}]}, {"students": [{"params": {}, "pesq": 1.0}]}])
def test_a_broken_file_is_named(tmp_path: Path, content: dict[str, Any]) -> None:
    write_json(tmp_path / FILE, content)
    with pytest.raises(InputError, match=r"warm_start\.json is not what --warm-start wrote"):
        read_warm_start(tmp_path, space())


@pytest.mark.parametrize("sampler", ["ehvi", "tpe", "random", "grid"])
def test_what_was_trained_alike_is_not_proposed_again_and_counts_for_nothing(tmp_path: Path, sampler: str) -> None:
    few = space(sizes=(Size(8, 4), Size(16, 8), Size(40, 12)), schedules=("cosine",))
    known = list(few.configurations())[:4]
    write_warm_start(tmp_path, "first", [(texts(params(choice)), 1.1 + 0.02 * i) for i, choice in enumerate(known)])
    proposals = Proposals(few, None, 0, sampler, read_warm_start(tmp_path, few, params))
    found = [proposals.propose(0), proposals.propose(1)]
    assert set(found) == set(few.configurations()) - set(known)
    assert proposals.propose(2) is None
    assert [one.number for one in proposals.trials()] == [0, 1]


def test_what_was_trained_otherwise_may_be_trained_again(tmp_path: Path) -> None:
    one_size = space(sizes=(Size(8, 4),), methods=("none",))
    choice = next(one_size.configurations())
    write_warm_start(tmp_path, "first", [(texts(params(choice, epochs=9)), 1.1)])
    assert Proposals(one_size, None, 0, "ehvi", read_warm_start(tmp_path, one_size, params)).propose(0) == choice


def test_the_data_counts_and_the_test_set_does_not() -> None:
    def manifest(**digests: str) -> dict[str, Any]:
        sets = {"train": "a", "val": "b", "score_val": "c", "score_test": "d"} | digests
        return {"sets": {name: {"digest": digest} for name, digest in sets.items()}}

    assert data_digest(manifest()) == data_digest(manifest(score_test="x")) != data_digest(manifest(train="x"))


def test_scores_are_read_from_the_runs_of_a_search_on_the_same_data_alone(tmp_path: Path) -> None:
    uri = default_uri(tmp_path)
    with pytest.raises(InputError, match="there is no tracking store"):
        earlier_students(uri, "students", "first", "digest")
    assert not (tmp_path / "mlflow.db").exists()
    tracker = Tracker(uri, "students", tmp_path / "first")
    tracker.open("first", {"budget": "1.0GMAC"}, {"data_digest": "digest"})
    for number, result in enumerate(("COMPLETE", "PRUNED", "COMPLETE", "COMPLETE")):
        tracker.student(number, params(CHOICE, trial=number), "a student")
        tracker.log(number, {"pesq": 1.1}, 1)
        tracker.log(number, {"pesq": 1.2 + number / 100}, 2)
        # the score of the last one is of fewer epochs than its parameters say
        tracker.tag_student(number, {"result": result, "stopped": "time" if number == 3 else "no"})
        tracker.end_student(number, "FINISHED")
    tracker.close("FINISHED")
    students = earlier_students(uri, "students", "first", "digest")
    assert [(one["trial"], pesq) for one, pesq in students] == [("0", 1.2), ("2", 1.22)]
    write_warm_start(tmp_path / "first", "first", students)
    assert [one.choice for one in read_warm_start(tmp_path / "first", space(), params)] == [CHOICE, CHOICE]
    assert read_json(tmp_path / "first" / FILE)["search"] == "first"
    with pytest.raises(InputError, match="other data"):
        earlier_students(uri, "students", "first", "another")
    with pytest.raises(InputError, match=r"no search of that name .* there are first"):
        earlier_students(uri, "students", "second", "digest")


def test_a_session_asks_once_and_a_resumed_one_reads_its_folder(
    tmp_path: Path, tiny_flags: list[str], cache: Path
) -> None:
    manifest = {"sets": {name: {"digest": name} for name in ("train", "val", "score_val")}}
    uri = default_uri(tmp_path)
    tracker = Tracker(uri, EXPERIMENT, tmp_path / "first")
    tracker.open("first", {}, {"data_digest": data_digest(manifest)})
    tracker.student(0, params(CHOICE), "a student")
    tracker.log(0, {"pesq": 1.2}, 1)
    tracker.tag_student(0, {"result": "COMPLETE"})
    tracker.close("FINISHED")
    flags = [*tiny_flags, "--storage", str(tmp_path), "--name", "second", "--warm-start", "first"]
    config = search_config(read_flags(flags))
    assert SearchConfig.from_dict(config.to_dict()).warm_start == "first"
    session = Session(config, config.space(5), cache, Console(file=io.StringIO()), 0.0, resumed=False)
    config.folder.mkdir()
    sets = cast(Sets, SimpleNamespace(manifest=manifest))
    session._warm_start(sets)
    assert [one.pesq for one in read_warm_start(config.folder, config.space(5))] == [1.2]
    (tmp_path / "mlflow.db").unlink()
    session._warm_start(sets)  # needs no store any more
    (config.folder / FILE).unlink()
    with pytest.raises(InputError, match="no tracking store"):
        session._warm_start(sets)
