"""The report of recorded curves: fair comparisons, and no claim that seeds or clips could have made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.front import pesq_summary
from benchmarks.comparison import SeedSpread, compare, seed_interval
from benchmarks.methods import figure, main, markdown
from benchmarks.study import Study
from data.errors import InputError

CLIPS, SNRS = 20, 5


@pytest.fixture(scope="module")
def trained(make_curve):
    """Makes repeats of one configuration whose clips differ much, and whose seeds differ by 0.01."""
    base = 1.3 + np.random.default_rng(5).normal(0, 0.15, (CLIPS, SNRS))

    def make(gain: float, seeds: int = 3, spread: float = 0.01, along: tuple[float, ...] = (), **what):
        made = []
        for repeat in range(seeds):
            table = base + gain + spread * (repeat - (seeds - 1) / 2)
            final = pesq_summary(table)
            kept = {key: value for key, value in what.items() if key != "epochs"}
            epochs = what.get("epochs", 5)
            pesq = [*(along or [final - 0.05] * (epochs - 1)), final]
            made.append(make_curve(pesq, repeat=repeat, table=table, **kept))
        return made

    return make


def test_spread_of_seeds_is_pooled_over_what_was_repeated(trained):
    spread = SeedSpread.of([*trained(0.0), *trained(0.2, size=(16, 8)), *trained(0.0, seeds=1, size=(32, 12))])
    assert spread.freedom == 4
    assert spread.std == pytest.approx(0.01)


def test_a_gain_beyond_the_seeds_is_told_apart_though_clips_differ_by_more(trained):
    curves = [*trained(0.0), *trained(0.05, method="linear")]
    found = compare([(curves[3:], curves[:3])], SeedSpread.of(curves))
    assert found.value == pytest.approx(0.05)
    assert found.low < 0.05 < found.high
    assert found.apart
    assert "better" in found.text()
    back = compare([(curves[:3], curves[3:])], SeedSpread.of(curves))
    assert "worse" in back.text()


def test_a_gain_within_the_seeds_is_not_told_apart(trained):
    curves = [*trained(0.0), *trained(0.005, method="linear")]
    found = compare([(curves[3:], curves[:3])], SeedSpread.of(curves))
    assert not found.apart
    assert "not told apart" in found.text()


def test_over_more_sizes_the_interval_is_narrower(trained):
    sizes = ((8, 4), (16, 8), (32, 12), (64, 16))
    pairs = [(trained(0.01, size=size, method="linear"), trained(0.0, size=size)) for size in sizes]
    spread = SeedSpread(0.01, 16)
    one, all_ = compare(pairs[:1], spread), compare(pairs, spread)
    assert all_.high - all_.low == pytest.approx((one.high - one.low) / 2, rel=0.1)
    assert all_.seeds == (12, 12)


def test_one_seed_is_never_called_better(trained):
    curves = [*trained(0.0, seeds=1), *trained(0.5, seeds=1, method="linear")]
    found = compare([(curves[1:], curves[:1])], SeedSpread.of(curves))
    assert not found.apart
    assert found.text().endswith("one seed")
    assert Study(curves).by_method().rows[0][-1] == "not known yet"


def test_a_clip_that_could_not_be_scored_is_left_out_of_its_snr(trained, make_curve):
    (curve,) = trained(0.0, seeds=1)
    table = curve.table
    table[3, 0] = np.nan
    patchy = make_curve([1.3], table=table, repeat=7)
    assert np.isfinite(patchy.redrawn).all()
    assert np.median(patchy.redrawn - curve.redrawn) == pytest.approx(0.0, abs=0.01)


def test_few_degrees_of_freedom_widen_the_interval(trained):
    group = trained(0.0)
    few, many = seed_interval(group, SeedSpread(0.01, 2)), seed_interval(group, SeedSpread(0.01, 200))
    assert few[0] < many[0] < many[1] < few[1]


@pytest.fixture(scope="module")
def study(trained) -> Study:
    return Study([
        *trained(0.0), *trained(0.05, method="linear"), *trained(0.001, method="multi"),
        *trained(0.05, epochs=10),
        *trained(-0.2, init="random", along=(1.01, 1.02, 1.03, 1.04)),
        *trained(0.0, precision="fp32"), *trained(0.1, lr=2e-3),
    ])  # fmt: skip


def test_methods_stand_beside_none_at_equal_epochs_of_both_counts(study: Study):
    section = study.by_method()
    assert section.differences["8/4_linear_over_none_5"]["apart"]
    assert not section.differences["8/4_linear_over_none_10"]["apart"]  # none with as many epochs as both stages
    assert not section.differences["8/4_multi_over_none_5"]["apart"]
    assert section.rows[0][-1] == "KD Linear or no KD for 10 epochs"
    assert set(section.differences) >= {"all_linear_over_none_5", "all_linear_over_none_10"}


def test_starts_are_compared_at_equal_steps(study: Study):
    random, cut = study.starts().rows
    assert random[2:6] == ["1.010", "1.020", "1.030", "1.040"]
    assert "better" in cut[-1]


def test_settings_are_compared_with_the_usual_ones(study: Study):
    assert study.lengths().differences["8/4_10_epochs_over_5_epochs"]["value"] == pytest.approx(0.05)
    assert study.rates().differences["8/4_0.002_over_0.001"]["value"] == pytest.approx(0.1)
    assert not study.precision().differences["8/4_fp32_over_bf16"]["apart"]


def test_one_precision_alone_is_compared_with_nothing(trained):
    assert not Study(trained(0.0, precision="fp32")).precision().rows


def test_what_was_not_recorded_has_no_table(trained):
    assert [section.title for section in Study(trained(0.0)).sections()] == []
    titles = [section.title for section in Study([*trained(0.0), *trained(0.0, method="linear")]).sections()]
    assert titles == ["Which method at which size"]


def test_command_writes_page_and_figure_and_prints_one_object(study: Study, tmp_path: Path, capsys):
    path = tmp_path / "curves.jsonl"
    path.write_text("".join(curve.line() + "\n" for curve in study.curves), encoding="utf-8")
    main(["--curves", str(path), "--write", str(tmp_path / "docs"), "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["trainings"] == len(study.curves)
    assert printed["seed_std"] == pytest.approx(0.01)
    assert printed["sections"][0]["title"] == "Which method at which size"
    page = (tmp_path / "docs" / "methods.md").read_text(encoding="utf-8")
    assert page == markdown(study, "curves.jsonl")
    assert "not told apart" in page
    assert (tmp_path / "docs" / "methods.png").read_bytes().startswith(b"\x89PNG")


def test_figure_has_a_line_a_method_and_none_twice(study: Study):
    labels = [text.get_text() for text in figure(study).legends[0].get_texts()]
    assert sorted(labels) == ["KD Linear", "KD Multi", "no KD, 10 epochs", "no KD, 5 epochs"]


def test_no_curves_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        main(["--curves", str(tmp_path / "none.jsonl")])
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="holds no curve"):
        main(["--curves", str(tmp_path / "empty.jsonl")])
