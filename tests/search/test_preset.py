from __future__ import annotations

from model.distill import METHODS
from model.schedule import SCHEDULES
from search.preset import PRESETS


def test_paper_has_the_papers_figures() -> None:
    paper = PRESETS["paper"]
    assert set(paper.methods) == {"none", "mask", "linear", "f-lstm", "t-lstm", "multi"}
    assert paper.schedules == ("two-stage",)
    assert paper.inits == ("random",)
    assert paper.data.hours == (38.0, 4.8, 1.2)
    clips = (paper.data.train_clips, paper.data.val_clips, paper.data.test_clips)
    assert [round(n * 4 / 3600, 2) for n in clips] == [38.0, 4.8, 1.2]  # clips of 4 s
    assert (paper.data.clip_seconds, paper.data.array, paper.data.remix) == (4.0, "cross", True)
    train = paper.train
    assert (train.lr, train.batch, train.epochs) == (5e-4, 4, 100)
    assert (train.halve_after, train.stop_after, train.lr_schedule) == (3, 6, "plateau")
    assert train.clip_norm is None
    assert paper.precision == "fp32"
    assert paper.time_budget is None
    assert paper.teacher_size == "A"
    assert paper.own_corpora


def test_demo_is_what_the_readme_promises() -> None:
    demo = PRESETS["demo"]
    assert demo.methods == ("none", "linear", "t-lstm")
    assert demo.schedules == ("two-stage", "cosine")
    assert demo.time_budget == 12 * 60
    assert demo.trials >= 8
    assert demo.data.test_clips >= 60
    assert demo.data.demo


def test_own_corpora_have_the_full_space_and_no_time_budget_of_their_own() -> None:
    for name in ("short", "full"):
        preset = PRESETS[name]
        assert set(preset.methods) == set(METHODS)
        assert set(preset.schedules) == set(SCHEDULES)
        assert set(preset.inits) == {"slice", "random"}
        assert preset.time_budget is None
        assert preset.data.test_clips >= 60


def test_only_full_has_the_trials_to_vary_more() -> None:
    assert {name for name, preset in PRESETS.items() if preset.dimensions} == {"full"}
    for one in PRESETS["full"].dimensions:
        assert any(
            one.heeded(method, schedule) for method in PRESETS["full"].methods for schedule in PRESETS["full"].schedules
        )
