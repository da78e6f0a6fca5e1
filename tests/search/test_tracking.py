from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from data.files import read_json, write_json
from search.tracking import Tracker
from search.tracking_store import default_uri, prepare_store

LONG = 30.0  # seconds; a limit that is only reached by a failing test
PARAMS = {"f_hidden": 80, "t_hidden": 32, "kd_method": "t-lstm", "alpha_schedule": "two-stage", "init": "slice"}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One SQLite store for all tests: making its tables takes seconds. Each test has a search of its own in it."""
    uri = default_uri(tmp_path_factory.mktemp("a store"))
    prepare_store(uri)
    return uri


@pytest.fixture
def begin(uri: str, tmp_path: Path) -> Iterator[Callable[[], Tracker]]:
    """Opens the test's search, again and again as a resumed one."""
    trackers: list[Tracker] = []

    def begin() -> Tracker:
        tracker = Tracker(uri, "students", tmp_path / "runs" / "demo")
        tracker.open("demo", {"budget": "1.0GMAC"}, {"preset": "demo"})
        trackers.append(tracker)
        return tracker

    yield begin
    for tracker in trackers:
        tracker.close("KILLED")


@pytest.fixture
def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri)


def steps(client: Any, run_id: str | None, metric: str) -> list[int]:
    return sorted(point.step for point in client.get_metric_history(run_id, metric))


def parent_of(client: Any, run_id: str | None) -> str:
    return str(client.get_run(run_id).data.tags["mlflow.parentRunId"])


def test_a_search_is_a_parent_run_with_a_child_a_student(begin: Callable[[], Tracker], client: Any) -> None:
    tracker = begin()
    tracker.student(7, PARAMS, "80/32 t-lstm")
    for epoch in range(3):
        tracker.log(7, {"loss_val": 0.5 - 0.1 * epoch, "lr": 5e-4}, epoch)
    tracker.log(7, {"pesq": 1.9, "pesq_m5db": 1.4}, 2)
    tracker.tag_student(7, {"front": "yes"})
    tracker.figures(None, {"hypervolume": 0.3}, 1)
    tracker.describe("# Front")
    tracker.end_student(7, "FINISHED")
    assert tracker.flush(LONG)

    run = client.get_run(tracker.run_id(7))
    assert run.info.run_name == "80/32 t-lstm"
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in PARAMS.items()}
    assert run.data.metrics == pytest.approx({"loss_val": 0.3, "lr": 5e-4, "pesq": 1.9, "pesq_m5db": 1.4})
    assert steps(client, tracker.run_id(7), "loss_val") == [0, 1, 2]
    wanted = {"trial": "7", "kd_method": "t-lstm", "alpha_schedule": "two-stage", "init": "slice", "front": "yes"}
    assert wanted.items() <= run.data.tags.items()

    parent = client.get_run(parent_of(client, tracker.run_id(7)))
    assert parent.info.run_name == "demo"
    assert parent.info.status == "RUNNING"
    assert run.data.tags["search_name"] == "demo"  # students of several searches are told apart in one list
    assert parent.data.params == {"budget": "1.0GMAC"}
    assert {"preset": "demo", "search": "demo", "mlflow.note.content": "# Front"}.items() <= parent.data.tags.items()
    assert parent.data.metrics == {"hypervolume": 0.3}


def test_the_run_folder_tells_where_the_search_is_shown(
    begin: Callable[[], Tracker], client: Any, uri: str, tmp_path: Path
) -> None:
    tracker = begin()
    noted = read_json(tmp_path / "runs" / "demo" / "tracking.json")
    parent = client.get_run(noted["parent_run_id"])
    assert parent.info.experiment_id == noted["experiment_id"]
    assert parent.data.tags["search_id"] == noted["search_id"]
    assert noted["page"] == tracker.page()
    run = f"/#/experiments/{noted['experiment_id']}/runs/{noted['parent_run_id']}?workflowType=machine_learning"
    assert tracker.own_page() == f"http://127.0.0.1:5000{run}"
    again = begin()
    assert read_json(tmp_path / "runs" / "demo" / "tracking.json") == noted
    assert again.page() == tracker.page()


def test_close_leaves_no_run_without_its_final_state(begin: Callable[[], Tracker], client: Any) -> None:
    tracker = begin()
    for number in range(3):
        tracker.student(number, PARAMS, f"student {number}")
    tracker.end_student(0, "FINISHED")
    tracker.end_student(1, "FAILED")
    tracker.close("FINISHED")
    assert [client.get_run(tracker.run_id(number)).info.status for number in range(3)] == [
        "FINISHED",
        "FAILED",
        "KILLED",
    ]
    assert client.get_run(parent_of(client, tracker.run_id(0))).info.status == "FINISHED"


