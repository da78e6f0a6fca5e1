from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.files import file_digest, write_json
from model.ftjnf import Size
from model.macs import Budget, gmac_per_s, paper_gmac, parameters
from model.score import Scores
from search.dimensions import SETTINGS
from search.final import add_test_scores
from search.proposal import Proposal, State
from search.results import (
    TEST_KEYS,
    Record,
    budget_gmac,
    front_metrics,
    hypervolume,
    mark_front,
    range_gmac,
    student_records,
    training_record,
    val_metrics,
    write_front,
)
from search.space import Choice, Space
from search.standing import keep_standing

CONTRACT = {
    "trial", "f_hidden", "t_hidden", "kd_method", "alpha_schedule", "init", "parameters", "paper_gmac", "gmac_per_s",
    "pesq_val", "mlflow_run_id", "checkpoint",
}  # fmt: skip


def finished(students: Path, number: int, pesq: float | None, table: list[list[float | None]] | None = None) -> Choice:
    """The folder of a student that was scored."""
    folder = students / f"{number:04d}"
    choice = Choice.of(Size(8 * (number + 1), 4), "linear", "cosine", "slice")
    by_snr = {"-5": 1.2, "0": 1.4, "5": 1.6, "10": 1.8, "15": 2.0}
    val = {"pesq": pesq, "pesq_by_snr": by_snr, "spread_by_snr": {}, "clips": 2, "unscored": 0}
    write_json(folder / "scores.json", {"val": val, "val_table": table or [[1.2, 1.4, 1.6, 1.8, 2.0]] * 2})
    write_json(folder / "result.json", {"epoch": 5, "best_epoch": 4, "seconds": 9.5, "stopped": ""})
    (folder / "best.safetensors").write_bytes(b"")
    return choice


def proposal(number: int, choice: Choice, state: State = "COMPLETE") -> Proposal:
    return Proposal(number, choice, state, 1.6 if state == "COMPLETE" else None)


def test_record_says_what_a_student_is_costs_and_reaches(tmp_path: Path) -> None:
    choice = finished(tmp_path, 3, 1.6, [[1.2, 1.4, 1.6, 1.8, 2.0], [1.4, 1.6, None, 2.0, 2.2]])
    record = training_record(tmp_path / "0003", 3, choice)
    assert record is not None
    assert record.keys() >= CONTRACT
    size = Size(32, 4)
    assert (record["trial"], record["f_hidden"], record["t_hidden"]) == (3, 32, 4)
    assert (record["kd_method"], record["alpha_schedule"], record["init"]) == ("linear", "cosine", "slice")
    assert record["paper_gmac"] == paper_gmac(size)
    assert record["gmac_per_s"] == gmac_per_s(size)
    assert record["parameters"] == parameters(size)
    assert record["pesq_val"] == 1.6
    low, high = record["pesq_val_interval"]
    assert low == pytest.approx(1.6)
    assert high > 1.6
    assert not record["bi_freq"]
    assert tmp_path.parent / record["checkpoint"] == tmp_path / "0003" / "best.safetensors"
    assert not Path(record["checkpoint"]).is_absolute()  # run folders are moved and renamed
    json.dumps(record, allow_nan=False)


def test_student_without_a_score_is_no_record(tmp_path: Path) -> None:
    assert training_record(tmp_path / "0000", 0, Choice.of(Size(8, 4), "none", "none", "random")) is None
    assert training_record(tmp_path / "0001", 1, finished(tmp_path, 1, None)) is None


def test_training_that_the_time_cut_short_counts_only_where_there_is_no_other(tmp_path: Path) -> None:
    choice = finished(tmp_path, 0, 1.2)
    finished(tmp_path, 1, 1.6)
    cut = replace(proposal(0, choice), cut=True)
    assert [one["pesq_val"] for one in student_records(tmp_path, [cut])] == [1.2]
    (record,) = student_records(tmp_path, [cut, proposal(1, replace(choice, repeat=1))])
    assert (record["pesq_val"], record["trials"]) == (1.6, [1])


