from __future__ import annotations

import io
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import search.report
from data.files import write_json
from model.ftjnf import Size
from model.macs import Budget, paper_gmac
from search.beside import Beside
from search.config import SearchConfig
from search.ending import Ending
from search.flags import read_flags, search_config
from search.report import draw, draw_review, failed_students, halved_students, print_front, write_report
from search.results import Record, costs, mark_front

BY_SNR = {"-5": 1.2, "0": 1.4, "5": 1.6, "10": 1.8, "15": 2.0}
VAL = {"unprocessed": {"pesq": 1.2}, "delay-and-sum": {"pesq": 1.4}, "teacher": {"pesq": 2.5}}
TEST = {"unprocessed": {"pesq": 1.1}, "delay-and-sum": {"pesq": 1.3}, "teacher": {"pesq": 2.4}}
BESIDE = Beside(VAL, TEST, "128/32")
APART = (0.5, 0.2, 0.8)
WORDS = "the hypervolume gained nothing"


def record(trial: int, size: Size, pesq: float, **changes: Any) -> Record:
    return {
        "trial": trial, "trials": [trial], "seeds": 1,
        "f_hidden": size.f_hidden, "t_hidden": size.t_hidden, "kd_method": "linear",
        "alpha_schedule": "cosine", "init": "slice", **costs(size), "pesq_val": pesq, "pesq_val_by_snr": BY_SNR,
        "pesq_val_interval": [pesq - 0.1, pesq + 0.1], "pesq_test": pesq - 0.1, "pesq_test_interval": [1.4, 1.6],
        "stopped": "", "unscored_test": 0, **changes,
    }  # fmt: skip


RECORDS = mark_front([record(0, Size(8, 4), 1.5), record(1, Size(80, 32), 2.0), record(2, Size(88, 40), 1.9)])


def config_of(*flags: str) -> SearchConfig:
    return search_config(read_flags(["--budget", "2GMAC", "--name", "mine", *flags]))


OWN = ("--speech", "a", "--noise", "b", "--rirs", "c")


def printed(
    records: list[Record] = RECORDS, beside: Beside = BESIDE, apart: Any = APART, *flags: str, cut: int = 0
) -> str:
    console = Console(file=io.StringIO(), width=160, markup=False)
    ending = Ending("patience", WORDS, 0, apart, cut=cut)
    print_front(console, config_of(*flags), records, beside, ending, "mlflow ui", time.time() - 65)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(text: str, start: str) -> list[str]:
    return next(line for line in text.splitlines() if line.strip().startswith(start)).split()


def test_what_was_varied_stands_beside_the_schedule_of_those_that_have_it() -> None:
    records = mark_front([record(0, Size(8, 4), 1.5), record(1, Size(80, 32), 2.0, ramp=0.25, lr=5e-4)])
    text = printed(records)
    assert " linear cosine ramp=0.25 lr=0.0005 slice " in " ".join(row(text, "1 "))
    assert " linear cosine slice " in " ".join(row(text, "0 "))


def test_the_review_s_page_comes_with_the_times_of_students_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = {"teacher": {"p50": 3.0, "p90": 4.0}, "7": {"p50": 1.5, "p90": 2.0}}
    monkeypatch.setattr(search.report, "gather", lambda folder, examples: {"frames": frames})
    monkeypatch.setattr(search.report, "write_review", lambda folder, evidence: folder / "review.html")
    examples: Any = object()
    assert draw_review(tmp_path, examples) == ([tmp_path / "review.html"], {7: 1.5})


def test_a_review_that_cannot_be_made_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    examples: Any = object()
    assert draw_review(tmp_path, examples) == ([], {})  # an empty folder
    assert "review.html could not be made" in caplog.text


