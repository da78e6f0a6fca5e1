"""How much of the corpora a run uses: hours, set sizes, clip length. The data's part of a preset."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from data.array import Array
from data.bank import Bank, open_bank
from data.bank_files import Source
from data.demo import demo_corpus
from data.errors import InputError
from data.examples import ExampleSet, FreshScenes, SetSpec, build_set, set_key
from data.files import cache_root, locked, text_digest
from data.scene import SNRS_DB, SceneSource
from data.sources import Banks, load_corpora
from data.splits import SPLITS

Progress = Callable[[str, float], None]

TIMES_TRAIN, TIMES_SCORE = 20, 4
"""Times the audio of an epoch, and of a scored set, that are decoded of a large corpus, for the sake of variety."""
MOST_HOURS = 38.0
"""Nor is more decoded without being asked for: the paper's hours for training, 9 GB on disk."""
RESPONSES = {"train": 5000, "val": 1000, "test": 1000}
"""Most room responses that are decoded without being asked for more; SLR26 has 60 000 of 600 rooms."""

TEST_SEED = 3
"""Added to a plan's seed, the seed of its test scenes."""


@dataclass(frozen=True)
class DataPlan:
    """What the examples of a run are made from; every setting that shapes them.

    Args:
        speech, noise, rirs: corpus folders; all three, or none for the demo corpus.
        array: a name or a file, see `Array.parse`.
        hours: most hours of speech decoded for training, validation and test; None for as much as the sets below need
            of a large corpus, see `limits`.
        train_clips: training examples an epoch.
        val_clips: examples of the validation losses.
        score_clips: validation clips that are scored, each at five SNRs.
        test_clips: test clips that are scored, each at five SNRs.
        clip_seconds: length of the training and validation crops; 4 in the paper.
        longest_seconds: scored clips keep their own length up to this.
        remix: draw fresh scenes in every epoch.
        seed: of the scenes.
        split_seed: of the splits; apart from `seed`, so that a search of any seed keeps the clips, recordings and rooms
            that its teacher has not heard.
    """

    speech: Path | None = None
    noise: Path | None = None
    rirs: Path | None = None
    array: str = "cross"
    hours: tuple[float, float, float] | None = None
    train_clips: int = 400
    val_clips: int = 40
    score_clips: int = 20
    test_clips: int = 60
    clip_seconds: float = 4.0
    longest_seconds: float = 10.0
    remix: bool = False
    seed: int = 0
    split_seed: int = 1

    def __post_init__(self) -> None:
        given = [name for name in ("speech", "noise", "rirs") if getattr(self, name) is not None]
        if given and len(given) < 3:
            missing = ", ".join(f"--{name}" for name in ("speech", "noise", "rirs") if name not in given)
            raise InputError(f"{missing} is missing; give speech, noise and rirs together, or none for the demo corpus")
        for name in ("train_clips", "val_clips", "score_clips", "test_clips"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 but is {getattr(self, name)}")
        if not 0.5 <= self.clip_seconds <= 60:
            raise InputError(f"clip_seconds must lie between 0.5 and 60 but is {self.clip_seconds:g}")
        if self.seed < 0:
            raise InputError(f"the seed must not be negative but is {self.seed}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable values."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataPlan:
        """The inverse of `to_dict`, also after a turn as JSON.

        Raises:
            TypeError, KeyError: fields missing or unknown.
        """
        data = dict(values)
        for name in ("speech", "noise", "rirs"):
            data[name] = None if data[name] is None else Path(data[name])
        data["hours"] = None if data["hours"] is None else tuple(data["hours"])
        return cls(**data)

    def of_demo(self) -> DataPlan:
        """The same plan on the demo corpus."""
        return replace(self, speech=None, noise=None, rirs=None, hours=None)

    @property
    def demo(self) -> bool:
        """Whether the demo corpus is used."""
        return self.speech is None

    def limits(self) -> tuple[dict[str, float] | None, dict[str, int] | None]:
        """Most hours of speech, and as much of noise, and most room responses to decode, by split; None for no limit.

        Where `hours` does not say, a corpus of hundreds of hours is not decoded for sets of minutes. The limit is an
        hour at least and grows in powers of two, so that a slightly other plan finds what was decoded before.
        """
        if self.hours is not None:
            return dict(zip(SPLITS, self.hours, strict=True)), None
        if self.demo:
            return None, None
        seconds = {
            "train": TIMES_TRAIN * self.train_clips * self.clip_seconds,
            "val": TIMES_SCORE * max(self.val_clips * self.clip_seconds, self.score_clips * self.longest_seconds),
            "test": TIMES_SCORE * self.test_clips * self.longest_seconds,
        }
        hours = {split: 2.0 ** math.ceil(math.log2(max(1.0, one / 3600))) for split, one in seconds.items()}
        return {split: min(MOST_HOURS, one) for split, one in hours.items()}, RESPONSES


@dataclass(frozen=True)
class Sets:
    """The example sets of a run; `train` is fixed, or fresh scenes if the plan says remix.

    `manifest` tells what they are made from, for the run's records; `splits` which files are in which split, by split
    and kind ("speech", "noise", "rirs"). Both are empty where the sets were only opened.
    """

    train: ExampleSet | FreshScenes
    val: ExampleSet
    score_val: ExampleSet
    score_test: ExampleSet
    manifest: dict[str, Any]
    splits: dict[str, dict[str, list[Source]]] = field(default_factory=dict)

    @property
    def folders(self) -> dict[str, str]:
        """Where the sets lie; with it `open_sets` gets them back in another process, without looking at the corpora."""
        train = self.train
        where = {"train": str(train.folder)} if isinstance(train, ExampleSet) else _where(train.source)
        return where | {name: str(getattr(self, name).folder) for name in ("val", "score_val", "score_test")}

    @property
    def digests(self) -> dict[str, str]:
        """What tells these sets from all others, by name: hashes over the sounds, the array and all settings."""
        return {name: getattr(self, name).digest for name in ("train", "val", "score_val", "score_test")}


def open_sets(plan: DataPlan, folders: dict[str, str], cache: Path) -> Sets:
    """Opens the sets of another process on this machine; on a machine that has none of them they are made.

    Args:
        plan: what they are made from.
        folders: `Sets.folders` of the process that made them.
        cache: root of the cache, where they are made if they must.
    """
    if not all(Path(folder).is_dir() for folder in folders.values()):
        with locked(cache / "sets.lock"):
            return prepare(plan, cache)
    train: ExampleSet | FreshScenes
    if plan.remix:
        speech, noise, rirs = (open_bank(Path(folders[f"train {kind}"])) for kind in ("speech", "noise", "rirs"))
        banks = Banks(speech, noise, rirs)
        train = FreshScenes(
            SceneSource(banks.speech, banks.noise, banks.rirs, Array.parse(plan.array)),
            SetSpec("train", plan.train_clips, plan.clip_seconds, plan.seed),
            _digest(banks),
        )
    else:
        train = ExampleSet(Path(folders["train"]))
    val, score_val, score_test = (ExampleSet(Path(folders[name])) for name in ("val", "score_val", "score_test"))
    return Sets(train, val, score_val, score_test, {})


def _where(source: SceneSource) -> dict[str, str]:
    kinds = {"speech": source.speech, "noise": source.noise, "rirs": source.rirs}
    return {f"train {kind}": str(bank.folder) for kind, bank in kinds.items() if isinstance(bank, Bank)}


def prepare(plan: DataPlan, cache: Path | None = None, progress: Progress | None = None) -> Sets:
    """Makes the example sets, or opens them where they are cached.

    Args:
        plan: what they are made from.
        cache: root of the cache; `data.files.cache_root()` if None.
        progress: called with what is being made and the finished share.

    Raises:
        InputError: a corpus or a setting that cannot be used.
    """
    cache = cache or cache_root()
    tell = progress or (lambda what, share: None)
    array = Array.parse(plan.array)
    folders, banks = _corpora(plan, cache, tell)

    def source(split: str) -> SceneSource:
        return SceneSource(banks[split].speech, banks[split].noise, banks[split].rirs, array)

    def fixed(role: str, split: str, clips: int, seconds: float, seed: int) -> ExampleSet:
        spec = SetSpec(role, clips, seconds, seed)
        return build_set(
            source(split), _digest(banks[split]), spec, cache / "sets", lambda s: tell(f"{split} scenes", s)
        )

    train_spec = SetSpec("train", plan.train_clips, plan.clip_seconds, plan.seed)
    train: ExampleSet | FreshScenes
    if plan.remix:
        train = FreshScenes(source("train"), train_spec, _digest(banks["train"]))
    else:
        train = fixed("train", "train", plan.train_clips, plan.clip_seconds, plan.seed)
    val = fixed("val", "val", plan.val_clips, plan.clip_seconds, plan.seed + 1)
    sets = Sets(train, val, *_scored(plan, banks, cache, tell), {})
    manifest = {
        "corpus": "demo" if plan.demo else "own",
        "folders": [str(folder) for folder in folders],
        "array": {"name": array.name, "positions_m": array.positions},
        "banks": {
            split: {kind: bank.manifest() | {"listed": part.listed[kind]} for kind, bank in _kinds(part)}
            for split, part in banks.items()
        },
        "sets": {
            name: {"digest": part.digest, "examples": len(part), "seconds": round(part.seconds, 1)}
            for name, part in (("val", sets.val), ("score_val", sets.score_val), ("score_test", sets.score_test))
        }
        | {"train": {"examples": len(train), "remix": plan.remix, "digest": train.digest}},
    }
    splits = {split: {kind: bank.files() for kind, bank in _kinds(banks[split])} for split in banks}
    return replace(sets, manifest=manifest, splits=splits)


def _corpora(plan: DataPlan, cache: Path, tell: Progress) -> tuple[tuple[Path, Path, Path], dict[str, Banks]]:
    """The three folders of a plan, and the banks of their sounds by split."""
    if plan.speech is not None and plan.noise is not None and plan.rirs is not None:
        folders = (Path(plan.speech), Path(plan.noise), Path(plan.rirs))
    else:
        tell("demo corpus", 0.0)
        demo = demo_corpus()
        folders = (demo.speech, demo.noise, demo.rirs)
    hours, responses = plan.limits()
    return folders, load_corpora(
        *folders, cache / "banks", hours=hours, responses=responses, clip_seconds=plan.clip_seconds,
        seed=plan.split_seed, progress=tell,
    )  # fmt: skip


def scored_sets(plan: DataPlan, cache: Path, progress: Progress | None = None) -> tuple[ExampleSet, ExampleSet]:
    """The sets of a plan that PESQ is taken on, validation and test, made or opened, and no others.

    Raises:
        InputError: a corpus or a setting that cannot be used.
    """
    tell = progress or (lambda what, share: None)
    return _scored(plan, _corpora(plan, cache, tell)[1], cache, tell)


def scenes_for_test(
    plan: DataPlan, cache: Path | None = None, progress: Progress | None = None
) -> tuple[SceneSource, SetSpec, str]:
    """Where the scenes of `Sets.score_test` come from, for whoever renders them in another way, and that set's digest.

    The digest is of what the corpora hold now: a set that was made before something was added to them has another.
    Arguments and errors as of `prepare`; no set is made.
    """
    _, banks = _corpora(plan, cache or cache_root(), progress or (lambda what, share: None))
    source, spec = _scored_scenes(plan, banks, "test")
    return source, spec, text_digest(set_key(source, _digest(banks["test"]), spec))


def _scored(plan: DataPlan, banks: dict[str, Banks], cache: Path, tell: Progress) -> tuple[ExampleSet, ExampleSet]:
    """The scored sets of validation and test."""

    def make(split: str) -> ExampleSet:
        scenes, spec = _scored_scenes(plan, banks, split)
        return build_set(scenes, _digest(banks[split]), spec, cache / "sets", lambda s: tell(f"{split} scenes", s))

    return make("val"), make("test")


def _scored_scenes(plan: DataPlan, banks: dict[str, Banks], split: str) -> tuple[SceneSource, SetSpec]:
    mine = banks[split]
    clips, seed = (plan.score_clips, plan.seed + 2) if split == "val" else (plan.test_clips, plan.seed + TEST_SEED)
    spec = SetSpec("score", min(clips, len(mine.speech)), plan.longest_seconds, seed)
    return SceneSource(mine.speech, mine.noise, mine.rirs, Array.parse(plan.array)), spec


def shortages(plan: DataPlan, manifest: dict[str, Any]) -> list[str]:
    """What a person should know of the amounts in a manifest: corpora used in part, sets smaller than asked for."""
    cut = {
        (split, kind): f"{split} {kind} {bank['clips']} of {bank['listed']} files"
        for split, kinds in manifest["banks"].items()
        for kind, bank in kinds.items()
        if bank["clips"] + bank["skipped"] < bank["listed"]
    }
    lines = []
    if cut:
        why = (
            "as --hours says" if plan.hours is not None else "enough for sets of this size; --hours takes more or less"
        )
        lines.append(f"only a part of the corpora is used, {why}: {', '.join(cut.values())}")
    for name, split, flag, asked in (
        ("score_val", "val", "--score-clips", plan.score_clips),
        ("score_test", "test", "--test-clips", plan.test_clips),
    ):
        there = manifest["sets"][name]["examples"] // len(SNRS_DB)
        if there < asked:
            more = "--hours takes more of it" if (split, "speech") in cut else "there is no more"
            lines.append(f"only {there} clips of {split} speech are scored, where {flag} is {asked}: {more}")
    return lines


def _kinds(banks: Banks) -> list[tuple[str, Any]]:
    return [("speech", banks.speech), ("noise", banks.noise), ("rirs", banks.rirs)]


def _digest(banks: Banks) -> str:
    return "-".join(bank.digest for _, bank in _kinds(banks))
