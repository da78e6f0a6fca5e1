"""Slices of a teacher: what they keep, and that they compute with it what the teacher computes."""

from __future__ import annotations

import pytest
import torch

from data.errors import InputError
from model.ftjnf import FTJNF, Size, apply_mask
from model.losses import hard_loss
from model.slicing import RULES, Importance, cut, importance, in_order, rule_for
from model.stft import stft


def noisy() -> torch.Tensor:
    return torch.randn(2, 2, 1500, generator=torch.Generator().manual_seed(0))


def clean() -> torch.Tensor:
    return torch.randn(2, 1500, generator=torch.Generator().manual_seed(1))


def measured(net: FTJNF, rule: str = "product") -> Importance:
    return importance(net, rule, noisy(), clean())


@torch.no_grad()
def masks(net: FTJNF) -> torch.Tensor:
    mask = net(stft(noisy())).mask
    assert mask is not None
    return mask


def rows(matrix: torch.Tensor, units: list[int], hidden: int) -> torch.Tensor:
    """The rows of some units, gate by gate."""
    return matrix[[gate * hidden + unit for gate in range(4) for unit in units]]


@torch.no_grad()
def silence(net: FTJNF, f_units: list[int], t_units: list[int]) -> None:
    """Cuts every connection that leaves some units."""
    net.t_lstm.weight_ih_l0[:, f_units] = 0
    for direction in ["", "_reverse"] if net.size.bi_freq else [""]:
        recurrent = getattr(net.f_lstm, f"weight_hh_l0{direction}")
        recurrent[:, [unit % net.size.f_hidden for unit in f_units]] = 0
    net.t_lstm.weight_hh_l0[:, t_units] = 0
    net.linear.weight[:, t_units] = 0


@pytest.mark.parametrize("bi_freq", [False, True])
def test_slice_of_the_whole_size_is_the_teacher(network, bi_freq):
    teacher = network(bi_freq=bi_freq)
    student = cut(teacher, teacher.size, measured(teacher))
    assert torch.equal(masks(student), masks(teacher))
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), teacher.parameters(), strict=True))


def test_slice_shares_no_memory_with_the_teacher(network):
    teacher = network()
    before = masks(teacher)
    student = cut(teacher, teacher.size, measured(teacher))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    assert torch.equal(masks(teacher), before)


def test_activity_is_the_mean_magnitude_of_each_unit(network):
    net = network()
    activity = measured(net, "activation")
    with torch.no_grad():
        out = net(stft(noisy()))
    for unit in range(6):
        assert activity.f_lstm[unit] == pytest.approx(float(out.f_lstm[..., unit].abs().mean()), rel=1e-4)
    for unit in range(4):
        assert activity.t_lstm[unit] == pytest.approx(float(out.t_lstm[..., unit].abs().mean()), rel=1e-4)


@pytest.mark.parametrize("rule", ["product", "outgoing", "gradient"])
def test_units_that_nobody_hears_are_the_ones_cut_away(network, rule):
    teacher = network(6, 4)
    silence(teacher, [0, 2, 5], [1, 3])
    student = cut(teacher, Size(3, 2, microphones=2), measured(teacher, rule))
    torch.testing.assert_close(masks(student), masks(teacher), atol=1e-6, rtol=0)


