"""What MLflow knows of an earlier search: its data, its students' parameters and scores. Nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError
from data.passwords import without_password
from search.tracking_runs import first_line
from search.tracking_store import absolute_uri, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Student = tuple[dict[str, str], float]


def earlier_students(uri: str, experiment: str, name: str, data: str) -> list[Student]:
    """Parameters and validation PESQ of an earlier search's students, in the order of their numbers.

    Those that were trained to their end: what one scored that the time cut short is no score of its settings.

    Args:
        uri: of the tracking store.
        experiment: the MLflow experiment.
        name: of the search; the latest of that name on this data counts.
        data: digest of the data that they must have been trained and scored on.

    Raises:
        InputError: the store cannot be read, there is no such search, it used other data, or no student of it has a
            score.
    """
    where = without_password(uri)
    file = Path(absolute_uri(uri).removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not file.exists():  # MLflow would make it
        raise InputError(f"--warm-start {name}: there is no tracking store {where}; give --tracking-uri")
    try:
        with quiet():
            from mlflow import MlflowClient

            client = MlflowClient(absolute_uri(uri))
            found = client.get_experiment_by_name(experiment)
            parents = _runs(client, found.experiment_id, "tags.role = 'search'") if found else []
            named = [run for run in parents if run.data.tags.get("search") == name]
            same = [run for run in named if run.data.tags.get("data_digest") == data]
            students = [] if not same else _students(client, same[0])
    except Exception as error:  # MLflow, SQLAlchemy, a driver or the network: to the user it is all one
        raise InputError(
            f"--warm-start {name}: the tracking store {where} cannot be read ({first_line(error)})"
        ) from error
    if not named:
        known = sorted({run.data.tags.get("search", "") for run in parents} - {""})
        raise InputError(
            f"--warm-start {name}: no search of that name is in {where}; there are {', '.join(known[:10]) or 'none'}"
        )
    if not same:
        raise InputError(
            f"--warm-start {name}: it was trained or scored on other data, so its scores cannot be compared; use the "
            "same folders, --seed, --array and amounts of data, or leave --warm-start out"
        )
    if not students:
        raise InputError(f"--warm-start {name}: none of its students has a score; leave --warm-start out")
    return students


def _students(client: MlflowClient, parent: Run) -> list[Student]:
    runs = _runs(client, parent.info.experiment_id, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    whole = [run for run in runs if run.data.tags.get("stopped") != "time"]  # the others had fewer epochs than they say
    finished = [run for run in whole if run.data.tags.get("result") == "COMPLETE" and "pesq" in run.data.metrics]
    finished.sort(key=lambda run: int(run.data.tags["trial"]))
    return [(dict(run.data.params), float(run.data.metrics["pesq"])) for run in finished]


def _runs(client: MlflowClient, experiment: str, condition: str) -> list[Run]:
    """The latest first."""
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            [experiment], condition, max_results=1000, order_by=["attributes.start_time DESC"], page_token=token
        )
        runs += page
        token = page.token
        if not token:
            return runs
