"""Readers of audio corpora as they lie on disk.

Speech: Common Voice (tables and `clips/`) or any folder of audio. Noise: any folder of audio, as the DNS challenge's
`noise_fullband`. Room impulse responses (RIRs): openSLR SLR26 or any folder of audio. Nothing is decoded here, and no
clip is even looked at: a corpus may list a million of them. A listed clip without a file is counted when it is decoded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from data.decode import UnusableAudio, decode
from data.errors import InputError
from data.splits import Clip, split_clips

__all__ = ["Clip", "UnusableAudio", "decode", "read_noise", "read_rirs", "read_speech", "split_clips"]

AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")
_TABLES = {"train.tsv": "train", "dev.tsv": "val", "test.tsv": "test"}
_SIZE_CLASSES = ("smallroom", "mediumroom", "largeroom")
_SPLIT_FOLDER = re.compile(r"(train|dev|valid|validation|val|test)(-.+)?", re.IGNORECASE)


def read_speech(root: Path) -> list[Clip]:
    """Lists the clips of a speech corpus by speaker.

    Common Voice, when the folder or its only language sub-folder holds `train.tsv`, `dev.tsv`, `test.tsv` or
    `validated.tsv`: its own splits where there is a training table, else `validated.tsv` without splits. Speakers are
    the `client_id`. Otherwise any folder of audio, at any depth: the speaker is the first sub-folder, after a top
    folder named train, dev, val, valid or test (also `train-clean-100` and the like), which gives the split. For files
    without a sub-folder it is the number that the name starts with (`84-121123-0001` is speaker 84), else the whole
    name: every file a speaker of its own.

    Raises:
        InputError: no such folder, no audio, several languages, or a table without a needed column.
    """
    root = _folder(root, "speech")
    language = _common_voice_folder(root)
    if language is not None:
        return _common_voice(language)
    clips = []
    for relative in _audio_below(root, "speech"):
        split, parts = _own_split(relative)
        if len(parts) > 1:
            speaker = parts[0]
        else:
            number = re.match(r"(\d+)[-_]", relative.stem)
            speaker = number[1] if number else relative.stem
        clips.append(Clip(root / relative, speaker, split))
    return clips


def read_noise(root: Path) -> list[Clip]:
    """Lists the files of a noise corpus, at any depth, by recording.

    Files whose path differs only in a last `_N` of the name are pieces of one recording (`fan_12_0.wav`,
    `fan_12_1.wav`). Top folders named train, dev, val, valid or test give the split.

    Raises:
        InputError: no such folder, or no audio in it.
    """
    root = _folder(root, "noise")
    return [
        Clip(root / relative, re.sub(r"_\d+$", "", relative.with_suffix("").as_posix()), _own_split(relative)[0])
        for relative in _audio_below(root, "noise")
    ]


def read_rirs(root: Path) -> list[Clip]:
    """Lists room impulse responses by room.

    SLR26, when the folder, or `simulated_rirs_16k` in it, holds `smallroom`, `mediumroom`, `largeroom` or a `rir_list`:
    the files that `rir_list` names, else all below the class. A room is class and number, because numbers repeat
    between the classes; the class is the stratum. In any other folder the room is the first sub-folder, whatever lies
    below it (a microphone, a take), or the file itself where there is none; where a size class lies deeper, it is class
    and number again. Top folders named train, dev, val, valid or test give the split.

    Raises:
        InputError: no such folder, no audio in it, or a line of `rir_list` without a path.
    """
    root = _folder(root, "room response")
    classes = _room_classes(root)
    if classes:
        return [clip for folder in classes for clip in _room_class(folder)]
    clips = []
    for relative in _audio_below(root, "room response"):
        split, parts = _own_split(relative)
        size = next((i for i, part in enumerate(parts[:-2]) if part in _SIZE_CLASSES), None)
        if size is not None:
            clips.append(Clip(root / relative, "/".join(parts[size : size + 2]), split, stratum=parts[size]))
        else:
            room = parts[0] if len(parts) > 1 else relative.with_suffix("").as_posix()
            clips.append(Clip(root / relative, room, split))
    return clips


def _folder(root: Path, what: str) -> Path:
    root = Path(root)
    if not root.exists():
        raise InputError(f"the {what} folder {root} does not exist; check the path")
    if not root.is_dir():
        raise InputError(f"{root} is a file, not a folder of {what} audio; give the folder that holds it")
    return root


def _audio_below(root: Path, what: str) -> list[Path]:
    """Sorted paths, relative to the root, of the audio files at any depth; links to folders are followed."""
    found = sorted(path.relative_to(root) for path in _walk(root, set()))
    if not found:
        raise InputError(f"the {what} folder {root} holds no audio ({', '.join(AUDIO_SUFFIXES)}); give another folder")
    return found


def _walk(folder: Path, seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:  # a link to a folder above
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read ({error.strerror}); change its permissions") from None
    for entry in entries:
        if entry.name.startswith("."):  # also the "._name.wav" that macOS leaves beside a file, which is not audio
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), seen)
        elif entry.name.lower().endswith(AUDIO_SUFFIXES):
            yield Path(entry.path)


def _own_split(relative: Path) -> tuple[str, tuple[str, ...]]:
    """The split that the top folder names, and the parts of the path below that folder."""
    match = _SPLIT_FOLDER.fullmatch(relative.parts[0]) if len(relative.parts) > 1 else None
    if match is None:
        return "", relative.parts
    name = match[1].lower()
    return (name if name in ("train", "test") else "val"), relative.parts[1:]


def _common_voice_folder(root: Path) -> Path | None:
    def is_one(folder: Path) -> bool:
        return any((folder / table).is_file() for table in (*_TABLES, "validated.tsv"))

    if is_one(root):
        return root
    languages = sorted(folder for folder in root.iterdir() if folder.is_dir() and is_one(folder))
    if len(languages) > 1:
        names = ", ".join(folder.name for folder in languages)
        raise InputError(f"{root} holds several languages ({names}); give the folder of one of them")
    return languages[0] if languages else None


def _common_voice(folder: Path) -> list[Clip]:
    clips_folder = folder / "clips"
    if not clips_folder.is_dir():
        raise InputError(f"{folder} has the tables of Common Voice but no folder clips; unpack the clips beside them")
    tables = {table: split for table, split in _TABLES.items() if (folder / table).is_file()}
    clips = [clip for table, split in tables.items() for clip in _table(folder / table, clips_folder, split)]
    if not any(clip.split == "train" for clip in clips) and (folder / "validated.tsv").is_file():
        clips = _table(folder / "validated.tsv", clips_folder, "")  # a release without splits of its own
    if not clips:
        raise InputError(f"the tables in {folder} list no clips; give a language folder with a filled train.tsv")
    return clips


def _table(path: Path, clips_folder: Path, split: str) -> list[Clip]:
    """Clips of one table. Quotes in sentences are plain characters there, so nothing but tabs divides cells."""
    clips = []
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as file:
            header = file.readline().rstrip("\r\n").split("\t")
            for column in ("client_id", "path"):
                if column not in header:
                    raise InputError(
                        f"{path} has no column {column!r} (it has {', '.join(header) or 'none'}); "
                        "give the tables of a Common Voice release"
                    )
            speaker_at, path_at = header.index("client_id"), header.index("path")
            for line in file:
                cells = line.rstrip("\r\n").split("\t")
                if len(cells) <= max(speaker_at, path_at) or not cells[path_at]:
                    continue  # a blank or torn line names no clip
                name = cells[path_at]
                if not name.lower().endswith(AUDIO_SUFFIXES):  # early releases leave the suffix out
                    name += ".mp3"
                clips.append(Clip(clips_folder / name, cells[speaker_at], split))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the file") from None
    return clips


def _room_classes(root: Path) -> list[Path]:
    def is_one(folder: Path) -> bool:
        return folder.name in _SIZE_CLASSES or (folder / "rir_list").is_file()

    for base in (root, root / "simulated_rirs_16k"):
        if base.is_dir():
            found = sorted(folder for folder in base.iterdir() if folder.is_dir() and is_one(folder))
            if found:
                return found
    return [root] if is_one(root) else []


def _room_class(folder: Path) -> Iterator[Clip]:
    """RIRs of one size class, the folder `smallroom`, `mediumroom` or `largeroom`."""
    listing = folder / "rir_list"
    if not listing.is_file():
        for relative in _audio_below(folder, "room response"):
            room = relative.parts[0] if len(relative.parts) > 1 else relative.stem
            yield Clip(folder / relative, f"{folder.name}/{room}", stratum=folder.name)
        return
    for number, line in enumerate(listing.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        path = Path(line.split()[-1])
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            raise InputError(f"line {number} of {listing} does not end on the path of an audio file; restore the file")
        # The paths start at the parent of the corpus's root, under the root's published name. Only what follows the
        # class is used, so that a renamed root is read as well.
        below = path.parts[path.parts.index(folder.name) + 1 :] if folder.name in path.parts else path.parts[-2:]
        room = below[0] if len(below) > 1 else path.stem
        yield Clip(folder.joinpath(*below), f"{folder.name}/{room}", stratum=folder.name)
