from __future__ import annotations

import pytest

from data.errors import InputError
from model.schedule import SCHEDULES, plan, stage_epochs


def alphas(schedule: str, epochs: int, alpha: float = 0.5, ramp: float | None = None) -> list[list[float]]:
    stages = plan("linear", schedule, alpha, ramp)
    return [[stage.alpha(epoch, epochs) for epoch in range(epochs)] for stage in stages]


def test_two_stage_is_alpha_0_watched_by_the_soft_loss_then_alpha_1_watched_by_the_hard() -> None:
    assert alphas("two-stage", 3) == [[0, 0, 0], [1, 1, 1]]
    soft, hard = plan("t-lstm", "two-stage")
    assert (soft.watches, hard.watches) == ("soft", "hard")
    assert (soft.only_soft, soft.only_hard, hard.only_soft, hard.only_hard) == (True, False, False, True)


def test_constant_keeps_the_given_alpha() -> None:
    assert alphas("constant", 3, alpha=0.2) == [[0.2, 0.2, 0.2]]
    assert alphas("constant", 2) == [[0.5, 0.5]]


def test_ramps_go_from_0_to_1_over_their_epochs_and_stay() -> None:
    assert alphas("linear", 8, ramp=0.5) == [[0, 0.25, 0.5, 0.75, 1, 1, 1, 1]]
    assert alphas("cosine", 8, ramp=0.5)[0] == pytest.approx([0, 0.1464466, 0.5, 0.8535534, 1, 1, 1, 1])
    assert alphas("linear", 8, ramp=0.25) == [[0, 0.5, 1, 1, 1, 1, 1, 1]]
    assert alphas("linear", 5, ramp=1) == [[0, 0.25, 0.5, 0.75, 1]], "the last epoch is hard"
    assert alphas("linear", 4) == [[0, 0.5, 1, 1]]
    assert alphas("linear", 5)[0] == pytest.approx([0, 0.4, 0.8, 1, 1])


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("ramp", [None, 0.6, 1])
def test_a_ramp_begins_soft_and_ends_on_the_hard_loss_however_few_epochs_there_are(
    schedule: str, ramp: float | None
) -> None:
    (stage,) = plan("linear", schedule, ramp=ramp)
    for epochs in (1, 2, 3, 10):
        assert stage.alpha(0, epochs) == 0
        assert 0 < stage.alpha(0.25, epochs) < 1
        assert stage.alpha(epochs - 0.5, epochs) == 1
    assert [stage.alpha(step / 8, 1) == 1 for step in range(8)] == 4 * [False] + 4 * [True]


def test_alpha_moves_in_the_epochs_of_a_ramp_and_in_no_others() -> None:
    (stage,) = plan("linear", "linear", ramp=0.5)
    assert [stage.moves(epoch, 6) for epoch in range(6)] == [True, True, True, False, False, False]
    (stage,) = plan("linear", "cosine")
    assert [stage.moves(epoch, 5) for epoch in range(5)] == [True, True, True, False, False], "half of five is within"
    for schedule in ("two-stage", "constant"):
        assert not any(stage.moves(epoch, 6) for stage in plan("linear", schedule) for epoch in range(6))


@pytest.mark.parametrize(
    ("share", "epochs", "wanted"),
    [
        (None, 30, (30, 30)),
        (0.5, 30, (30, 30)),
        (0.25, 30, (15, 45)),
        (0.7, 10, (14, 6)),
        (0.05, 2, (1, 3)),
        (0.95, 2, (3, 1)),
        (0.9, 1, (1, 1)),
    ],
)
def test_share_of_the_soft_stage_moves_epochs_but_adds_none(
    share: float | None, epochs: int, wanted: tuple[int, int]
) -> None:
    assert stage_epochs(plan("linear", "two-stage", soft_share=share), epochs) == wanted


@pytest.mark.parametrize(("method", "schedule"), [("none", "two-stage"), ("linear", "cosine"), ("linear", "constant")])
def test_share_means_nothing_to_a_single_stage(method: str, schedule: str) -> None:
    assert plan(method, schedule, soft_share=0.25) == plan(method, schedule)
    assert stage_epochs(plan(method, schedule, soft_share=0.25), 7) == (7,)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_mixed_losses_are_one_stage_watched_by_the_hard_loss(schedule: str) -> None:
    (stage,) = plan("multi", schedule)
    assert stage.watches == "hard"
    assert not stage.only_soft
    assert not stage.only_hard


@pytest.mark.parametrize("schedule", list(SCHEDULES))
def test_without_a_method_there_is_one_hard_stage_whatever_the_schedule(schedule: str) -> None:
    (stage,) = plan("none", schedule)
    assert stage.only_hard
    assert stage.watches == "hard"


def test_bad_names_and_values_are_input_errors_that_say_what_to_choose() -> None:
    with pytest.raises(InputError, match="'lstm' is unknown; choose one of none, mask, linear, f-lstm, t-lstm, multi"):
        plan("lstm", "two-stage")
    with pytest.raises(InputError, match="'warmup' is unknown; choose one of two-stage, constant, linear, cosine"):
        plan("none", "warmup")
    for alpha in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="alpha must lie between 0 and 1"):
            plan("linear", "constant", alpha)
    for ramp in (0.0, -0.5, 1.5, float("nan")):
        with pytest.raises(InputError, match="above 0 and at most 1"):
            plan("linear", "cosine", ramp=ramp)
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"share of the epochs .* both excluded"):
            plan("linear", "two-stage", soft_share=share)
