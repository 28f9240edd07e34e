"""Weights are found by trying them: a known optimum, the same every time, few readings of the files."""

import numpy as np
import pytest

from tests.tools.ensemble.saved_runs import merge, write_pair
from tools.ensemble.scoring import labelled_videos, metric_builder
from tools.ensemble.search import Evaluator, choose_videos, grid, search_weights


@pytest.mark.parametrize("count", range(1, 9))
def test_a_grid_holds_weights_that_sum_to_1_each_once_and_equal_ones_first(count):
    points = grid(count)
    assert len({*points}) == len(points) <= 72
    assert points[0] == (1 / count,) * count
    assert all(len(one) == count and sum(one) == pytest.approx(1) and min(one) >= 0 for one in points)


@pytest.mark.parametrize("best", [(0.37, 0.63), (0.0, 1.0), (0.2, 0.31, 0.49), (0.1, 0.2, 0.3, 0.4)])
def test_the_best_weights_of_a_smooth_score_are_found(best):
    tried = []

    def evaluate(candidates):
        tried.extend(candidates)
        return [-sum((a - b) ** 2 for a, b in zip(one, best, strict=True)) for one in candidates]

    found, score = search_weights(evaluate, len(best))
    assert found == pytest.approx(best, abs=0.02)
    assert score == max(evaluate(tried))
    assert sum(found) == pytest.approx(1)
    assert search_weights(evaluate, len(best)) == (found, score)


def test_equal_weights_are_kept_where_nothing_is_better():
    assert search_weights(lambda candidates: [1.0] * len(candidates), 3) == ((1 / 3,) * 3, 1.0)


def test_nothing_is_tried_twice():
    tried = []

    def evaluate(candidates):
        tried.extend(candidates)
        return [one[0] for one in candidates]

    assert search_weights(evaluate, 2)[0] == (1.0, 0.0)
    assert len({*tried}) == len(tried)


def test_scores_of_weights_tried_together_are_those_of_each_alone(tmp_path):
    paths, labels, probs = write_pair(tmp_path)
    merged = merge(*paths)
    evaluate = Evaluator(merged, labelled_videos(merged), metric_builder(merged))
    candidates = grid(2)
    together = evaluate(candidates)
    for weights, score in zip(candidates, together, strict=True):
        mean = weights[0] * probs[0].astype(np.float64) + weights[1] * probs[1]
        assert score == pytest.approx(100 * np.mean(mean.astype(np.float32).argmax(axis=1) == labels))
    for one in merged.inputs:
        one.probs.close()


def test_of_many_videos_some_at_even_distances_are_taken():
    numbers = np.arange(100, 1100)
    np.testing.assert_array_equal(choose_videos(numbers, most=10), np.arange(100, 1100, 100))
    assert choose_videos(numbers, most=1000) is numbers
