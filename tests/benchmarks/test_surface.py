"""Surfaces of PESQ: the fitted one finds what made-up curves were made with, and all have one face."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.curve import read_curves, usual
from benchmarks.hull import convex_hull, inside
from benchmarks.replay import Replay
from benchmarks.seed_noise import seed_noise
from benchmarks.surface import Surface, epochs_before
from benchmarks.surface_fit import fit, main
from benchmarks.surface_synthetic import SyntheticSurface
from data.errors import InputError
from model.ftjnf import Size
from model.macs import paper_gmac
from search.space import Choice

SIZES = ((8, 4), (16, 8), (32, 12), (64, 16), (80, 32), (8, 16), (40, 4))
G = Size(64, 16)


@pytest.fixture(scope="module")
def curves(make_curve):
    """Curves of `PESQ = 1.3 + 0.1 * decades + 0.02 for linear - 0.4 * exp(-epoch / 1.2) from random starts`."""
    rng = np.random.default_rng(0)
    made = []
    for size in SIZES:
        for method, init in (("none", "slice"), ("linear", "slice"), ("none", "random")):
            for repeat in range(3):
                level = 1.3 + 0.1 * math.log10(paper_gmac(Size(*size)) / 0.2) + (0.02 if method == "linear" else 0)
                lack = 0.4 if init == "random" else 0.0
                luck = rng.normal(0, 0.01)
                pesq = [level + luck + rng.normal(0, 0.004) - lack * math.exp(-epoch / 1.2) for epoch in range(1, 6)]
                # stage 1 of KD scores 0.03 below `none`, at any size
                soft = 0 if method == "none" else 5
                made.append(make_curve(pesq, size, method, init, repeat, soft=soft))
                for epoch in made[-1].epochs[:soft]:
                    epoch["pesq"] = level - 0.05 + luck + rng.normal(0, 0.004)
    return made


@pytest.fixture(scope="module")
def surface(curves):
    return fit(curves)


def test_fit_finds_what_the_curves_were_made_with(curves, surface):
    assert surface.form.size == "macs"
    assert surface.form.method == "offset"
    found = surface.coefficients
    assert found["centre"] == pytest.approx(1.3, abs=0.01)
    assert found["per_decade"] == pytest.approx(0.1, abs=0.01)
    assert found["linear"] == pytest.approx(0.02, abs=0.01)
    assert surface.mean(G, "none", "random", 1, 5) < surface.mean(G, "none", "random", 5, 5) - 0.1
    for curve in curves[::4]:
        size, method, init = curve.choice.size, curve.choice.kd_method, curve.choice.init
        assert surface.mean(size, method, init, 5, 5) == pytest.approx(curve.last_stage[-1], abs=0.05)


def test_stage_1_is_given_where_it_trains_the_output(curves, surface):
    """`linear` adds 0.02 in the end, and lacks 0.03 after stage 1."""
    adds, per_decade = surface.stage_1["linear"]
    assert adds == pytest.approx(-0.03, abs=0.01)
    assert per_decade == pytest.approx(0.0, abs=0.01)
    assert surface.quality["stage_1"] < 0.02
    made_up = SyntheticSurface()
    plain = made_up.mean(G, "none", "slice", 3, 5)
    assert plain - 0.06 < made_up.first(G, "linear", "slice", 3, 5) < plain - 0.01
    for one in (Surface.read(), made_up):
        assert abs(one.first(G, "linear", "slice", 3, 5) - one.mean(G, "none", "slice", 3, 5)) < 0.1
        assert math.isnan(one.first(G, "t-lstm", "slice", 3, 5))
        drawn = one.draw(Choice.of(G, "t-lstm", "two-stage", "slice"), 5, np.random.default_rng(0))
        assert np.isnan(drawn).tolist() == [True] * 5 + [False] * 5


def test_fit_tells_its_errors_and_the_noise_of_seeds(curves, surface):
    quality = surface.quality
    assert surface.noise.trainings == len(curves)
    assert surface.noise.luck == pytest.approx(0.01, rel=0.4)
    assert surface.noise.wander == pytest.approx(0.004, rel=0.4)
    assert quality["r2"] > 0.95
    assert quality["residual"] <= quality["left_out_configuration"] <= 0.02
    assert quality["left_out_size"] <= 1.02 * quality["forms"][0]["left_out_size"]


def test_a_size_effect_that_bends_and_a_best_split_are_found_where_there_are(make_curve):
    def pesq(size: tuple[int, int]) -> float:
        decades = math.log10(paper_gmac(Size(*size)) / 0.2)
        return 1.3 + 0.1 * decades - 0.05 * decades**2 - 0.5 * (size[0] / sum(size) - 0.7) ** 2

    sizes = [*SIZES, (16, 32), (24, 4), (40, 32), (64, 4), (96, 8), (8, 8)]
    surface = fit([make_curve([pesq(size)] * 5, size, method) for size in sizes for method in ("none", "linear")])
    assert surface.form.size == "macs, curved, and split"
    assert surface.coefficients["split_squared"] == pytest.approx(-0.5, abs=0.01)
    assert surface.coefficients["per_decade_squared"] == pytest.approx(-0.05, abs=0.001)


def test_no_form_is_kept_in_which_lopsided_or_smaller_students_are_better(make_curve):
    def pesq(size: tuple[int, int]) -> float:
        return 1.3 + slope * math.log10(paper_gmac(Size(*size))) + 0.5 * (size[0] / sum(size) - 0.7) ** 2

    slope = 0.1
    kept = fit([make_curve([pesq(size)] * 5, size) for size in SIZES])
    assert kept.coefficients.get("split_squared", 0.0) <= 0
    assert kept.mean(Size(16, 8), "none", "slice", 5, 5) < kept.mean(G, "none", "slice", 5, 5)
    slope = -0.1
    with pytest.raises(InputError, match="grows with the MACs"):
        fit([make_curve([pesq(size)] * 5, size) for size in SIZES])


def test_trainings_by_other_settings_do_not_count(curves, surface, make_curve):
    odd = [make_curve([2.0] * 5, size, precision="fp32") for size in SIZES]
    assert fit([*curves, *odd]) == surface


def test_without_repeats_the_noise_is_that_of_the_fit_and_says_so(curves):
    single = [curve for curve in curves if curve.choice.repeat == 0]
    surface = fit(single)
    assert surface.noise.trainings == 0
    assert surface.noise.std == pytest.approx(surface.quality["residual"])
    assert surface.quality["seed_noise"] is None


def test_seed_noise_leaves_out_epochs_that_not_all_repeats_have(make_curve):
    pair = [make_curve([1.0, None, 1.0], best=3), make_curve([1.2, 9.0, 1.2], repeat=1)]
    noise = seed_noise([pair])
    assert noise is not None
    assert noise.std == pytest.approx(math.sqrt(0.02))
    assert noise.correlations == pytest.approx((1.0,))
    assert seed_noise([pair[:1]]) is None


def test_too_few_configurations_are_refused(make_curve):
    with pytest.raises(InputError, match="too few"):
        fit([make_curve([1.1, 1.2])])


def test_the_surface_comes_back_from_its_file(curves, surface, tmp_path: Path, capsys):
    path = tmp_path / "curves.jsonl"
    path.write_text("".join(curve.line() + "\n" for curve in curves), encoding="utf-8")
    main(["--curves", str(path), "--out", str(tmp_path / "surface.json"), "--json"])
    assert "coefficients" in json.loads(capsys.readouterr().out)
    read = Surface.read(tmp_path / "surface.json")
    assert read == surface
    (tmp_path / "surface.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="no surface"):
        Surface.read(tmp_path / "surface.json")


def test_extrapolation_is_marked(surface):
    assert not surface.extrapolates(Size(32, 12))
    assert not surface.extrapolates(Size(24, 8), epochs=5)
    assert surface.extrapolates(Size(24, 8), epochs=6)
    assert surface.extrapolates(Size(128, 32))
    assert surface.extrapolates(Size(8, 32))


@pytest.mark.parametrize("kind", ["fitted", "synthetic", "replay"])
def test_all_surfaces_have_one_face(curves, surface, kind):
    surface = {"fitted": surface, "synthetic": SyntheticSurface(), "replay": Replay(curves)}[kind]
    choice = Choice.of(G, "linear", "two-stage", "slice")
    drawn = surface.draw(choice, 5, np.random.default_rng(3))
    assert drawn.shape == (10,)
    assert np.isfinite(drawn).all()
    assert surface.draw(Choice.of(G, "none", "none", "slice"), 5, np.random.default_rng(3)).shape == (5,)
    assert surface.first(G, "linear", "slice", 3, 5) < surface.mean(G, "linear", "slice", 3, 5) - 0.02
    np.testing.assert_array_equal(drawn, surface.draw(choice, 5, np.random.default_rng(3)))
    assert surface.unprocessed < surface.mean(G, "linear", "slice", 5, 5) < surface.teacher + 0.2
    assert {"none", "linear"} <= set(surface.methods)
    assert set(surface.inits) == {"slice", "random"}
    assert not surface.extrapolates(G, 5)
    for wrong in (("none", "slice", 0), ("none", "slice", 6), ("f-lstmm", "slice", 1), ("none", "other", 1)):
        with pytest.raises(InputError):
            surface.mean(G, *wrong, 5)


def test_many_drawn_curves_have_the_mean_and_the_noise_of_the_surface():
    surface = SyntheticSurface()
    rng = np.random.default_rng(0)
    drawn = np.array([surface.draw(Choice.of(G, "none", "none", "random"), 4, rng) for _ in range(4000)])
    means = [surface.mean(G, "none", "random", epoch, 4) for epoch in range(1, 5)]
    np.testing.assert_allclose(drawn.mean(axis=0), means, atol=0.002)
    np.testing.assert_allclose(drawn.std(axis=0), surface.noise.std, rtol=0.05)
    luck = surface.noise.luck**2 / surface.noise.std**2
    assert np.corrcoef(drawn[:, 0], drawn[:, 3])[0, 1] == pytest.approx(luck, abs=0.05)  # luck persists
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] > luck + 0.05  # wander remembers


def test_the_synthetic_surface_has_diminishing_returns_a_best_split_and_kd_for_large_students():
    surface = SyntheticSurface()

    def mean(f: int, t: int, method: str = "none") -> float:
        return surface.mean(Size(f, t), method, "slice", 30, 30)

    small, middle, large = mean(16, 8), mean(48, 16), mean(128, 32)
    decades = [math.log10(paper_gmac(size)) for size in (Size(16, 8), Size(48, 16), Size(128, 32))]
    assert small < middle < large
    assert (middle - small) / (decades[1] - decades[0]) > (large - middle) / (decades[2] - decades[1])
    assert mean(80, 28) > mean(96, 4)
    assert mean(128, 32, "linear") > large
    assert mean(8, 4, "linear") < mean(8, 4)


def test_replay_gives_recorded_curves_and_no_others(make_curve):
    replay = Replay([make_curve([1.1, None, 1.3], best=3), make_curve([1.2, 1.2, 1.2], repeat=1)])
    choice = Choice.of(Size(8, 4), "none", "none", "slice")
    assert replay.choices(3) == [choice]
    np.testing.assert_allclose(replay.draw(choice, 3, np.random.default_rng(0)), [1.1, 1.1, 1.3])
    assert replay.mean(Size(8, 4), "none", "slice", 1, 3) == pytest.approx(1.15)
    assert replay.extrapolates(Size(16, 8))
    with pytest.raises(InputError, match="not recorded"):
        replay.mean(Size(16, 8), "none", "slice", 1, 3)
    with pytest.raises(InputError, match="no curve"):
        Replay([])


def test_two_stage_kd_costs_a_stage_before_its_last():
    assert epochs_before(Choice.of(G, "linear", "two-stage", "slice"), 5) == 5
    assert epochs_before(Choice.of(G, "linear", "cosine", "slice"), 5) == 0
    assert epochs_before(Choice.of(G, "none", "none", "slice"), 5) == 0


def test_the_surface_of_the_project_is_that_of_its_recorded_curves():
    recorded, surface = read_curves(), Surface.read()
    used = usual(recorded)
    assert surface.quality["trainings"] == len(used)
    assert {curve.choice.kd_method for curve in used} == set(surface.methods)
    assert not any(surface.extrapolates(curve.choice.size, curve.train["epochs"]) for curve in used)
    residual = [
        surface.mean(curve.choice.size, curve.choice.kd_method, curve.choice.init, epoch, curve.train["epochs"]) - value
        for curve in used
        for epoch, value in enumerate(curve.last_stage, 1)
        if not math.isnan(value)
    ]
    assert np.sqrt(np.mean(np.square(residual))) == pytest.approx(surface.quality["residual"])


def test_hull():
    square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    hull = convex_hull([(0.5, 0.5), *square, (0.5, 0.0)])
    assert set(hull) == set(square)
    assert inside((0.5, 0.0), hull)
    assert not inside((0.5, -0.01), hull)
    assert inside((0.5, 0.5), [(0.0, 0.0), (1.0, 1.0)])
    assert not inside((0.5, 0.6), [(0.0, 0.0), (1.0, 1.0)])
    assert not inside((2.0, 2.0), [(0.0, 0.0), (1.0, 1.0)])
