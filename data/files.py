"""Files written whole or not at all, and where the caches live."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import InputError


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


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock among the processes of a machine; ends with the process, whatever becomes of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_root() -> Path:
    """The folder for things that can be made again: `$FTJNF_CACHE`, or `~/.cache/ftjnf-students`."""
    return Path(os.environ.get("FTJNF_CACHE") or Path.home() / ".cache" / "ftjnf-students")
