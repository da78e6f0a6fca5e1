"""Room for targets: the oldest go, those in use stay, and files that vanish at the same time disturb nobody."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from model import target_room
from model.target_room import drop_oldest, in_use


@pytest.fixture
def stored(tmp_path: Path):
    """Makes folders of 100 bytes, each older than the next."""

    def make(*names: str) -> list[Path]:
        folders = [tmp_path / name for name in names]
        for age, folder in enumerate(reversed(folders)):
            (folder / "00000").mkdir(parents=True)
            (folder / "00000" / "part").write_bytes(bytes(100))
            os.utime(folder, (1e9 - age, 1e9 - age))
        return folders

    return make


def test_oldest_are_dropped_until_what_is_wanted_fits(stored, tmp_path):
    first, second, third = stored("targets-a", "fresh-b", "targets-c")
    drop_oldest(tmp_path, 100, 400)
    assert third.exists()
    assert first.exists()
    drop_oldest(tmp_path, 200, 300)
    assert not first.exists()
    assert not second.exists()
    assert third.exists()


def test_own_targets_count_by_what_they_will_take_and_are_never_dropped(stored, tmp_path):
    mine, other = stored("targets-mine", "targets-other")
    drop_oldest(tmp_path, 250, 350, {mine})
    assert mine.exists()
    assert other.exists()
    drop_oldest(tmp_path, 300, 350, {mine})
    assert mine.exists()
    assert not other.exists()


def test_targets_in_use_stay_until_whoever_uses_them_ends(stored, tmp_path):
    first, second = stored("targets-a", "targets-b")
    one, two = in_use(first), in_use(first)
    one.close()
    drop_oldest(tmp_path, 100, 200)
    assert first.exists()
    assert not second.exists()
    two.close()
    drop_oldest(tmp_path, 100, 100)
    assert not first.exists()


def test_what_is_not_there_yet_and_what_cannot_be_written_may_be_marked(tmp_path):
    in_use(tmp_path / "new" / "targets-a").close()
    assert (tmp_path / "new" / ".targets-a.used").exists()
    (tmp_path / "file").touch()
    in_use(tmp_path / "file" / "targets-a").close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "new"]


def test_files_that_vanish_while_they_are_counted_end_nothing(stored, tmp_path, monkeypatch):
    first, second = stored("targets-a", "targets-b")
    walk = os.walk

    def racing(folder):
        for place, folders, names in walk(folder):
            yield place, folders, [*names, ".part.gone"]

    monkeypatch.setattr(target_room.os, "walk", racing)
    drop_oldest(tmp_path, 100, 200)
    assert not first.exists()
    assert second.exists()


def test_a_drop_that_is_cut_off_leaves_no_part_of_targets_and_the_next_one_ends_it(stored, tmp_path, monkeypatch):
    (first,) = stored("targets-a")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *args, **kwargs: None)  # killed here, or kept back by NFS
        drop_oldest(tmp_path, 100, 100)
    assert not first.exists()
    assert list(tmp_path.rglob("part")), "nothing is deleted yet"
    drop_oldest(tmp_path, 100, 100)
    assert not list(tmp_path.rglob("part"))
    assert [path.name for path in tmp_path.iterdir()] == [".targets-a.used"]


def test_a_folder_that_cannot_be_renamed_counts_as_there(stored, tmp_path, monkeypatch):
    first, second = stored("targets-a", "targets-b")
    rename = Path.rename

    def of_another_user(path, target):
        if path == first:
            raise PermissionError(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", of_another_user)
    drop_oldest(tmp_path, 0, 100)
    assert first.exists()
    assert not second.exists()
    assert not list(tmp_path.glob(".dropped-*"))