def test_units_that_nobody_hears_are_cut_away_in_each_direction_by_itself(network):
    teacher = network(4, 3, bi_freq=True)
    silence(teacher, [0, 2, 4, 6], [0])  # the second direction's units are 4..7
    student = cut(teacher, Size(2, 2, bi_freq=True, microphones=2), measured(teacher))
    torch.testing.assert_close(masks(student), masks(teacher), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rule", ["product", "activation", "gradient"])
def test_silent_units_do_not_count_however_strong_their_weights(network, rule):
    net = network()
    with torch.no_grad():
        for parameter in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            getattr(net.t_lstm, parameter).view(4, 4, -1)[:, 2] = 0  # a cell that stays zero
        net.linear.weight[:, 2] = 9.0
    assert int(measured(net, rule).t_lstm.argmin()) == 2


def test_gradient_rule_is_activation_times_slope_of_the_hard_loss(network):
    net = network()
    spectrum = stft(noisy())
    out = net(spectrum)
    out.t_lstm.retain_grad()
    hard_loss(apply_mask(out, spectrum, 1500), clean()).backward()
    expected = (out.t_lstm * out.t_lstm.grad).abs().mean(dim=(0, 1, 2))
    torch.testing.assert_close(measured(net, "gradient").t_lstm, expected.detach())


def test_leading_rule_keeps_the_first_units(network):
    teacher = network()
    student = cut(teacher, Size(3, 2, microphones=2), measured(teacher, "leading"))
    assert torch.equal(student.linear.weight, teacher.linear.weight[:, :2])
    assert torch.equal(student.f_lstm.bias_hh_l0, rows(teacher.f_lstm.bias_hh_l0, [0, 1, 2], 6))


def test_teacher_trained_nested_is_cut_from_the_front_and_others_by_importance():
    assert rule_for({"train": {"nested": True}}) == "leading"
    assert rule_for({"train": {"nested": False}, "in_order": True}) == "leading"
    assert rule_for({"train": {"nested": False}}) == rule_for({}) == "outgoing"


def test_unknown_rule_is_refused(network):
    with pytest.raises(InputError, match="slice rule 'best' is unknown; choose one of product, activation"):
        measured(network(), "best")


@pytest.mark.parametrize("bi_freq", [False, True])
def test_network_in_order_computes_what_it_did_with_the_most_important_units_first(network, bi_freq):
    net = network(bi_freq=bi_freq)
    units = measured(net)
    ordered = in_order(net, units)
    torch.testing.assert_close(masks(ordered), masks(net), atol=1e-6, rtol=0)
    again = measured(ordered)
    torch.testing.assert_close(again.t_lstm, units.t_lstm.sort(descending=True).values, rtol=1e-4, atol=0)
    for part, before in zip(again.f_lstm.split(6), units.f_lstm.split(6), strict=True):
        torch.testing.assert_close(part, before.sort(descending=True).values, rtol=1e-4, atol=0)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_ranks_every_unit(network, rule):
    units = measured(network(bi_freq=True), rule)
    assert units.f_lstm.shape == (12,)
    assert units.t_lstm.shape == (4,)
    assert len(set(units.t_lstm.tolist())) == 4


def test_least_important_units_are_the_ones_cut_away(network):
    teacher = network()
    units = Importance(torch.tensor([0.9, 0.0, 0.9, 0.9, 0.0, 0.9]), torch.tensor([0.0, 0.9, 0.9, 0.0]))
    student = cut(teacher, Size(4, 2, microphones=2), units)
    assert torch.equal(student.f_lstm.bias_ih_l0, rows(teacher.f_lstm.bias_ih_l0, [0, 2, 3, 5], 6))
    assert torch.equal(student.t_lstm.bias_hh_l0, rows(teacher.t_lstm.bias_hh_l0, [1, 2], 4))


def test_slice_is_the_selection_of_the_kept_units_rows_and_columns(network):
    teacher = network()
    f_kept, t_kept = [1, 4], [0, 2, 3]
    units = Importance(torch.zeros(6), torch.zeros(4))
    units.f_lstm[f_kept], units.t_lstm[t_kept] = 1.0, 1.0
    student = cut(teacher, Size(2, 3, microphones=2), units)
    f, t = teacher.f_lstm, teacher.t_lstm
    expected = {
        "f_lstm.weight_ih_l0": rows(f.weight_ih_l0, f_kept, 6),
        "f_lstm.weight_hh_l0": rows(f.weight_hh_l0, f_kept, 6)[:, f_kept],
        "f_lstm.bias_ih_l0": rows(f.bias_ih_l0, f_kept, 6),
        "f_lstm.bias_hh_l0": rows(f.bias_hh_l0, f_kept, 6),
        "t_lstm.weight_ih_l0": rows(t.weight_ih_l0, t_kept, 4)[:, f_kept],
        "t_lstm.weight_hh_l0": rows(t.weight_hh_l0, t_kept, 4)[:, t_kept],
        "t_lstm.bias_ih_l0": rows(t.bias_ih_l0, t_kept, 4),
        "t_lstm.bias_hh_l0": rows(t.bias_hh_l0, t_kept, 4),
        "linear.weight": teacher.linear.weight[:, t_kept],
        "linear.bias": teacher.linear.bias,
    }
    for name, value in student.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_fewer_units_over_frequency_alone_leave_the_rest_as_it_is(network):
    teacher = network()
    units = Importance(torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0, 1.0]), torch.ones(4))
    student = cut(teacher, Size(4, 4, microphones=2), units)
    assert torch.equal(student.t_lstm.weight_ih_l0, teacher.t_lstm.weight_ih_l0[:, [1, 2, 3, 5]])
    assert torch.equal(student.t_lstm.weight_hh_l0, teacher.t_lstm.weight_hh_l0)
    assert torch.equal(student.linear.weight, teacher.linear.weight)


@pytest.mark.parametrize(("f_hidden", "t_hidden"), [(9, 4), (6, 7), (9, 7)])
def test_wider_student_computes_at_first_what_the_teacher_computes(network, f_hidden, t_hidden):
    teacher = network()
    student = cut(teacher, Size(f_hidden, t_hidden, microphones=2), measured(teacher))
    torch.testing.assert_close(masks(student), masks(teacher), atol=1e-6, rtol=0)


def test_new_units_of_a_wider_student_can_learn(network):
    student = cut(network(), Size(9, 7, microphones=2), measured(network()))
    mask = student(stft(noisy())).mask
    assert mask is not None
    mask.abs().sum().backward()
    assert student.linear.weight.grad is not None
    assert student.linear.weight.grad[:, 4:].abs().min() > 0
    assert student.t_lstm.weight_ih_l0.grad is not None
    assert student.t_lstm.weight_ih_l0.grad[:, 6:].abs().sum() > 0


def test_student_that_is_wider_here_and_narrower_there_is_a_slice_too(network):
    teacher = network()
    silence(teacher, [], [1, 3])
    student = cut(teacher, Size(8, 2, microphones=2), measured(teacher))
    torch.testing.assert_close(masks(student), masks(teacher), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "size", [Size(3, 2, microphones=3), Size(3, 2, bi_freq=True, microphones=2)], ids=["microphones", "directions"]
)
def test_student_of_another_kind_is_refused(network, size):
    teacher = network()
    with pytest.raises(
        InputError, match=r"student .* cannot be a slice of a teacher .* directions or microphones differ"
    ):
        cut(teacher, size, measured(teacher))


def test_wider_bi_directional_student_is_refused(network):
    teacher = network(bi_freq=True)
    with pytest.raises(InputError, match="cannot be wider over frequency"):
        cut(teacher, Size(9, 4, bi_freq=True, microphones=2), measured(teacher))
