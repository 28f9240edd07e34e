"""From values to places on a chart: the ends of an axis, its ticks, and how numbers and times are written."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_STEPS = (1, 2, 5)  # times a power of ten: what people count in
_LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Scale:
    """An axis from the value ``low`` at ``start`` px to ``high`` at ``end`` px. is_log: by powers of ten."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, values) -> np.ndarray:
        """Where values stand, in px."""
        values, low, high = np.asarray(values, np.float64), self.low, self.high
        if self.is_log:
            values, low, high = np.log10(values), math.log10(low), math.log10(high)
        return self.start + (values - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int, *, whole: bool = False) -> list[tuple[float, str]]:
        """(place in px, text) of the ticks of an axis, ``most`` of them or a few less. whole: at whole numbers only."""
        values = _powers(self.low, self.high, most) if self.is_log else None
        if not values:
            values = choose_ticks(self.low, self.high, most, whole=whole)
        return list(zip(self.place(values).tolist(), format_ticks(values), strict=True))


def make_scale(
    values: np.ndarray, start: float, end: float, *,
    is_log: bool = False, floor: float = -math.inf, ceiling: float = math.inf,
) -> Scale:  # fmt: skip
    """A scale that holds all the values, with a little room around them.

    values: (N,) finite, N at least 1. is_log: where all of them are above 0 and far apart. floor, ceiling: no value
    can be below or above them, so that no room is left there.
    """
    low, high = float(values.min()), float(values.max())
    if is_log and low > 0 and high / low > 20:
        return Scale(low / 1.3, high * 1.3, start, end, is_log=True)
    room = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(max(low - room, floor), min(high + room, ceiling), start, end)


def span_scale(low: float, high: float, start: float, end: float) -> Scale:
    """A scale from end to end, without room; one that holds a single value puts it in the middle."""
    return Scale(low, high, start, end) if high > low else Scale(low - 1, high + 1, start, end)


def choose_ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Round values from low to high at equal distances: ``most`` of them or less, or one more; at least one."""
    distance = (high - low) / most
    power = 10.0 ** math.floor(math.log10(distance))
    steps = [factor * power for factor in (*_STEPS, 10, 20)]
    fitting = next(i for i, step in enumerate(steps) if (high - low) / step <= most)
    ticks = _multiples(steps[fitting], low, high, whole=whole)
    # Where two at most are wanted, all may lie outside: the next finer step is shorter than the axis.
    return ticks or _multiples(steps[fitting - 1], low, high, whole=whole)


def _multiples(step: float, low: float, high: float, *, whole: bool) -> list[float]:
    if whole:
        step = max(round(step), 1)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [float(f"{(first + i) * step:.12g}") for i in range(count)]


def _powers(low: float, high: float, most: int) -> list[float]:
    """Powers of ten between two values; none where fewer than two are."""
    exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    every = max(1, math.ceil(len(exponents) / most))
    return [10.0**exponent for exponent in exponents[::every]] if len(exponents) > 1 else []


def format_ticks(values: Sequence[float]) -> list[str]:
    """Numbers of one axis, as short as they can be told apart."""
    largest = max(map(abs, values), default=0)
    for unit, letter in _LARGE:
        if largest >= 10 * unit:
            return [f"{value / unit:g}{letter}" if value else "0" for value in values]
    return [format_number(value) for value in values]


def format_number(value: float, digits: int = 6) -> str:
    """A number for people to read: thousands apart, at most so many digits that say something, - for no number."""
    if not math.isfinite(value):
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    return f"{value:.{digits}g}"


def format_time(seconds) -> str:
    """Seconds since 1970 as a local time with its distance from UTC."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))
    except (TypeError, ValueError, OverflowError, OSError):
        return "-"
