from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.errors import InputError
from data.files import (
    LEFT_OVER,
    cache_root,
    check_target,
    drop_torn_line,
    file_digest,
    locked,
    making,
    read_json,
    text_digest,
    write_atomic,
    write_json,
)


def test_file_is_written_with_its_folders(tmp_path):
    write_atomic(tmp_path / "a" / "b" / "c.txt", "Grüße")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "Grüße".encode()
    write_atomic(tmp_path / "a" / "b" / "c.txt", b"\x00\x01")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"\x00\x01"


def test_place_where_no_file_can_be_written_is_told_before_and_nothing_is_made(tmp_path):
    (tmp_path / "README.md").touch()
    check_target("--out", tmp_path / "new" / "deep" / "a.json")
    check_target("--out", tmp_path / "README.md")
    with pytest.raises(InputError, match=rf"--json {tmp_path} is a folder; give the name of a file"):
        check_target("--json", tmp_path)
    for path in (tmp_path / "README.md" / "a.json", tmp_path / "README.md" / "deep" / "a.json"):
        with pytest.raises(InputError, match=rf"--out {path} cannot be written, as {tmp_path}/README.md is a file"):
            check_target("--out", path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_atomic(tmp_path / "a.txt", "old")

    def fails(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(tmp_path / "a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
def test_private_file_can_be_read_by_its_owner_alone(tmp_path):
    write_json(tmp_path / "a.json", {"key": 1}, private=True)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600
    assert read_json(tmp_path / "a.json") == {"key": 1}


@pytest.mark.skipif(os.name != "posix", reason="needs file modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_written_file_has_the_mode_of_an_ordinary_one(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "a.txt", "x")
        assert os.umask(umask) == umask, "the process's own mask is as it was"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode


def test_json_goes_round(tmp_path):
    value = {"größe": [1, 2.5, None, True], "n": {"a": "b"}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "größe" in (tmp_path / "a.json").read_text(encoding="utf-8"), "readable by people"


def test_missing_and_broken_json_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"gone\.json does not exist"):
        read_json(tmp_path / "gone.json")
    for content in (b"", b"{", b"\xff\xfe"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.json cannot be read as JSON"):
            read_json(tmp_path / "bad.json")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_json(tmp_path)


def test_text_digest_follows_the_value_and_not_the_order_of_keys():
    assert text_digest({"a": 1, "b": [2, 3]}) == text_digest(json.loads('{"b": [2, 3], "a": 1}'))
    assert text_digest({"a": 1}) != text_digest({"a": 2})
    assert len(text_digest([])) == 16


def test_file_digest_is_sha_256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_cache_is_where_the_environment_says_or_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("FTJNF_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("FTJNF_CACHE")
    assert cache_root() == Path.home() / ".cache" / "ftjnf-students"


@pytest.mark.parametrize(("given", "where"), [("kept", "here/kept"), ("../kept", "kept"), ("~/kept", "home/kept")])
def test_cache_stays_where_the_command_was_started(monkeypatch, tmp_path, given, where):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FTJNF_CACHE", given)
    cache = cache_root()
    assert cache.is_absolute(), "a trial's folder is another one"
    assert cache.resolve() == (tmp_path / where).resolve()


def test_lock_keeps_another_process_out_until_it_is_given_back(tmp_path):
    path = tmp_path / "new" / "lock"
    attempt = [
        sys.executable,
        "-c",
        "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)",
        str(path),
    ]
    with locked(path):
        assert subprocess.run(attempt, capture_output=True).returncode != 0
    assert subprocess.run(attempt, capture_output=True).returncode == 0


def test_lock_that_somebody_has_can_be_left_unwaited_for(tmp_path):
    path = tmp_path / "lock"
    with locked(path), pytest.raises(BlockingIOError), locked(path, wait=False):
        pytest.fail("held twice")
    with locked(path, wait=False):
        pass


def test_shared_lock_is_held_by_several_and_keeps_out_who_wants_it_alone(tmp_path):
    path = tmp_path / "lock"
    first, second = locked(path, shared=True), locked(path, wait=False, shared=True)
    with first, second, pytest.raises(BlockingIOError), locked(path, wait=False):
        pytest.fail("held alone beside others")
    with locked(path, wait=False), pytest.raises(BlockingIOError), locked(path, wait=False, shared=True):
        pytest.fail("held beside one who has it alone")


@pytest.mark.parametrize(
    ("content", "kept"), [(b"a\nb\n", b"a\nb\n"), (b"a\nb", b"a\n"), (b"b", b""), (b"", b""), (b"a\n\xff", b"a\n")]
)
def test_line_without_its_end_is_cut_off(tmp_path, content, kept):
    (tmp_path / "log").write_bytes(content)
    drop_torn_line(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == kept
    drop_torn_line(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_folder_in_making_is_gone_in_the_end_unless_it_was_renamed(tmp_path):
    for whole in (False, True):
        with making(tmp_path / "new" / "set") as made:
            (made / "a").write_text("x")
            if whole:
                made.rename(tmp_path / "new" / "set")
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["set"] * whole


def test_what_killed_makers_left_is_removed_after_a_day_and_nothing_else(tmp_path):
    long_ago = time.time() - LEFT_OVER - 10

    def left(name: str, *times: float) -> Path:
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "a").write_text("x")
        for path, when in zip((tmp_path / name / "inner" / "a", tmp_path / name / "inner", tmp_path / name), times,
                              strict=True):  # fmt: skip
            os.utime(path, (when, when))
        return tmp_path / name

    killed = left(".making-a", long_ago, long_ago, long_ago)
    at_work = left(".making-b", time.time(), long_ago, long_ago)
    others = left(".demo-a", long_ago, long_ago, long_ago)
    finished = left("set", long_ago, long_ago, long_ago)
    with making(tmp_path / "new"):
        assert not killed.exists()
    assert at_work.exists()
    assert others.exists()
    assert finished.exists()
    with making(tmp_path / "new", prefix=".demo-"):
        assert not others.exists()
