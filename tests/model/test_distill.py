from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from data.errors import InputError
from model.distill import METHODS, TermScales, mean_absolute_difference, soft_terms, total_loss
from model.ftjnf import FTJNF, Activations, Size, at_positions
from model.gram import Gram, draw_positions, gram_loss

MICROPHONES, BINS, FRAMES = 2, 6, 5
GRAM = Gram(positions=8)


def network(f_hidden: int, t_hidden: int) -> FTJNF:
    torch.manual_seed(f_hidden)
    return FTJNF(Size(f_hidden, t_hidden, microphones=MICROPHONES))


def noisy() -> Tensor:
    return torch.randn(2, MICROPHONES, BINS, FRAMES, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))


def teacher_layers() -> dict[str, Tensor]:
    with torch.no_grad():
        activations = network(9, 7)(noisy())
    return {name: value for name, value in activations._asdict().items() if name != "state"}


def student_layers() -> Activations:
    result: Activations = network(4, 3)(noisy())
    return result


POSITIONS = draw_positions(BINS * FRAMES, 8, 2, 0)


def test_methods_compare_the_layers_of_table_2() -> None:
    assert {name: dict(method.layers) for name, method in METHODS.items()} == {
        "none": {},
        "mask": {"mask": "l1"},
        "linear": {"linear": "l1"},
        "f-lstm": {"f_lstm": "gram"},
        "t-lstm": {"t_lstm": "gram"},
        "multi": {"f_lstm": "gram", "t_lstm": "gram", "linear": "l1"},
    }


@pytest.mark.parametrize("name", ["mask", "linear", "f-lstm", "t-lstm", "multi"])
def test_stage_1_trains_every_layer_up_to_the_distilled_one_and_none_after_it(name: str) -> None:
    method, student = METHODS[name], network(4, 3)
    terms = soft_terms(method, student(noisy(), upto=method.upto), teacher_layers(), GRAM, POSITIONS)
    total_loss(0.0, None, TermScales().apply(terms)).backward()
    trained = {parameter.split(".")[0] for parameter, value in student.named_parameters() if value.grad is not None}
    expected = {"f-lstm": {"f_lstm"}, "t-lstm": {"f_lstm", "t_lstm"}}
    assert trained == expected.get(name, {"f_lstm", "t_lstm", "linear"})
    for parameter, value in student.named_parameters():
        assert value.grad is None or value.grad.abs().sum() > 0, parameter


def test_only_methods_that_reach_the_linear_layer_train_the_output_in_stage_1() -> None:
    assert {name for name, method in METHODS.items() if not method.trains_output} == {"f-lstm", "t-lstm"}


def test_equal_shapes_are_compared_by_the_mean_over_real_elements() -> None:
    teacher, student = teacher_layers(), student_layers()
    mask = soft_terms(METHODS["mask"], student, teacher, GRAM)["mask"]
    assert student.mask is not None
    assert student.linear is not None
    error = teacher["mask"] - student.mask
    torch.testing.assert_close(mask, (error.real.abs() + error.imag.abs()).mean() / 2)
    linear = soft_terms(METHODS["linear"], student, teacher, GRAM)["linear"]
    torch.testing.assert_close(linear, (teacher["linear"] - student.linear).abs().mean())


def test_a_mask_kept_as_halves_of_real_and_imaginary_parts_is_taken() -> None:
    teacher, student = teacher_layers(), student_layers()
    kept = {"mask": torch.view_as_real(teacher["mask"]).half()}
    loss = soft_terms(METHODS["mask"], student, kept, GRAM)["mask"]
    torch.testing.assert_close(loss, soft_terms(METHODS["mask"], student, teacher, GRAM)["mask"], rtol=1e-2, atol=0)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("form", ["positions", "exact", "frame", "bin"])
