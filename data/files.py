"""Files written whole or not at all, and where the caches live."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import InputError

LEFT_OVER = 86_400.0
"""Seconds after which an unfinished folder that nobody has written to is that of a process that was killed."""


def write_atomic(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Writes `content` to a temporary name in the same folder and renames it, so no reader ever sees half a file.

    Args:
        path: of the file; folders that are missing are made.
        content: text is written as UTF-8.
        private: whether only its owner may read it (mode 0600).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        if not private:  # mkstemp makes files only their owner can read
            temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Any, *, private: bool = False) -> None:
    """Writes `value` as indented JSON, whole or not at all; `private` as for `write_atomic`."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", private=private)


def plain(value: Any) -> Any:
    """A value as JSON has it: None for NaN and the infinities, which have no place there."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; give a folder that a finished command of this project wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); restore it from a copy or make it anew") from None


def text_digest(value: Any) -> str:
    """A 16-character hash of a JSON-serialisable value: the key under which things made from it are cached."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def check_target(flag: str, path: Path) -> None:
    """Tells before hours of work whether a file could be written at a path; makes nothing.

    Raises:
        InputError: it is a folder, or would lie in what is none.
    """
    if path.is_dir():
        raise InputError(f"{flag} {path} is a folder; give the name of a file")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise InputError(f"{flag} {path} cannot be written, as {above} is a file and no folder; choose another place")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def drop_torn_line(path: Path) -> None:
    """Cuts off a last line without its end: a crash can leave one, and a line appended behind it would be lost."""
    if path.is_file():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with open(path, "r+b") as file:
                file.truncate(whole)


@contextlib.contextmanager
def making(folder: Path, prefix: str = ".making-") -> Iterator[Path]:
    """A new folder beside `folder`, to be renamed to it once it is whole; removed at the end if it is still there.

    First it removes what makers that were killed have left beside `folder`, over a day ago.

    Args:
        folder: what is to be made.
        prefix: of the names of unfinished folders.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{prefix}*"):
        if left.is_dir() and time.time() - _last_written(left) > LEFT_OVER:
            shutil.rmtree(left, ignore_errors=True)
    outer = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix))
    try:
        inner = outer / folder.name  # a folder of its own, as mkdtemp's can be read by its owner alone
        inner.mkdir()
        yield inner
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _last_written(folder: Path) -> float:
    """Unix time of the last change of a folder or of anything in it."""
    times = [folder.lstat().st_mtime]
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # its maker is at work
            times.append(path.lstat().st_mtime)
    return max(times)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True, shared: bool = False) -> Iterator[None]:
    """Holds a lock among all who open this file; ends with the process, whatever becomes of it.

    On a file system that has no locks it holds none.

    Args:
        path: of the lock's file, which stays.
        wait: for whoever has the lock.
        shared: any number may hold it so at a time, while nobody holds it alone.

    Raises:
        BlockingIOError: somebody has it, and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:  # NFS gives shared locks on files open for reading alone, others for writing
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        yield


def cache_root() -> Path:
    """The folder for things that can be made again: `$FTJNF_CACHE`, or `~/.cache/ftjnf-students`. Always absolute.

    Ray runs each trial in a folder of its own, where a relative path would lead elsewhere.
    """
    return Path(os.environ.get("FTJNF_CACHE") or "~/.cache/ftjnf-students").expanduser().absolute()
