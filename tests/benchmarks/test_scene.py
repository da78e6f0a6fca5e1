"""The benchmark of scenes at its smallest: what it prints, and that its baseline does the same work."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.scene import draw, main, source, time_domain
from data.scene import render


def test_json_has_the_ratios_with_their_baselines(capsys):
    smallest = "--scenes 2 --seconds 0.5 --room-seconds 0.05 --baseline-scenes 1 --repetitions 2"
    main([*smallest.split(), "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["ratios"]) == {"times_real_time", "times_real_time_rendering", "over_time_domain"}
    assert all(isinstance(value, float) and value > 0 for value in printed["ratios"].values())
    assert set(printed["baselines"]) == set(printed["ratios"])
    assert {len(seconds) for seconds in printed["seconds"].values()} == {2}
    assert printed["settings"]["microphones"] == 5
    assert printed["settings"]["torch_threads"] == 1


def test_baseline_renders_the_same_scenes():
    scenes = draw(source(0.5, 0.05, np.random.default_rng(1)), 3, 8000)
    mixtures, cleans = render(scenes)
    for scene, mixture, clean in zip(scenes, mixtures.numpy(), cleans.numpy(), strict=True):
        slow_mixture, slow_clean = time_domain(scene)
        assert slow_clean == pytest.approx(clean, abs=1e-6)
        assert np.linalg.norm(slow_mixture - mixture) < 0.01 * np.linalg.norm(mixture)
