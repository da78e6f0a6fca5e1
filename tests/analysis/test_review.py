"""The page of a review: that it is whole and asks for nothing, and what it does in a browser where there is one."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import analysis.review
from analysis.evidence import Evidence, gather
from analysis.review import main, page, write_review
from data.errors import InputError
from data.examples import ExampleSet
from data.files import read_json, write_json
from data.plan import DataPlan

VOID = {"meta", "link", "img", "input", "br"}


class Checker(HTMLParser):
    """Notes what is opened and not closed, double ids, and every address."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


@pytest.fixture
def evidence(run_folder: Path, scored_set: ExampleSet) -> Evidence:
    return gather(run_folder, scored_set)


def test_the_page_is_whole_and_asks_for_nothing_from_outside(evidence: Evidence) -> None:
    text = page(evidence)
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert (checker.open, checker.faults) == ([], [])
    assert len(checker.ids) == len(set(checker.ids))
    assert all(address.startswith(("data:", "#")) for address in checker.addresses)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|importScripts", text)
    assert "{{" not in text
    anchors = [address[1:] for address in checker.addresses if address.startswith("#")]
    assert set(anchors) <= set(checker.ids)


def test_text_of_the_user_is_shown_and_never_run(evidence: Evidence) -> None:
    evidence["name"] = "</script><script>alert(1)</script>"
    text = page(evidence)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "The teacher is &lt;above&gt; all of them." in text
    (embedded,) = re.findall(r'<script type="application/json" id="evidence">(.*?)</script>', text, re.DOTALL)
    assert json.loads(embedded)["name"] == evidence["name"]


def test_the_page_holds_every_sound_and_every_student(evidence: Evidence) -> None:
    text = page(evidence)
    for scene in evidence["scenes"]:
        for track in scene["tracks"]:
            assert track["audio"] in text
            assert track["spectrogram"] in text
    (embedded,) = re.findall(r'<script type="application/json" id="evidence">(.*?)</script>', text, re.DOTALL)
    assert len(json.loads(embedded)["students"]) == 3
    assert "scenes" not in json.loads(embedded)  # they would be there twice


def test_the_table_has_the_front_with_all_costs_and_what_stands_beside(evidence: Evidence) -> None:
    (table,) = re.findall(r"<tbody>(.*?)</tbody>", page(evidence), re.DOTALL)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr.*?</tr>", table)]
    assert [row[0] or row[1] for row in rows] == ["0", "2", "teacher 12/8", "delay-and-sum", "unprocessed"]
    ms = f"{evidence['frames']['0']['p50']:.2f}"
    assert rows[0] == ["0", "10/8", "no KD", "1", "1.400", "1.35..1.45", "1.350", "1.30..1.40", "1 of 15", "0.100",
                       "0.062", "0.99", ms, "1\u202f000", "two-stage", "random start"]  # fmt: skip
    assert rows[4][4:7] == ["1.200", "", "1.200"]


def by_seeds(run_folder: Path) -> Evidence:
    """What the page shows of a search whose last student was trained by three seeds; one of them has no test score."""
    records = read_json(run_folder / "students.json")
    records[2] |= {"trials": [2, 3, 4], "seeds": 3, "pesq_val_seeds": [1.7, 1.5, 1.6], "pesq_test_seeds": [1.6, 1.5]}
    write_json(run_folder / "students.json", records)
    return gather(run_folder, None, "Without sound.")


def test_intervals_and_means_over_seeds_are_told_as_such(run_folder: Path, evidence: Evidence) -> None:
    one, several = page(evidence), page(by_seeds(run_folder))
    assert "bars are 95 % bootstrap intervals over clips. A click" in one
    assert "bars are quartiles. A line" in one
    assert "over clips. " not in several
    assert "its point is the mean over them, and its bar is over clips and seeds. A click" in several
    assert "bars are quartiles, both as means over the seeds where a student was trained by several. A line" in several
    (table,) = re.findall(r"<tbody>(.*?)</tbody>", several, re.DOTALL)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr.*?</tr>", table)]
    assert [row[3] for row in rows] == ["1", "3, test 2", "", "", ""]


def test_without_sound_the_page_says_why(run_folder: Path) -> None:
    assert "corpora are away" in page(gather(run_folder, None, "The corpora are away."))


