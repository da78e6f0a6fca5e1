"""One student's training as a Ray Tune function."""

from __future__ import annotations

from typing import Any

from model.allocator import keep_freed_memory
from search.space import Choice
from search.student import StudentJob, run_student


def trial(config: dict[str, Any], job: StudentJob) -> None:
    """What Tune runs in a worker.

    The student's own folder holds its checkpoints, so a trial that Ray starts again after a fault goes on from there.
    Only what is the configuration's own doing is a result: a training that diverged, a student too large for the GPU.
    Any other error is left to Ray.

    Args:
        config: `{"number": n, "choice": {...}}` from `TuneSearcher`.
        job: what all students share.
    """
    import torch
    from ray import tune

    keep_freed_memory()
    torch.set_num_threads(max(1, int(tune.get_context().get_trial_resources().required_resources.get("CPU", 1))))
    try:
        run_student(job, config["number"], Choice(**config["choice"]), tune.report)
    except (ArithmeticError, torch.cuda.OutOfMemoryError) as error:
        stopped = "diverged" if isinstance(error, ArithmeticError) else "too large for the GPU"
        tune.report({"state": "FAIL", "final": True, "stopped": stopped, "reason": str(error)})
