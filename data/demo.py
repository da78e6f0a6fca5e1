"""The demo corpus: speech, noises and rooms made on the spot, so that everything runs before anyone has own recordings.

Made on first use and kept in the cache; the same versions of this project and its libraries give the same bytes.
Scores on it are demo scores: the talkers are a speech synthesiser's and the noises are synthetic.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import logging
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data import demo_noise, demo_rooms, demo_speech
from data.cores import usable_cores
from data.demo_plan import SPLITS, DemoSizes, run_worker
from data.errors import InputError, run_command
from data.files import cache_root, read_json, text_digest, write_json

VERSION = 3
"""Counts every change to what the demo corpus sounds like."""

LIBRARIES = ("espeakng-loader", "pyroomacoustics", "soundfile", "scipy", "numpy")
MANIFEST = "demo.json"

README = """\
This is the demo corpus of ftjnf-students: SYNTHETIC audio, made by `python -m data.demo`.

  cv-corpus-demo/de    German sentences (our own) spoken by espeak-ng in many voices, laid out as Common Voice 11
  noise                synthesised noises; babble is a mix of voices of the same split
  simulated_rirs_16k   impulse responses of shoebox rooms (image method), laid out as openSLR's SLR26

Scores on this corpus are demo scores: they tell that the program works and how its students compare with one another
here, not how well they would enhance recordings of people in real noise.

espeak-ng (GPL-3.0) was used only as a program to make the audio; no part of it is in this folder.
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoCorpus:
    """Where the parts of a demo corpus lie: each folder is what the reader of its kind in `data.corpora` takes."""

    speech: Path
    noise: Path
    rirs: Path


def demo_corpus(folder: Path | None = None, sizes: DemoSizes | None = None) -> DemoCorpus:
    """Returns the demo corpus and makes it first where it is not there yet (under a minute on two cores).

    Args:
        folder: where it is or shall be; by default a folder of the cache whose name changes with every version.
        sizes: how much of what; by default about 45 + 6 + 6 minutes of speech.

    Raises:
        InputError: a library is missing, the folder holds something else, or it cannot be written.
    """
    sizes = sizes or DemoSizes()
    key = _key(sizes)
    folder = (Path(folder) if folder else cache_root() / f"demo-{key}").absolute()
    if not _is_made(folder, key):
        try:
            _make(folder, key, sizes)
        except OSError as error:
            raise InputError(
                f"the demo corpus cannot be written to {folder} ({error}); name another folder, or set FTJNF_CACHE to "
                "one with 250 MB of space"
            ) from None
    return DemoCorpus(folder / "cv-corpus-demo" / "de", folder / "noise", folder / demo_rooms.ROOT)


def _key(sizes: DemoSizes) -> str:
    try:
        versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(
            f"the demo corpus needs the package {error.name}; install it with `pip install {error.name}`, or give "
            "--speech, --noise and --rirs"
        ) from None
    return text_digest({"version": VERSION, "sizes": asdict(sizes), "libraries": versions})


def _is_made(folder: Path, key: str) -> bool:
    """Whether the folder holds the demo corpus of this version; False where there is nothing."""
    if (folder / MANIFEST).is_file():
        if read_json(folder / MANIFEST).get("key") == key:
            return True
        raise InputError(f"{folder} holds a demo corpus of another version; remove it or name another folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder and holds no demo corpus; name another folder")
    return False