def test_the_command_writes_the_page_anew(
    run_folder: Path, scored_set: ExampleSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(analysis.review, "scenes_of_test", lambda folder: (scored_set, ""))
    put: list[Path] = []
    monkeypatch.setattr(analysis.review, "put_beside_search", lambda folder, path: put.append(path))
    main([str(run_folder)])
    assert put == [run_folder / "review.html"]
    assert (run_folder / "review.html").read_text(encoding="utf-8").count("<audio ") == 24
    assert capsys.readouterr().out.startswith(f"written: {run_folder / 'review.html'}, ")
    main([str(run_folder), "--no-sound"])
    assert "<audio " not in (run_folder / "review.html").read_text(encoding="utf-8")


def test_a_page_that_mlflow_does_not_take_is_written_all_the_same(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(run_folder), "--no-sound"])
    assert (run_folder / "review.html").is_file()
    assert "not put into MLflow: " in capsys.readouterr().out


def test_the_command_refuses_a_folder_that_is_no_search(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no students\.json"):
        main([str(tmp_path)])


def test_corpora_that_are_away_leave_a_page_without_sound(run_folder: Path) -> None:
    settings = read_json(run_folder / "search.json")
    away = Path("/away")
    settings["data"] = DataPlan(speech=away, noise=away, rirs=away).to_dict()
    write_json(run_folder / "search.json", settings)
    write_json(run_folder / "data.json", {"sets": {name: {"digest": "x"} for name in ("score_val", "score_test")}})
    examples, why = analysis.review.scenes_of_test(run_folder)
    assert examples is None
    assert "not to be had here" in why
    assert "/away" in why


def test_corpora_that_cannot_be_read_leave_a_page_without_sound(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*_: object) -> None:
        raise PermissionError("noise/a.wav")

    settings = read_json(run_folder / "search.json")
    write_json(run_folder / "search.json", settings | {"data": DataPlan().to_dict()})
    write_json(run_folder / "data.json", {"sets": {name: {"digest": "x"} for name in ("score_val", "score_test")}})
    monkeypatch.setattr("data.plan._corpora", unread)
    examples, why = analysis.review.scenes_of_test(run_folder)
    assert examples is None
    assert why.endswith("(noise/a.wav).")


# in a browser -------------------------------------------------------------------------------------------------------

# what tests share lies beside their folders, where no import finds it
_spec = importlib.util.spec_from_file_location("browser", Path(__file__).parents[1] / "browser.py")
assert _spec is not None
assert _spec.loader is not None
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
browser, find_browser = _shared.browser, _shared.find_browser
Page = Any  # `browser.Page`

needs_browser = pytest.mark.skipif(find_browser() is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(browser(tmp_path_factory.mktemp("profile")))
        except (AssertionError, OSError) as error:
            pytest.skip(f"Chromium does not start on this machine: {error}")
        yield found


@pytest.fixture
def shown(evidence: Evidence, run_folder: Path, chromium: Page) -> Path:
    chromium.errors.clear()
    chromium.requests.clear()
    return write_review(run_folder, evidence)


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, False), (400, True)])
def test_it_loads_without_network_and_errors_and_fits_the_window(
    shown: Path, chromium: Page, width: int, dark: bool
) -> None:
    chromium.open(shown, width, dark=dark)
    assert chromium.errors == []
    assert [one for one in chromium.requests if not one.startswith("data:")] == [shown.absolute().as_uri()]
    assert chromium.run("document.documentElement.scrollWidth") <= width
    assert chromium.run("[...document.querySelectorAll('.chart')].every((chart) => chart.querySelector('svg'))")
    small = "[...document.querySelectorAll('.chart text')].filter((text) => text.getBoundingClientRect().height < 9)"
    assert chromium.run(f"{small}.length") == 0
    assert chromium.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(21, 24, 27)" if dark else "rgb(255, 255, 255)"
    )