def test_front_is_printed_with_costs_scores_and_what_stands_beside_it() -> None:
    text = printed()
    assert "Pareto front of 3 students under 2GMAC" in text
    cheap = row(text, "0 ")
    assert cheap == ["0", "8/4", "874", "0.024", "0.012", "linear", "cosine", "slice", "1", "1.500", "1.400",
                     "1.40..1.60"]  # fmt: skip
    assert row(text, "1 ")[1] == "80/32"
    assert not [line for line in text.splitlines() if "88/40" in line]  # not on the front
    assert row(text, "teacher 128/32")[2:] == [f"{paper_gmac(Size(128, 32)):.3f}", "2.500", "2.400"]
    assert row(text, "unprocessed")[1:] == ["1.200", "1.100"]
    assert "mlflow ui" in text
    assert f"python analysis/choose.py {shlex.quote(str(config_of().folder))}" in text
    assert re.search(r"It took 1 min \d\d s\.", text)  # 65 s, and what printing takes


def test_remarks_say_what_the_scores_allow_to_say() -> None:
    text = printed()
    assert "are apart by more than chance: +0.500 PESQ" in text
    assert "Every member of the front is above the unprocessed input." in text
    assert "The teacher is above all of them." in text
    assert "size E costs 1.11 GMAC" in text
    assert "demo scores" in text
    assert "demo scores" not in printed(RECORDS, BESIDE, APART, *OWN)

    noisy = Beside(
        VAL, TEST | {"unprocessed": {"pesq": 1.45}, "teacher": {"pesq": 1.8}}, "128/32", "Too small a teacher."
    )
    records = mark_front([record(0, Size(8, 4), 1.5, stopped="time", unscored_test=2), record(1, Size(80, 32), 2.0)])
    text = printed(records, noisy, (0.1, -0.1, 0.3), cut=1)
    assert "are NOT apart by more than chance" in text
    assert "Below the unprocessed input: trial 0." in text
    assert "As good as the teacher or better on these clips: trial 1." in text
    assert "Too small a teacher." in text
    assert "1 trainings were ended early by the time budget" in text
    assert "ended early by the time budget" not in printed()
    assert "2 test clips could not be scored" in text


def test_why_the_search_ended_is_said() -> None:
    assert f"The search ended because {WORDS}." in printed()


def test_members_that_cannot_be_told_from_a_cheaper_one_are_marked() -> None:
    records = [record(0, Size(8, 4), 1.5, told_apart_from_cheaper=True),
               record(1, Size(80, 32), 2.0, told_apart_from_cheaper=False)]  # fmt: skip
    text = printed(mark_front(records))
    assert "1.400" in row(text, "0 ")
    assert "1.900~" in row(text, "1 ")
    assert "~ cannot be told from a cheaper member of the front" in text
    assert "holds zero: trial 1." in text
    assert "cannot be told" not in printed()


def test_it_is_said_by_how_many_seeds_the_front_was_trained() -> None:
    assert "Every student was trained by one seed" in printed()
    assert printed().count("--repeat-front 2") == 1, "also where the ends of the front are compared"
    text = printed(mark_front([record(0, Size(8, 4), 1.5, seeds=3, trials=[0, 7, 8]), record(1, Size(80, 32), 2.0)]))
    assert "1 of the 2 members of the front were trained by several seeds" in text
    assert row(text, "0 ")[8] == "3"
    assert "No member has test scores of several seeds" in text
    both = record(0, Size(8, 4), 1.5, seeds=2, trials=[0, 7], pesq_test_seeds=[1.3, 1.5])
    assert "No member has test scores" not in printed(mark_front([both, record(1, Size(80, 32), 2.0)]))
    assert "No member has test scores" not in printed()


def test_member_of_the_front_whose_weights_are_gone_is_named() -> None:
    records = mark_front([record(0, Size(8, 4), 1.5), record(1, Size(80, 32), 2.0, pesq_test=None)])
    assert "Trial 1: only other seeds' scores brought it to the front" in printed(records)
    assert "weights had been removed" not in printed()


def test_front_of_one_student_without_a_teacher_is_printed_too() -> None:
    beside = Beside({"unprocessed": {"pesq": 1.2}}, {"unprocessed": {"pesq": 1.1}})
    text = printed(mark_front([record(0, Size(8, 4), 1.5)]), beside, None)
    assert row(text, "0 ")[1] == "8/4"
    assert "teacher" not in text