def test_a_resumed_search_continues_its_runs_and_repeats_no_step(
    begin: Callable[[], Tracker], client: Any, uri: str
) -> None:
    first = begin()
    for number in (0, 1):
        first.student(number, PARAMS, f"student {number}")
        for epoch in range(3):
            first.log(number, {"loss_val": 0.5}, epoch)
    first.figures(None, {"hypervolume": 0.3}, 1)
    assert first.flush(LONG)  # and then its driver is killed: no final states

    second = begin()
    assert second.run_id(0) == first.run_id(0)
    assert second.run_id(1) == first.run_id(1)
    assert client.get_run(first.run_id(0)).info.status == "KILLED"
    parent = parent_of(client, first.run_id(0))
    assert client.get_run(parent).info.status == "RUNNING"

    second.student(1, PARAMS | {"epochs": 30, "init": "random"}, "student 1")
    for epoch in range(2, 5):
        second.log(1, {"loss_val": 0.4}, epoch)
    second.log(1, {"pesq": 1.9}, 2)  # new at a step whose loss is there already
    second.figures(None, {"hypervolume": 0.3}, 1)
    second.student(2, PARAMS, "student 2")
    assert second.flush(LONG)
    run = client.get_run(second.run_id(1))
    assert run.info.status == "RUNNING"
    assert run.data.params["epochs"] == "30"
    assert run.data.params["init"] == "slice"  # what it began with: MLflow's parameters never change
    assert second.lost == 0
    assert steps(client, run.info.run_id, "loss_val") == [0, 1, 2, 3, 4]
    assert steps(client, run.info.run_id, "pesq") == [2]
    assert [point.value for point in client.get_metric_history(parent, "hypervolume")] == [0.3]
    assert parent_of(client, second.run_id(2)) == parent


def test_a_figure_said_later_is_the_one_shown_though_its_step_is_no_higher(
    begin: Callable[[], Tracker], client: Any
) -> None:
    first = begin()
    first.student(0, PARAMS, "student 0")
    for epoch in (1, 2):
        first.log(0, {"pesq": 1.0 + epoch}, epoch)
    first.figures(0, {"pesq": 2.0}, 2)  # of its best epoch
    first.figures(None, {"front_size": 4, "hypervolume": 0.5}, 3)
    first.figures(None, {"front_size": 2, "hypervolume": 0.5}, 3)  # a repeat took members from the front
    first.end_student(0, "FINISHED")
    assert first.flush(LONG)
    run, parent = first.run_id(0), parent_of(client, first.run_id(0))
    assert client.get_run(run).data.metrics["pesq"] == 2.0
    assert client.get_run(parent).data.metrics == {"front_size": 2, "hypervolume": 0.5}
    assert steps(client, parent, "hypervolume") == [3]  # no second point for what is shown already

    second = begin()  # the student had been cut short, and goes on
    second.student(0, PARAMS, "student 0")
    second.log(0, {"pesq": 2.5}, 3)
    second.figures(None, {"front_size": 5}, 2)
    assert second.flush(LONG)
    assert client.get_run(run).data.metrics["pesq"] == 2.5
    assert steps(client, run, "pesq") == [1, 2, 2, 3]
    assert client.get_run(parent).data.metrics["front_size"] == 5


def test_a_new_search_of_an_old_name_gets_runs_of_its_own(uri: str, tmp_path: Path) -> None:
    trackers = [Tracker(uri, "students", tmp_path / place / "demo") for place in ("here", "there")]
    first, second = (tracker.open("demo", {}, {}) for tracker in trackers)
    assert first != second
    for tracker in trackers:
        tracker.close("FINISHED")


def test_values_that_are_no_finite_numbers_are_dropped(begin: Callable[[], Tracker], client: Any) -> None:
    tracker = begin()
    tracker.student(0, PARAMS, "student")
    missing: Any = None
    tracker.log(0, {"loss_val": float("nan"), "loss_train": float("inf"), "loss_soft": missing, "lr": 5e-4}, 0)
    assert tracker.flush(LONG)
    assert client.get_run(tracker.run_id(0)).data.metrics == {"lr": 5e-4}
    assert tracker.lost == 0


