from __future__ import annotations

import logging
from pathlib import Path

import pytest

from data.errors import InputError
from search.tracking_store import absolute_uri, artifact_folder, default_uri, prepare_store, quiet


def test_the_default_store_and_its_files_lie_in_the_storage_folder(tmp_path: Path) -> None:
    storage = tmp_path / "a b"
    uri = default_uri(storage)
    assert uri == f"sqlite:///{storage}/mlflow.db"
    assert artifact_folder(uri, storage / "runs" / "demo") == f"file://{tmp_path}/a%20b/mlflow-artifacts"


def test_a_relative_store_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert absolute_uri("http://server:5000") == "http://server:5000"


def test_a_server_keeps_files_where_it_likes_and_a_database_beside_the_run_folders(tmp_path: Path) -> None:
    assert artifact_folder("http://server:5000", tmp_path / "demo") is None
    beside = artifact_folder("postgresql://server/mlflow", tmp_path / "demo")
    assert beside == f"file://{tmp_path}/mlflow-artifacts"


@pytest.mark.parametrize("uri", ["", "localhost:5000", "mlruns", "/some/mlruns", "file:///some/mlruns"])
def test_an_address_mlflow_takes_for_a_folder_is_an_input_error(uri: str) -> None:
    with pytest.raises(InputError, match="no address of a tracking store"):
        prepare_store(uri)


@pytest.mark.parametrize("folder", ["50%20", "what?"])
def test_a_path_that_an_address_cannot_hold_is_an_input_error(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has a \? or %"):
        prepare_store(default_uri(tmp_path / folder))


def test_a_store_whose_making_is_cut_short_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.tracking import sqlalchemy_store

    def cut_short(uri: str, artifacts: str) -> None:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half a store")
        raise KeyboardInterrupt

    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", cut_short)
    with pytest.raises(KeyboardInterrupt):
        prepare_store(default_uri(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_quiet_silences_this_thread_and_only_for_its_time(caplog: pytest.LogCaptureFixture) -> None:
    chatty = logging.getLogger("urllib3.connectionpool")
    with quiet():
        chatty.warning("retrying")
    chatty.warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]
