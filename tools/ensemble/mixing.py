"""All videos once: the mean of their probabilities, what is written of it, and all scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metrics.metric import Metric
from tools.ensemble.merging import Merged, average
from tools.ensemble.scoring import score_block, show_scores
from tools.inference.outputs import Outputs
from tools.inference.predictions import VideoClasses, rank_classes
from tools.inference.probs_file import LabelledVideo
from tools.runtime.log import progress_bar
from tools.runtime.tables import Table, format_columns


@dataclass(frozen=True)
class ScoredVideos:
    """Some videos with labels, by their numbers, and the metrics of each input and of the ensemble on them."""

    numbers: np.ndarray
    metrics: list[Metric]


def score_groups(
    groups: Mapping[str, np.ndarray], build: Callable[[], Metric], num_inputs: int
) -> dict[str, ScoredVideos]:
    """groups: name -> (videos,) numbers. Those without a video are left out."""
    return {
        name: ScoredVideos(numbers, [build() for _ in range(num_inputs + 1)])
        for name, numbers in groups.items()
        if len(numbers)
    }


def mix(
    merged: Merged, weights: Sequence[float], groups: Mapping[str, ScoredVideos], top_k: int, outputs: Outputs
) -> list[VideoClasses]:
    """The top_k classes of each video by the mean, 0 for all. The groups' metrics count, and ``outputs`` is filled."""
    results = []
    with progress_bar(len(merged), 0, "merging", "video") as bar:
        for numbers, parts in merged.blocks(np.arange(len(merged))):
            mean = average(parts, weights)
            videos = [merged.video(number) for number in numbers.tolist()]
            labels = [merged.labels[number] for number in numbers.tolist()]
            outputs.add_rows([LabelledVideo(*pair) for pair in zip(videos, labels, strict=True)], mean)
            for video, row in zip(videos, mean, strict=True):
                values, class_ids = rank_classes(row, top_k)
                results.append(replace(video, probs=values, class_ids=class_ids))
            for group in groups.values():
                _count(group, merged, numbers, [*(part.astype(np.float32) for part in parts), mean])
            bar.update(len(numbers))
    return results


def _count(group: ScoredVideos, merged: Merged, numbers: np.ndarray, all_probs: list[np.ndarray]) -> None:
    chosen = np.isin(numbers, group.numbers)
    if chosen.any():
        for metric, probs in zip(group.metrics, all_probs, strict=True):
            score_block(metric, merged, numbers[chosen], np.minimum(probs[chosen], 1))


def format_scores(names: Sequence[str], weights: Sequence[float], group: ScoredVideos) -> Table:
    """A row of each input and one of the ensemble, with weight and scores."""
    scores = [show_scores(metric) for metric in group.metrics]
    rows = [["", "weight", *scores[0]]]
    rows += [
        [name, weight, *one.values()]
        for name, weight, one in zip([*names, "ensemble"], [*map(format_weight, weights), ""], scores, strict=True)
    ]
    return format_columns(rows, align="<>")


def format_weight(weight: float) -> str:
    return f"{weight:.4f}".rstrip("0").rstrip(".")
