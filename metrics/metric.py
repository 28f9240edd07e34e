"""What the scripts and the trainer need of a model's scores: the written contract."""

from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Metric(Protocol):
    """Scores of any number of batches, counted one by one.

    score: which of the values says that one epoch is better than another; higher is better.
    num_videos: how many were counted.
    """

    score: str
    num_videos: int

    def reset(self) -> None:
        """Forget all that was counted."""

    def update(self, probs: np.ndarray, labels: np.ndarray, loss: float) -> None:
        """Count one batch: probs (N, num_classes) in [0, 1], labels as the reader gives them, its mean loss.

        Raises DataError for probabilities and labels that cannot be.
        """

    def merge(self, other: "Metric") -> None:
        """Count what another has counted, as if its batches had come here. Another process pickles it."""

    def compute(self, full: bool = True) -> dict[str, float]:
        """Name -> value; ``full`` adds what takes longer. Raises RuntimeError if nothing was counted."""

    def report(self) -> dict[str, list[dict]]:
        """What the scores do not tell, ready for JSON.

        per_class: {class_id, videos, and one value that ``shown`` has a name for} of every class that has videos.
        confusions: where videos have one class each, {label, predicted, videos, share_percent of the label's videos} of
        the pairs most often mistaken, most frequent first.
        """

    def confusion_pairs(self) -> np.ndarray | None:
        """(P, 3) int64: label, best class and number of videos of all pairs that there are, right ones too, in order.

        None where a video may have several classes.
        """

    def margins(self, probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(N,) float64: how far from right each of a batch's answers is, of arguments as ``update`` takes them.

        The best probability less that of the best of a video's own classes, which is 0 to 1; -1 where the answer is
        right, or none is known.
        """

    def describe(self, values: dict[str, float]) -> str:
        """What ``compute`` gives, as a line of the log: shares of the videos in percent, with their unit."""

    def rows(self, values: dict[str, float]) -> list[tuple[str, str]]:
        """What ``compute`` gives, name and text of each value, with units as in ``describe``; test.py prints them."""

    def shown(self, values: dict[str, Any]) -> dict[str, Any]:
        """Name for people -> value, of what ``compute`` and ``report`` give, without the ends of intervals.

        Shares are in percent, and their names end with ", %". The values may be arrays.
        """

    def interval(self, values: dict[str, float]) -> tuple[float, float] | None:
        """The 95 % interval of ``score`` in percent, by what ``compute`` gives; None where none is computed."""
