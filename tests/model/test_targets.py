"""The teacher's targets: cached ones are those of the teacher beside, and never those of something else."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

import model.targets
from data.errors import InputError
from model.distill import METHODS
from model.ftjnf import at_positions
from model.gram import Gram
from model.stft import BINS, frames, stft
from model.target_plan import POSITION_SETS, example_bytes, layers_of
from model.target_room import drop_oldest
from model.targets import CachedTargets, TeacherBeside, build_targets

GRAM = Gram(positions=50)
ALL = tuple(METHODS)
CPU = torch.device("cpu")


def cached(net, examples, cache, methods=ALL, gram=GRAM, seed=0, **other) -> CachedTargets:
    layers = layers_of(methods)
    return build_targets(net, examples, layers, gram, cache, seed=seed, precision="fp32", device=CPU, **other)


@pytest.mark.parametrize("bi_freq", [False, True])
def test_cached_targets_are_what_the_teacher_computes(network, tiny_sets, tmp_path, bi_freq):
    net, examples = network(bi_freq=bi_freq), tiny_sets.train
    targets = cached(net, examples, tmp_path)
    for indices in ([0, 3], [5], [4, 1, 2]):
        noisy = stft(examples.batch(indices)[0])
        got, positions = targets.batch(indices, 1, noisy)
        with torch.no_grad():
            expected = net(noisy)
        assert positions.shape == (len(indices), 50)
        torch.testing.assert_close(got["linear"].float(), expected.linear, atol=2e-3, rtol=1e-3)
        torch.testing.assert_close(got["mask"], expected.mask, atol=2e-3, rtol=1e-3)
        for layer in ("f_lstm", "t_lstm"):
            chosen = at_positions(getattr(expected, layer), positions)
            torch.testing.assert_close(got[layer].float(), chosen, atol=5e-4, rtol=0)


def test_teacher_beside_gives_its_own_activations_at_its_own_positions(network, tiny_sets):
    net = network()
    noisy = stft(tiny_sets.train.batch([0, 3])[0])
    got, positions = TeacherBeside(net, layers_of(["multi"]), GRAM, 0, "fp32").batch([0, 3], 5, noisy)
    with torch.no_grad():
        expected = net(noisy)
    assert torch.equal(got["linear"], expected.linear)
    assert torch.equal(got["mask"], expected.mask)
    assert torch.equal(got["t_lstm"], at_positions(expected.t_lstm, positions))
    assert not any(target.requires_grad for target in got.values())


@pytest.mark.parametrize("form", ["exact", "frame", "bin"])
def test_forms_that_need_whole_layers_get_them_from_the_teacher_beside_alone(network, tiny_sets, tmp_path, form):
    gram = Gram(form)
    noisy = stft(tiny_sets.train.batch([0])[0])
    got, positions = TeacherBeside(network(), ("t_lstm",), gram, 0, "fp32").batch([0], 0, noisy)
    assert positions is None
    assert got["t_lstm"].shape == (1, BINS, noisy.shape[-1], 4)
    with pytest.raises(ValueError, match="needs whole layers"):
        cached(network(), tiny_sets.train, tmp_path, gram=gram)


def test_positions_take_turns_over_the_epochs(network, tiny_sets, tmp_path):
    targets = cached(network(), tiny_sets.train, tmp_path)
    noisy = stft(tiny_sets.train.batch([2])[0])
    drawn = [targets.batch([2], epoch, noisy)[1] for epoch in range(POSITION_SETS + 1)]
    assert len({tuple(positions.flatten().tolist()) for positions in drawn[:POSITION_SETS]}) == POSITION_SETS
    assert torch.equal(drawn[POSITION_SETS], drawn[0])
    assert all(len(set(positions.flatten().tolist())) == 50 for positions in drawn), "no position twice"


def test_fewer_sets_of_positions_take_turns_sooner(network, tiny_sets, tmp_path):
    noisy = stft(tiny_sets.train.batch([2])[0])
    many, few = (cached(network(), tiny_sets.train, tmp_path, position_sets=number) for number in (POSITION_SETS, 2))
    for epoch in range(4):
        assert torch.equal(few.batch([2], epoch, noisy)[1], many.batch([2], epoch % 2, noisy)[1])


def test_targets_in_use_are_not_dropped_by_another_search(network, tiny_sets, tmp_path):
    mine = cached(network(), tiny_sets.train, tmp_path)
    folder, part = mine.folder, mine.only(["linear"])
    del mine
    drop_oldest(tmp_path, 1, 0)
    assert folder.exists()
    del part
    drop_oldest(tmp_path, 1, 0)
    assert not folder.exists()


def test_examples_have_positions_of_their_own(network, tiny_sets, tmp_path):
    targets = cached(network(), tiny_sets.train, tmp_path)
    noisy = stft(tiny_sets.train.batch(range(6))[0])
    _, positions = targets.batch(range(6), 0, noisy)
    assert len({tuple(row.tolist()) for row in positions}) == 6


def test_positions_beside_are_drawn_anew_each_epoch_and_are_the_same_when_it_is_repeated(network, tiny_sets):
    beside = TeacherBeside(network(), ("t_lstm",), GRAM, 0, "fp32")
    noisy = stft(tiny_sets.train.batch([2, 4])[0])
    first, second, again = (beside.batch([2, 4], epoch, noisy)[1] for epoch in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1]), "each clip has positions of its own"


def test_clip_with_fewer_cells_than_positions_gives_all_of_them(network, tiny_sets, tmp_path):
    noisy = stft(tiny_sets.train.batch([0])[0])
    cells = BINS * noisy.shape[-1]
    _, positions = cached(network(), tiny_sets.train, tmp_path, gram=Gram(positions=10**6)).batch([0], 0, noisy)
    assert torch.equal(positions, torch.arange(cells)[None])


def test_same_targets_are_opened_without_running_the_teacher(network, tiny_sets, tmp_path, monkeypatch):
    first = cached(network(), tiny_sets.train, tmp_path)
    net = network()
    monkeypatch.setattr(type(net), "forward", lambda *a, **k: pytest.fail("the teacher was run again"))
    assert cached(net, tiny_sets.train, tmp_path).folder == first.folder


def test_targets_of_anything_else_are_others(network, tiny_sets, tmp_path):
    net = network()
    folders = {
        cached(net, tiny_sets.train, tmp_path).folder,
        cached(network(seed=1), tiny_sets.train, tmp_path).folder,
        cached(net, tiny_sets.val, tmp_path).folder,
        cached(net, tiny_sets.train, tmp_path, seed=1).folder,
        cached(net, tiny_sets.train, tmp_path, gram=replace(GRAM, positions=51)).folder,
        cached(net, tiny_sets.train, tmp_path, methods=["linear"]).folder,
        cached(net, tiny_sets.train, tmp_path, position_sets=2).folder,
    }
    assert len(folders) == 7
    with torch.no_grad():
        net.linear.bias[0] += 1e-3
    assert cached(net, tiny_sets.train, tmp_path).folder not in folders, "weights were changed in place"


def test_targets_of_all_methods_serve_one_with_its_own_layers_alone(network, tiny_sets, tmp_path):
    whole = cached(network(), tiny_sets.train, tmp_path)
    spectrum = stft(tiny_sets.train.batch([0, 1])[0])
    everything, positions = whole.batch([0, 1], 0, spectrum)
    part, same = whole.only(["t_lstm"]).batch([0, 1], 0, spectrum)
    assert set(part) == {"t_lstm"}
    assert torch.equal(part["t_lstm"], everything["t_lstm"])
    assert torch.equal(same, positions)
    linear, none = whole.only(["linear"]).batch([0, 1], 0, spectrum)
    assert set(linear) == {"linear", "mask"}
    assert none is None


@pytest.mark.parametrize("methods", [["linear"], ["t-lstm"], ["multi", "mask"]])
def test_bytes_on_disk_are_known_before(network, tiny_sets, tmp_path, methods):
    net = network()
    folder = cached(net, tiny_sets.train, tmp_path, methods=methods).folder
    written = sum(file.stat().st_size for file in folder.iterdir() if file.name != "index.json")
    length = frames(int(tiny_sets.train.lengths[0]))
    clip = example_bytes(net.size, layers_of(methods), length, GRAM.positions, POSITION_SETS)
    assert len(tiny_sets.train) * clip == written


def test_methods_without_layers_need_no_targets(network):
    assert TeacherBeside(network(), (), GRAM, 0, "fp32").batch([0], 0, torch.empty(0)) == ({}, None)


def test_examples_of_several_lengths_are_refused(network, tiny_sets, tmp_path):
    with pytest.raises(InputError, match="examples of one length"):
        cached(network(), tiny_sets.score, tmp_path)


def test_failure_on_the_way_leaves_nothing(network, tiny_sets, tmp_path, monkeypatch):
    monkeypatch.setattr(model.targets, "at_positions", lambda *a: (_ for _ in ()).throw(RuntimeError("no memory")))
    with pytest.raises(RuntimeError, match="no memory"):
        cached(network(), tiny_sets.train, tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".lock", ".used"]


def test_of_two_that_begin_at_once_one_computes_and_the_other_waits(network, tiny_sets, tmp_path, monkeypatch):
    computed, begun, go_on = [], threading.Event(), threading.Event()

    def counted(*args):
        computed.append(args)
        begun.set()
        assert go_on.wait(30)
        return compute(*args)

    compute = model.targets._compute
    monkeypatch.setattr(model.targets, "_compute", counted)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cached, network(), tiny_sets.train, tmp_path)
        assert begun.wait(30)
        second = pool.submit(cached, network(), tiny_sets.train, tmp_path)
        with pytest.raises(TimeoutError):
            second.result(0.3)
        go_on.set()
        assert first.result(30).folder == second.result(30).folder
    assert len(computed) == 1


def test_damaged_targets_are_refused_by_name(network, tiny_sets, tmp_path):
    made = cached(network(), tiny_sets.train, tmp_path)
    os.truncate(made.folder / "t_lstm", 10)
    with pytest.raises(InputError, match=f"{made.folder.name} holds no whole targets; delete it"):
        CachedTargets(made.folder)


def test_the_rest_of_targets_that_were_not_deleted_to_the_end_gives_way_to_new_ones(network, tiny_sets, tmp_path):
    folder = cached(network(), tiny_sets.train, tmp_path).folder
    (folder / "index.json").unlink()
    assert set(cached(network(), tiny_sets.train, tmp_path)._maps) == {"linear", "f_lstm", "t_lstm", "positions"}
    assert not list(tmp_path.glob(".dropped-*"))


def test_progress_ends_at_one(network, tiny_sets, tmp_path):
    shares: list[float] = []
    cached(network(), tiny_sets.train, tmp_path, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
