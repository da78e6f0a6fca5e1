"""The teacher's command, on a corpus in the real layouts and with a network of a few units."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import data.plan
import model.teacher
import model.train
from data.array import ARRAYS
from data.errors import InputError
from data.files import file_digest
from model.ftjnf import FTJNF, Size
from model.pesq_pool import PesqPool
from model.slicing import rule_for
from model.targets import network_digest
from model.teacher import main
from model.train import Training
from model.weights import load_network, save_network


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def data_flags(small_corpus, cache, monkeypatch) -> list[str]:
    """Flags of a tiny run; PESQ is computed here and not in processes that take seconds to start."""
    monkeypatch.setenv("FTJNF_CACHE", str(cache))
    monkeypatch.setattr(model.teacher, "PesqPool", lambda workers: PesqPool(0))
    text = (
        f"--speech {small_corpus.speech} --noise {small_corpus.noise} --rirs {small_corpus.rirs} --train-clips 4 "
        "--val-clips 2 --score-clips 1 --test-clips 1 --clip-seconds 0.5 --device cpu"
    )
    return text.split()


@pytest.fixture
def train(data_flags, tmp_path, monkeypatch):
    """Runs `train` with some flags; writes teacher.safetensors and, beside it, teacher.json."""

    def run(*flags: str, scored: bool = False) -> Path:
        if not scored:
            monkeypatch.setattr(model.teacher, "score_teacher", lambda *a: {})
            monkeypatch.setattr(model.teacher, "print_scores", lambda scores: None)
        out = tmp_path / "teacher.safetensors"
        main(["train", "--out", str(out), "--json", str(tmp_path / "teacher.json"), "--size", "4/3", "--epochs", "2",
              "--batch", "2", "--precision", "fp32", *data_flags, *flags])  # fmt: skip
        return out

    return run


def test_training_writes_weights_recipe_and_scores(train, capsys):
    out = train(scored=True)
    net, recipe = load_network(out, microphones=5)
    assert net.size == Size(4, 3)
    assert recipe["train"]["epochs"] == recipe["epochs_run"] == 2
    assert recipe["train"]["seed"] == recipe["data"]["seed"] == 0
    assert (recipe["train"]["init"], recipe["start"]) == ("random", None)
    assert recipe["array"] == {"name": "cross", "positions_m": [list(place) for place in ARRAYS["cross"]]}
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["weights_sha256"] == file_digest(out)
    assert card["corpus"]["corpus"] == "own"
    assert set(card["test"]) == {"unprocessed", "delay-and-sum", "teacher"}
    for scores in card["test"].values():
        assert set(scores["pesq_by_snr"]) == {"-5", "0", "5", "10", "15"}
        assert 1 <= scores["pesq"] <= 4.65
        assert scores["unscored"] == 0
    printed = capsys.readouterr().out
    assert "epoch 1/2" in printed
    assert "epoch 2/2" in printed
    assert f"weights: {out}" in printed


def assert_disjoint(path: Path, corpus: Path) -> None:
    """No speaker, recording, room or file of a written splits.json stands in two splits, and all hashes are true."""
    splits = json.loads(path.read_text())
    assert list(splits) == ["train", "val", "test"]
    for kind in ("speech", "noise", "rirs"):
        for key in ("group", "path", "sha256"):
            parts = [{file[key] for file in splits[split][kind]} for split in splits]
            assert all(parts)
            assert len(set.union(*parts)) == sum(map(len, parts)), (kind, key)
        for file in (file for split in splits for file in splits[split][kind]):
            assert Path(file["path"]).is_relative_to(corpus)
            assert file["sha256"] == file_digest(Path(file["path"]))


def test_splits_are_written_beside_the_state_and_are_disjoint(train, small_corpus):
    state = train().with_name("teacher.safetensors.state")
    assert_disjoint(state / "splits.json", small_corpus.speech.parents[1])
    assert not (state / "splits-demo.json").exists()


def test_started_again_it_is_done_at_once(train, capsys, monkeypatch):
    out = train()
    before = out.read_bytes()
    capsys.readouterr()
    monkeypatch.setattr(Training, "_epoch", lambda self: pytest.fail("trained again"))
    train()
    assert out.read_bytes() == before
    assert "going on after epoch 2" in capsys.readouterr().out


def test_stopped_and_started_again_it_ends_as_if_it_had_not_been(train, monkeypatch, capsys):
    whole = train()
    expected = load_network(whole)[0].state_dict()
    for path in (whole, *whole.with_name(whole.name + ".state").iterdir()):
        path.unlink()

    real, epochs = Training._epoch, []

    def stops(self):
        epochs.append(1)
        if len(epochs) > 1:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(Training, "_epoch", stops)
    with pytest.raises(KeyboardInterrupt):
        train()
    assert not whole.exists()
    monkeypatch.setattr(Training, "_epoch", real)
    capsys.readouterr()
    train()
    assert "going on after epoch 1" in capsys.readouterr().out
    for name, value in load_network(whole)[0].state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_state_of_other_data_or_settings_is_not_gone_on_from(train):
    train()
    for flags, difference in (
        (["--train-clips", "5"], "data.train_clips 4 instead of 5"),
        (["--lr", "1e-3"], "train.lr 0.0005 instead of 0.001"),
        (["--size", "5/3"], "train.size.f_hidden 4 instead of 5"),
        (["--epochs", "3"], "train.epochs 2 instead of 3"),
        (["--time", "2min"], "seconds none instead of 120.0"),
        (["--array", "line"], r"data.array cross instead of line, array.name cross instead of line, array.positions_m"),
    ):
        with pytest.raises(InputError, match=rf"safetensors\.state holds a training with {difference}"):
            train(*flags)


def test_state_is_not_gone_on_from_when_the_sounds_or_the_array_have_changed_in_place(train, small_corpus, tmp_path):
    speech, array = shutil.copytree(small_corpus.speech, tmp_path / "speech"), tmp_path / "array.json"
    array.write_text(json.dumps([[0, 0, 0.01 * i] for i in range(5)]))
    flags = ("--speech", str(speech), "--array", str(array), "--epochs", "1")
    _, recipe = load_network(train(*flags))
    assert recipe["sets"].keys() == {"train", "val", "score_val", "score_test"}
    assert recipe["array"]["positions_m"][4] == [0, 0, 0.04]
    train(*flags)

    array.write_text(json.dumps([[0, 0, 0.02 * i] for i in range(5)]))
    with pytest.raises(InputError, match=r"state holds a training with array\.positions_m"):
        train(*flags)
    array.write_text(json.dumps([[0, 0, 0.01 * i] for i in range(5)]))
    (speech / "clips" / "de_0_0.mp3").write_bytes((speech / "clips" / "de_1_1.mp3").read_bytes())
    splits = tmp_path / "teacher.safetensors.state" / "splits.json"
    before = splits.read_text()
    with pytest.raises(InputError, match="checkpoint of other settings or other data"):
        train(*flags)
    assert splits.read_text() == before, "it still tells of the sounds of the state"


def test_start_of_a_training_that_goes_on_must_be_the_same(train, tmp_path):
    for seed in (1, 2):
        torch.manual_seed(seed)
        save_network(FTJNF(Size(4, 3)), tmp_path / f"{seed}.safetensors")
    train("--start", str(tmp_path / "1.safetensors"))
    train("--start", str(tmp_path / "1.safetensors"))
    with pytest.raises(InputError, match=r"holds a training with start \w{16} instead of \w{16};"):
        train("--start", str(tmp_path / "2.safetensors"))
    with pytest.raises(InputError, match=r"train.init weights instead of random, start \w{16} instead of none"):
        train()


def test_started_again_with_the_same_time_it_has_the_same_epochs(train, capsys, monkeypatch):
    monkeypatch.setattr(model.teacher, "time_step", lambda *a: 10.0)
    train("--time", "1min", "--epochs", "50")
    monkeypatch.setattr(model.teacher, "time_step", lambda *a: 1.0)  # the machine is faster now
    train("--time", "1min", "--epochs", "50")
    assert capsys.readouterr().out.count(", 2 epochs of 4 examples") == 2


def test_what_was_decided_before_any_training_holds_no_later_one(train, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(model.teacher, "train_teacher", lambda *a, **k: pytest.fail("killed here"))
        with pytest.raises(pytest.fail.Exception):
            train("--epochs", "1", "--lr", "1e-3")
    train("--epochs", "2")
    assert ", 2 epochs of 4 examples" in capsys.readouterr().out


def test_time_decides_the_epochs_but_no_more_than_asked_for(train, capsys, monkeypatch):
    monkeypatch.setattr(model.teacher, "time_step", lambda *a: 10.0)
    train("--time", "1min", "--epochs", "50")  # two steps of 10 s and a validation an epoch
    assert ", 2 epochs of 4 examples" in capsys.readouterr().out


def test_time_that_is_up_ends_the_training_with_what_there_is(train, capsys, monkeypatch):
    monkeypatch.setattr(model.teacher, "time_step", lambda *a: 1e-9)
    out = train("--time", "0.001s", "--epochs", "50")
    assert "time is up" in capsys.readouterr().out
    assert load_network(out)[1]["epochs_run"] == 1


def test_training_begins_from_given_weights(train, tmp_path):
    torch.manual_seed(5)
    start = FTJNF(Size(4, 3))
    save_network(start, tmp_path / "start.safetensors")
    out = train("--start", str(tmp_path / "start.safetensors"), "--lr", "1e-9", "--epochs", "1")
    for name, value in load_network(out)[0].state_dict().items():
        torch.testing.assert_close(value, start.state_dict()[name], atol=1e-6, rtol=0)
    recipe = load_network(out)[1]
    assert (recipe["train"]["init"], recipe["start"]) == ("weights", network_digest(start))
    with pytest.raises(InputError, match="has size 4/3, not 5/3; pass --size 4/3"):
        train("--start", str(tmp_path / "start.safetensors"), "--size", "5/3")


def test_demo_corpus_doubles_the_examples_and_stands_in_the_recipe(train, small_corpus, monkeypatch, capsys):
    demo = SimpleNamespace(speech=small_corpus.speech, noise=small_corpus.noise, rirs=small_corpus.rirs)
    monkeypatch.setattr(data.plan, "demo_corpus", lambda: demo)
    out = train("--and-demo")
    _, recipe = load_network(out)
    assert recipe["and_demo"] is True
    for name in ("splits.json", "splits-demo.json"):  # apart: rooms of two corpora may bear one name
        assert_disjoint(out.with_name("teacher.safetensors.state") / name, small_corpus.speech.parents[1])
    assert "of 8 examples" in capsys.readouterr().out


def test_nested_training_starts_with_the_most_important_units_in_front(train, tmp_path):
    _, plain = load_network(train())
    assert plain["train"]["nested"] is False
    torch.manual_seed(5)
    start = FTJNF(Size(12, 6))
    with torch.no_grad():  # the last units are the only ones that are heard
        start.linear.weight[:, :4] = 0
        start.t_lstm.weight_ih_l0[:, :8] = 0
        start.f_lstm.weight_hh_l0[:, :8] = 0
    save_network(start, tmp_path / "start.safetensors", {})
    (tmp_path / "nested").mkdir()
    main_flags = ["--size", "12/6", "--start", str(tmp_path / "start.safetensors"), "--nested", "--lr", "1e-9"]
    net, recipe = load_network(train(*main_flags, "--out", str(tmp_path / "nested" / "teacher.safetensors"))
                               .parent / "nested" / "teacher.safetensors")  # fmt: skip
    assert recipe["train"]["nested"] is True
    assert float(net.linear.weight.detach()[:, :2].norm()) == pytest.approx(
        float(start.linear.weight.detach().norm()), rel=1e-3
    )


def test_a_nested_teacher_that_is_finished_keeps_the_order_of_its_units(train, tmp_path):
    first, second, third = (str(tmp_path / f"{name}.safetensors") for name in ("nested", "finished", "nested again"))
    train("--nested", "--epochs", "1", "--out", first)
    train("--start", first, "--epochs", "1", "--out", second)
    assert rule_for(load_network(second)[1]) == "leading"
    train("--start", second, "--nested", "--epochs", "1", "--lr", "1e-9", "--out", third)
    finished = load_network(second)[0].linear.weight
    torch.testing.assert_close(load_network(third)[0].linear.weight, finished, atol=1e-6, rtol=0)
    assert rule_for(load_network(train())[1]) != "leading"


def test_scores_of_a_teacher_are_printed_and_written(data_flags, tmp_path, capsys):
    torch.manual_seed(0)
    save_network(FTJNF(Size(4, 3)), tmp_path / "a.safetensors", {"seed": 0})
    main(["score", str(tmp_path / "a.safetensors"), "--json", str(tmp_path / "a.json"), *data_flags])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["PESQ", "unprocessed", "delay-and-sum", "teacher"]
    card = json.loads((tmp_path / "a.json").read_text())
    assert card["recipe"] == {"seed": 0}
    assert f"{card['test']['teacher']['pesq']:.2f}" in lines[3]


def test_teacher_for_another_array_is_refused_before_anything_is_made(data_flags, tmp_path, monkeypatch):
    monkeypatch.setattr(model.teacher, "prepare", lambda *a, **k: pytest.fail("made data"))
    save_network(FTJNF(Size(4, 3, microphones=3)), tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="network for 3 microphones but the array has 5"):
        main(["score", str(tmp_path / "a.safetensors"), *data_flags])


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--size", "big"], "size 'big' is not understood"),
        (["--time", "soon"], "duration 'soon' is not understood"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--lr", "nan"], "learning rate must be a positive number"),
        (["--clip-norm", "0"], "norm of the gradient must be positive"),
        (["--seed", "-1"], "seed must not be negative"),
        (["--precision", "fp8"], "precision 'fp8' is not known"),
        (["--device", "toaster"], "device 'toaster' cannot be used"),
        (["--hours", "1,2"], "--hours '1,2' is not understood"),
        (["--array", "ring"], "array 'ring' is neither"),
        (["--start", "gone.safetensors"], "no weights at gone.safetensors"),
        (["--out", "."], "--out . is a folder"),
        (["--out", __file__ + "/a.safetensors"], "test_teacher.py is a file and no folder"),
        (["--json", "."], "--json . is a folder"),
        (["--json", __file__ + "/a.json"], "test_teacher.py is a file and no folder"),
        (["--threads", "-4"], "--threads must be at least 1, or 0 for torch's choice, but is -4"),
        (["--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_flag_that_cannot_be_used_is_refused_before_anything_is_made(train, monkeypatch, flags, complaint):
    monkeypatch.setattr(model.teacher, "prepare", lambda *a, **k: pytest.fail("made data"))
    with pytest.raises(InputError, match=complaint):
        train(*flags)


def test_training_that_diverges_ends_in_that_epoch_and_stays_so(train, monkeypatch, tmp_path):
    real, epochs = Training._epoch, []

    def diverges(self):
        record = replace(real(self), loss_train=float("nan") if len(epochs) == 1 else 1.0)
        epochs.append(record)
        self.history[-1] = record
        self._save()
        return record

    monkeypatch.setattr(Training, "_epoch", diverges)
    for _ in range(2):
        with pytest.raises(
            InputError, match=r"diverged: its training loss is nan in epoch 2; delete .*\.state and try"
        ):
            train("--epochs", "4")
    assert len(epochs) == 2
    assert not (tmp_path / "teacher.safetensors").exists()


def test_folder_to_score_into_is_refused_before_anything_is_made(data_flags, tmp_path, monkeypatch):
    monkeypatch.setattr(model.teacher, "prepare", lambda *a, **k: pytest.fail("made data"))
    save_network(FTJNF(Size(4, 3)), tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        main(["score", str(tmp_path / "a.safetensors"), "--json", str(tmp_path), *data_flags])


def test_stopped_within_an_epoch_it_says_where_it_goes_on(train, monkeypatch, capsys):
    step, steps = Training._step, []

    def stops(self, *a):
        steps.append(1)
        if len(steps) > 3:
            raise KeyboardInterrupt
        step(self, *a)

    monkeypatch.setattr(model.train, "SAVE_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_step", stops)
        with pytest.raises(KeyboardInterrupt):
            train()
    train()
    assert "going on after epoch 1 and 1 steps of an earlier run" in capsys.readouterr().out


def test_loss_that_is_never_a_number_says_what_to_try(train, monkeypatch, tmp_path):
    monkeypatch.setattr(Training, "_validate", lambda self, stage, alpha: (float("nan"), float("nan")))
    with pytest.raises(InputError, match="validation loss is not a number; try a smaller --lr"):
        train()
    assert not (tmp_path / "teacher.safetensors").exists()
