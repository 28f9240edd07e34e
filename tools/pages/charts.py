"""Charts as SVG: what is drawn where. Templates write it down, and a script reads values out under the pointer."""

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tools.pages.scales import Scale, format_number, make_scale, span_scale
from tools.pages.texts import show_text
from tools.pages.thinning import Curve, thin

# Pixels of a drawing. On a phone it is about as wide as the screen, so that its letters keep their size.
WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 410, 10, 208
X_TICKS, Y_TICKS = 6, 6
MOST_DOTS = 40  # a curve of so many points or fewer has a dot at each
STYLES = 28  # different looks of lines in the style sheet; more begin again


@dataclass(frozen=True)
class Series:
    """A line of a chart. x, y: (N,), y NaN where there is no value. style: its looks; None for those of its place."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: int | None = None


@dataclass(frozen=True)
class Line:
    """One line as it is drawn. path, band, dots: what stands in an SVG path's d; "" for none."""

    name: str
    style: int
    path: str
    band: str = ""
    dots: str = ""


@dataclass(frozen=True)
class Drawing:
    """What a template needs. Ticks are (px, text). about: what the chart shows, in words. values: for the script."""

    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    about: str
    values: str
    note: str = ""


@dataclass(frozen=True)
class LineChart:
    """Lines over one axis. unit: behind values, with the space before it. log_wanted: where values are far apart.

    whole: the axis below counts something. floor, ceiling: the least and the most that a value can be.
    """

    template: ClassVar[str] = "line_chart.html"

    title: str
    x_title: str
    series: Sequence[Series]
    unit: str = ""
    whole: bool = True
    log_wanted: bool = False
    floor: float = -math.inf
    ceiling: float = math.inf

    @functools.cached_property
    def drawing(self) -> Drawing | None:
        """None where there is nothing to draw."""
        styles = [i if one.style is None else one.style for i, one in enumerate(self.series)]
        curves = [(style, one.name, thin(one.x, one.y)) for style, one in zip(styles, self.series, strict=True)]
        curves = [(style, name, curve) for style, name, curve in curves if np.isfinite(curve.y).any()]
        if not curves:
            return None
        ends = np.concatenate(
            [values[np.isfinite(values)] for *_, curve in curves for values in (curve.low, curve.high)]
        )
        places = np.concatenate([curve.x for *_, curve in curves])
        across = span_scale(float(places.min()), float(places.max()), LEFT + 6, RIGHT - 6)
        up = make_scale(ends, BOTTOM, TOP, is_log=self.log_wanted, floor=self.floor, ceiling=self.ceiling)
        lines = [Line(name, style % STYLES, *_paths(curve, across, up)) for style, name, curve in curves]
        thinned = max(curve.of_each for *_, curve in curves)
        note = f"Many points: a line is the mean of up to {thinned:,} at a time, the band shows all of them."
        return Drawing(
            lines,
            _clip_ticks(across.ticks(X_TICKS, whole=self.whole), LEFT, RIGHT),
            _clip_ticks(up.ticks(Y_TICKS), TOP, BOTTOM),
            " ".join(self._describe(name, curve) for _, name, curve in curves),
            self._values(curves, across),
            note * (thinned > 1),
        )

    def _describe(self, name: str, curve: Curve) -> str:
        """A curve in words."""
        there = np.flatnonzero(np.isfinite(curve.y))
        first, last = (
            f"{format_number(curve.y[i])}{self.unit} at {self.x_title} {format_number(curve.x[i])}"
            for i in there[[0, -1]]
        )
        least, greatest = (format_number(value) for value in (np.nanmin(curve.low), np.nanmax(curve.high)))
        course = f"{first}" if len(there) == 1 else f"from {first} to {last}"
        return f"{name}: {course}; least {least}{self.unit}, greatest {greatest}{self.unit}."

    def _values(self, curves: list[tuple[int, str, Curve]], across: Scale) -> str:
        series = [
            {"name": show_text(name), "x": _numbers(curve.x, 12), "y": _numbers(curve.y)}
            | ({"low": _numbers(curve.low), "high": _numbers(curve.high)} if curve.has_band else {})
            for _, name, curve in curves
        ]
        scale = [across.low, across.high, across.start, across.end]
        return json.dumps({"over": self.x_title, "unit": self.unit, "scale": scale, "series": series})


