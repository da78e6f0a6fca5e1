from __future__ import annotations

import time
from dataclasses import replace

import pytest

from model.ftjnf import Size
from model.pace import Pace
from model.target_plan import TargetPlan
from model.train_config import TrainConfig
from search.clock import Clock
from search.space import Choice

SMALL, LARGE, TEACHER = Size(8, 4), Size(80, 32), Size(128, 32)


def clock(**changes) -> Clock:
    base = Clock(
        started=time.time(), budget=600.0, slots=2, pace=Pace(0.05, 2e-6), train=TrainConfig(Size(1, 1)),
        train_clips=240, val_clips=24, score_seconds=200.0, test_seconds=900.0, step_seconds=8.0,
    )  # fmt: skip
    return replace(base, **changes)


def choice(size: Size = SMALL, method: str = "none", schedule: str = "two-stage") -> Choice:
    return Choice.of(size, method, schedule, "slice")


CHOICES = [choice(), choice(LARGE), choice(LARGE, "linear")]


def test_left_counts_from_the_commands_start() -> None:
    assert clock(started=time.time() - 100).left() == pytest.approx(500, abs=1)
    assert clock(started=time.time() - 1000).left() < 0
    assert clock(budget=None).left() == float("inf")


def test_student_that_goes_on_needs_time_for_what_is_left_and_for_its_score() -> None:
    whole = clock().student_seconds(choice(), 100)
    scored = 1.5 * clock().scoring_seconds(SMALL, 200.0) + 2.0
    now = clock(budget=60.0 + 0.1 * whole + scored + 5)
    assert not now.fits(choice(), 100, 60.0)
    assert now.fits(choice(), 100, 60.0, share=0.1)
    assert not now.fits(choice(), 100, 60.0, share=0.2)
    assert not clock(budget=60.0 + 0.5 * scored).fits(choice(), 100, 60.0, share=0.0)


def test_more_time_never_means_fewer_epochs() -> None:
    fitted = [clock(budget=budget).epochs(CHOICES, 60.0, 100) for budget in range(0, 6000, 100)]
    assert fitted == sorted(fitted)
    assert fitted[0] == 1
    assert len(set(fitted)) > 10


def test_epochs_lie_between_one_and_the_most() -> None:
    assert clock(budget=1.0).epochs(CHOICES, 60.0, 30) == 1
    assert clock(budget=1e9).epochs(CHOICES, 60.0, 30) == 30
    assert clock(budget=None).epochs(CHOICES, 60.0, 30) == 30


def test_students_with_the_epochs_that_fit_fit() -> None:
    now = clock(budget=1500.0)
    epochs = now.epochs(CHOICES, 60.0, 1000)
    needed = sum(now.student_seconds(one, epochs) for one in CHOICES) / 2
    assert needed < 1440 < 2 * needed


def test_students_that_may_be_stopped_early_leave_room_for_more_epochs() -> None:
    now = clock(budget=1500.0)
    all_of_them, fewer = (now.epochs(CHOICES * 4, 60.0, 1000, share) for share in (1.0, 0.5))
    assert 1.3 * all_of_them < fewer <= 2.2 * all_of_them


@pytest.mark.parametrize(("slots", "students"), [(2, 1), (16, 3)])
def test_no_student_gets_more_epochs_than_fit_it_alone(slots: int, students: int) -> None:
    now = clock(slots=slots, budget=1500.0)
    epochs = now.epochs([choice(LARGE)] * students, 60.0, 1000)
    assert 10 < epochs < 1000
    assert now.fits(choice(LARGE), epochs, 60.0)


def test_the_first_student_may_start_while_any_time_is_left() -> None:
    now = clock(budget=100.0)
    assert not now.fits(choice(LARGE), 1000, 60.0)
    assert now.fits(choice(LARGE), 1000, 60.0, first=True)
    assert not now.fits(choice(LARGE), 1000, 110.0, first=True)


def test_preparation_grows_with_the_teacher_and_with_what_it_makes_targets_for() -> None:
    now = clock()
    assert 0 < now.preparation(None, 0) < now.preparation(SMALL, 0) < now.preparation(TEACHER, 0)
    assert now.preparation(TEACHER, 0) < now.preparation(TEACHER, 264)


def test_student_that_does_not_fit_into_the_time_left_may_not_start() -> None:
    seconds = clock().student_seconds(choice(), 10)
    assert clock(budget=60.0 + seconds + 5).fits(choice(), 10, 60.0)
    assert not clock(budget=60.0 + seconds - 5).fits(choice(), 10, 60.0)
    assert not clock(budget=60.0 + seconds + 5).fits(choice(LARGE), 10, 60.0)
    assert clock(budget=None).fits(choice(LARGE), 10**6, 60.0)