@needs_browser
def test_the_pointer_shows_a_student_with_all_its_costs_and_scores(shown: Path, chromium: Page) -> None:
    chromium.open(shown)
    assert chromium.run("document.getElementById('tip').hidden")
    chromium.hover("#pareto .hit[data-trial='0']")
    assert not chromium.run("document.getElementById('tip').hidden")
    said = chromium.run("document.getElementById('tip').innerText").splitlines()
    assert said[:4] == [
        "10/8, no KD, alpha two-stage, random start",
        "PESQ on validation clips 1.400 [1.35, 1.45]",
        "PESQ on test clips 1.350 [1.30, 1.40]",
        "validation: unprocessed 1.200, delay-and-sum 1.250, teacher 12/8 1.700",
    ]
    assert said[4] == "0.1 GMAC (paper) = 0.062 GMAC/s = 0.992 MMAC/frame"
    assert said[-1] == "student 0, MLflow run run0"


@needs_browser
def test_the_pointer_tells_how_many_seeds_a_score_is_the_mean_of(run_folder: Path, chromium: Page) -> None:
    chromium.open(write_review(run_folder, by_seeds(run_folder)))
    chromium.hover("#pareto .hit[data-trial='2']")
    said = chromium.run("document.getElementById('tip').innerText").splitlines()
    assert said[1:3] == [
        "PESQ on validation clips 1.600 [1.55, 1.65], mean of 3 seeds",
        "PESQ on test clips 1.550 [1.50, 1.60], mean of 2 seeds",
    ]


@needs_browser
def test_of_students_that_overlap_the_nearest_is_shown(run_folder: Path, evidence: Evidence, chromium: Page) -> None:
    evidence["students"][1] |= {"gmac": 0.4, "pesq_val": 1.59}
    chromium.open(write_review(run_folder, evidence))
    for trial in ("1", "2"):
        chromium.hover(f"#pareto .hit[data-trial='{trial}']")
        assert f"student {trial}, MLflow" in chromium.run("document.getElementById('tip').innerText")


@needs_browser
def test_a_click_goes_to_the_run_on_a_server(shown: Path, chromium: Page) -> None:
    chromium.open(shown)
    assert chromium.run("document.querySelector('#pareto .hit[data-trial=\"2\"]').closest('a').href.baseVal") == (
        "http://mlflow.example/#/experiments/3/runs/run2?workflowType=machine_learning"
    )


@needs_browser
def test_without_a_server_a_click_goes_to_mlflow_on_this_machine_and_tells_its_command(
    run_folder: Path, evidence: Evidence, chromium: Page
) -> None:
    command = "mlflow ui --backend-store-uri sqlite:///x.db"
    runs = "http://127.0.0.1:5000/#/experiments/3/runs/{run}?workflowType=machine_learning"
    evidence["tracking"] = {"runs": runs, "open": None, "command": command}
    chromium.open(write_review(run_folder, evidence))
    assert chromium.run("document.querySelector('#pareto .hit[data-trial=\"2\"]').closest('a').href.baseVal") == (
        runs.replace("{run}", "run2")
    )
    chromium.hover("#pareto .hit[data-trial='2']")
    # nothing listens there: the click must not leave the page
    chromium.run("(addEventListener('click', (event) => event.preventDefault(), true), true)")
    chromium.run("(window.open = () => null, true)")
    chromium.click("#pareto .hit[data-trial='2']")
    said = chromium.run("document.getElementById('chosen').innerText")
    assert f"needs MLflow, started on this machine with this command:\n{command}" in said


@needs_browser
def test_without_an_address_a_click_shows_the_run_and_the_command(
    run_folder: Path, evidence: Evidence, chromium: Page
) -> None:
    command = "mlflow ui --backend-store-uri sqlite:///x.db"
    evidence["tracking"] = {"runs": None, "open": None, "command": command}
    chromium.open(write_review(run_folder, evidence))
    chromium.click("#pareto .hit[data-trial='2']")
    said = chromium.run("document.getElementById('chosen').innerText")
    assert "MLflow run run2" in said
    assert "mlflow ui --backend-store-uri sqlite:///x.db" in said


@needs_browser
def test_a_click_tells_how_a_student_is_exported_or_that_it_cannot_be(
    run_folder: Path, evidence: Evidence, chromium: Page
) -> None:
    evidence["tracking"] = {"runs": None, "open": None, "command": None}
    evidence["students"][1]["kept"] = False
    chromium.open(write_review(run_folder, evidence))
    said = "document.getElementById('chosen').innerText"
    chromium.click("#pareto .hit[data-trial='2']")
    assert f"python analysis/choose.py {run_folder.resolve()} --trial 2 exports it." in chromium.run(said)
    chromium.click("#pareto .hit[data-trial='1']")
    assert "choose.py" not in chromium.run(said)
    assert "weights were not kept" in chromium.run(said)