@dataclass(frozen=True)
class DotChart:
    """A dot for each of many things. names: of the things. x is drawn by powers of ten where values are far apart.

    No value is below 0, and no y above the ceiling.
    """

    template: ClassVar[str] = "dot_chart.html"

    title: str
    x_title: str
    y_title: str
    names: Sequence[str]
    x: Sequence[float]
    y: Sequence[float]
    unit: str = ""
    ceiling: float = math.inf

    @functools.cached_property
    def drawing(self) -> Drawing | None:
        """None where there is nothing to draw."""
        if not len(self.x):
            return None
        x, y = np.asarray(self.x, np.float64), np.asarray(self.y, np.float64)
        across = make_scale(x, LEFT + 6, RIGHT - 6, is_log=True, floor=0)
        up = make_scale(y, BOTTOM, TOP, floor=0, ceiling=self.ceiling)
        places = list(zip(across.place(x), up.place(y), strict=True))
        about = (
            f"{len(x):,} dots. {self.x_title}: {format_number(x.min())} to {format_number(x.max())}. "
            f"{self.y_title}: {format_number(y.min())}{self.unit} to {format_number(y.max())}{self.unit}, "
            f"half of them at {format_number(float(np.median(y)))}{self.unit} or more."
        )
        values = {"over": self.x_title, "unit": self.unit, "of": self.y_title}
        values |= {"names": [show_text(name) for name in self.names]}
        values |= {"x": _numbers(x), "y": _numbers(y), "places": [[round(a, 1), round(b, 1)] for a, b in places]}
        return Drawing(
            [Line("", 0, "", dots=_dots(places))],
            _clip_ticks(across.ticks(X_TICKS, whole=True), LEFT, RIGHT),
            _clip_ticks(up.ticks(Y_TICKS), TOP, BOTTOM),
            about,
            json.dumps(values),
        )


@dataclass(frozen=True)
class Bar:
    """One bar of a drawing, in px; where its label stands, and its text."""

    left: float
    top: float
    width: float
    height: float
    label: str
    text: str


@dataclass(frozen=True)
class BarChart:
    """Upright bars, each with its label below and its value above. values: (N,) 0 or more."""

    template: ClassVar[str] = "bar_chart.html"

    title: str
    x_title: str
    y_title: str
    labels: Sequence[str]
    values: Sequence[float]
    unit: str = ""

    @functools.cached_property
    def drawing(self) -> tuple[list[Bar], str] | None:
        """The bars, and what they show in words; None where there are none."""
        if not len(self.values):
            return None
        largest = max(self.values) or 1
        room = (RIGHT - LEFT) / len(self.values)
        bars = []
        for i, (label, value) in enumerate(zip(self.labels, self.values, strict=True)):
            height = (BOTTOM - TOP - 16) * value / largest
            place = LEFT + (i + 0.1) * room, BOTTOM - height, 0.8 * room, height
            bars.append(Bar(*(round(number, 1) for number in place), label, f"{format_number(value)}{self.unit}"))
        return bars, "; ".join(f"{bar.label}: {bar.text}" for bar in bars)


def _paths(curve: Curve, across: Scale, up: Scale) -> tuple[str, str, str]:
    """The line through a curve's points, its band, and its dots; a point without a value leaves a gap."""
    x, y = across.place(curve.x), up.place(curve.y)
    runs = _runs(np.isfinite(y))
    path = "".join(_polyline(x[run], y[run]) for run in runs)
    band = ""
    if curve.has_band:
        low, high = up.place(curve.low), up.place(curve.high)
        edges = ((np.r_[x[run], x[run][::-1]], np.r_[high[run], low[run][::-1]]) for run in runs)
        band = "".join(f"{_polyline(*edge)}Z" for edge in edges)
    alone = [run for run in runs if run.stop - run.start == 1]
    shown = runs if len(x) <= MOST_DOTS else alone
    return path, band, "".join(_dots(zip(x[run], y[run], strict=True)) for run in shown)


def _runs(is_there: np.ndarray) -> list[slice]:
    """The stretches of True."""
    edges = np.flatnonzero(np.diff(np.r_[0, is_there.astype(np.int8), 0]))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _polyline(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _dots(places) -> str:
    """Lines of no length, which round ends make dots: much shorter than a circle each."""
    return "".join(f"M{a:.1f} {b:.1f}h0" for a, b in places)


def _clip_ticks(ticks: list[tuple[float, str]], start: float, end: float) -> list[tuple[float, str]]:
    return [(round(place, 1), text) for place, text in ticks if start <= place <= end]


def _numbers(values: np.ndarray, digits: int = 6) -> list[float | int | None]:
    """For JSON: six digits of a value are more than a chart shows."""
    found = (float(f"{value:.{digits}g}") for value in values.tolist())
    return [None if value != value else int(value) if value.is_integer() else value for value in found]
