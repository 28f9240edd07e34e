"""The answers of an evaluation that were the farthest from right, kept while it runs. Needs no Paddle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.errors import DataError
from tools.inference.predictions import rank_classes
from tools.pages.blocks import Picture
from tools.pages.pictures import encode_picture

MOST = 12  # mistakes that are kept
BEST_CLASSES, FRAMES = 5, 3  # of each


@dataclass(frozen=True)
class Mistake:
    """A record whose best class is none of its own.

    margin: by how much the probability of that class is ahead of the best of its own. source: as of a ``Batch``, which
    names file and record; entry: the line of the list. own, best: (class id, probability), highest first.
    """

    margin: float
    video_id: str
    source: str
    entry: Any
    own: list[tuple[int, float]]
    best: list[tuple[int, float]]

    @property
    def order(self) -> tuple:
        """The same whatever the processes and batches that records came in."""
        return -self.margin, self.source, self.video_id


class WorstMistakes:
    """The ``most`` worst of any number of batches; no more are in memory."""

    def __init__(self, most: int = MOST):
        self.most = most
        self.found: list[Mistake] = []

    def add(self, prediction, margins: np.ndarray) -> None:
        """Take the worst of a batch. margins: (N,), see ``Metric.margins``; below 0 for what is no mistake."""
        least = self.found[-1].margin if len(self.found) == self.most else 0.0
        for place in np.flatnonzero((margins >= 0) & (margins >= least)).tolist():
            self.found.append(_describe(prediction, place, float(margins[place])))
        self._keep()

    def merge(self, other: "WorstMistakes") -> None:
        """Take those that another process has found."""
        self.found += other.found
        self._keep()

    def _keep(self) -> None:
        self.found = sorted(self.found, key=lambda mistake: mistake.order)[: self.most]


def _describe(prediction, place: int, margin: float) -> Mistake:
    batch, probs = prediction.batch, prediction.probs[place]
    label = batch.labels[place]
    own = np.flatnonzero(label) if np.ndim(label) else np.array([label])  # multi-hot, or a class id
    values, class_ids = rank_classes(probs, BEST_CLASSES)
    return Mistake(
        margin,
        batch.ids[place],
        batch.sources[place],
        batch.entries[place],
        sorted(((int(c), float(probs[c])) for c in own), key=lambda pair: -pair[1]),
        [(int(c), float(p)) for c, p in zip(class_ids, values, strict=True)],
    )


@dataclass(frozen=True)
class ShownMistake:
    """A mistake for people to look at. note: why there are no pictures, where there should be some."""

    video_id: str
    source: str
    own: list[tuple[int, float]]
    best: list[tuple[int, float]]
    pictures: list[Picture]
    note: str = ""


def picture_mistakes(mistakes: Sequence[Mistake], dataset, before: Sequence[ShownMistake] = ()) -> list[ShownMistake]:
    """The mistakes with frames of their clips, which are decoded again; those of features have none.

    dataset: of the evaluation. before: of an earlier one of the same data, whose pictures are taken over.
    """
    known = {one.source: one for one in before if one.pictures}
    shown = []
    for mistake in mistakes:
        pictures, note = [], ""
        if mistake.source in known:
            pictures = known[mistake.source].pictures
        else:
            try:
                frames = dataset.pictures(mistake.entry, FRAMES)
            except DataError as error:
                frames, note = {}, f"cannot be read any more: {error}"
            for number, pixels in frames.items():
                text = f"frame {number}"
                pictures.append(Picture(encode_picture(pixels), f"{text} of {mistake.video_id}", text))
        shown.append(ShownMistake(mistake.video_id, mistake.source, mistake.own, mistake.best, pictures, note))
    return shown
