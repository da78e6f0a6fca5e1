"""The training: stages, learning rate, best epoch, and that being killed changes nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor

import model.train
from data.errors import InputError
from data.examples import FreshScenes, SetSpec
from model.epoch import EpochRecord
from model.ftjnf import FTJNF, Size
from model.gram import Gram
from model.losses import hard_loss
from model.target_plan import layers_of
from model.targets import TeacherBeside, build_targets
from model.train import Training
from model.train_config import TrainConfig
from model.weights import load_network

CPU = torch.device("cpu")
GRAM = Gram(positions=64)
CONFIG = TrainConfig(Size(5, 3, microphones=2), gram=GRAM, epochs=3, lr=5e-3)
TWO_STAGE = replace(CONFIG, method="t-lstm")
NESTED = replace(CONFIG, size=Size(12, 6, microphones=2), nested=True)
BF16 = pytest.mark.skipif(not torch.cpu._is_avx512_bf16_supported(), reason="this processor has no units for bf16")


@pytest.fixture
def training(network, tiny_sets, tmp_path):
    """Makes a training in `tmp_path/NAME`: the tiny sets, a random start, targets from a larger network."""

    def make(
        config: TrainConfig = CONFIG, name: str = "a", start: int = 7, train: Any = None, **other: Any
    ) -> Training:
        teacher = network(8, 6)
        layers = layers_of([config.method])
        train = tiny_sets.train if train is None else train
        if isinstance(train, FreshScenes) or not layers:
            targets = TeacherBeside(teacher, layers, config.gram, 0, "fp32")
        else:
            targets = build_targets(
                teacher, train, layers, GRAM, tmp_path / "targets", seed=0, precision="fp32", device=CPU
            )
        targets_val = TeacherBeside(teacher, layers, config.gram, 0, "fp32")
        torch.manual_seed(start)
        net = FTJNF(config.size)
        return Training(config, net, train, tiny_sets.val, targets, targets_val, tmp_path / name, CPU, **other)

    return make


@pytest.fixture
def validation(monkeypatch):
    """Replaces what the validation finds by (hard, soft) losses given beforehand, one an epoch."""

    def script(losses: Iterable[tuple[float, float]]) -> None:
        left = iter(losses)
        monkeypatch.setattr(Training, "_validate", lambda self, stage, alpha: next(left))

    return script


def weights(net: FTJNF) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def told(history: list[EpochRecord]) -> list[str]:
    """The records as text (NaN equals NaN there), without the seconds."""
    return [repr(sorted((asdict(record) | {"seconds": 0}).items())) for record in history]


# Killed and resumed

KILLS = [
    pytest.param(CONFIG, 1, id="plain"),
    pytest.param(replace(CONFIG, lr_schedule="cosine", clip_norm=1.0), 2, id="cosine learning rate"),
    pytest.param(TWO_STAGE, 2, id="within stage 1"),
    pytest.param(TWO_STAGE, 3, id="at the border of the stages"),
    pytest.param(TWO_STAGE, 4, id="within stage 2"),
    pytest.param(replace(TWO_STAGE, soft_share=0.2), 2, id="after a short stage 1"),
    pytest.param(replace(CONFIG, method="multi", schedule="linear"), 1, id="on a ramp of several terms"),
    pytest.param(replace(TWO_STAGE, precision="bf16"), 2, id="bf16", marks=BF16),
]


@pytest.mark.parametrize(("config", "epoch"), KILLS)
def test_killed_and_resumed_is_bit_for_bit_as_uninterrupted(training, config, epoch):
    whole = training(config, "whole")
    list(whole)
    for record in training(config, "killed"):
        if record.epoch == epoch:
            break
    resumed = training(config, "killed", start=99)  # the start given on resume must not matter
    assert len(resumed.history) == epoch
    list(resumed)
    assert told(resumed.history) == told(whole.history)
    assert same(weights(resumed.net), weights(whole.net))
    assert same(weights(resumed.best_network()), weights(whole.best_network()))
    for name in ("whole", "killed"):
        net, _ = load_network(whole.folder.with_name(name) / "best.safetensors")
        assert same(weights(net), weights(whole.best_network()))


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(replace(TWO_STAGE, batch=2), id="two stages"),
        pytest.param(replace(CONFIG, batch=2, method="multi", schedule="cosine"), id="on a ramp of several terms"),
        pytest.param(replace(NESTED, batch=2, clip_norm=1.0, lr_schedule="cosine"), id="nested"),
        pytest.param(replace(CONFIG, batch=2, method="linear", precision="bf16"), id="bf16", marks=BF16),
    ],
)
def test_killed_after_every_step_and_resumed_is_bit_for_bit_as_uninterrupted(training, config, monkeypatch):
    whole = training(config, "whole")
    list(whole)
    write = model.train.write_checkpoint

    def written_and_killed(path, state):
        write(path, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(model.train, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(model.train, "write_checkpoint", written_and_killed)
    runs = 0
    while not (one := training(config, "killed", start=7 if runs == 0 else 99)).finished:
        assert (len(one.history), one.progress.steps) == divmod(runs, 4), "three steps an epoch, and its end"
        with pytest.raises(KeyboardInterrupt):
            list(one)
        runs += 1
    assert runs == 4 * len(whole.history)
    assert told(one.history) == told(whole.history)
    assert same(weights(one.net), weights(whole.net))
    assert same(weights(one.best_network()), weights(whole.best_network()))
    for name in ("whole", "killed"):
        net, _ = load_network(whole.folder.with_name(name) / "best.safetensors")
        assert same(weights(net), weights(whole.best_network()))


def test_checkpoints_within_an_epoch_are_written_as_often_as_said(training, monkeypatch):
    clock, at = [0.0], []
    monkeypatch.setattr(model.train.time, "monotonic", lambda: clock[0])
    one = training(replace(CONFIG, batch=1, epochs=2))
    step, write = Training._step, model.train.write_checkpoint

    def timed(*a):
        step(*a)
        clock[0] += 100.0

    def written(path, state):
        at.append((len(state["history"]), state["progress"]["steps"], state["progress"]["seconds"]))
        write(path, state)

    monkeypatch.setattr(Training, "_step", timed)
    monkeypatch.setattr(model.train, "write_checkpoint", written)
    records = list(one)
    assert at == [(0, 3, 300.0), (0, 6, 600.0), (1, 0, 0.0), (1, 3, 300.0), (1, 6, 600.0), (2, 0, 0.0)]
    assert [record.seconds for record in records] == [600.0, 600.0]


def test_seconds_of_an_epoch_are_those_of_all_runs_that_worked_on_it(training, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(model.train.time, "monotonic", lambda: clock[0])
    step = Training._step

    def timed(self, *a):
        if clock[0] == 400.0:  # the checkpoint before has three of the four steps
            clock[0] = 10_000.0
            raise KeyboardInterrupt
        step(self, *a)
        clock[0] += 100.0

    monkeypatch.setattr(Training, "_step", timed)
    with pytest.raises(KeyboardInterrupt):
        list(training(replace(CONFIG, batch=1)))
    assert next(iter(training(replace(CONFIG, batch=1)))).seconds == 600.0


def test_killed_in_the_middle_of_an_epoch_it_goes_on_from_the_end_of_the_last(training, tiny_sets, monkeypatch):
    whole = training(TWO_STAGE, "whole")
    list(whole)
    killed = training(TWO_STAGE, "killed")
    calls: list[int] = []
    batch = killed.teacher.batch

    def dies(indices, epoch, noisy):
        calls.append(epoch)
        if len(calls) == 4:  # two batches an epoch: the last of the second epoch
            raise KeyboardInterrupt
        return batch(indices, epoch, noisy)

    monkeypatch.setattr(killed.teacher, "batch", dies)
    with pytest.raises(KeyboardInterrupt):
        list(killed)
    resumed = training(TWO_STAGE, "killed")
    assert len(resumed.history) == 1
    list(resumed)
    assert told(resumed.history) == told(whole.history)
    assert same(weights(resumed.net), weights(whole.net))


def test_killed_and_resumed_with_fresh_scenes_it_meets_the_same_scenes(training, tiny_source):
    def fresh() -> FreshScenes:
        return FreshScenes(tiny_source(), SetSpec("train", 5, 0.1, 0), "sounds")

    whole = training(TWO_STAGE, "whole", train=fresh())
    list(whole)
    next(iter(training(TWO_STAGE, "killed", train=fresh())))
    resumed = training(TWO_STAGE, "killed", train=fresh())
    list(resumed)
    assert same(weights(resumed.net), weights(whole.net))


def test_counts_towards_halving_and_stopping_go_on_after_a_kill(training, validation):
    validation([(1.0, math.nan)] * 20)
    config, rates, best = replace(CONFIG, epochs=100), [], []
    while not (one := training(config)).finished:  # killed after every second epoch
        for record in one:
            rates.append(record.lr / config.lr)
            best.append(record.best)
            if record.epoch % 2 == 0:
                break
    assert rates == [1, 1, 1, 1, 0.5, 0.5, 0.5]
    assert best == [True] + 6 * [False]


def test_finished_training_has_nothing_left_to_do(training):
    done = training()
    records = list(done)
    assert [record.done for record in records] == [False, False, True]
    again = training(start=99)
    assert again.finished
    assert list(again) == []
    assert told(again.history) == told(records)
    assert same(weights(again.best_network()), weights(done.best_network()))


def test_same_seed_gives_the_same_weights_and_another_seed_others(training):
    results = []
    for name, config in (("a", CONFIG), ("b", CONFIG), ("c", replace(CONFIG, seed=1))):
        one = training(config, name)
        list(one)
        results.append(weights(one.net))
    assert same(results[0], results[1])
    assert not same(results[0], results[2]), "the order of the examples follows the seed"


@pytest.mark.parametrize(
    "other", [{"lr": 1e-3}, {"size": Size(6, 3, microphones=2)}, {"seed": 1}, {"gram": Gram(positions=65)}]
)
def test_checkpoint_of_other_settings_is_refused(training, other):
    next(iter(training(TWO_STAGE)))
    with pytest.raises(InputError, match=r"last\.pt is the checkpoint of other settings"):
        training(replace(TWO_STAGE, **other))


def test_checkpoint_of_other_data_is_refused(training):
    recipe = {"data": {"speech": "/corpora/de", "hours": [1, 2, 3]}}
    next(iter(training(recipe=recipe)))
    assert len(training(recipe=json.loads(json.dumps(recipe))).history) == 1
    with pytest.raises(InputError, match="other settings or other data"):
        training(recipe={"data": {"speech": "/corpora/en", "hours": [1, 2, 3]}})


# Stages


@pytest.mark.parametrize(
    ("method", "trained"),
    [
        ("f-lstm", {"f_lstm"}),
        ("t-lstm", {"f_lstm", "t_lstm"}),
        ("linear", {"f_lstm", "t_lstm", "linear"}),
        ("mask", {"f_lstm", "t_lstm", "linear"}),
        ("multi", {"f_lstm", "t_lstm", "linear"}),
    ],
)
def test_in_stage_1_nothing_after_the_distilled_layer_changes(training, method, trained):
    one = training(replace(CONFIG, method=method, epochs=2))
    before = weights(one.net)
    epochs = iter(one)
    next(epochs)
    after = weights(one.net)
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == trained
    next(epochs)  # the last of stage 1
    next(epochs)
    after = weights(one.net)
    assert all(not torch.equal(before[name], after[name]) for name in before), "stage 2 trains everything"


def test_stages_of_the_paper_watch_their_own_losses(training):
    records = list(training(TWO_STAGE))
    assert [record.stage for record in records] == ["soft"] * 3 + ["hard"] * 3
    assert [record.epoch for record in records] == [1, 2, 3, 4, 5, 6]
    assert [record.epoch_in_stage for record in records] == [1, 2, 3, 1, 2, 3]
    assert [record.alpha for record in records] == [0, 0, 0, 1, 1, 1]
    assert [record.output_trained for record in records] == [False] * 3 + [True] * 3
    for record in records:
        soft = record.stage == "soft"
        for part in ("train", "val"):
            assert math.isfinite(getattr(record, f"loss_{part}_soft")) == soft
            assert math.isfinite(getattr(record, f"loss_{part}_hard")) != soft


def test_stage_1_of_a_method_that_reaches_the_output_trains_it(training):
    assert next(iter(training(replace(CONFIG, method="linear")))).output_trained


def test_stage_2_starts_from_the_best_epoch_of_stage_1_with_a_fresh_optimiser(training, validation):
    soft = [(math.nan, loss) for loss in (3.0, 1.0, 2.0, 2.0, 2.0)]
    validation([*soft, (5.0, math.nan)])
    one = training(replace(TWO_STAGE, epochs=5))
    epochs = iter(one)
    next(epochs)
    second = next(epochs)
    best = weights(one.net)
    assert second.best
    rates = [next(epochs).lr for _ in range(3)]
    assert rates[-1] == CONFIG.lr, "the halving after three epochs would come now"
    assert same(weights(one.net), best)
    assert torch.load(one.folder / "last.pt", weights_only=True)["optimiser"]["state"] == {}
    assert not (one.folder / "best.safetensors").exists(), "stage 1 exports nothing"
    first = next(epochs)
    assert (first.stage, first.lr, first.best) == ("hard", CONFIG.lr, True)


def test_learning_rate_is_the_initial_one_again_in_stage_2(training, validation):
    validation([(math.nan, 1.0)] * 7 + [(1.0, math.nan)])
    epochs = iter(training(replace(TWO_STAGE, epochs=100)))
    assert [next(epochs).lr / CONFIG.lr for _ in range(8)] == [1, 1, 1, 1, 0.5, 0.5, 0.5, 1]


def test_share_of_the_soft_stage_shortens_it_and_lengthens_the_other(training):
    config = replace(TWO_STAGE, epochs=3, soft_share=0.3, lr_schedule="cosine")
    records = list(training(config))
    assert [record.stage for record in records] == 2 * ["soft"] + 4 * ["hard"]
    assert [record.alpha for record in records] == 2 * [0] + 4 * [1]
    ends = [record.lr / config.lr for record in records]
    assert ends[2] > 0.8, "each stage has the whole cosine"
    assert max(ends[1], ends[5]) < 0.35
    assert records[-1].done


def test_ramp_goes_from_soft_to_hard_and_watches_the_hard_loss(training):
    records = list(training(replace(CONFIG, method="linear", schedule="linear", epochs=4)))
    first, second, *rest = [record.alpha for record in records]
    assert 0 < first < 0.5 <= second < 1, "alpha moves with the steps, and is told as of the last one of an epoch"
    assert rest == [1, 1]
    assert [record.stage for record in records] == ["mixed"] * 4
    assert all(math.isfinite(record.loss_val_hard) for record in records)
    assert [math.isfinite(record.loss_val_soft) for record in records] == [True, True, False, False]


def test_ramp_of_a_single_epoch_learns_from_the_teacher_too(training):
    (record,) = training(replace(CONFIG, method="linear", schedule="linear", epochs=1))
    assert math.isfinite(record.loss_train_soft)
    assert record.alpha == 1, "that of the last of two steps"
    assert record.loss_train != pytest.approx(record.loss_train_hard), "the first step was the teacher's"


def test_stall_on_a_ramp_neither_halves_the_learning_rate_nor_ends_the_stage(training, validation):
    """By hand: alpha moves in epochs 1 to 8, the best is the second; counted are 9 to 14: halved after 11, the end."""
    losses = [4.0, 3.0] + 12 * [5.0]
    validation([(loss, math.nan) for loss in losses] + [(1.0, math.nan)])
    one = training(replace(CONFIG, method="linear", schedule="linear", ramp=0.08, epochs=100))
    records = list(one)
    assert [record.lr / CONFIG.lr for record in records] == 11 * [1] + 3 * [0.5]
    assert [record.epoch for record in records if record.best] == [1, 2]
    assert [record.alpha < 1 for record in records] == 8 * [True] + 6 * [False]
    assert records[-1].done


def test_constant_alpha_weighs_both_losses(training):
    record = next(iter(training(replace(CONFIG, method="linear", schedule="constant", alpha=0.3))))
    assert record.alpha == 0.3
    assert record.loss_train == pytest.approx(0.3 * record.loss_train_hard + 0.7 * record.loss_train_soft, rel=1e-5)


def test_scales_of_the_soft_terms_are_those_of_the_first_step(training):
    records = list(training(replace(CONFIG, method="multi", epochs=2)))
    assert set(records[0].scales) == {"f_lstm", "t_lstm", "linear"}
    assert all(record.scales == records[0].scales for record in records)
    assert records[0].loss_train_soft == pytest.approx(3, rel=0.3), "each of the three terms starts at 1"
    assert next(iter(training(replace(CONFIG, method="multi", soft_scale="none"), "b"))).scales == {}


def test_targets_are_asked_for_by_epoch_in_training_and_always_the_same_in_validation(training, monkeypatch):
    one = training(replace(TWO_STAGE, epochs=2))
    asked: dict[str, list[int]] = {"teacher": [], "teacher_val": []}
    for name, epochs in asked.items():
        source = getattr(one, name)
        batch = source.batch

        def spied(indices, epoch, noisy, batch=batch, epochs=epochs):
            epochs.append(epoch)
            return batch(indices, epoch, noisy)

        monkeypatch.setattr(source, "batch", spied)
    list(one)
    assert asked == {"teacher": [0, 0, 1, 1], "teacher_val": [0, 0]}, "stage 2 asks for none"


# Learning rate, early stopping, best epoch


def test_plateau_halves_and_stops_at_the_epochs_of_the_table(training, validation):
    losses = [5.0, 4.0, 4.1, 4.2, 4.0, 3.0, 3.5, 3.5, 3.5, 3.5, 3.5, 3.5, 1.0]
    validation([(loss, math.nan) for loss in losses])
    records = list(training(replace(CONFIG, epochs=100)))
    assert [record.lr / CONFIG.lr for record in records] == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert [record.epoch for record in records if record.best] == [1, 2, 6]
    assert [record.done for record in records] == [False] * 11 + [True]


def test_what_is_kept_is_the_best_epoch_and_not_the_last(training, validation):
    validation([(loss, math.nan) for loss in (3.0, 1.0, 2.0, 2.0)])
    one = training(replace(CONFIG, epochs=4))
    after = [weights(one.net) for _ in one]
    assert same(weights(one.best_network()), after[1])
    saved, recipe = load_network(one.folder / "best.safetensors")
    assert same(weights(saved), after[1])
    assert TrainConfig.from_dict(recipe["train"]) == one.config


def test_loss_that_is_not_a_number_never_becomes_the_best(training, validation):
    validation([(loss, math.nan) for loss in (math.nan, 2.0, math.nan)])
    one = training()
    after, best = [], []
    for record in one:
        after.append(weights(one.net))
        best.append(record.best)
    assert best == [False, True, False]
    assert same(weights(one.best_network()), after[1])


def test_without_any_finite_loss_nothing_is_exported_and_the_start_is_kept(training, validation):
    validation([(math.nan, math.nan)] * 3)
    one = training()
    start = weights(one.net)
    assert not any(record.best for record in one)
    assert not (one.folder / "best.safetensors").exists()
    assert same(weights(one.best_network()), start)


def test_cosine_learning_rate_ends_near_zero_and_stops_never_early(training, validation):
    validation([(1.0, math.nan)] * 10)
    records = list(training(replace(CONFIG, epochs=10, lr_schedule="cosine")))
    rates = [record.lr for record in records]  # of the last of two steps
    assert rates == pytest.approx([CONFIG.lr * 0.5 * (1 + math.cos(math.pi * (e + 0.5) / 10)) for e in range(10)])
    assert rates[-1] < 0.01 * CONFIG.lr


# Losses


def test_validation_loss_is_the_mean_over_all_examples(training, tiny_sets):
    one = training(replace(CONFIG, batch=2, epochs=2))
    record = next(iter(one))
    noisy, clean = tiny_sets.val.batch(range(len(tiny_sets.val)))
    with torch.no_grad():
        expected = float(hard_loss(one.net.enhance(noisy), clean))
    assert record.loss_val_hard == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", ["none", "mask", "linear", "f-lstm", "t-lstm", "multi"])
def test_training_lowers_the_loss(training, method):
    records = list(training(replace(CONFIG, method=method, epochs=10, lr=1e-2, lr_schedule="cosine")))
    for stage in {record.stage for record in records}:
        losses = [record.loss_train for record in records if record.stage == stage]
        assert all(math.isfinite(loss) for loss in losses)
        assert losses[-1] < 0.9 * losses[0]


def test_method_without_a_teacher_is_refused(tiny_sets, tmp_path):
    net = FTJNF(CONFIG.size)
    with pytest.raises(InputError, match="the KD method 't-lstm' needs a teacher"):
        Training(TWO_STAGE, net, tiny_sets.train, tiny_sets.val, None, None, tmp_path, CPU)


# Configuration