@pytest.mark.parametrize("state", ["RUNNING", "FAIL"])
def test_cut_student_that_goes_on_or_diverges_keeps_its_record_with_the_weights_that_were_scored(
    tmp_path: Path, state: State
) -> None:
    choice, folder = finished(tmp_path, 0, 1.2), tmp_path / "0000"
    assert student_records(tmp_path, [proposal(0, choice, state)]) == [], "this one was not cut"
    (folder / "best.safetensors").write_bytes(b"scored")
    digest = file_digest(folder / "best.safetensors")
    for name, more in (("scores", {"weights_sha256": digest}), ("result", {"stopped": "time"})):
        write_json(folder / f"{name}.json", json.loads((folder / f"{name}.json").read_text()) | more)
    (before,) = student_records(tmp_path, [replace(proposal(0, choice), cut=True)])
    keep_standing(folder)
    (folder / "best.safetensors").write_bytes(b"trained on")
    (record,) = student_records(tmp_path, [proposal(0, choice, state)], [before])
    assert file_digest(tmp_path.parent / record["checkpoint"]) == record["weights_sha256"] == digest
    assert record | {"checkpoint": None} == before | {"checkpoint": None}
    finished(tmp_path, 1, 1.6)
    (whole,) = student_records(tmp_path, [proposal(0, choice, state), proposal(1, replace(choice, repeat=1))])
    assert whole["trials"] == [1]


def test_student_whose_weights_were_removed_keeps_its_record(tmp_path: Path) -> None:
    choice = finished(tmp_path, 2, 1.6)
    content = json.loads((tmp_path / "0002" / "scores.json").read_text())
    write_json(tmp_path / "0002" / "scores.json", content | {"weights_sha256": "abc"})
    (tmp_path / "0002" / "best.safetensors").unlink()
    record = training_record(tmp_path / "0002", 2, choice)
    assert record is not None
    assert (record["pesq_val"], record["checkpoint"], record["weights_sha256"]) == (1.6, None, "abc")


def test_trainings_of_one_configuration_by_several_seeds_are_one_record(tmp_path: Path) -> None:
    tables = [[[1.2 + shift, 1.4, 1.6, 1.8, 2.0], [1.3 + shift, 1.5, 1.7, 1.9, 2.1]] for shift in (0.0, 0.5, -0.2)]
    for number, pesq in enumerate((1.6, 1.7, 1.5)):
        finished(tmp_path, number, pesq, tables[number])
    choice = Choice.of(Size(8, 4), "linear", "cosine", "slice")
    proposals = [proposal(n, replace(choice, repeat=n)) for n in range(3)]
    alone = student_records(tmp_path, proposals[:1])
    (record,) = student_records(tmp_path, proposals, alone)
    assert (record["trials"], record["seeds"], record["front"]) == ([0, 1, 2], 3, True)
    assert record["pesq_val"] == pytest.approx(1.6)
    assert record["pesq_val_seeds"] == [1.6, 1.7, 1.5]
    assert record["pesq_val_by_snr"]["-5"] == pytest.approx(1.2)
    assert record["trial"] == 1  # the best by validation is deployed
    assert tmp_path.parent / record["checkpoint"] == tmp_path / "0001" / "best.safetensors"
    width = record["pesq_val_interval"][1] - record["pesq_val_interval"][0]
    assert width > 1.2 * (alone[0]["pesq_val_interval"][1] - alone[0]["pesq_val_interval"][0])
    (tmp_path / "0001" / "best.safetensors").unlink()
    assert student_records(tmp_path, proposals)[0]["trial"] == 0  # the best of those that can be deployed


def test_only_complete_students_count_and_the_cheapest_comes_first(tmp_path: Path) -> None:
    states: list[State] = ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "COMPLETE"]
    choices = [finished(tmp_path, number, 1.6) for number in range(5)]
    proposals = [proposal(n, choice, state) for n, (choice, state) in enumerate(zip(choices, states, strict=True))]
    assert [record["trial"] for record in student_records(tmp_path, proposals[::-1])] == [0, 4]


def test_records_that_are_known_are_not_read_again(tmp_path: Path) -> None:
    proposals = [proposal(0, finished(tmp_path, 0, 1.6))]
    known = student_records(tmp_path, proposals)
    (tmp_path / "0000" / "scores.json").unlink()
    assert student_records(tmp_path, proposals, known) == known
    assert student_records(tmp_path, proposals) == []


