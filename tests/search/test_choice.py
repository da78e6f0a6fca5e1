"""One configuration: when two are the same, how it is called, and the training that it makes."""

from __future__ import annotations

from dataclasses import replace

from model.ftjnf import Size
from model.gram import Gram
from model.train_config import TrainConfig
from search.choice import Choice


def test_choices_of_the_method_none_are_one_whatever_the_schedule() -> None:
    size = Size(80, 32)
    assert Choice.of(size, "none", "cosine", "random") == Choice.of(size, "none", "two-stage", "random")
    assert Choice.of(size, "linear", "cosine", "random") != Choice.of(size, "linear", "two-stage", "random")


def test_key_names_all_that_makes_a_configuration() -> None:
    assert Choice.of(Size(80, 32), "linear", "two-stage", "slice").key() == "80/32|linear|two-stage|slice"
    assert Choice.of(Size(80, 32, bi_freq=True), "none", "cosine", "random").key() == "80/32bi|none|none|random"


def test_choice_gives_back_its_size() -> None:
    for size in (Size(80, 32), Size(8, 4, bi_freq=True, microphones=3)):
        assert Choice.of(size, "none", "none", "random").size == size


def test_what_a_training_does_not_heed_makes_no_other_choice() -> None:
    size, every = Size(80, 32), {"alpha": 0.3, "ramp": 0.2, "soft_share": 0.4, "lr": 1e-4, "gram_form": "frame"}
    heeded = {
        ("none", "constant"): {"lr"},
        ("linear", "two-stage"): {"lr", "soft_share"},
        ("linear", "constant"): {"lr", "alpha"},
        ("mask", "cosine"): {"lr", "ramp"},
        ("t-lstm", "linear"): {"lr", "ramp", "gram_form"},
        ("multi", "constant"): {"lr", "alpha", "gram_form"},
    }
    for (method, schedule), names in heeded.items():
        choice = Choice.of(size, method, schedule, "slice", **every)
        assert choice.settings == {name: every[name] for name in every if name in names}
        assert choice == Choice.of(size, method, schedule, "slice", **choice.settings)


def test_settings_reach_the_training_and_the_rest_is_the_searchs() -> None:
    base = TrainConfig(Size(1, 1), epochs=10, lr=1e-3, alpha=0.6, gram=Gram("exact", "cosine", 64))
    choice = Choice.of(Size(80, 32), "t-lstm", "two-stage", "slice", soft_share=0.25, lr=1e-4, gram_form="positions")
    train = choice.training(base)
    assert (train.size, train.method, train.schedule, train.init) == (Size(80, 32), "t-lstm", "two-stage", "slice")
    assert (train.lr, train.alpha, train.gram) == (1e-4, 0.6, Gram("positions", "cosine", 64))
    assert train.stage_epochs == (5, 15)
    assert Choice.of(Size(80, 32), "linear", "cosine", "slice", ramp=0.2).training(base).stages[0].ramp == 0.2
    assert Choice.of(Size(80, 32), "linear", "constant", "slice", alpha=0.2).training(base).stages[0].start == 0.2
    assert Choice.of(Size(80, 32), "none", "none", "slice").training(base) == replace(
        base, size=Size(80, 32), init="slice"
    )


def test_key_names_settings_and_the_repeat() -> None:
    choice = Choice.of(Size(80, 32), "t-lstm", "constant", "slice", 1, alpha=0.3, lr=1e-4, gram_normalise="cosine")
    assert choice.key() == "80/32|t-lstm|constant|slice|alpha=0.3|lr=0.0001|gram_normalise=cosine|#1"
