"""Charts of runs: what they measured, over steps and epochs.

One run has its training and its validation in one chart. Several have charts for each, with a line a run.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tools.inference.evaluation_blocks import show
from tools.pages.charts import LineChart, Series
from tools.training.history import History

Run = tuple[str, History, Any]  # what lines of it are called, "" where there is one run; None for an unknown metric
_OF_SPEED = ("videos_per_sec", "data_wait", "learning_rate", "data_sec", "step_sec", "steps_taken", "videos")


def list_epoch_charts(runs: Sequence[Run]) -> list[LineChart]:
    """Loss, scores and speed over epochs."""
    curves = _Curves("epoch")
    for place, (label, history, metric) in enumerate(runs):
        for kind, events in _kinds(history):
            for name, values in show(metric, _columns(events, but=_OF_SPEED)).items():
                x = [event["epoch"] for event in events]
                if label:
                    curves.add(name, f" in {kind}", label, x, values, place)
                else:
                    curves.add(name, "", kind, x, values)
        of_epochs = _columns(history.epochs, but=())
        x = [event["epoch"] for event in history.epochs]
        if "videos_per_sec" in of_epochs:
            curves.add("videos a second", "", label or "training", x, of_epochs["videos_per_sec"], place)
        if "data_wait" in of_epochs:
            curves.add("waiting for data, %", "", label or "training", x, 100 * of_epochs["data_wait"], place)
    return curves.charts()


def list_step_charts(runs: Sequence[Run]) -> list[LineChart]:
    """Loss, learning rate, scores and speed over steps."""
    curves = _Curves("step")
    for place, (label, history, metric) in enumerate(runs):
        steps, name_of_line = history.steps, label or "training"
        if not len(steps):
            continue
        x, values = steps.taken()[0], steps.values()
        scores = {name: column for name, column in values.items() if name not in _OF_SPEED}
        for name, column in show(metric, scores).items():
            curves.add(name, "", name_of_line, x, column, place)
        for key, name in (("learning_rate", "learning rate"), ("videos_per_sec", "videos a second")):
            if key in values:
                curves.add(name, "", name_of_line, x, values[key], place)
        for key, kind in (("step_sec", "computing"), ("data_sec", "waiting for data")):
            if key in values and not label:
                curves.add("time of a step, ms", "", kind, x, 1000 * values[key])
    return curves.charts()


def _kinds(history: History) -> list[tuple[str, list[dict]]]:
    """The events of an epoch with scores, by what their lines are called."""
    plain = [one for one in history.validations if not one["averaged"]]
    averaged = [one for one in history.validations if one["averaged"]]
    kinds = [("training", history.epochs), ("validation", plain), ("validation of averaged weights", averaged)]
    return [(kind, events) for kind, events in kinds if events]


def _columns(events: list[dict], but: Sequence[str]) -> dict[str, np.ndarray]:
    """Name -> (events,) float64, NaN where an event has no such number."""
    names = dict.fromkeys(name for event in events for name in event if name not in ("epoch", "averaged", *but))
    return {name: np.array([event.get(name, np.nan) for event in events]) for name in names}


class _Curves:
    """Lines by the chart that they belong into, in the order in which charts were first named."""

    def __init__(self, over: str):
        self._over = over
        self._series: dict[tuple[str, str], list[Series]] = {}

    def add(self, name: str, of_what: str, line: str, x, y, style: int | None = None) -> None:
        """name, of_what: of the chart, which is called as both together, without the unit of its values."""
        self._series.setdefault((name, of_what), []).append(Series(line, x, y, style))

    def charts(self) -> list[LineChart]:
        found = []
        for (name, of_what), series in self._series.items():
            name, comma, unit = name.partition(", ")
            title, log_wanted = f"{name}{of_what}{comma}{unit}", name == "learning rate"
            chart = LineChart(
                title, self._over, series, f" {unit}" * bool(unit),
                log_wanted=log_wanted, floor=0, ceiling=100 if unit == "%" else math.inf,
            )  # fmt: skip
            if chart.drawing is not None:
                found.append(chart)
        return found