def test_cut_students_that_ended_one_after_the_other_have_their_new_scores(tmp_path: Path) -> None:
    choices = [finished(tmp_path, number, 1.2) for number in range(2)]
    for number in range(2):
        result = json.loads((tmp_path / f"{number:04d}" / "result.json").read_text())
        write_json(tmp_path / f"{number:04d}" / "result.json", result | {"stopped": "time"})
    cut = [replace(proposal(number, choice), cut=True) for number, choice in enumerate(choices)]
    known = student_records(tmp_path, cut)
    known[0] |= {"pesq_test": 1.5}
    for number in range(2):
        again = student_records(tmp_path, cut, known)
        assert again[0].get("pesq_test") == (1.5 if number == 0 else None), "that of weights which have not changed"
        finished(tmp_path, number, 1.8)
        (tmp_path / f"{number:04d}" / "best.safetensors").write_bytes(b"trained on")
        cut[number] = replace(cut[number], cut=False)
        known = student_records(tmp_path, cut, known)
    assert [record["pesq_val"] for record in known] == [1.8, 1.8]
    assert {record["weights_sha256"] for record in known} == {file_digest(tmp_path / "0000" / "best.safetensors")}


def test_test_scores_are_null_until_they_are_known(tmp_path: Path) -> None:
    record = training_record(tmp_path / "0003", 3, finished(tmp_path, 3, 1.6))
    assert record is not None
    assert {record[key] for key in TEST_KEYS} == {None}
    scores = Scores(np.full((2, 5), 1.5), np.zeros((2, 5)), np.zeros((2, 5)))
    later: list[Record] = [{}]
    add_test_scores(later, [[scores]], {"unprocessed": scores, "delay-and-sum": scores})
    assert sorted(later[0]) == sorted(TEST_KEYS)


def test_test_scores_of_an_earlier_session_stay_with_unchanged_weights(tmp_path: Path) -> None:
    students = tmp_path / "students"
    proposals = [proposal(number, finished(students, number, 1.6)) for number in range(3)]
    for number in range(3):
        (students / f"{number:04d}" / "best.safetensors").write_bytes(b"weights %d" % number)
    first = student_records(students, proposals)
    for record in first[:2]:
        record |= {"pesq_test": 1.5, "pesq_by_snr": {"0": 1.4}}
    write_front(tmp_path, first)
    (students / "0001" / "best.safetensors").write_bytes(b"others")
    second = student_records(students, proposals)
    assert [record["pesq_test"] for record in second] == [1.5, None, None]
    assert second[0]["pesq_by_snr"] == {"0": 1.4}
    (tmp_path / "students.json").write_text("[1]")  # another version's
    assert [record["pesq_test"] for record in student_records(students, proposals)] == [None] * 3


def test_budget_of_true_cost_ends_where_its_dearest_size_is() -> None:
    assert budget_gmac(Budget.parse("1.0GMAC"), [Size(8, 4), Size(80, 24)]) == 1.0
    # small sizes have another ratio of both costs than those of Table 1
    budget = Budget.parse("0.05GMAC/s")
    space = Space(budget, ("none",), ("two-stage",))
    dearest = max(paper_gmac(size) for size in space.feasible())
    assert dearest > budget.readings()["GMAC"]
    assert budget_gmac(budget, space.feasible()) == dearest
    assert budget_gmac(budget, []) == budget.readings()["GMAC"]


def records(*points: tuple[float, float]) -> list[Record]:
    return [{"trial": n, "paper_gmac": cost, "pesq_val": pesq} for n, (cost, pesq) in enumerate(points)]


def test_front_is_what_no_other_student_beats_in_both() -> None:
    marked = mark_front(records((0.5, 1.9), (0.1, 1.5), (0.3, 1.4), (0.5, 1.8), (0.9, 1.9)))
    assert [record["trial"] for record in marked] == [1, 2, 0, 3, 4]
    assert [record["trial"] for record in marked if record["front"]] == [1, 0]
    assert mark_front([]) == []


