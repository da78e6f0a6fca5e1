from __future__ import annotations

from ray.tune.experiment import Trial

from search.forgetting import Forgetting


def test_ended_trial_keeps_no_statistics_and_its_last_result() -> None:
    trial = Trial("trainable", stub=True)
    for epoch in range(3):
        trial.update_last_result({"pesq": 1.5, "training_iteration": epoch, "epoch": epoch})
    assert trial.metric_analysis["pesq"]
    Forgetting().on_trial_complete(1, [trial], trial)
    assert not trial.metric_analysis
    assert trial.last_result["pesq"] == 1.5
