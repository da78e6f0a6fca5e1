from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal

import pytest
import torch
import torchinfo
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from data.errors import InputError
from model.ftjnf import FTJNF, TABLE_1, Size
from model.macs import (
    COSTS,
    PRINTED,
    Budget,
    cell_macs,
    fp32_bytes,
    gmac_per_s,
    main,
    mmac_per_frame,
    paper_gmac,
    parameters,
    torchinfo_bytes,
)
from model.stft import FRAME, HOP

SIZES = [
    Size(80, 32),
    Size(13, 5),
    Size(48, 8, microphones=1),
    Size(64, 16, microphones=7),
    Size(24, 40, bi_freq=True),
    Size(16, 4, bi_freq=True, microphones=2),
]


@pytest.mark.parametrize("row", TABLE_1)
def test_gmac_of_table_1_equals_the_printed_rounding(row: str) -> None:
    printed = Decimal(PRINTED[row][1])
    assert Decimal(paper_gmac(TABLE_1[row])).quantize(printed) == printed


@pytest.mark.parametrize("row", sorted(set(TABLE_1) - {"B"}))
def test_parameters_of_table_1_are_within_one_percent_of_the_printed_ones(row: str) -> None:
    assert parameters(TABLE_1[row]) / 1e3 == pytest.approx(float(PRINTED[row][0]), rel=0.01)


def test_the_two_misprints_of_table_1_are_misprints() -> None:
    assert parameters(TABLE_1["B"]) == 356_994  # printed 364.9 k
    assert parameters(Size(512, 256)) > 1.8e6  # row A prints 512/256 beside 1400 k


@pytest.mark.parametrize("size", [*TABLE_1.values(), *SIZES], ids=repr)
def test_cell_macs_equal_the_flop_counter_on_the_meta_device(size: Size) -> None:
    bins, length = 4, 3
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        FTJNF(size)(torch.empty(1, size.microphones, bins, length, dtype=torch.complex64))
    assert counter.get_total_flops() == 2 * cell_macs(size) * bins * length


@pytest.mark.parametrize("size", [*TABLE_1.values(), *SIZES], ids=repr)
def test_parameters_equal_those_of_the_network(size: Size) -> None:
    with torch.device("meta"):
        network = FTJNF(size)
    assert parameters(size) == sum(p.numel() for p in network.parameters())
    assert fp32_bytes(size) == sum(p.numel() * p.element_size() for p in network.parameters())