def test_hypervolume_is_the_share_of_the_plane_between_the_input_and_the_teacher() -> None:
    smallest = Size(8, 4)
    low, budget = paper_gmac(smallest), 100 * paper_gmac(smallest)
    # two decades of cost, from 1.0 to 2.0 PESQ: half of the height over the upper decade
    half = hypervolume(records((10 * low, 1.5)), smallest, budget, 1.0, 2.0)
    assert half == pytest.approx(0.25)
    both = hypervolume(records((10 * low, 1.5), (low, 1.25)), smallest, budget, 1.0, 2.0)
    assert both == pytest.approx(0.25 + 0.5 * 0.25)
    assert hypervolume(records((low, 2.0)), smallest, budget, 1.0, 2.0) == pytest.approx(1.0)
    assert hypervolume(records((low, 0.9), (1.01 * budget, 2.0)), smallest, budget, 1.0, 2.0) == 0.0
    assert hypervolume([], smallest, budget, 1.0, 2.0) == 0.0
    # without a teacher, or with one that is no better than the input, 1 PESQ stands for it
    for teacher in (None, 0.9):
        assert hypervolume(records((low, 1.5)), smallest, budget, 1.0, teacher) == pytest.approx(0.5)


def test_front_is_written_as_json_and_csv(tmp_path: Path) -> None:
    marked = mark_front(records((0.1, 1.5), (0.3, 1.4), (0.5, 1.9)))
    for record in marked:
        record |= {"pesq_by_snr": {"0": math.nan}, "estoi_test": math.nan, "mlflow_run_id": None}
    write_front(tmp_path, marked)

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    front = json.loads((tmp_path / "front.json").read_text(), parse_constant=refuse)
    assert [record["trial"] for record in front] == [0, 2]
    assert front[0]["estoi_test"] is None
    assert front[0]["pesq_by_snr"] == {"0": None}
    everyone = json.loads((tmp_path / "students.json").read_text(), parse_constant=refuse)
    assert [record["trial"] for record in everyone] == [0, 1, 2]
    with open(tmp_path / "front.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["trial"], row["paper_gmac"], row["pesq_val"]) for row in rows] == [
        ("0", "0.1", "1.5"),
        ("2", "0.5", "1.9"),
    ]
    assert "pesq_by_snr" not in rows[0]


def test_what_is_varied_stands_in_the_records_that_have_it_and_in_the_table(tmp_path: Path) -> None:
    students = tmp_path / "students"
    finished(students, 0, 1.5)
    finished(students, 1, 1.6)
    finished(students, 2, 1.7)
    choices = (
        Choice.of(Size(8, 4), "none", "none", "slice"),
        Choice.of(Size(16, 4), "linear", "constant", "slice", alpha=0.3),
        Choice.of(Size(24, 4), "t-lstm", "cosine", "slice", ramp=0.25, gram_normalise="cosine"),
    )
    records = student_records(students, [proposal(number, choice) for number, choice in enumerate(choices)])
    for record, choice in zip(records, choices, strict=True):
        assert {name: record[name] for name in SETTINGS if name in record} == choice.settings
    write_front(tmp_path, records)
    with open(tmp_path / "front.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [(row["alpha"], row["ramp"], row["gram_normalise"], row["init"]) for row in rows]
    assert cells == [("", "", "", "slice"), ("0.3", "", "", "slice"), ("", "0.25", "cosine", "slice")]


def test_front_without_members_is_an_empty_list(tmp_path: Path) -> None:
    write_front(tmp_path, [])
    assert json.loads((tmp_path / "front.json").read_text()) == []
    assert (tmp_path / "front.csv").read_text() == ""


def test_mlflow_is_told_how_far_a_student_is_from_what_stands_beside_it() -> None:
    record = {"pesq_val": 1.5, "pesq_val_interval": [1.4, 1.7], "pesq_val_unprocessed": 1.2, "pesq_val_teacher": 2.0}
    assert val_metrics(record) == {
        "pesq_low": 1.4, "pesq_high": 1.7, "pesq_gain": pytest.approx(0.3), "pesq_below_teacher": pytest.approx(0.5),
    }  # fmt: skip
    assert "pesq_below_teacher" not in val_metrics(record | {"pesq_val_teacher": None})


def test_the_search_s_run_is_told_the_size_of_the_front_and_its_best() -> None:
    records: list[Record] = [{"front": True, "pesq_val": 1.4}, {"front": False, "pesq_val": 1.3},
                             {"front": True, "pesq_val": 1.6}]  # fmt: skip
    assert front_metrics(records) == {"front_size": 2, "pesq_best": 1.6}
    assert front_metrics([]) == {}


def test_the_plane_of_the_hypervolume_goes_from_the_cheapest_size_to_the_budget() -> None:
    sizes = [Size(80, 32), Size(8, 4)]
    assert range_gmac(Budget.parse("2GMAC"), sizes) == (paper_gmac(Size(8, 4)), 2.0)