def test_log_returns_while_the_store_hangs(
    begin: Callable[[], Tracker], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = begin()
    tracker.student(0, PARAMS, "student")
    assert tracker.flush(LONG)
    entered, release = threading.Event(), threading.Event()
    log_batch = type(client).log_batch

    def hang(*args: Any, **kwargs: Any) -> Any:
        entered.set()
        assert release.wait(LONG)
        return log_batch(*args, **kwargs)

    monkeypatch.setattr(type(client), "log_batch", hang)
    tracker.log(0, {"loss_val": 0.5}, 0)
    assert entered.wait(LONG)
    tracker.log(0, {"loss_val": 0.4}, 1)  # comes back although the store is held inside the first call
    assert not release.is_set()
    release.set()
    assert tracker.flush(LONG)
    assert steps(client, tracker.run_id(0), "loss_val") == [0, 1]


def test_an_outage_that_ends_loses_and_doubles_nothing(
    begin: Callable[[], Tracker], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = begin()
    failed = threading.Event()
    create_run = type(client).create_run

    def lose_the_answer(*args: Any, **kwargs: Any) -> None:
        """The run is made and the caller never hears of it."""
        create_run(*args, **kwargs)
        raise ConnectionError("no answer")

    def fail(*args: Any, **kwargs: Any) -> None:
        failed.set()
        raise ConnectionError("nobody there")

    with monkeypatch.context() as outage:
        outage.setattr(type(client), "create_run", lose_the_answer)
        outage.setattr(type(client), "log_batch", fail)
        tracker.student(0, PARAMS, "student")
        tracker.log(0, {"loss_val": 0.5}, 0)
        tracker.end_student(0, "FINISHED")
        assert failed.wait(LONG)
    assert tracker.flush(LONG)
    assert tracker.lost == 0
    run = client.get_run(tracker.run_id(0))
    assert run.info.status == "FINISHED"
    assert run.data.params["f_hidden"] == "80"
    assert steps(client, run.info.run_id, "loss_val") == [0]
    parent = parent_of(client, run.info.run_id)
    children = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert len(children) == 1


def test_what_the_store_refuses_is_kept_in_the_run_folder_and_the_rest_is_written(
    begin: Callable[[], Tracker], client: Any, tmp_path: Path
) -> None:
    tracker = begin()
    tracker.student(0, PARAMS, "student")
    tracker.log(0, {"a name with #": 1.0}, 4)
    tracker.log(1, {"loss_val": 0.5}, 0)  # never begun
    tracker.log(0, {"loss_val": 0.5}, 0)
    assert tracker.flush(LONG)
    assert steps(client, tracker.run_id(0), "loss_val") == [0]
    lines = (tmp_path / "runs" / "demo" / "tracking-lost.jsonl").read_text().splitlines()
    lost = [json.loads(line) for line in lines]
    assert [(line["student"], line["step"], line["content"]) for line in lost] == [
        (0, 4, {"a name with #": 1.0}),
        (1, 0, {"loss_val": 0.5}),
    ]
    assert tracker.lost == 2


def test_artifacts_go_to_the_parent_and_a_changed_file_replaces_the_earlier(
    begin: Callable[[], Tracker], client: Any, tmp_path: Path
) -> None:
    tracker = begin()
    tracker.student(0, PARAMS, "student")
    path = tmp_path / "front.csv"
    for content in ("trial\n", "trial\n0\n"):
        path.write_text(content)
        tracker.artifact(path)
        assert tracker.flush(LONG)
    parent = parent_of(client, tracker.run_id(0))
    assert [file.path for file in client.list_artifacts(parent)] == ["front.csv"]
    (tmp_path / "copy").mkdir()
    downloaded = client.download_artifacts(parent, "front.csv", str(tmp_path / "copy"))
    assert Path(downloaded).read_text() == "trial\n0\n"


def test_no_password_reaches_the_store(client: Any, uri: str, tmp_path: Path) -> None:
    address = "postgresql://me:secret@server/runs"
    search = Tracker(uri, "students", tmp_path / "other")
    parent = search.open("other", {"tracking_uri": address}, {"where": address})
    search.student(0, PARAMS | {"tracking_uri": address}, "student")
    search.tag_student(0, {"error": f"no answer from {address}"})
    search.describe(f"Written to {address}.")
    path = tmp_path / "other" / "search.json"
    write_json(path, {"tracking_uri": address, "budget": "1.0GMAC"})
    search.artifact(path)
    assert search.flush(LONG)
    runs = [client.get_run(run_id) for run_id in (parent, search.run_id(0))]
    assert [run.data.params["tracking_uri"] for run in runs] == ["postgresql://me:***@server/runs"] * 2
    assert "secret" not in str([run.to_dictionary() for run in runs])
    (tmp_path / "copy").mkdir()
    uploaded = read_json(Path(client.download_artifacts(parent, "search.json", str(tmp_path / "copy"))))
    assert uploaded == {"tracking_uri": "postgresql://me:***@server/runs", "budget": "1.0GMAC"}
    assert read_json(path)["tracking_uri"] == address  # a resumed session needs it
    search.close("FINISHED")


def test_a_tag_that_stays_the_same_is_sent_once(
    begin: Callable[[], Tracker], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = begin()
    tracker.student(0, PARAMS, "student")
    sent: list[Any] = []
    log_batch = type(client).log_batch

    def listen(*args: Any, **kwargs: Any) -> Any:
        sent.extend((tag.key, tag.value) for tag in kwargs.get("tags", ()))
        return log_batch(*args, **kwargs)

    monkeypatch.setattr(type(client), "log_batch", listen)
    for front in ("yes", "yes", "no", "no"):  # a student that leaves the front
        tracker.tag_student(0, {"front": front})
    assert tracker.flush(LONG)
    assert sent == [("front", "yes"), ("front", "no")]
    assert client.get_run(tracker.run_id(0)).data.tags["front"] == "no"


def test_long_texts_are_cut_to_what_a_store_takes(begin: Callable[[], Tracker], client: Any) -> None:
    tracker = begin()
    tracker.student(0, {"sizes": "64/16," * 1000}, "student")
    tracker.describe("| 80/32 | 1.9 |\n" * 1000)
    assert tracker.flush(LONG)
    assert len(client.get_run(tracker.run_id(0)).data.params["sizes"]) == 500
    description = client.get_run(parent_of(client, tracker.run_id(0))).data.tags["mlflow.note.content"]
    assert 4900 < len(description) <= 5000
    assert set(description.splitlines()) == {"| 80/32 | 1.9 |", "…"}
    assert tracker.lost == 0


def test_a_server_that_is_not_there_is_an_input_error_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tracker = Tracker(f"http://me:secret@127.0.0.1:{port}", "students", tmp_path / "demo")
    with pytest.raises(InputError, match=rf"http://me:\*\*\*@127.0.0.1:{port} cannot be used .*refused") as raised:
        tracker.open("demo", {}, {})
    assert "secret" not in str(raised.value)
    tracker.close("FAILED")  # nothing to do, and it says so by coming back


def test_a_search_that_can_wait_for_its_store_is_warned_once_and_loses_nothing(
    uri: str, tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, warnings, tries = Tracker(uri, "students", tmp_path / "late"), [], []
    real = tracker._runs.open

    def away_twice(*args: Any) -> None:
        tries.append(args)
        if len(tries) < 3:
            raise ConnectionRefusedError("nobody there")
        real(*args)

    monkeypatch.setattr(tracker._runs, "open", away_twice)
    tracker.student(0, PARAMS, "000")
    tracker.log(0, {"pesq": 1.5}, 1)
    tracker.open_patiently("late", {}, {}, warnings.append, (0.01, 0.01))
    assert len(tries) == 3
    assert len(warnings) == 1
    assert "nobody there" in warnings[0]
    tracker.close("FINISHED")
    assert tracker.lost == 0
    assert steps(client, tracker.run_id(0), "pesq") == [1]


def test_a_store_that_never_comes_is_given_up_when_the_search_ends(tmp_path: Path) -> None:
    tracker, warnings = Tracker("http://127.0.0.1:1", "students", tmp_path), []
    opening = threading.Thread(target=tracker.open_patiently, args=("x", {}, {}, warnings.append, (0.05, 0.05)))
    opening.start()
    tracker.figures(None, {"students": 1.0}, 1)
    tracker.close("FINISHED", 1.0)
    opening.join(LONG)
    assert not opening.is_alive()
    assert len(warnings) == 1
    assert tracker.lost == 1


def test_a_file_that_is_no_database_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("not a database " * 100)
    with pytest.raises(InputError, match="not a database"):
        Tracker(f"sqlite:///{path}", "students", tmp_path / "demo").open("demo", {}, {})


def test_page_is_a_command_for_a_file_and_a_link_for_a_server(tmp_path: Path) -> None:
    command = Tracker(f"sqlite:///{tmp_path}/a b/mlflow.db", "students", tmp_path / "demo").page()
    assert command.startswith("MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1 --backend-store-uri ")
    assert command.endswith(f"'sqlite:///{tmp_path}/a b/mlflow.db'")
    assert Tracker("http://me:secret@server:5000/", "students", tmp_path / "demo").page() == "http://me:***@server:5000"
    assert Tracker("http://server:5000/", "students", tmp_path / "demo").own_page() is None
