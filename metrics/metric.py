"""What the scripts and the trainer need of a model's scores: the written contract."""

from typing import Protocol, runtime_checkable

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
        """What the scores do not tell, ready for JSON."""

    def describe(self, values: dict[str, float]) -> str:
        """What ``compute`` gives, as a line of the log: shares of the videos in percent, with their unit."""

    def rows(self, values: dict[str, float]) -> list[tuple[str, str]]:
        """What ``compute`` gives, name and text of each value, with units as in ``describe``; test.py prints them."""
