"""Scores of inputs and of their mean, by the metrics of the models' data."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from metrics.metric import Metric
from tools.ensemble.merging import Merged
from tools.registry import METRICS

_OF_LOSS = "loss"  # which probabilities alone do not tell


def metric_builder(merged: Merged) -> Callable[[], Metric]:
    """What makes the metric of the kind that the inputs have, or raises ConfigError for one that is not known."""
    config = SimpleNamespace(MODEL=SimpleNamespace(num_classes=merged.num_classes, topk=merged.topk))
    build = METRICS.get(merged.metrics)
    return lambda: build(config)


def labelled_videos(merged: Merged) -> np.ndarray:
    """The numbers of the videos whose labels are known."""
    return np.array([number for number, labels in enumerate(merged.labels) if labels is not None], np.int64)


def score_block(metric: Metric, merged: Merged, numbers: np.ndarray, probs: np.ndarray) -> None:
    """Let the metric count these videos. probs: (videos, num_classes)."""
    labels = [merged.labels[number] for number in numbers.tolist()]
    if merged.multilabel:
        dense = np.zeros((len(labels), merged.num_classes), np.float32)
        for row, ids in zip(dense, labels, strict=True):
            row[list(ids)] = 1
    else:
        dense = np.array([ids[0] for ids in labels], np.int64)
    metric.update(probs, dense, 0.0)


def show_scores(metric: Metric) -> dict[str, str]:
    """Name for people -> text of each score; none without videos."""
    if not metric.num_videos:
        return {}
    shown = metric.shown(metric.compute())
    return {name: f"{value:.3f}" for name, value in shown.items() if name != _OF_LOSS}