def test_more_slots_fit_more_epochs() -> None:
    one, four = (clock(slots=slots).epochs(CHOICES * 4, 60.0, 100) for slots in (1, 4))
    assert one < four


def test_student_takes_longer_the_larger_it_is_and_the_more_it_learns() -> None:
    now = clock()
    hard = now.student_seconds(choice(), 10)
    assert hard < now.student_seconds(choice(LARGE), 10)
    assert hard < now.student_seconds(choice(), 11)
    # a soft stage of its own doubles the epochs, a ramp does not
    assert now.student_seconds(choice(method="linear", schedule="cosine"), 10) < 1.5 * hard
    assert now.student_seconds(choice(method="linear"), 10) > 1.7 * hard
    # the Gram matrices cost more than the linear layer
    assert now.student_seconds(choice(method="t-lstm"), 10) > now.student_seconds(choice(method="linear"), 10)
    assert hard < clock(val_clips=240).student_seconds(choice(), 10)


def test_share_of_the_soft_stage_moves_the_dearer_epochs() -> None:
    now = clock()
    few, half, many = (
        now.student_seconds(Choice.of(LARGE, "t-lstm", "two-stage", "slice", soft_share=share), 10)
        for share in (0.25, None, 0.75)
    )
    assert few < half < many < 1.2 * few


def test_student_is_trained_for_the_seconds_of_its_steps() -> None:
    long = clock(score_seconds=0.0).student_seconds(choice(), 1000)
    steps = 60 + 0.35 * 6  # of 4 examples; validation is a forward pass alone
    alone = 1000 * steps * (0.05 + 2e-6 * (4 * 8 * (10 + 8) + 4 * 4 * (8 + 4) + 2 * 4))
    assert alone < long < 1.5 * alone


def test_teacher_beside_the_steps_is_reckoned_with() -> None:
    stored, without = (clock(teacher=TEACHER, stored=TargetPlan(layers)) for layers in (("linear",), ()))
    linear, t_lstm = choice(LARGE, "linear"), choice(LARGE, "t-lstm")
    assert without.student_seconds(linear, 10) > 1.25 * stored.student_seconds(linear, 10)
    assert without.student_seconds(choice(LARGE), 10) == stored.student_seconds(choice(LARGE), 10)
    assert stored.student_seconds(t_lstm, 10) == without.student_seconds(t_lstm, 10)
    exact = Choice.of(LARGE, "t-lstm", "two-stage", "slice", gram_form="exact")
    whole = clock(teacher=TEACHER)
    assert whole.student_seconds(exact, 10) == without.student_seconds(t_lstm, 10)
    assert whole.student_seconds(t_lstm, 10) < whole.student_seconds(exact, 10)


def test_teacher_on_fresh_scenes_is_reckoned_with_once_for_all_students() -> None:
    fixed, fresh = (clock(teacher=TEACHER, fresh=fresh) for fresh in (False, True))

    def more(now: Clock, students: int) -> float:
        choices = [choice(LARGE, "linear")] * students
        return now.search_seconds(choices, 10) - fixed.search_seconds(choices, 10)

    assert 0 < more(fresh, 4) == pytest.approx(more(fresh, 8))
    cycling = clock(teacher=TEACHER, fresh=True, stored=TargetPlan(cycle=2))
    assert more(cycling, 4) == pytest.approx(more(fresh, 4) / 5)
    assert fresh.search_seconds([choice()], 10) == fixed.search_seconds([choice()], 10)


def test_reserve_grows_with_the_test_set_and_with_what_is_scored_on_it() -> None:
    reserves = [clock(test_seconds=seconds).reserve(LARGE, TEACHER) for seconds in (0.0, 300.0, 900.0, 2700.0)]
    assert reserves == sorted(reserves)
    assert reserves[-1] > reserves[1] > reserves[0] > 0
    assert clock().reserve(LARGE, TEACHER) > clock().reserve(LARGE, None)
    assert clock().reserve(LARGE, None) > clock().reserve(SMALL, None)
    assert clock(slots=1).reserve(LARGE, None) > clock(slots=8).reserve(LARGE, None)


def test_scores_are_reckoned_in_fp32_where_training_runs_in_bf16() -> None:
    fp32, bf16 = (clock(train=TrainConfig(Size(1, 1), precision=one)) for one in ("fp32", "bf16"))
    assert bf16.scoring_seconds(LARGE, 100.0) > fp32.scoring_seconds(LARGE, 100.0)