def test_multi_is_linear_by_equation_6_and_both_lstms_by_equation_7(form: str) -> None:
    teacher, student, gram = teacher_layers(), student_layers(), Gram(form, positions=8)  # type: ignore[arg-type]
    terms = soft_terms(METHODS["multi"], student, teacher, gram, POSITIONS)
    assert student.t_lstm is not None
    assert student.linear is not None
    assert terms == {
        "f_lstm": gram_loss(teacher["f_lstm"], student.f_lstm, gram, POSITIONS),
        "t_lstm": gram_loss(teacher["t_lstm"], student.t_lstm, gram, POSITIONS),
        "linear": mean_absolute_difference(teacher["linear"], student.linear),
    }


def test_teacher_layers_gathered_at_the_positions_give_the_same_terms() -> None:
    teacher, student = teacher_layers(), student_layers()
    gathered = {**teacher, **{layer: at_positions(teacher[layer], POSITIONS) for layer in ("f_lstm", "t_lstm")}}
    whole = soft_terms(METHODS["multi"], student, teacher, GRAM, POSITIONS)
    assert soft_terms(METHODS["multi"], student, gathered, GRAM, POSITIONS) == whole


def test_a_missing_layer_is_said_to_be_missing_and_where() -> None:
    teacher, method = teacher_layers(), METHODS["linear"]
    with pytest.raises(ValueError, match=r"'linear'.*student"):
        soft_terms(method, network(4, 3)(noisy(), upto="t_lstm"), teacher, GRAM)
    with pytest.raises(ValueError, match=r"'linear'.*teacher"):
        soft_terms(method, student_layers(), {"mask": teacher["mask"]}, GRAM)
    with pytest.raises(ValueError, match="one shape"):
        soft_terms(method, student_layers(), {"linear": teacher["linear"][:1]}, GRAM)


def test_the_method_none_has_no_soft_terms() -> None:
    assert soft_terms(METHODS["none"], student_layers(), {}, GRAM) == {}


def test_total_loss_is_equation_5_and_needs_no_loss_of_weight_zero() -> None:
    hard, soft = torch.tensor(2.0), torch.tensor(10.0)
    torch.testing.assert_close(total_loss(0.25, hard, soft), torch.tensor(8.0))
    assert total_loss(0.0, None, soft) == 10
    assert total_loss(1.0, hard, None) == 2
    with pytest.raises(ValueError, match=r"alpha = 0\.5"):
        total_loss(0.5, hard, None)


def test_each_soft_term_is_divided_by_its_own_first_value() -> None:
    scales = TermScales("first")
    first = scales.apply({"linear": torch.tensor(4.0), "t_lstm": torch.tensor(50.0)})
    later = scales.apply({"linear": torch.tensor(2.0), "t_lstm": torch.tensor(100.0)})
    assert first == 2.0
    assert later == 0.5 + 2.0
    assert scales.state() == {"linear": 4.0, "t_lstm": 50.0}


def test_the_scale_of_a_term_takes_no_part_in_the_gradient() -> None:
    value = torch.tensor(4.0, requires_grad=True)
    TermScales("first").apply({"linear": value}).backward()
    assert value.grad == 0.25


def test_the_literal_sum_is_left_alone() -> None:
    scales = TermScales("none")
    assert scales.apply({"linear": torch.tensor(4.0), "t_lstm": torch.tensor(50.0)}) == 54
    assert scales.state() == {}


@pytest.mark.parametrize("first", [0.0, 1e-12, float("inf"), float("nan")])
def test_a_first_value_that_is_no_scale_leaves_the_term_as_it_is(first: float) -> None:
    scales = TermScales("first")
    scales.apply({"linear": torch.tensor(first)})
    assert scales.apply({"linear": torch.tensor(0.5)}) == 0.5


def test_scales_survive_a_checkpoint() -> None:
    scales, resumed = TermScales("first"), TermScales("first")
    scales.apply({"linear": torch.tensor(0.3)})
    resumed.load(json.loads(json.dumps(scales.state())))
    later = {"linear": torch.tensor(0.7)}
    assert torch.equal(resumed.apply(later), scales.apply(later))


def test_unknown_scale_is_an_input_error_that_says_what_to_choose() -> None:
    with pytest.raises(InputError, match="'last' is unknown; choose one of first, none"):
        TermScales("last")
