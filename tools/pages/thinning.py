"""Curves of many points as few: a mean and the ends of what it stands for, so that no peak goes unseen."""

import warnings
from dataclasses import dataclass

import numpy as np

MOST_POINTS = 300  # of a curve: about one for each pixel of a chart


@dataclass(frozen=True)
class Curve:
    """x, y: (N,) float64, y NaN where there is no value. low, high: what each y is the mean of lies between them.

    of_each: how many points were made one; 1 where the curve is as it was, and low and high are y.
    """

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    of_each: int = 1

    @property
    def has_band(self) -> bool:
        return self.of_each > 1


def thin(x, y, most: int = MOST_POINTS) -> Curve:
    """A curve of ``most`` points or fewer, each the mean of as many neighbours. x, y: (N,)."""
    x, y = np.asarray(x, np.float64), np.where(np.isfinite(y), np.asarray(y, np.float64), np.nan)
    of_each = -(-len(x) // most)
    if of_each <= 1:
        return Curve(x, y, y, y)
    rest = -len(x) % of_each
    x, y = (np.pad(values, (0, rest), constant_values=np.nan).reshape(-1, of_each) for values in (x, y))
    with warnings.catch_warnings():  # of points that are all NaN, which stay so
        warnings.simplefilter("ignore", RuntimeWarning)
        return Curve(np.nanmean(x, axis=1), np.nanmean(y, axis=1), np.nanmin(y, axis=1), np.nanmax(y, axis=1), of_each)
