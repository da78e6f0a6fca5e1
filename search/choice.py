"""One student's configuration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from model.distill import METHODS
from model.ftjnf import Size
from model.train_config import TrainConfig
from search.dimensions import SETTINGS


@dataclass(frozen=True)
class Choice:
    """One student's configuration; equal choices are one configuration.

    From `alpha` on a field is None where the search's own setting holds, or where the method and the schedule do not
    heed it (`search.dimensions.SETTINGS`).

    Args:
        f_hidden: F, hidden units of the F-LSTM.
        t_hidden: T, hidden units of the T-LSTM.
        kd_method: a method of Table 2, or `none` for training without a teacher.
        alpha_schedule: the schedule of alpha; always `none` for the method `none`, which has no alpha.
        init: `slice` (cut out of the teacher) or `random`.
        bi_freq: whether the F-LSTM runs over frequency in both directions.
        microphones: M.
        repeat: counts the trainings of one configuration from other seeds, from 0.
        alpha: of the schedule `constant`.
        ramp: share of the stage's epochs that the ramp of `linear` or `cosine` takes.
        soft_share: share of all epochs that the first stage of `two-stage` has.
        lr: learning rate at the start of a stage.
        gram_form, gram_normalise: how eq. 7 is evaluated, see `model.gram.Gram`.
    """

    f_hidden: int
    t_hidden: int
    kd_method: str
    alpha_schedule: str
    init: str
    bi_freq: bool = False
    microphones: int = 5
    repeat: int = 0
    alpha: float | None = None
    ramp: float | None = None
    soft_share: float | None = None
    lr: float | None = None
    gram_form: str | None = None
    gram_normalise: str | None = None

    def __post_init__(self) -> None:
        if self.kd_method == "none":
            object.__setattr__(self, "alpha_schedule", "none")
        for name, setting in SETTINGS.items():
            if not setting.heeded(self.kd_method, self.alpha_schedule):
                object.__setattr__(self, name, None)

    @classmethod
    def of(cls, size: Size, kd_method: str, alpha_schedule: str, init: str, repeat: int = 0, **settings: Any) -> Choice:
        """The configuration of a student of this size; `settings` are fields from `alpha` on."""
        return cls(
            size.f_hidden, size.t_hidden, kd_method, alpha_schedule, init, size.bi_freq, size.microphones, repeat,
            **settings,
        )  # fmt: skip

    @property
    def size(self) -> Size:
        """The student's size."""
        return Size(self.f_hidden, self.t_hidden, self.bi_freq, self.microphones)

    @property
    def settings(self) -> dict[str, float | str]:
        """The fields from `alpha` on that are not None."""
        return {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}

    def key(self) -> str:
        """The configuration in one readable word, such as `80/32|linear|constant|slice|alpha=0.3`; with `|#1` its
        repeat 1."""
        own = (f"{name}={value if isinstance(value, str) else f'{value:g}'}" for name, value in self.settings.items())
        again = (f"#{self.repeat}",) if self.repeat else ()
        return "|".join((str(self.size), self.kd_method, self.alpha_schedule, self.init, *own, *again))

    def training(self, base: TrainConfig) -> TrainConfig:
        """The training of this configuration: the settings of all of a search's, with the configuration's own."""
        schedule = self.alpha_schedule if METHODS[self.kd_method].layers else "two-stage"
        gram: dict[str, Any] = {"form": self.gram_form, "normalise": self.gram_normalise}
        own: dict[str, Any] = {name: getattr(self, name) for name in ("alpha", "ramp", "soft_share", "lr")}
        return replace(
            base, size=self.size, method=self.kd_method, schedule=schedule, init=self.init,
            gram=replace(base.gram, **{name: value for name, value in gram.items() if value is not None}),
            **{name: value for name, value in own.items() if value is not None},
        )  # fmt: skip
