from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.evidence import gather
from data.errors import InputError
from data.examples import ExampleSet
from data.files import read_json, write_json
from search.tracking_store import VIEW


def test_everything_is_gathered_as_json_has_it(run_folder: Path, scored_set: ExampleSet) -> None:
    found = gather(run_folder, scored_set)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))
    assert [student["trial"] for student in found["students"]] == [0, 1, 2]
    assert [student["front"] for student in found["students"]] == [True, False, True]
    assert found["budget"] == "1.0 GMAC"
    assert found["beside"]["teacher"] == {"val": 1.7, "test": 1.7}
    assert found["students"][0]["mmac_per_frame"] == pytest.approx(0.062 * 16)
    assert set(found["frames"]) == {"teacher", "0", "2"}
    assert all(0 < one["p50"] <= one["p90"] for one in found["frames"].values())
    assert [one["trial"] for one in found["hypervolume"]] == [2, 1, 0]
    assert [curve["trial"] for curve in found["curves"]] == [0, 2]
    assert [stage["name"] for stage in found["curves"][1]["stages"]] == ["soft", "hard"]
    assert found["remarks"] == ["The teacher is <above> all of them."]
    assert found["below_input"] == {"of": 15, "students": {"0": 1, "2": 0}}
    names = ["unprocessed", "delay-and-sum", "teacher", "2", "0", "clean"]
    assert [[track["name"] for track in scene["tracks"]] for scene in found["scenes"]] == [names] * 4
    assert found["scenes"][0]["worse"] == {"0": pytest.approx(0.05)}


def test_figures_have_the_paper_s_forms(run_folder: Path) -> None:
    found = gather(run_folder)
    four = {one["method"]: one["points"] for one in found["figure4"]["series"]}
    assert four["linear"] == [[0.2, pytest.approx(1.2), None, None]]
    three = {one["method"]: [point[0] for point in one["points"]] for one in found["figure3"]["series"]}
    assert three["t-lstm"] == [-5, 0, 5, 10, 15]


def test_what_else_a_search_varied_is_shown_with_the_student(run_folder: Path) -> None:
    settings = read_json(run_folder / "search.json") | {"dimensions": [{"name": "ramp"}]}
    write_json(run_folder / "search.json", settings)
    records = read_json(run_folder / "students.json")
    records[2]["ramp"] = 0.5
    write_json(run_folder / "students.json", records)
    assert [student["settings"] for student in gather(run_folder)["students"]] == [{}, {}, {"ramp": 0.5}]


def test_runs_are_found_on_a_server(run_folder: Path) -> None:
    assert gather(run_folder)["tracking"]["runs"] == f"http://mlflow.example/#/experiments/3/runs/{{run}}{VIEW}"
    page = "https://me:***@mlflow.example/#/experiments/3/runs/parent"
    write_json(run_folder / "tracking.json", {"experiment_id": "3", "page": page})
    assert gather(run_folder)["tracking"]["runs"] == f"https://mlflow.example/#/experiments/3/runs/{{run}}{VIEW}"
    assert gather(run_folder)["tracking"]["command"] is None


def test_runs_in_a_store_without_server_are_found_where_its_command_shows_them(run_folder: Path) -> None:
    command = "mlflow ui --backend-store-uri sqlite:///runs/mlflow.db"
    write_json(run_folder / "tracking.json", {"experiment_id": "3", "page": command})
    assert gather(run_folder)["tracking"] == {
        "runs": f"http://127.0.0.1:5000/#/experiments/3/runs/{{run}}{VIEW}", "open": None, "command": command,
    }  # fmt: skip
    write_json(run_folder / "tracking.json", {"page": command})
    assert gather(run_folder)["tracking"] == {"runs": None, "open": None, "command": command}
    (run_folder / "tracking.json").unlink()
    assert gather(run_folder)["tracking"] == {"runs": None, "open": None, "command": None}


def test_a_search_that_was_stopped_is_gathered_without_its_end(run_folder: Path) -> None:
    for name in ("test_scores.json", "beside.json", "report.md", "teacher.safetensors"):
        (run_folder / name).unlink()
    records = [one | {"pesq_val_unprocessed": 1.2} for one in read_json(run_folder / "students.json")]
    write_json(run_folder / "students.json", records)
    found = gather(run_folder)
    assert found["scenes"] == []
    assert "has not scored its test scenes yet" in found["silent"]
    assert found["teacher"] is None
    assert found["beside"] == {"unprocessed": {"val": 1.2, "test": None}}
    assert len(found["hypervolume"]) == 3


def test_other_scenes_than_those_that_were_scored_are_not_heard(run_folder: Path, scored_set: ExampleSet) -> None:
    content = read_json(run_folder / "test_scores.json") | {"set": "another"}
    write_json(run_folder / "test_scores.json", content)
    found = gather(run_folder, scored_set)
    assert found["scenes"] == []
    assert "others than those that were scored" in found["silent"]
    assert found["below_input"]["students"] == {"0": 1, "2": 0}


def test_a_member_without_weights_is_left_out_where_it_would_run(run_folder: Path, scored_set: ExampleSet) -> None:
    (run_folder / "students" / "0000" / "best.safetensors").unlink()
    found = gather(run_folder, scored_set)
    assert set(found["frames"]) == {"teacher", "2"}
    assert len(found["students"]) == 3


def test_other_seeds_and_former_members_of_the_front_count_for_nothing(
    run_folder: Path, scored_set: ExampleSet
) -> None:
    before = gather(run_folder, scored_set)
    records = read_json(run_folder / "students.json")
    records[2]["trials"] = [2, 7, 8]
    write_json(run_folder / "students.json", records)
    content = read_json(run_folder / "test_scores.json")
    bad = [[1.0] * 5 for _ in range(3)]  # below the input everywhere
    content["students"] |= {"1": bad, "7": bad, "8": bad}
    write_json(run_folder / "test_scores.json", content)
    found = gather(run_folder, scored_set)
    assert found["below_input"] == {"of": 15, "students": {"0": 1, "2": 0}}
    heard, earlier = (
        [(one["clip"], one["snr_db"], one["worse"]) for one in each["scenes"]] for each in (found, before)
    )
    assert heard == earlier


def test_a_scene_is_heard_for_students_that_can_be_heard(run_folder: Path, scored_set: ExampleSet) -> None:
    (run_folder / "students" / "0000" / "best.safetensors").unlink()
    found = gather(run_folder, scored_set)
    assert found["below_input"]["students"] == {"0": 1, "2": 0}
    assert [scene["worse"] for scene in found["scenes"]] == [{}, {}, {}]


def test_only_students_whose_weights_are_there_can_be_exported(run_folder: Path) -> None:
    records = read_json(run_folder / "students.json")
    records[1]["checkpoint"] = None
    write_json(run_folder / "students.json", records)
    found = gather(run_folder)
    assert [student["kept"] for student in found["students"]] == [True, False, True]
    assert found["folder"] == str(run_folder.resolve())


def test_a_search_without_a_finished_student_is_refused(run_folder: Path) -> None:
    write_json(run_folder / "students.json", [])
    with pytest.raises(InputError, match=r"no student of .* has finished"):
        gather(run_folder)
