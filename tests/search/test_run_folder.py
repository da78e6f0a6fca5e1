"""The folder of a search: one session at a time, and never other data."""

from __future__ import annotations

import copy
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from data.files import read_json
from search.config import SearchConfig
from search.flags import read_flags, search_config
from search.run_folder import RunFolder, changes

MANIFEST: dict[str, Any] = {
    "folders": ["/speech", "/noise", "/rirs"],
    "array": {"name": "pair", "positions_m": ((0.0, 0.0, 0.0), (0.03, 0.0, 0.0))},
    "banks": {
        split: {kind: {"digest": f"{split} {kind}"} for kind in ("speech", "noise")} for split in ("train", "val")
    },
    "sets": {name: {"digest": name} for name in ("train", "val")},
}


def changed(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    manifest = copy.deepcopy(MANIFEST)
    change(manifest)
    return manifest


def config(name: str = "night", *flags: str) -> SearchConfig:
    return search_config(read_flags(["--budget", "1.0GMAC", "--name", name, *flags]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a search that was begun and stopped."""
    run = RunFolder(tmp_path / "runs" / "night")
    run.make(config("night"), MANIFEST)
    run.release()
    return run.path


def test_new_folder_says_what_is_searched_on_what_data(folder: Path) -> None:
    assert SearchConfig.from_dict(read_json(folder / "search.json")) == config("night")
    assert read_json(folder / "data.json")["banks"] == MANIFEST["banks"]


def test_folder_is_made_once(folder: Path) -> None:
    second = RunFolder(folder)
    with pytest.raises(InputError, match=r"a search named night exists at .*--resume night.*another --name"):
        second.make(config("other"), MANIFEST)
    second.drop_unbegun()
    assert SearchConfig.from_dict(read_json(folder / "search.json")) == config("night")


def test_second_session_of_a_search_is_refused_while_the_first_runs(folder: Path, tmp_path: Path) -> None:
    new, first, second = RunFolder(tmp_path / "runs" / "new"), RunFolder(folder), RunFolder(folder)
    new.make(config(), MANIFEST)
    with pytest.raises(InputError, match="search new is running already"):
        RunFolder(new.path).hold()
    first.hold()
    with pytest.raises(InputError, match=r"search night is running already, in .*; wait for its end or stop it"):
        second.hold()
    first.release()
    second.hold()
    with open(folder / ".lock") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_same_data_elsewhere_is_the_same_data(folder: Path) -> None:
    RunFolder(folder).check_data(changed(lambda manifest: manifest.update(folders=["/moved"] * 3)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m["banks"]["train"]["speech"].update(digest="x"), ["the speech of train"]),
        (
            lambda m: [m["banks"][split]["noise"].update(digest="x") for split in ("train", "val")],
            ["the noise of train", "the noise of val"],
        ),
        (lambda m: m["array"].update(positions_m=((0, 0, 0), (0.04, 0, 0))), ["the positions of the microphones"]),
        (lambda m: m["sets"]["val"].update(digest="x"), ["the scenes of val (other settings, or another version"]),
    ],
)
def test_changed_data_is_refused_by_name_and_the_record_kept(
    folder: Path, change: Callable[[dict[str, Any]], None], named: list[str]
) -> None:
    before = (folder / "data.json").read_bytes()
    with pytest.raises(InputError) as caught:
        RunFolder(folder).check_data(changed(change))
    for part in ("search night cannot go on", str(folder / "data.json"), "new search with --name", *named):
        assert part in str(caught.value)
    assert (folder / "data.json").read_bytes() == before


def test_sets_are_named_only_where_their_sounds_are_the_same() -> None:
    def both(manifest: dict[str, Any]) -> None:
        manifest["banks"]["train"]["speech"]["digest"] = manifest["sets"]["train"]["digest"] = "x"

    assert changes(MANIFEST, changed(both)) == ["the speech of train"]
    assert changes({}, MANIFEST)


def test_folder_is_removed_only_by_who_made_it_and_before_a_student_began(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "new")
    run.make(config(), MANIFEST)
    RunFolder(tmp_path / "new").drop_unbegun()
    assert run.path.exists()
    (run.path / "study.journal").touch()
    run.drop_unbegun()
    assert run.path.exists()
    (run.path / "study.journal").unlink()
    run.drop_unbegun()
    assert not run.path.exists()


@pytest.mark.parametrize(("uri", "mode"), [("http://me:secret@server", 0o600), ("http://server", 0o644)])
def test_configuration_with_a_password_can_be_read_by_its_owner_alone(tmp_path: Path, uri: str, mode: int) -> None:
    wanted = config("night", "--tracking-uri", uri)
    before = os.umask(0o022)
    run = RunFolder(tmp_path / "night")
    try:
        run.make(wanted, MANIFEST)
    finally:
        os.umask(before)
        run.release()
    path = tmp_path / "night" / "search.json"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert SearchConfig.from_dict(read_json(path)) == wanted  # whole: a resumed search needs it
