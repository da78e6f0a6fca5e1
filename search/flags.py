"""The flags of `search/run.py`, and the configuration that they say."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from data.array import ARRAYS
from data.errors import InputError
from data.flags import CommandParser, add_data_arguments, data_plan, with_budget
from data.plan import DataPlan
from data.units import parse_duration, parse_size
from model.distill import METHODS
from model.macs import Budget
from model.precision import PRECISIONS, choose_device, choose_precision
from model.schedule import SCHEDULES
from model.train_config import LR_SCHEDULES
from search.config import KEEPS, SearchConfig
from search.preset import PRESETS
from search.priors import PriorsName
from search.resume import resumed_config
from search.sampler import DEFAULT_SAMPLER, SamplerName
from search.space_file import SpaceFile, read_space_file
from search.space_flags import check_said_once, dimensions_of
from search.stopping import PATIENCE
from search.tracking_store import absolute_uri

EXAMPLES = """
examples:
  python search/run.py --budget 1.0GMAC
      the demo: a front in 12 minutes on two cores, on a small synthetic corpus
  python search/run.py --budget 650MMAC/s --speech cv-corpus/de --noise noise_fullband --rirs simulated_rirs_16k \\
      --time-budget 8h --name headset
      your own corpora, in a night
  python search/run.py --budget 9GMAC ... --preset paper --sizes B,C,D,E,F,G,H,I --gpus-per-trial 0.25
      the paper's experiment, four students to a GPU
  python search/run.py --resume headset
      goes on with a search that was stopped
  python search/run.py --resume headset --trials 40
      trains more students, up to 40 in all

units of --budget: GMAC and MMAC are the axis of the paper's Table 1 (1.0GMAC there is about 0.63 GMAC/s); GMAC/s,
MMAC/s and MMAC/frame are true multiply-accumulates.
"""


def parser() -> CommandParser:
    """All flags of the command."""
    p = CommandParser(
        prog="python search/run.py",
        description="Trains many small FT-JNF students in parallel, distilled from a large teacher, and finds the ones "
        "that no other beats in both PESQ and multiply-accumulates.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=None,
        allow_abbrev=False,
    )
    p.add_argument("--budget", metavar="1.0GMAC", help="the most a student may cost; see the units below")
    p.add_argument("--preset", choices=tuple(PRESETS), help="demo (no folders), short (folders and --time-budget), "
                   "full (folders), paper (folders; teacher A); the default follows from what you give")  # fmt: skip
    p.add_argument("--seed", type=int, help="of everything random (default: 0)")
    p.add_argument("--dry-run", action="store_true", default=None, help="show what would run, and train nothing")
    p.add_argument(
        "--json",
        action="store_true",
        default=None,
        help="print the front (or what would run) as JSON, all else to stderr",
    )

    space = p.add_argument_group("what is tried")
    space.add_argument(
        "--sizes", metavar="64/16,E", help="F/T hidden units or rows of Table 1 (default: all in the budget)"
    )
    space.add_argument("--methods", metavar="A,B", help=f"of {', '.join(METHODS)}")
    space.add_argument("--schedules", metavar="A,B", help=f"how alpha runs: of {', '.join(SCHEDULES)}")
    space.add_argument("--init", metavar="A,B", help="how students start: slice (of the teacher), random")
    space.add_argument("--trials", type=int, help="students at most")
    space.add_argument("--sampler", choices=get_args(SamplerName), help="what proposes students (default: ehvi)")
    space.add_argument("--warm-start", metavar="NAME", help="an earlier search on the same data, in the same tracking "
                       "store: its scores inform the sampler")  # fmt: skip
    space.add_argument("--repeats", type=int, help="trainings of each configuration, by other seeds (default: 1)")
    space.add_argument("--space", type=Path, metavar="FILE", help="YAML or JSON with all of this and more, such as "
                       "several alphas and learning rates; see README")  # fmt: skip
    space.add_argument("--priors", choices=get_args(PriorsName), help="paper (default): begin with what the paper's "
                       "findings speak for at each size; none: with all alike")  # fmt: skip

    space.add_argument("--halving", choices=("on", "off"), help="whether students that score less than others of at "
                       "most their cost are stopped early (default: on from 12 students and 9 epochs a stage on; off "
                       "for a grid, repeats and the paper's preset)")  # fmt: skip

    space.add_argument("--repeat-front", type=int, metavar="N", help="at the end trains the front and its near rivals "
                       "with N more seeds each (default: 2 on own corpora, 0 in the demo and the paper's)")  # fmt: skip
    space.add_argument("--patience", type=int, metavar="N", help="ends the search when the hypervolume has gained less "
                       f"than 1 %% over the last N students; 0: never (default: {PATIENCE})")  # fmt: skip

    train = p.add_argument_group("how students learn")
    train.add_argument(
        "--epochs", type=int, help="epochs a stage at most, fewer where the time is short; two-stage KD has two stages"
    )
    train.add_argument("--score-every", type=int, metavar="N", help="epochs between two PESQ scores on a student's way")
    train.add_argument("--lr", type=float, help="Adam's learning rate at the start of a stage")
    train.add_argument(
        "--lr-schedule", choices=LR_SCHEDULES, help="plateau: halved when it stalls, as in the paper; cosine: to zero"
    )
    train.add_argument("--batch", type=int, help="examples a step (default: 4, as in the paper)")
    train.add_argument("--alpha", type=float, help="of the schedule constant (default: 0.5)")
    train.add_argument("--gram", metavar="FORM", help="pairs in eq. 7: positions (default), exact, frame or bin")
    train.add_argument("--gram-normalise", choices=("plain", "cosine"), help="inner products in eq. 7")
    train.add_argument("--soft-scale", choices=("first", "none"), help="none: the literal sum of soft losses")
    train.add_argument("--precision", choices=PRECISIONS, help="products in the LSTMs (default: auto; bf16 where fast)")

    teacher = p.add_argument_group("the teacher")
    teacher.add_argument("--teacher", metavar="FILE|none", help="weights; default: the packaged one for the demo, "
                         "else one is trained first and kept")  # fmt: skip
    teacher.add_argument("--teacher-size", metavar="C", help="of a teacher trained first (default: C, A on a GPU)")
    teacher.add_argument("--teacher-time", metavar="20min", help="for its training (default: a third of --time-budget)")

    run = p.add_argument_group("where and how long")
    run.add_argument("--time-budget", metavar="12min", help="from the start to the printed front (demo: 12min)")
    run.add_argument("--cpus-per-trial", type=float, help="default: 1; on a GPU for PESQ beside the training")
    run.add_argument("--gpus-per-trial", type=float, help="default: 0; 0.25 puts four students on a GPU")
    run.add_argument("--cache-size", metavar="20GB", help="disk for the teacher's outputs (default: 20GB)")
    run.add_argument("--keep-checkpoints", choices=KEEPS, help="front (default): weights of students that are not on "
                     "the front or near it are removed as the search goes; all: none are")  # fmt: skip
    run.add_argument("--address", help="of a Ray cluster, HOST:PORT or auto (default: this machine alone)")
    run.add_argument("--storage", type=Path, metavar="DIR", help="root of the run folders (default: runs)")
    run.add_argument("--tracking-uri", help="MLflow store (default: SQLite in the storage root)")
    run.add_argument("--name", help="of the search and its folder (default: date and time)")
    run.add_argument("--resume", metavar="NAME", help="go on with a search; its configuration comes from its folder")
    add_data_arguments(p)
    return p


def read_flags(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line.

    Raises:
        InputError: an unknown flag, a value of the wrong kind, or flags that contradict each other.
    """
    return parser().parse_args([word for word in with_budget(argv) if word])


