"""The weights whose mean scores best on videos with labels, by trying them.

First all weights on a grid over the simplex are tried, as fine as some 70 of them allow; then, from the best, steps
that move weight from one input to another, which become smaller where none helps. Nothing is random. Of equal scores
that of the weights nearest to equal ones counts as better, and of those the first.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations

import numpy as np

from metrics.metric import Metric
from tools.ensemble.merging import Merged, average
from tools.ensemble.scoring import score_block
from tools.runtime.log import progress_bar

MOST_VIDEOS = 50_000  # a handful of weights needs no more
_GRIDS = {1: 1, 2: 20, 3: 10, 4: 5, 5: 4, 6: 3}  # number of inputs -> parts that the grid divides 1 into; else 2
_TOGETHER = 16  # weights that are tried in one reading of the files, as each has a metric of its own
_SMALLEST = 0.01  # step

Weights = tuple[float, ...]


def grid(count: int) -> list[Weights]:
    """Weights of ``count`` inputs on a grid, equal ones first."""
    parts = _GRIDS.get(count, 2)
    points = [tuple(part / parts for part in one) for one in _divide(parts, count)]
    equal = (1 / count,) * count
    return [equal, *(one for one in points if not np.allclose(one, equal))]


def _divide(total: int, count: int) -> Iterator[tuple[int, ...]]:
    """The ways to divide a whole number over ``count`` inputs."""
    if count == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _divide(total - first, count - 1):
            yield (first, *rest)


def search_weights(evaluate: Callable[[list[Weights]], list[float]], count: int) -> tuple[Weights, float]:
    """The best weights of ``count`` inputs, and their score. evaluate: weights -> a score each, higher is better."""
    known: dict[Weights, float] = {}

    def best_of(candidates: list[Weights]) -> Weights:
        new = [one for one in dict.fromkeys(candidates) if one not in known]
        known.update(zip(new, evaluate(new) if new else [], strict=True))
        return max(candidates, key=lambda one: (known[one], -_distance(one)))  # of equal ones the first

    best = best_of(grid(count))
    step = 1 / _GRIDS.get(count, 2) / 2
    while step >= _SMALLEST and count > 1:
        better = best_of([best, *_moves(best, step)])
        step, best = (step / 2, best) if better == best else (step, better)
    return best, known[best]


def _moves(weights: Weights, step: float) -> Iterator[Weights]:
    """Weights of which one input gives ``step``, or all that it has, to another."""
    for giver, taker in permutations(range(len(weights)), 2):
        moved = min(step, weights[giver])
        if moved > 0:
            changed = list(weights)
            changed[giver] -= moved
            changed[taker] += moved
            yield tuple(round(weight, 9) for weight in changed)


def _distance(weights: Weights) -> float:
    return round(sum((weight - 1 / len(weights)) ** 2 for weight in weights), 9)


def choose_videos(numbers: np.ndarray, most: int = MOST_VIDEOS) -> np.ndarray:
    """The videos that weights are fitted to: these, or ``most`` of them at even distances."""
    return numbers if len(numbers) <= most else numbers[np.arange(most) * len(numbers) // most]


class Evaluator:
    """Scores weights on some videos, whose probabilities are read anew for each few of them."""

    def __init__(self, merged: Merged, numbers: np.ndarray, build_metric: Callable[[], Metric]):
        self._merged, self._numbers, self._build = merged, numbers, build_metric

    def __call__(self, candidates: list[Weights]) -> list[float]:
        groups = [candidates[start : start + _TOGETHER] for start in range(0, len(candidates), _TOGETHER)]
        with progress_bar(len(candidates), 0, "trying weights", "weights") as bar:
            scores = []
            for group in groups:
                scores += self._score(group)
                bar.update(len(group))
        return scores

    def _score(self, group: Sequence[Weights]) -> list[float]:
        metrics = [self._build() for _ in group]
        for numbers, parts in self._merged.blocks(self._numbers):
            for metric, weights in zip(metrics, group, strict=True):
                score_block(metric, self._merged, numbers, average(parts, weights))
        return [metric.compute(full=False)[metric.score] for metric in metrics]
