"""Targets of fresh scenes: computed once for all trials, those of the teacher, within a limit on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import model.targets
from data.examples import FreshScenes, SetSpec
from model.fresh_targets import FreshTargets, fresh_folder
from model.ftjnf import at_positions
from model.gram import Gram
from model.stft import frames, stft
from model.target_plan import FILE_BYTES, example_bytes, plan_targets

GRAM = Gram(positions=32)
LAYERS = ("f_lstm", "t_lstm", "linear")


@pytest.fixture
def scenes(tiny_source) -> FreshScenes:
    return FreshScenes(tiny_source(), SetSpec("train", 6, 0.25, 0), "sounds")


@pytest.fixture
def store(network, tmp_path):
    def make(cycle: int | None = None, layers=LAYERS, folder: Path | None = None) -> FreshTargets:
        return FreshTargets(network(8, 6), layers, GRAM, 0, "fp32", folder or tmp_path / "store", cycle)

    return make


def ask(store: FreshTargets, scenes: FreshScenes, indices: list[int], epoch: int):
    noisy, _ = scenes.batch(indices, epoch)
    return store.batch(indices, epoch, stft(noisy))


def test_two_trials_run_the_teacher_once_on_each_scene_whatever_their_batches(store, scenes):
    one, two = store(), store()
    for epoch in range(2):
        for batch in ([0, 1, 2], [3, 4, 5]):
            ask(one, scenes, batch, epoch)
        for batch in ([5, 0], [4, 1], [2, 3]):
            ask(two, scenes, batch, epoch)
    assert one.computed == 12
    assert two.computed == 0


def test_what_was_read_is_what_was_computed_and_what_the_teacher_says(store, scenes, network):
    first, positions = ask(store(), scenes, [4, 1], 3)
    again, same_positions = ask(store(), scenes, [1, 4], 3)
    assert positions is not None
    assert same_positions is not None
    assert torch.equal(positions, same_positions.flip(0))
    for name in (*LAYERS, "mask"):
        assert torch.equal(first[name], again[name].flip(0)), name
    noisy, _ = scenes.batch([4, 1], 3)
    with torch.no_grad():
        out = network(8, 6)(stft(noisy))
    torch.testing.assert_close(first["linear"].float(), out.linear, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(first["mask"], out.mask, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(first["t_lstm"].float(), at_positions(out.t_lstm, positions), atol=1e-3, rtol=1e-3)


def test_another_epoch_has_other_scenes_and_positions(store, scenes):
    one = store()
    a, first = ask(one, scenes, [0], 0)
    b, second = ask(one, scenes, [0], 1)
    assert not torch.equal(first, second)
    assert not torch.equal(a["linear"], b["linear"])


@pytest.mark.parametrize("epochs", [1, 2])
def test_scenes_that_come_again_are_computed_once_and_stay_within_the_plan(store, scenes, network, tmp_path, epochs):
    size, length = network(8, 6).size, frames(4000)
    clip = example_bytes(size, LAYERS, length, 32, 1) + FILE_BYTES
    methods = ("multi",)
    plan = plan_targets(size, methods, 32, length, len(scenes), 0, (epochs + 0.5) * len(scenes) * clip, fresh_epochs=9)
    assert (plan.layers, plan.cycle) == (LAYERS, epochs)
    one = store(plan.cycle)
    asked = {epoch: ask(one, scenes.cycling(plan.cycle), list(range(6)), epoch) for epoch in range(5)}
    assert one.computed == 6 * epochs
    assert torch.equal(asked[0][1], asked[epochs][1])
    assert torch.equal(asked[0][0]["linear"], asked[epochs][0]["linear"])
    written = sum(file.stat().st_size for file in (tmp_path / "store").rglob("*.npz"))
    assert 0.5 * plan.bytes < written <= plan.bytes


def test_method_reads_its_own_layers_and_leaves_all_to_the_others(store, scenes):
    one, other = store().only(["linear"]), store().only(["t_lstm"])
    first, positions = ask(one, scenes, [0, 1], 0)
    assert set(first) == {"linear", "mask"}
    assert positions is None
    second, positions = ask(other, scenes, [0, 1], 0)
    assert set(second) == {"t_lstm"}
    assert positions is not None
    assert other.computed == 0


def test_stores_of_anything_else_are_others(scenes, network, tmp_path, monkeypatch):
    def folder(seed: int = 0, layers=LAYERS, cycle: int | None = None, format_: int = model.targets.FORMAT) -> Path:
        monkeypatch.setattr(model.targets, "FORMAT", format_)
        return fresh_folder(network(seed=seed), scenes, layers, GRAM, 0, "fp32", tmp_path, cycle)

    different = {folder(), folder(seed=1), folder(layers=("linear",)), folder(cycle=2), folder(format_=0)}
    assert len(different) == 5


def test_damaged_or_unwritable_store_costs_time_and_nothing_else(store, scenes, tmp_path):
    first, _ = ask(store(), scenes, [0], 0)
    (tmp_path / "store" / "00000" / "0000000.npz").write_bytes(b"half a fi")
    again, _ = ask(store(), scenes, [0], 0)
    assert torch.equal(first["linear"], again["linear"])
    (tmp_path / "file").write_text("in the way")
    elsewhere, _ = ask(store(folder=tmp_path / "file" / "store"), scenes, [0], 0)
    assert torch.equal(first["linear"], elsewhere["linear"])


def test_methods_of_the_output_need_no_positions(store, scenes):
    targets, positions = ask(store(layers=("linear",)), scenes, [0], 0)
    assert positions is None
    assert set(targets) == {"linear", "mask"}


def test_other_gram_forms_are_refused(network, tmp_path):
    with pytest.raises(ValueError, match="needs whole layers"):
        FreshTargets(network(), LAYERS, Gram("frame"), 0, "fp32", tmp_path)
