"""How Ray Tune runs the students."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from search.config import SearchConfig
from search.follow import Follower
from search.searcher import TuneSearcher
from search.student import StudentJob
from search.trial import trial

if TYPE_CHECKING:
    from search.halving_scheduler import HalvingScheduler

RETRIES = 2
"""Of a trial whose process died; it goes on from its last checkpoint."""


def tune_students(
    config: SearchConfig,
    job: StudentJob,
    searcher: TuneSearcher,
    follower: Follower,
    slots: int,
    scheduler: HalvingScheduler | None = None,
) -> None:
    """Trains students until the searcher has none left, or a signal ends Tune.

    Args:
        config: says what a trial is given.
        job: what all students share.
        searcher: proposes them.
        follower: hears what they report.
        slots: students at a time.
        scheduler: lets students wait at rungs; None trains them all to the end.
    """
    from ray import tune

    resources: dict[str, float] = {"cpu": config.cpus_per_trial}
    if config.gpus_per_trial > 0:
        resources["gpu"] = config.gpus_per_trial
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trial, job=job), resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher, scheduler=scheduler, num_samples=-1, reuse_actors=True, max_concurrent_trials=slots
        ),
        run_config=tune.RunConfig(
            name=time.strftime("session-%Y%m%d-%H%M%S"), storage_path=str(config.folder / "ray"), verbose=0,
            callbacks=[follower], failure_config=tune.FailureConfig(max_failures=RETRIES),
        ),
    )  # fmt: skip
    tuner.fit()
