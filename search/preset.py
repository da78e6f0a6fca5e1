"""Presets: what a search tries and how long its students learn, as data. Every flag overrides its own part of one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from data.plan import DataPlan
from model.distill import METHODS
from model.ftjnf import Size
from model.schedule import SCHEDULES
from model.train_config import TrainConfig
from search.dimensions import Dimension

_ANY = Size(1, 1)  # the size of a preset's training is set by each student


@dataclass(frozen=True)
class Preset:
    """A kind of search.

    Args:
        methods: KD methods.
        schedules: alpha schedules.
        inits: how students may start.
        dimensions: what else is varied.
        data: amounts of data.
        train: settings of every student's training; `precision` decides on its arithmetic.
        precision: one of `model.precision.PRECISIONS`.
        trials: students at most.
        score_every: epochs between two PESQ scores of a student on its way; its best epoch is always scored.
        time_budget: seconds from the command's start to its end; None for no limit.
        teacher_size: of a teacher trained first; None for the usual one.
        own_corpora: whether it makes no sense on the demo corpus.
        repeat_front: trainings by other seeds that the front gets at the end. None in the demo, whose minutes go into
            the search, and none for the paper, whose students take days each.
    """

    methods: tuple[str, ...]
    schedules: tuple[str, ...]
    inits: tuple[str, ...]
    data: DataPlan
    train: TrainConfig
    trials: int
    precision: str = "auto"
    score_every: int = 1
    time_budget: float | None = None
    teacher_size: str | None = None
    own_corpora: bool = False
    dimensions: tuple[Dimension, ...] = ()
    repeat_front: int = 0


SHORT = TrainConfig(_ANY, epochs=30, lr=1e-3, lr_schedule="cosine", clip_norm=5.0)
"""For trainings of minutes: a doubled learning rate that ends at zero; plateau and early stopping need longer ones."""

PRESETS = {
    # minutes: sizes get the trials, the paper's two best methods of one layer stand beside training without KD
    "demo": Preset(
        methods=("none", "linear", "t-lstm"),
        schedules=("two-stage", "cosine"),
        inits=("slice",),
        data=DataPlan(
            train_clips=480, val_clips=24, score_clips=20, test_clips=60, clip_seconds=1.0, longest_seconds=3.0
        ),
        train=replace(SHORT, lr=4e-3),  # with crops of 1 s the best of what benchmarks/README.md compares
        trials=10,
        score_every=6,
        time_budget=12 * 60,
    ),
    # own corpora in a given time
    "short": Preset(
        methods=tuple(METHODS),
        schedules=tuple(SCHEDULES),
        inits=("slice", "random"),
        data=DataPlan(train_clips=600, val_clips=60, score_clips=20, test_clips=60, clip_seconds=2.0),
        train=SHORT,
        trials=16,
        score_every=3,
        repeat_front=2,
    ),
    # own corpora, no time given
    "full": Preset(
        methods=tuple(METHODS),
        schedules=tuple(SCHEDULES),
        inits=("slice", "random"),
        data=DataPlan(train_clips=4000, val_clips=400, score_clips=40, test_clips=200, remix=True),
        train=TrainConfig(_ANY),
        trials=40,
        dimensions=(Dimension("alpha", (0.3, 0.5, 0.7)), Dimension("ramp", (0.25, 0.5))),
        repeat_front=2,
    ),
    # section 5 of the paper: 38, 4.8 and 1.2 hours, of clips of 4 s
    "paper": Preset(
        methods=tuple(METHODS),
        schedules=("two-stage",),
        inits=("random",),
        data=DataPlan(
            hours=(38.0, 4.8, 1.2),
            train_clips=34_200,
            val_clips=4_320,
            score_clips=60,
            test_clips=1_080,
            remix=True,
        ),
        train=TrainConfig(_ANY),
        precision="fp32",
        trials=48,
        teacher_size="A",
        own_corpora=True,
    ),
}
