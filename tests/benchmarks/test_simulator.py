"""Searches in seconds: the simulator keeps its books, and every strategy can be driven."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.efficiency_plot import LOOKS
from benchmarks.efficiency_table import Outcome
from benchmarks.held import HeldSurface
from benchmarks.search_efficiency import METHODS, Task, _truth, learnt_after_first_rung, main, planned, run
from benchmarks.simulator import Strategy, Trace, Truth, epoch_seconds, simulate
from benchmarks.strategies import Ours, RandomBox, Stock, paper_grid
from benchmarks.surface import Surface
from benchmarks.surface_synthetic import SyntheticSurface
from model.ftjnf import Size
from model.macs import Budget
from search.space import Choice, Space

EPOCHS = 9


@pytest.fixture(scope="module")
def truth() -> Truth:
    surface = SyntheticSurface()
    space = Space(Budget.parse("0.3GMAC"), surface.methods, ("two-stage", "cosine"), surface.inits)
    return Truth(surface, space, EPOCHS)


def search(truth: Truth, strategy: Strategy, trials: int = 15, seed: int = 0, workers: int = 1) -> Trace:
    return simulate(strategy, truth, trials, np.random.default_rng(seed), workers)


STRATEGIES: dict[str, Callable[[Space], Strategy]] = {
    "ours": lambda space: Ours(space, 0, "ehvi"),
    "ours, halving": lambda space: Ours(space, 0, "random", EPOCHS),
    "box": lambda space: RandomBox(space, 0),
    "stock": lambda space: Stock(space, 0),
    "stock, ASHA": lambda space: Stock(space, 0, asha=EPOCHS),
}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_student_is_accounted_for(truth: Truth, name: str, workers: int) -> None:
    trace = search(truth, STRATEGIES[name](truth.space), workers=workers)
    students = list(trace.students.values())
    assert len(students) == trace.points[-1].trials == trace.points[-1].begun == 15
    assert trace.points[-1].epochs == sum(one.epochs for one in students)
    assert all((one.state == "COMPLETE") == (one.left == 0) for one in students)
    assert all(one.state != "RUNNING" for one in students)
    assert trace.over_budget == sum(not truth.space.budget.allows(one.choice.size) for one in students)


def test_serial_time_is_the_sum_of_all_epochs_and_workers_shorten_it(truth: Truth) -> None:
    serial = search(truth, Ours(truth.space, 0, "random"))
    spent = sum(one.epochs * epoch_seconds(one.choice.size) for one in serial.students.values())
    assert serial.points[-1].seconds == pytest.approx(spent)
    assert search(truth, Ours(truth.space, 0, "random"), workers=4).points[-1].seconds < 0.5 * spent


def test_the_same_seeds_give_the_same_search_and_a_student_has_the_same_luck_in_all(truth: Truth) -> None:
    traces = [search(truth, Ours(truth.space, 0, "ehvi")) for _ in range(2)]
    assert traces[0].points == traces[1].points
    other = search(truth, Ours(truth.space, 0, "tpe"), trials=1)
    assert other.students[0].choice == traces[0].students[0].choice
    np.testing.assert_array_equal(other.students[0].scores, traces[0].students[0].scores)


def test_what_is_over_the_budget_adds_nothing(truth: Truth) -> None:
    trace = search(truth, RandomBox(truth.space, 0), trials=30)
    assert trace.over_budget > 0
    feasible = [one for one in trace.students.values() if one.feasible]
    assert trace.points[-1].volume == truth.volume(feasible)


def test_the_front_is_valued_by_means_and_all_configurations_on_average_are_the_whole(truth: Truth) -> None:
    choices = list(truth.space.configurations())
    students = [truth.begin(i, choice, np.random.default_rng(i)) for i, choice in enumerate(choices)]
    assert 0.8 < truth.volume(students) < 1.0  # chosen by luck, so not the best
    for one in students:
        one.scores[-1] = truth.mean(one.choice)
    assert truth.volume(students) == pytest.approx(1.0)


def test_rungs_lie_where_a_real_student_has_them(truth: Truth) -> None:
    """In stage 1 where it trains the output, else in the stage that first does."""

    def places(method: str, schedule: str = "two-stage") -> dict[int, int]:
        choice = Choice.of(Size(16, 8), method, schedule, "slice")
        return dict(truth.begin(0, choice, np.random.default_rng(0), (1, 3)).rungs)

    assert places("none") == {1: 0, 3: 1}
    for method in ("linear", "multi", "mask"):
        assert places(method) == {1: 0, 3: 1}
    for method in ("t-lstm", "f-lstm"):
        assert places(method) == {EPOCHS + 1: 0, EPOCHS + 3: 1}
        assert places(method, "cosine") == {1: 0, 3: 1}


def test_stages_too_short_for_a_first_rung_after_three_epochs_have_earlier_ones(truth: Truth) -> None:
    assert Ours(truth.space, 0, "random", 5).rungs == (1, 2)
    assert Stock(truth.space, 0, asha=5).rungs == (1, 3)
    assert Ours(truth.space, 0, "random", 27).rungs == Stock(truth.space, 0, asha=27).rungs == (3, 9)


def test_halving_spends_fewer_epochs_and_trains_no_duplicates(truth: Truth) -> None:
    halved, whole = (search(truth, Ours(truth.space, 0, "random", rungs), trials=40) for rungs in (EPOCHS, None))
    assert halved.points[-1].epochs < 0.9 * whole.points[-1].epochs
    assert any(one.state == "PAUSED" for one in halved.students.values())
    assert halved.duplicates == 0


def test_the_papers_grid_has_the_rows_of_table_1_within_the_budget() -> None:
    space = Space(Budget.parse("0.5GMAC"), ("none", "linear"), ("two-stage",), ("random",))
    assert {str(size) for size in paper_grid(space).feasible()} == {"48/8", "56/8"}


def test_beyond_what_was_recorded_a_surface_is_held() -> None:
    surface = Surface.read()
    held = HeldSurface(surface)
    lopsided = Size(8, 92)
    assert surface.extrapolates(lopsided)
    inside = [held.mean(Size(f, t), "none", "slice", 5, 5) for f, t in ((8, 4), (16, 8), (32, 12), (64, 16))]
    assert [surface.mean(Size(f, t), "none", "slice", 5, 5) for f, t in ((8, 4), (16, 8), (32, 12), (64, 16))] == inside
    assert min(inside) - 0.02 <= held.mean(lopsided, "none", "slice", 5, 5) <= max(inside) + 0.02


def test_the_benchmark_tells_its_ratios_and_draws(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--surface synthetic --repetitions 2 --trials 12 --epochs 9 --budget 0.4GMAC --processes 1 --json --plot"
    main([*flags.split(), str(tmp_path)])
    found = json.loads(capsys.readouterr().out)
    assert {
        "trials_to_random_in_budget_100", "trials_to_random_in_box_100", "epochs_at_equal_hypervolume", "over_budget",
        "duplicates", "parallel_penalty",
    } <= found["ratios"].keys()  # fmt: skip
    assert found["ratios"]["over_budget"] == found["ratios"]["duplicates"] == 0
    assert found["settings"]["tables"]["synthetic, 9 epochs"].keys() == METHODS.keys()
    assert {path.name for path in tmp_path.iterdir()} == {"search-trials.png", "search-epochs.png"}


def test_every_method_has_a_look_of_its_own() -> None:
    assert len(set(LOOKS)) == len(LOOKS) == len(METHODS)


def test_students_in_training_are_begun_and_have_not_ended(truth: Truth) -> None:
    trace = simulate(Ours(truth.space, 0, "random"), truth, 20, np.random.default_rng(0), workers=4)
    found = Outcome(trace.points, 1.0, 20, 0, 0, 0)
    ended, _, begun = found.until(trace.points[0].volume)
    assert (ended, begun) == (1, 4)
    assert found.until(2.0) == (float("inf"),) * 3


def test_the_fitted_surface_is_searched_at_the_recorded_length_too() -> None:
    assert list(planned("both", 27).values()) == [("fitted", 5), ("fitted", 27), ("synthetic", 27)]
    assert list(planned("fitted", 5).values()) == [("fitted", 5)]
    assert list(planned("synthetic", 27).values()) == [("synthetic", 27)]


def test_trainings_longer_than_recorded_count_as_extrapolated() -> None:
    short, long = (run(Task("fitted", "random in budget", 0, 40, epochs, "1.0GMAC")) for epochs in (5, 27))
    assert short.extrapolated < short.students
    assert long.extrapolated == long.students


def test_what_is_learnt_after_the_first_rung_is_told() -> None:
    """A slice has less before it than a random start, and the more of it lies after the first rung of a short run."""
    short, long = (learnt_after_first_rung("fitted", epochs, "1.0GMAC") for epochs in (5, 27))
    assert 0 < long["slice"] < long["random"]
    assert short["slice"] > long["slice"]


def test_the_replay_takes_the_start_that_was_recorded_with_every_method() -> None:
    """Random starts were recorded without KD alone: there is no whole table of them to search in."""
    space = _truth("replay", "1.0GMAC", 5).space
    assert space.inits == ("slice",)
    assert {str(size) for size in space.feasible()} == {"8/4", "16/8", "32/12", "64/16"}
