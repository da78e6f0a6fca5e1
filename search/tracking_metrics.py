"""The metrics of a search's MLflow runs: curves, which have a point a step, and figures, of which the last counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search.outbox import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric


@dataclass
class _Curve:
    """A metric as the store has it.

    Attributes:
        steps: those with a point.
        shown: the point whose value MLflow shows as the metric's: the last, by step and then by time.
    """

    steps: set[int] = field(default_factory=set)
    shown: Metric | None = None

    def add(self, point: Metric) -> None:
        self.steps.add(point.step)
        order = (point.step, point.timestamp, point.value)
        if self.shown is None or order > (self.shown.step, self.shown.timestamp, self.shown.value):
            self.shown = point


class Metrics:
    """Writes metrics so that a record sent twice, or by a search that was resumed, is there once.

    Args:
        client: of the store. Nobody else writes metrics of the same runs.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._curves: dict[tuple[str, str], _Curve] = {}  # by run id and metric

    def log(self, run_id: str, record: Record) -> None:
        """Writes points of curves; what the store has at the record's step stays."""
        from mlflow.entities import Metric

        # The time is the record's: sent a second time, a point is the same point and the store keeps one.
        points = [
            Metric(name, value, record.time_ms, record.step)
            for name, value in record.content.items()
            if record.step not in self._curve(run_id, name).steps
        ]
        self._send(run_id, points)

    def figures(self, run_id: str, record: Record) -> None:
        """Writes values that MLflow is to show from now on; those that it shows already are left."""
        from mlflow.entities import Metric

        points = []
        for name, value in record.content.items():
            step, time_ms, shown = record.step, record.time_ms, self._curve(run_id, name).shown
            if shown is not None and shown.step >= step:
                if shown.value == value:
                    continue
                step, time_ms = shown.step, max(time_ms, shown.timestamp + 1)  # of one step, MLflow shows the latest
            points.append(Metric(name, value, time_ms, step))
        self._send(run_id, points)

    def forget(self, run_id: str) -> None:
        """Frees what is held of a run that has ended; it is asked for again should anything more be written."""
        for key in [key for key in self._curves if key[0] == run_id]:
            del self._curves[key]

    def _send(self, run_id: str, points: list[Metric]) -> None:
        if points:
            self._client.log_batch(run_id, metrics=points)
        for point in points:
            self._curves[run_id, point.key].add(point)

    def _curve(self, run_id: str, name: str) -> _Curve:
        if (run_id, name) not in self._curves:
            curve = _Curve()
            for point in self._client.get_metric_history(run_id, name):
                curve.add(point)
            self._curves[run_id, name] = curve
        return self._curves[run_id, name]