def _make(folder: Path, key: str, sizes: DemoSizes) -> None:
    """Makes the corpus beside `folder` and renames it when it is whole."""
    logger.info("making the demo corpus in %s (once, about a minute)", folder)
    with _sibling(folder) as made:
        clips = made / "cv-corpus-demo" / "de" / "clips"
        clips.mkdir(parents=True)
        for split in SPLITS:
            (made / "noise" / split).mkdir(parents=True)
        with ThreadPoolExecutor(usable_cores()) as pool:  # each thread only waits for its worker process
            speech = [pool.submit(run_worker, "data.demo_speech", job) for job in demo_speech.jobs(sizes, clips)]
            rest = [pool.submit(run_worker, "data.demo_rooms", demo_rooms.job(sizes, made))]
            rest += [pool.submit(run_worker, "data.demo_noise", job) for job in demo_noise.jobs(sizes, made / "noise")]
            try:
                rows = [row for part in speech for row in part.result()]
                babble = demo_noise.babble_job(sizes, made / "noise", _clips_by_talker(rows, clips))
                rest.append(pool.submit(run_worker, "data.demo_noise", babble))
                for part in rest:
                    part.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        for split in SPLITS:
            mine = [row for row in rows if row["split"] == split]
            (clips.parent / f"{split}.tsv").write_text(demo_speech.table(mine), encoding="utf-8")
        (clips.parent / "validated.tsv").write_text(demo_speech.table(rows), encoding="utf-8")
        (made / "README.txt").write_text(README, encoding="utf-8")
        write_json(made / MANIFEST, {"key": key, "sizes": asdict(sizes), **_amounts(rows, sizes)})
        try:
            made.rename(folder)
        except OSError:
            if not _is_made(folder, key):  # else another process was faster: its corpus is the same
                raise


@contextmanager
def _sibling(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, removed at the end if it is still there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    outer = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        inner = outer / folder.name  # mkdtemp's own folder is closed to other users
        inner.mkdir()
        yield inner
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _clips_by_talker(rows: list[dict[str, Any]], clips: Path) -> dict[str, list[list[str]]]:
    found: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    for row in rows:
        found[row["split"]].setdefault(row["client_id"], []).append(str(clips / row["path"]))
    return {split: list(by_talker.values()) for split, by_talker in found.items()}


def _amounts(rows: list[dict[str, Any]], sizes: DemoSizes) -> dict[str, Any]:
    """What the manifest tells of the corpus's contents."""
    speech = {}
    for split, mine in itertools.groupby(rows, key=lambda row: row["split"]):
        kept = list(mine)
        speech[split] = {
            "clips": len(kept),
            "speakers": len({row["client_id"] for row in kept}),
            "minutes": round(sum(row["seconds"] for row in kept) / 60, 2),
        }
    return {
        "speech": speech,
        "noise": {
            "kinds": list(demo_noise.KINDS),
            "recordings of a kind": dict(zip(SPLITS, sizes.noises, strict=True)),
            "seconds of a recording": sizes.noise_seconds,
        },
        "rooms": {name: {"rooms": sizes.rooms, "responses": sizes.rooms * sizes.rirs} for name in demo_rooms.CLASSES},
    }


def main() -> None:
    """`python -m data.demo [folder]`."""
    parser = argparse.ArgumentParser(
        prog="python -m data.demo", description="Makes the synthetic demo corpus and tells where it is."
    )
    parser.add_argument("folder", nargs="?", type=Path, help="where to make it (default: in the cache)")
    corpus = demo_corpus(parser.parse_args().folder)
    contents = read_json(corpus.noise.parent / MANIFEST)
    for split, amount in contents["speech"].items():
        print(
            f"speech {split:5}  {amount['minutes']:5.1f} min  {amount['clips']:4} clips  {amount['speakers']} speakers"
        )
    for split, count in contents["noise"]["recordings of a kind"].items():
        seconds, kinds = contents["noise"]["seconds of a recording"], len(contents["noise"]["kinds"])
        print(
            f"noise  {split:5}  {kinds * count * seconds / 60:5.1f} min  {kinds * count:4} recordings of {kinds} kinds"
        )
    for name, amount in contents["rooms"].items():
        print(f"rooms  {name:6} {amount['rooms']:4} rooms  {amount['responses']:4} responses")
    print(f"--speech {corpus.speech} --noise {corpus.noise} --rirs {corpus.rirs}")


if __name__ == "__main__":
    run_command(main)