class Framed(nn.Module):
    """The network behind an STFT that pads nothing, which is what torchinfo must have been given for Table 1."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.network = FTJNF(size)

    def forward(self, noisy: Tensor) -> Tensor | None:
        window = torch.hann_window(FRAME)
        spectrum = torch.stft(noisy.flatten(0, 1), FRAME, HOP, window=window, center=False, return_complex=True)
        return self.network(spectrum.unflatten(0, noisy.shape[:2])).mask


@pytest.mark.parametrize("size", [TABLE_1["E"], Size(16, 4, bi_freq=True, microphones=2)], ids=repr)
def test_torchinfo_bytes_equal_torchinfo(size: Size) -> None:
    found = torchinfo.summary(Framed(size), input_size=(1, size.microphones, 1024), verbose=0)
    total = found.total_input + found.total_output_bytes + found.total_param_bytes
    assert torchinfo_bytes(size) == pytest.approx(total, abs=100)  # torchinfo adds the bytes of the tensor object


@pytest.mark.parametrize("row", sorted(set(TABLE_1) - {"F", "G"}))
def test_printed_sizes_are_torchinfo_bytes_and_a_constant(row: str) -> None:
    assert float(PRINTED[row][2]) - torchinfo_bytes(TABLE_1[row]) / 1e6 == pytest.approx(0.052, abs=0.005)


def test_the_true_cost_of_size_e() -> None:
    size = TABLE_1["E"]
    assert cell_macs(size) == 4 * 80 * (10 + 80) + 4 * 32 * (80 + 32) + 2 * 32
    assert mmac_per_frame(size) == pytest.approx(11.10, abs=0.005)
    assert gmac_per_s(size) == pytest.approx(0.694, abs=0.0005)
    assert gmac_per_s(size) == pytest.approx(mmac_per_frame(size) * 62.5 / 1e3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.0GMAC", Budget(1.0, "GMAC")),
        ("850MMAC", Budget(0.85, "GMAC")),
        (" .5 gmac ", Budget(0.5, "GMAC")),
        ("1e3MMAC", Budget(1.0, "GMAC")),
        ("0.65GMAC/s", Budget(0.65, "GMAC/s")),
        ("650 mmac/S", Budget(0.65, "GMAC/s")),
        ("10.4MMAC/frame", Budget(10.4, "MMAC/frame")),
        ("0.0104 GMac / frame", Budget(10.4, "MMAC/frame")),
    ],
)
def test_budget_is_read_in_each_unit(text: str, expected: Budget) -> None:
    budget = Budget.parse(text)
    assert (budget.limit, budget.unit) == (pytest.approx(expected.limit), expected.unit)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize("text", ["1.0", "1.0G", "1.0 g"])
def test_budget_without_a_full_unit_shows_the_three_readings(text: str) -> None:
    with pytest.raises(InputError, match=r"1\.0GMAC \(.*1\.0GMAC/s \(about 1\.59 .*1\.0MMAC/frame \(about 0\.103 "):
        Budget.parse(text)


def test_budget_with_a_mere_m_is_read_in_millions() -> None:
    with pytest.raises(InputError, match=r"850\.0MMAC \(.*850\.0MMAC/s \(.*850\.0MMAC/frame \("):
        Budget.parse("850M")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0", "above zero"),
        ("0GMAC", "above zero"),
        ("-1GMAC", "above zero"),
        ("nan", "finite"),
        ("inf", "finite"),
        ("nanGMAC", "finite"),
        ("1e999GMAC", "finite"),
        ("1.0GB", "unit 'GB'"),
        ("1.0GFLOP", "unit 'GFLOP'"),
        ("1,0GMAC", "unit"),
        ("GMAC", "number"),
        ("", "empty"),
        ("  ", "empty"),
    ],
)
def test_unusable_budget_is_an_input_error_of_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        Budget.parse(text)
    assert "\n" not in str(error.value)
    assert "GMAC/s" in str(error.value)  # what to write instead


def test_budget_cannot_be_made_of_a_limit_that_is_no_cost() -> None:
    with pytest.raises(InputError, match="above zero"):
        Budget(float("nan"))


def test_budget_of_one_gmac_allows_size_f_and_not_size_e() -> None:
    budget = Budget.parse("1.0GMAC")
    assert budget.allows(TABLE_1["F"])
    assert not budget.allows(TABLE_1["E"])


def test_budget_limit_itself_is_allowed_in_every_unit() -> None:
    size = TABLE_1["G"]
    for unit, cost in COSTS.items():
        budget = Budget(cost(size), unit)
        assert budget.allows(size)
        assert not budget.allows(Size(65, 16))


def test_readings_of_the_cost_of_a_row_are_its_costs() -> None:
    size = TABLE_1["C"]
    expected = {"GMAC": paper_gmac(size), "GMAC/s": gmac_per_s(size), "MMAC/frame": mmac_per_frame(size)}
    assert Budget(paper_gmac(size)).readings() == pytest.approx(expected)
    assert Budget(mmac_per_frame(size), "MMAC/frame").readings() == pytest.approx(expected)


def test_description_is_one_line_with_all_units_and_the_rows_within() -> None:
    assert Budget.parse("1.0GMAC").describe() == (
        "budget 1.0 GMAC on the axis of the paper's Table 1; true cost about 0.625 GMAC/s = about 10.0 MMAC/frame; "
        "rows of Table 1 within it: F, G, H, I"
    )
    assert "within it: none" in Budget.parse("0.1GMAC").describe()


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["macs.py", *arguments])
    main()


def test_command_prints_records_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(["--json", "--sizes", "64/16,80/32bi"], monkeypatch)
    record, other = json.loads(capsys.readouterr().out)
    assert record == {
        "name": "G",
        "f_hidden": 64,
        "t_hidden": 16,
        "parameters": 24738,
        "paper_gmac": paper_gmac(TABLE_1["G"]),
        "gmac_per_s": gmac_per_s(TABLE_1["G"]),
        "mmac_per_frame": mmac_per_frame(TABLE_1["G"]),
    }
    assert other["name"] == "80/32bi"


def test_command_prints_table_1_beside_what_is_computed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run([], monkeypatch)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:11]]
    assert [row[0] for row in rows] == list(TABLE_1)
    assert rows[1] == ["B", "256/64", "364.9", "356.99", "8.9", "8.871", "91.09", "5.693", "3.49", "3.43", "1427976"]


def test_command_prints_no_paper_numbers_for_a_network_the_paper_does_not_have(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["--sizes", "80/32", "--microphones", "4"], monkeypatch)
    assert capsys.readouterr().out.splitlines()[2].split() == (
        ["80/32", "-", "43.46", "-", "1.094", "10.94", "0.684", "-", "0.89", "173832"]
    )


@pytest.mark.parametrize("arguments", [["--microphones", "x"], ["--size", "E", "--frobnicate"]])
def test_command_complains_of_a_flag_in_one_sentence(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="; --help lists the flags"):
        run(arguments, monkeypatch)
    assert capsys.readouterr().err == ""


def test_command_ends_with_code_2_on_a_size_it_cannot_read() -> None:
    command = [sys.executable, "-m", "model.macs", "--sizes", "64x16"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr.startswith("error: size '64x16'")