def test_student_in_both_directions_over_frequency_is_named_so() -> None:
    text = printed(mark_front([record(0, Size(8, 4, bi_freq=True), 1.5, bi_freq=True), record(1, Size(80, 32), 2.0)]))
    assert row(text, "0 ")[1] == "8/4bi"
    assert row(text, "1 ")[1] == "80/32"


def test_front_whose_test_scores_are_not_known_yet_has_empty_cells() -> None:
    text = printed(mark_front([record(0, Size(8, 4), 1.5, pesq_test=None, pesq_test_interval=None)]), Beside(VAL), None)
    assert row(text, "0 ")[-3:] == ["slice", "1", "1.500"]


def test_commands_that_are_printed_can_be_pasted(tmp_path: Path) -> None:
    storage = tmp_path / "my runs"
    text = printed(RECORDS, BESIDE, APART, "--storage", str(storage))
    command = next(line for line in text.splitlines() if line.startswith("Choose:")).removeprefix("Choose:")
    assert shlex.split(command)[2:] == [str(storage / "mine")]


def test_students_that_failed_are_counted_and_where_to_look_is_told(tmp_path: Path) -> None:
    students = tmp_path / "mine" / "students"
    for number, state in enumerate(("COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "FAIL", None)):
        write_json(students / f"{number:04d}" / "config.json", {})
        if state is not None:
            write_json(students / f"{number:04d}" / "result.json", {"state": state})
    assert failed_students(tmp_path / "mine", RECORDS) == [4, 5]
    text = printed(RECORDS, BESIDE, APART, "--storage", str(tmp_path))
    assert "2 of 5 students failed (trial 4, 5)" in text
    assert str(students) in text
    assert "error.txt" in text
    assert "students failed" not in printed()


def test_teacher_of_another_array_has_its_own_cost() -> None:
    text = printed(RECORDS, BESIDE, APART, "--array", "line")
    microphones = config_of("--array", "line").space(5).microphones
    assert row(text, "teacher 128/32")[2] == f"{paper_gmac(Size(128, 32, microphones=microphones)):.3f}"


def test_report_has_the_same_rows_as_a_table(tmp_path: Path) -> None:
    path = write_report(tmp_path, config_of(), RECORDS, BESIDE, Ending("patience", WORDS, 0, APART))
    lines = path.read_text().splitlines()
    assert lines[0] == "# Search mine: students under 2GMAC"
    rows = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert [line.split("|")[2].strip() for line in rows[2:]] == [
        "8/4", "80/32", "teacher 128/32", "delay-and-sum", "unprocessed",
    ]  # fmt: skip
    assert any("apart by more than chance" in line for line in lines)


def test_figures_are_drawn_and_one_that_cannot_be_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("no ink")

    monkeypatch.setattr(search.report, "size_figure", broken)
    drawn = draw(tmp_path, RECORDS, BESIDE, Budget.parse("2GMAC"), [], demo=True)
    assert [path.name for path in drawn] == ["pareto.png", "pareto.html", "figure3.png"]
    assert all(path.stat().st_size > 1000 for path in drawn)
    assert "figure4.png could not be drawn" in caplog.text


def test_students_that_were_stopped_early_are_counted_and_did_not_fail(tmp_path: Path) -> None:
    config = config_of("--storage", str(tmp_path))
    ends = [("COMPLETE", ""), ("PRUNED", "halved"), ("PRUNED", "halved"), ("PRUNED", "time")]
    ends += [("COMPLETE", "time")]  # a seed beside a whole training of the same configuration: in no record
    for number, (state, stopped) in enumerate(ends):
        folder = config.folder / "students" / f"{number:04d}"
        write_json(folder / "config.json", {})
        write_json(folder / "result.json", {"state": state, "stopped": stopped})
    assert halved_students(config.folder) == [1, 2]
    assert failed_students(config.folder, RECORDS[:1]) == []
    text = write_report(config.folder, config, RECORDS, BESIDE, Ending("trials", WORDS, 0, APART)).read_text()
    assert "2 students more were stopped early" in text
