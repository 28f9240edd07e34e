"""Metrics of the YouTube-8M challenge: Hit@1, PERR, GAP and MAP.

Abu-El-Haija et al., "YouTube-8M: A Large-Scale Video Classification Benchmark" (arXiv:1609.08675),
section 5.1, and the challenge's definition of GAP: the average precision of the list of every
video's top_k predictions, all videos together.

Ties: among equal scores of one video the lower class counts as the higher; among equal scores of all
pairs, hits come last. So no result depends on the order in which videos arrive, and a network that
gives everything the same score earns nothing by it.
"""

import math
from typing import Any

import numpy as np

from metrics.margins import margins_of
from tools.errors import DataError
from tools.registry import METRICS

_CHUNK = 1 << 20  # pairs scored at once, so that millions of them need no temporary arrays of their size


def select_top_classes(scores: np.ndarray, k: int) -> np.ndarray:
    """The classes of the k highest scores of each row, highest first: (N, min(k, C)) int64.

    scores: (N, C) float. Of equal scores the lower class comes first.
    """
    num_classes = scores.shape[1]
    if k >= num_classes:
        return np.argsort(-scores, axis=1, kind="stable")
    top = np.argpartition(scores, num_classes - k, axis=1)[:, num_classes - k :]
    top.sort(axis=1)  # by class, so that the stable sort below leaves lower classes first
    values = np.take_along_axis(scores, top, axis=1)
    top = np.take_along_axis(top, np.argsort(-values, axis=1, kind="stable"), axis=1)
    # The partition may have picked any of the classes that tie for the last place.
    tied = (scores >= values.min(axis=1, keepdims=True)).sum(axis=1) > k
    if tied.any():
        top[tied] = np.argsort(-scores[tied], axis=1, kind="stable")[:, :k]
    return top


def precision_at_equal_recall_rate(hits: np.ndarray, num_labels: np.ndarray) -> np.ndarray:
    """For a video with n labels, the share of its n best classes that are labels: (N,) float64.

    hits: (N, k) bool, whether each of the best classes is a label, best first, k at least the most
        labels of a video. num_labels: (N,) int. A video without labels counts 0.
    """
    counted = np.arange(hits.shape[1]) < num_labels[:, None]
    return (hits & counted).sum(axis=1) / np.maximum(num_labels, 1)


