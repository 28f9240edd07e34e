"""What a run has recorded in its ``{model}_train.jsonl``, which a resumed run continues. Needs no Paddle."""

import json
import math
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_LARGEST_NUMBER = 1e100
_LARGEST = 2**53  # of an epoch or a step: what a float64 tells from its neighbours


class Steps:
    """The training steps that were logged, a column for each number. Where a run went back, what it redid counts."""

    def __init__(self):
        self._places = []  # (epoch, iter) in order
        self._columns: dict[str, array] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, epoch: int, number: int, values: dict[str, float]) -> None:
        while self._places and self._places[-1] >= (epoch, number):
            self._places.pop()
            for column in self._columns.values():
                column.pop()
        for name in values.keys() - self._columns.keys():
            self._columns[name] = array("d", [math.nan] * len(self))
        self._places.append((epoch, number))
        for name, column in self._columns.items():
            column.append(values.get(name, math.nan))

    def forget(self, epoch: int) -> None:
        """Drop the steps from an epoch on."""
        while self._places and self._places[-1][0] >= epoch:
            self._places.pop()
            for column in self._columns.values():
                column.pop()

    def column(self, name: str) -> np.ndarray:
        """(steps,) float64, NaN where a step has no such number."""
        return np.array(self._columns.get(name, [math.nan] * len(self)), np.float64)

    def values(self) -> dict[str, np.ndarray]:
        return {name: self.column(name) for name in self._columns}

    def taken(self) -> tuple[np.ndarray, bool]:
        """How many steps had been taken when each of these had, and whether that was recorded.

        Earlier versions did not record it; then it is as if every epoch were as long as the longest step tells.
        """
        taken = self.column("steps_taken")
        if np.isfinite(taken).all():
            return taken, True
        places = np.array(self._places, np.float64).reshape(-1, 2)
        return places[:, 0] * (places[:, 1].max(initial=0) + 1) + places[:, 1] + 1, False


class History:
    """A run so far. ``update`` reads on from where it was read to before.

    starts: of train.py, of which all but the first resumed. epochs: of training, with their scores. validations: those
    of averaged weights behind those of the epoch itself; epoch -1 is before training. skipped: section -> what is wrong
    with each record that was skipped. end: what the run ended with, None while it runs and where it was killed.
    earlier_runs: how many others the file holds. busy_sec: from each start to the last that was recorded after it.
    """

    def __init__(self, path: Path):
        self.path = path
        self._read = self._bad_lines = self.earlier_runs = 0
        self.is_cut = False
        self._clear()

    def _clear(self) -> None:
        self.starts: list[dict] = []
        self.epochs: list[dict] = []
        self.validations: list[dict] = []
        self.skipped: dict[str, list[str]] = {}
        self.steps = Steps()
        self.end: dict | None = None
        self.busy_sec, self._last_sec = 0.0, None

    @property
    def damaged(self) -> int:
        """How many lines could not be read, such as the last one of a run that was killed."""
        return self._bad_lines + self.is_cut

    @property
    def is_empty(self) -> bool:
        return not (len(self.steps) or self.epochs or self.validations)

    def flags(self) -> dict[str, str]:
        """Flag -> value of those of the last start that were not as by default."""
        flags = self.starts[-1].get("flags") if self.starts else None
        return {str(name): str(value) for name, value in flags.items()} if isinstance(flags, dict) else {}

    def update(self) -> None:
        """Take in what has been written since. Raises OSError for a file that cannot be read."""
        for event in self._read_events():
            self._take(event)

    def _read_events(self) -> Iterator[dict]:
        self.is_cut = False
        with open(self.path, "rb") as file:
            file.seek(self._read)
            for line in file:
                event = _parse(line)
                if event is None and not line.endswith(b"\n"):
                    self.is_cut = True
                    return  # it may come again, whole
                self._read += len(line)
                if event is not None:
                    yield event
                elif line.strip():
                    self._bad_lines += 1

    def _take(self, event: dict) -> None:
        kind, epoch, now = event.get("event"), event.get("epoch"), event.get("time")
        if kind == "begin":  # earlier versions let several runs write to one file
            self.earlier_runs += not self.is_empty
            self._clear()
        elif kind == "start":
            self.starts.append(event)
            self.end, self._last_sec = None, None
        elif kind == "end":
            self.end = event
        elif kind == "skipped" and isinstance(event.get("texts"), list):
            self.skipped[str(event.get("section"))] = [str(text) for text in event["texts"]]
        elif _is_whole(epoch, least=-1):
            self._take_numbers(kind, epoch, event)
        if self.starts and isinstance(now, int | float) and math.isfinite(now := _bounded(now)):
            self.busy_sec += max(now - self._last_sec, 0) if self._last_sec is not None else 0
            self._last_sec = now

    def _take_numbers(self, kind: Any, epoch: int, event: dict) -> None:
        if not event.get("averaged"):
            _forget(self.validations, epoch)
        if kind == "train_step" and _is_whole(number := event.get("iter")):
            self.steps.add(epoch, number, _numbers(event))
            _forget(self.epochs, epoch)
        elif kind == "train_epoch":
            _forget(self.epochs, epoch)
            self.epochs.append(_of_epoch(epoch, event))
            self.steps.forget(epoch + 1)
        elif kind == "valid_epoch":
            self.validations.append({"averaged": event.get("averaged") is True, **_of_epoch(epoch, event)})


def _forget(events: list[dict], epoch: int) -> None:
    """Drop those of an epoch and later ones, which stand behind the others."""
    while events and events[-1]["epoch"] >= epoch:
        events.pop()


def _parse(line: bytes) -> dict | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _is_whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < _LARGEST


def _of_epoch(epoch: int, event: dict) -> dict:
    return {**_numbers(event), "epoch": epoch}


def _numbers(event: dict) -> dict[str, float]:
    """All that is a number in an event, but for its place and its time."""
    found = {}
    for name, value in event.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in ("epoch", "iter", "time"):
            found[name] = _bounded(value)
    return found


def _bounded(value: float) -> float:
    """A number that can be added and drawn: what no run measures, such as 1e308, is infinite."""
    return math.inf if value >= _LARGEST_NUMBER else -math.inf if value <= -_LARGEST_NUMBER else float(value)
