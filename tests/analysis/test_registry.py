from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from analysis.registry import ALIAS, model_name, put_beside_search, register
from data.errors import InputError
from data.files import read_json, write_json
from search.tracking import Tracker
from search.tracking_store import default_uri


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Mapping[str, Any]]]:
    """The folder of a search in a store with two students, and their records."""
    folder = tmp_path_factory.mktemp("storage") / "first"
    folder.mkdir()
    tracker = Tracker(default_uri(folder.parent), "ftjnf-students", folder)
    tracker.open("first", {}, {})
    for number in (0, 1):
        tracker.student(number, {}, str(number))
    assert tracker.flush(60)
    records = [{"trial": number, "mlflow_run_id": tracker.run_id(number), "weights_sha256": "ab"} for number in (0, 1)]
    tracker.close("FINISHED")
    return folder, records


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """An exported student, as far as it matters here."""
    folder = tmp_path / "student-8-4"
    folder.mkdir()
    (folder / "student.onnx").write_bytes(b"weights")
    config = {
        "origin": {"weights_sha256": "ab", "teacher_sha256": "cd", "trained_with": [{"git_commit": "1234"}]},
        "code": {"package": "0.1", "git_commit": "5678", "changed": True},
        "recipe": {"train": {"seed": 3}},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_student_chosen_last_is_the_deployable_one(
    runs: tuple[Path, list[Mapping[str, Any]]], exported: Path
) -> None:
    from mlflow import MlflowClient

    folder, (first, second) = runs
    settings = {"name": "first", "tracking_uri": None}
    assert register(folder, settings, first, exported, "the best") == ("ftjnf-first", "1")
    assert register(folder, settings, second, exported, "the knee") == ("ftjnf-first", "2")
    uri = default_uri(folder.parent)
    client = MlflowClient(uri, uri)
    version = client.get_model_version_by_alias(model_name("first"), ALIAS)
    assert (version.version, version.run_id, version.description) in (
        ("2", second["mlflow_run_id"], "the knee"),
        (2, second["mlflow_run_id"], "the knee"),
    )
    tags = [client.get_run(one["mlflow_run_id"]).data.tags[ALIAS] for one in (first, second)]
    assert tags == ["no", "yes"]
    assert version.tags == {
        "trial": "1", "weights_sha256": "ab", "teacher_sha256": "cd", "seed": "3", "trained_with": "commit 1234",
        "exported_with": "ftjnf-students 0.1, commit 5678, with changes",
    }  # fmt: skip
    place = version.source.rpartition("/")[2]
    assert [one.path for one in client.list_artifacts(second["mlflow_run_id"], place)] == [
        f"{place}/config.json", f"{place}/student.onnx",
    ]  # fmt: skip
    (exported / "student.onnx").write_bytes(b"other weights")
    register(folder, settings, second, exported, "again")
    later = client.get_model_version_by_alias(model_name("first"), ALIAS)
    assert later.source.rpartition("/")[0] == version.source.rpartition("/")[0]
    assert later.source != version.source  # the earlier version's files are its own


def test_a_file_is_put_beside_the_search(
    runs: tuple[Path, list[Mapping[str, Any]]], exported: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    folder, _ = runs
    with pytest.raises(InputError, match="does not tell the search's MLflow run"):
        put_beside_search(tmp_path, exported / "student.onnx")
    write_json(folder / "search.json", {"name": "first", "tracking_uri": None})
    put_beside_search(folder, exported / "student.onnx")
    uri = default_uri(folder.parent)
    parent = read_json(folder / "tracking.json")["parent_run_id"]
    assert [one.path for one in MlflowClient(uri, uri).list_artifacts(parent)] == ["student.onnx"]


def test_a_store_or_a_run_that_is_not_there_is_one_sentence(
    runs: tuple[Path, list[Mapping[str, Any]]], exported: Path, tmp_path: Path
) -> None:
    folder, (first, _) = runs
    with pytest.raises(InputError, match="there is no tracking store at sqlite:"):
        register(tmp_path / "x", {"name": "x"}, first, exported, "")
    assert not (tmp_path / "mlflow.db").exists()
    with pytest.raises(InputError, match="trial 7 has no MLflow run"):
        register(folder, {"name": "first"}, {"trial": 7}, exported, "")
    with pytest.raises(InputError, match="did not take it"):
        register(folder, {"name": "first"}, {"trial": 7, "mlflow_run_id": "0" * 32}, exported, "")