def pack_pairs(scores: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Scores in [0, 2) and whether they hit, as uint32 keys that sort by score.

    The lowest bit says that a pair misses, so from the highest key down hits come last among equals. The
    bits of a float32 in [0, 2) grow with its value and leave the top two bits free.
    """
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.uint32)
    return (bits << np.uint32(1)) | (~hits).astype(np.uint32)


def average_precision(keys: np.ndarray, num_positives: int) -> float:
    """Non-interpolated average precision of ``pack_pairs`` keys; sorts them in place.

    num_positives: all labels there are, found or not. Without any, the result is 0.
    """
    if not num_positives:
        return 0.0
    keys.sort()
    total, found = 0.0, 0
    for start in range(0, len(keys), _CHUNK):  # from the highest score down
        chunk = keys[::-1][start : start + _CHUNK]
        ranks = np.flatnonzero(~chunk & np.uint32(1)) + start + 1  # of the hits, 1 for the highest score
        total += float((np.arange(found + 1, found + len(ranks) + 1) / ranks).sum())
        found += len(ranks)
    return total / num_positives


class PairStore:
    """Pairs of a growing list in one array; ``dtype.itemsize`` bytes a pair and a quarter to spare."""

    def __init__(self, dtype):
        self._array = np.empty(0, dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, values: np.ndarray) -> None:
        needed = self._length + len(values)
        if needed > len(self._array):
            self._array.resize(max(needed, len(self._array) * 5 // 4), refcheck=False)
        self._array[self._length : needed] = values
        self._length = needed

    def view(self) -> np.ndarray:
        return self._array[: self._length]


class YouTube8MMetrics:
    """Streaming Hit@1, PERR, GAP, MAP and mean loss of any number of batches.

    num_classes: C. top_k: how many predictions of a video count for GAP and MAP.
    Six bytes are kept for each of the top_k predictions of a video.

    >>> metrics = YouTube8MMetrics(num_classes=3, top_k=2)
    >>> metrics.update(np.array([[0.1, 0.9, 0.2]]), np.array([[0, 1, 0]]), loss=0.5)
    >>> metrics.compute()["gap"]
    1.0
    """

    score = "gap"  # what "best" means in {model}_best

    def __init__(self, num_classes: int, top_k: int):
        self.num_classes = num_classes
        self.top_k = top_k
        self.reset()

    def reset(self) -> None:
        self.num_videos = 0
        self.hits = 0
        self.perr_sums = []  # of each batch: added up exactly at the end, in whatever order they came
        self.loss_sums = []
        self.positives = np.zeros(self.num_classes, dtype=np.int64)  # labels there are, by class
        self.keys = PairStore(np.uint32)
        self._of_classes = None  # the average precisions, once they have been computed of all that was counted
        self.classes = PairStore(np.uint16 if self.num_classes <= 65536 else np.uint32)

    def update(self, probs: np.ndarray, labels: np.ndarray, loss: float) -> None:
        """Count one batch: probs (N, C) in [0, 1], labels (N, C) 0 or 1, loss its mean over videos.

        Raises DataError for probabilities that are not in [0, 1], as those of broken weights.
        """
        if not (probs.min() >= 0 and probs.max() <= 1):
            raise DataError("some probabilities are not in [0, 1]; the weights or the features are broken")
        self._of_classes = None
        present = labels > 0
        num_labels = present.sum(axis=1)  # (N,)
        deepest = max(self.top_k, int(num_labels.max()))
        top = select_top_classes(probs, deepest)  # (N, deepest), or fewer where there are fewer classes
        hits = np.take_along_axis(present, top, axis=1)
        self.hits += int(hits[:, 0].sum())
        self.perr_sums.append(float(precision_at_equal_recall_rate(hits, num_labels).sum()))
        self.positives += present.sum(axis=0)
        top, hits = top[:, : self.top_k], hits[:, : self.top_k]
        self.keys.append(pack_pairs(np.take_along_axis(probs, top, axis=1), hits).ravel())
        self.classes.append(top.ravel())
        self.loss_sums.append(loss * len(probs))
        self.num_videos += len(probs)

    def merge(self, other: "YouTube8MMetrics") -> None:
        """Count what another has counted, as if its batches had come here."""
        self._of_classes = None
        self.keys.append(other.keys.view())
        self.classes.append(other.classes.view())
        self.positives += other.positives
        self.hits += other.hits
        self.perr_sums += other.perr_sums
        self.loss_sums += other.loss_sums
        self.num_videos += other.num_videos

    def compute(self, full: bool = True) -> dict[str, float]:
        """loss, hit_at_one, perr, gap, and with ``full`` map. All but the loss are in [0, 1]."""
        if not self.num_videos:
            raise RuntimeError("YouTube8MMetrics has seen no videos; is the file list empty?")
        values = {
            "loss": math.fsum(self.loss_sums) / self.num_videos,
            "hit_at_one": self.hits / self.num_videos,
            "perr": math.fsum(self.perr_sums) / self.num_videos,
            "gap": average_precision(self.keys.view().copy(), int(self.positives.sum())),
        }
        if full:
            values["map"] = float(np.mean(self.average_precision_per_class()))
        return values

    def average_precision_per_class(self) -> np.ndarray:
        """(C,) float64. As in 2019 a class sees only the predictions among their video's top_k."""
        if self._of_classes is not None:
            return self._of_classes
        combined = self.classes.view().astype(np.uint64) << np.uint64(32) | self.keys.view()
        combined.sort()
        edges = np.searchsorted(combined, np.arange(self.num_classes + 1, dtype=np.uint64) << np.uint64(32))
        keys = combined.astype(np.uint32)  # the low 32 bits
        self._of_classes = np.array(
            [average_precision(keys[edges[c] : edges[c + 1]], int(self.positives[c])) for c in range(self.num_classes)]
        )
        return self._of_classes

    def report(self) -> dict[str, list[dict]]:
        """What the scores do not tell, ready for JSON; class ids throughout.

        per_class: {class_id, videos, average_precision in [0, 1]} of every class that has videos, whose mean over all
        classes is map. No confusions, where a video has several labels.
        """
        precisions = self.average_precision_per_class()
        per_class = [
            {"class_id": int(c), "videos": int(self.positives[c]), "average_precision": float(precisions[c])}
            for c in np.flatnonzero(self.positives)
        ]
        return {"per_class": per_class}

    def confusion_pairs(self) -> None:
        """None: a video may have several classes."""

    def margins(self, probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(N,) float64; see ``metrics/metric.py``."""
        return margins_of(probs, labels > 0)

    def describe(self, values: dict[str, float]) -> str:
        """The values under their names in the log lines of 2019, in percent as those of the other kind of data."""
        names = {"Hit@1": "hit_at_one", "PERR": "perr", "GAP": "gap", "MAP": "map"}
        shares = [f"{name} = {100 * values[key]:.2f} %" for name, key in names.items() if key in values]
        return ", ".join([f"loss = {values['loss']:.6f}", *shares])

    def rows(self, values: dict[str, float]) -> list[tuple[str, str]]:
        return [(name, f"{value:.6f}" if name == "loss" else f"{100 * value:.6f} %") for name, value in values.items()]

    def shown(self, values: dict[str, Any]) -> dict[str, Any]:
        names = {"hit_at_one": "Hit@1, %", "perr": "PERR, %", "gap": "GAP, %", "map": "MAP, %"}
        names["average_precision"] = "average precision, %"
        shares = {name: 100 * values[key] for key, name in names.items() if key in values}
        return ({"loss": values["loss"]} if "loss" in values else {}) | shares

    def interval(self, values: dict[str, float]) -> tuple[float, float] | None:
        return None


@METRICS.register("youtube8m")
def build_youtube8m_metrics(config) -> YouTube8MMetrics:
    return YouTube8MMetrics(num_classes=config.MODEL.num_classes, top_k=config.MODEL.topk)
