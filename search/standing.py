"""What a student that the time cut short has to show for as long as it goes on: its score, and the weights of it."""

from __future__ import annotations

from pathlib import Path

from data.files import file_digest, read_json, write_atomic

WEIGHTS = "best.safetensors"
"""The file that has the weights of a student's best epoch."""

STANDING = "standing.safetensors"
"""The file that has the weights that were scored when the time cut a student short, from when on it goes on."""


def was_cut(folder: Path) -> bool:
    """Whether the time ended a student's training, by the `result.json` in its folder, also if it goes on by now."""
    path = folder / "result.json"
    return path.exists() and bool(read_json(path).get("stopped") == "time")


def scored_weights(folder: Path) -> Path:
    """The file with the weights that a student's `scores.json` is of: while it goes on its best ones are others."""
    standing = folder / STANDING
    return standing if standing.exists() and file_digest(standing) == _scored(folder) else folder / WEIGHTS


def goes_on(folder: Path) -> bool:
    """Whether a cut student was trained on already, and its `result.json` is of before."""
    return (folder / STANDING).exists()


def keep_standing(folder: Path) -> None:
    """Called before a student goes on: what one that was cut short had scored stays, with a copy of its weights.

    Its training replaces them at its next best epoch, long before that is scored. What stands without weights, such as
    the result of a student that waited at a rung, is removed.

    Args:
        folder: of a student with a `result.json`.
    """
    digest = _scored(folder) if was_cut(folder) else None
    if digest is not None:
        if scored_weights(folder).name == STANDING:
            return  # it went on before, and was killed
        weights = folder / WEIGHTS
        if weights.exists() and file_digest(weights) == digest:
            write_atomic(folder / STANDING, weights.read_bytes())
            return
    for name in ("result.json", "scores.json", STANDING):
        (folder / name).unlink(missing_ok=True)


def drop_standing(folder: Path) -> None:
    """Called once a student has a new result: its weights are those of its best epoch again."""
    (folder / STANDING).unlink(missing_ok=True)


def _scored(folder: Path) -> str | None:
    """The digest of the weights that have the score; None without a score, or where an earlier version wrote it."""
    path = folder / "scores.json"
    digest = read_json(path).get("weights_sha256") if path.exists() else None
    return None if digest is None else str(digest)
