"""Lets Ray Tune forget students that have ended, as its memory grows with their number."""

from __future__ import annotations

from typing import Any

from ray import tune


class Forgetting(tune.Callback):
    """Empties what Tune holds of a trial that has ended; nothing asks for it again, as results are in the run folder.

    Per metric and trial Tune keeps running statistics with their last values (ray-project/ray issue 64231), and a text
    of all that in its snapshot of the experiment.
    """

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Forgets it."""
        forget(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Forgets it."""
        forget(trial)


def forget(trial: Any) -> None:
    """Empties a trial's statistics and its last result but for what Tune itself looks at."""
    data = getattr(trial, "run_metadata", None)
    for name in ("metric_analysis", "metric_n_steps"):
        kept = getattr(data, name, None)
        if isinstance(kept, dict):
            kept.clear()