@needs_browser
def test_filters_take_methods_and_dominated_students_away_and_the_axis_changes(shown: Path, chromium: Page) -> None:
    chromium.open(shown)
    drawn = "[...document.querySelectorAll('#pareto .hit')].map((one) => one.dataset.trial).sort().join()"
    assert chromium.run(drawn) == "0,1,2"
    assert chromium.run("document.querySelectorAll('#pareto .budget').length") == 1
    place = "document.querySelector('#pareto .hit[data-trial=\"0\"]').cx.baseVal.value"
    before = chromium.run(place)
    chromium.click("#filters [name=dominated]")
    assert chromium.run(drawn) == "0,2"
    chromium.click("#filters [value=t-lstm]")
    assert chromium.run(drawn) == "0"
    chromium.click("#filters [name=log]")
    assert chromium.run(place) != before
    assert chromium.errors == []


@needs_browser
def test_sounds_play_one_at_a_time(shown: Path, chromium: Page) -> None:
    chromium.open(shown)
    playing = (
        "[...document.querySelectorAll('audio')].map((audio, i) => audio.paused ? -1 : i).filter((i) => i >= 0).join()"
    )
    chromium.click(".play", 1)
    duration = chromium.run(
        "new Promise((done) => { const a = document.querySelectorAll('audio')[1];"
        "a.ontimeupdate = () => { if (a.currentTime > 0) done([a.readyState, a.duration]); }; })"
    )
    assert duration[0] >= 2
    assert duration[1] == pytest.approx(1.05, abs=0.1)
    chromium.click(".play", 2)
    assert chromium.run(playing) in ("2", "")  # it lasts a second
    assert chromium.errors == []


@needs_browser
def test_every_sound_can_be_decoded(shown: Path, chromium: Page) -> None:
    chromium.open(shown)
    states = chromium.run(
        "Promise.all([...document.querySelectorAll('audio')].map((audio) => new Promise((done) => {"
        "audio.onloadedmetadata = () => done(audio.duration); audio.onerror = () => done(-1);"
        "audio.preload = 'auto'; audio.load(); })))"
    )
    assert len(states) == 24
    assert all(1.0 <= seconds <= 1.2 for seconds in states)


@needs_browser
def test_the_blind_comparison_tells_only_when_it_is_asked(shown: Path, chromium: Page) -> None:
    chromium.open(shown)
    assert chromium.run("document.querySelector('.blind .run').hidden")
    orders = set()
    for _ in range(20):
        chromium.click(".blind .start")
        assert chromium.run("document.querySelector('.blind output').textContent") == ""
        assert chromium.run("[...document.querySelectorAll('.blind .side')].slice(0, 2).map((b) => b.textContent)") == [
            "Sound 1", "Sound 2",
        ]  # fmt: skip
        chromium.click(".blind .reveal")
        orders.add(chromium.run("document.querySelector('.blind output').textContent"))
    assert orders == {
        "Sound 1 was: unprocessed. Sound 2 was: student 2, 12/8.",
        "Sound 1 was: student 2, 12/8. Sound 2 was: unprocessed.",
    }
    chromium.click(".blind .side", 0)
    chromium.click(".blind .side", 1)
    pressed = "[...document.querySelectorAll('.blind .side')].slice(0, 2).map((side) => side.ariaPressed).join()"
    assert chromium.run(pressed) == "false,true"
    assert chromium.errors == []


@needs_browser
def test_learning_curves_show_the_chosen_metric_and_the_borders_of_stages(shown: Path, chromium: Page) -> None:
    chromium.open(shown)
    assert chromium.run("[...document.getElementById('metric').options].map((one) => one.value).join()") == (
        "loss_val_hard,lr"
    )
    assert chromium.run("document.querySelectorAll('#curves svg .stage').length") == 3  # of one stage and of two
    points = "document.querySelectorAll('#curves .point').length"
    assert chromium.run(points) == 5
    chromium.run("(() => { metric.value = 'lr'; metric.dispatchEvent(new Event('change')); })()")
    assert chromium.run(points) == 7