def search_config(flags: argparse.Namespace) -> SearchConfig:
    """The search that the flags say, from a preset or from the folder of a resumed search.

    Raises:
        InputError: a value that cannot be used, or a flag that contradicts the search to be resumed.
    """
    if flags.resume is not None:
        return resumed_config(flags)
    if flags.budget is None:
        raise InputError("--budget is missing; say the most a student may cost, such as --budget 1.0GMAC")
    Budget.parse(flags.budget)
    own = [name for name in ("speech", "noise", "rirs") if getattr(flags, name) is not None]
    name = flags.preset or ("demo" if not own else "short" if flags.time_budget else "full")
    preset = PRESETS[name]
    if preset.own_corpora and not own:
        raise InputError(f"--preset {name} is for corpora of your own; give --speech, --noise and --rirs")
    flags.seed = seed = flags.seed if flags.seed is not None else 0
    gpus = flags.gpus_per_trial or 0.0
    train = {
        "epochs": flags.epochs, "lr": flags.lr, "lr_schedule": flags.lr_schedule, "batch": flags.batch,
        "alpha": flags.alpha, "soft_scale": flags.soft_scale,
    }  # fmt: skip
    gram = {"form": flags.gram, "normalise": flags.gram_normalise}
    device = choose_device("auto" if gpus else "cpu")
    config = replace(
        preset.train,
        **_given(train),
        gram=replace(preset.train.gram, **_given(gram)),
        precision=choose_precision(flags.precision or preset.precision, device),
        seed=seed,
    )
    time_budget = parse_duration(flags.time_budget) if flags.time_budget else preset.time_budget
    file = SpaceFile() if flags.space is None else read_space_file(flags.space)
    check_said_once(flags, file)
    methods = _names(flags.methods, file.methods or preset.methods)
    schedules = _names(flags.schedules, file.schedules or preset.schedules)
    repeats = flags.repeats if flags.repeats is not None else file.repeats or 1
    search = SearchConfig(
        name=flags.name if flags.name is not None else time.strftime("%Y-%m-%d-%H%M%S"),
        budget=flags.budget,
        preset=name,
        data=_absolute(data_plan(flags, preset.data)),
        train=config,
        methods=methods,
        schedules=schedules,
        inits=_names(flags.init, file.inits or preset.inits),
        sizes=file.sizes if flags.sizes is None else _names(flags.sizes, ()),
        sampler=flags.sampler or DEFAULT_SAMPLER,
        repeats=repeats,
        trials=flags.trials if flags.trials is not None else preset.trials,
        score_every=flags.score_every if flags.score_every is not None else preset.score_every,
        time_budget=time_budget,
        teacher=flags.teacher if flags.teacher in (None, "none") else str(Path(flags.teacher).absolute()),
        teacher_size=flags.teacher_size or (preset.teacher_size if flags.teacher is None else None),
        teacher_time=parse_duration(flags.teacher_time) if flags.teacher_time else None,
        cpus_per_trial=flags.cpus_per_trial if flags.cpus_per_trial is not None else 1.0,
        gpus_per_trial=gpus,
        cache_size=parse_size(flags.cache_size or "20GB"),
        address=flags.address,
        storage=str(Path(flags.storage or "runs").absolute()),
        tracking_uri=None if flags.tracking_uri is None else absolute_uri(flags.tracking_uri),
        seed=seed,
        f_hidden=file.f_hidden,
        t_hidden=file.t_hidden,
        bi_freq=file.bi_freq or False,
        dimensions=dimensions_of(flags, file, preset.dimensions, methods, schedules),
        priors=flags.priors or "paper",
        halving=_halving(flags, name, repeats),
        repeat_front=flags.repeat_front if flags.repeat_front is not None else preset.repeat_front,
        patience=flags.patience if flags.patience is not None else _patience(flags, repeats),
        keep_checkpoints=flags.keep_checkpoints or "front",
        warm_start=flags.warm_start,
    )
    _check_use(flags, search)
    return search


def _halving(flags: argparse.Namespace, preset: str, repeats: int) -> bool | None:
    """A grid, repeats and the paper's experiment are there to be measured: students of those are trained to the end."""
    if flags.halving is not None:
        return bool(flags.halving == "on")
    return False if flags.sampler == "grid" or repeats > 1 or preset == "paper" else None


def _patience(flags: argparse.Namespace, repeats: int) -> int:
    """A grid goes from the cheapest size to the dearest, and repeats are wanted all: neither is to end early."""
    return 0 if flags.sampler == "grid" or repeats > 1 else PATIENCE


def _check_use(flags: argparse.Namespace, search: SearchConfig) -> None:
    """Whether the search has a use for what was given: a flag that changes nothing is a misunderstanding.

    Raises:
        InputError: a flag that nothing heeds.
    """
    if flags.teacher is not None:
        for flag, value in (("--teacher-size", flags.teacher_size), ("--teacher-time", flags.teacher_time)):
            if value is not None:
                raise InputError(
                    f"{flag} is for a teacher that is trained first, but --teacher {flags.teacher} is given; leave one "
                    "of the two out"
                )
    elif flags.teacher_time is not None and flags.teacher_size is None and search.data.demo:
        raise InputError(
            "--teacher-time limits a training, but the demo's teacher is trained already; add --teacher-size C to "
            "train another one, or leave --teacher-time out"
        )
    methods = [METHODS[name] for name in search.methods if name in METHODS]
    if flags.alpha is not None and not ("constant" in search.schedules and any(one.layers for one in methods)):
        raise InputError(
            "--alpha is for KD by the schedule constant, which this search does not try; add --schedules constant (and "
            "a KD method), or leave --alpha out"
        )
    gram = [name for name, method in METHODS.items() if any(kind == "gram" for _, kind in method.layers)]
    for flag, value in (("--gram", flags.gram), ("--gram-normalise", flags.gram_normalise)):
        if value is not None and not set(gram) & set(search.methods):
            raise InputError(
                f"{flag} is for the methods {', '.join(gram)}, none of which this search tries; add one to --methods, "
                f"or leave {flag} out"
            )


def _absolute(data: DataPlan) -> DataPlan:
    """Paths that hold in Ray's workers, and in whatever folder the search is resumed from."""
    names = ("speech", "noise", "rirs")
    folders = {name: folder.absolute() for name in names if (folder := getattr(data, name)) is not None}
    own_array = data.array not in ARRAYS and Path(data.array).is_file()
    array = str(Path(data.array).absolute()) if own_array else data.array
    return replace(data, array=array, **folders)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _names(text: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    if text is None:
        return default
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
