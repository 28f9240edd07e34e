"""Metrics of Kinetics: loss, top-1 and top-5 accuracy, and which classes are mistaken for which.

Kay et al., "The Kinetics Human Action Video Dataset" (arXiv:1705.06950), whose benchmark gives top-1 and
top-5 accuracy. Both are in percent, as in 2019.

Ties: among equal scores of one video the lower class counts as the higher.
"""

import math
from typing import Any

import numpy as np

from metrics.margins import margins_of
from tools.errors import DataError
from tools.registry import METRICS

_TOP = 5  # the other accuracy's number of best classes
_MOST_CONFUSIONS = 20  # pairs of classes that a report names
_ROUNDING = 1e-6  # by which a softmax in float32 may exceed 1


def rank_of_label(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes are ahead of each video's own: (N,) int64, 0 where the label is the best.

    probs: (N, C) float. labels: (N,) int in 0 to C - 1. Of equal scores the lower class is ahead.
    """
    own = np.take_along_axis(probs, labels[:, None], axis=1)  # (N, 1)
    lower = np.arange(probs.shape[1]) < labels[:, None]  # (N, C)
    return ((probs > own) | ((probs == own) & lower)).sum(axis=1)


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share, in [0, 1]; (0, 1) of no trials.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927).

    >>> low, high = wilson_interval(8, 10)
    >>> f"{low:.3f} to {high:.3f}"
    '0.490 to 0.943'
    """
    if not trials:
        return 0.0, 1.0
    z = 1.959963984540054  # the normal distribution's 97.5th percentile
    share = hits / trials
    middle = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    low, high = (middle - half) / (1 + z * z / trials), (middle + half) / (1 + z * z / trials)
    return (max(low, 0.0) if hits else 0.0), (min(high, 1.0) if hits < trials else 1.0)


class KineticsMetrics:
    """Streaming top-1 and top-5 accuracy and mean loss of any number of batches.

    num_classes: C. Kept is a (C, C) table of counts, whatever the number of videos.
    A video with label -1 has no known class: it is in num_videos and in the mean of the loss, where it
    counts 0 as in 2019, but in no accuracy.

    >>> metrics = KineticsMetrics(num_classes=2)
    >>> metrics.update(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]), loss=0.5)
    >>> metrics.compute()["top1_acc"]
    50.0
    """

    score = "top1_acc"  # what "best" means in {model}_best

    def __init__(self, num_classes: int):
        self.num_classes = num_classes
        self.reset()

    def reset(self) -> None:
        self.num_videos = 0
        self.top5_hits = 0
        self.loss_sums = []  # of each batch: added up exactly at the end, in whatever order they came
        self.counts = np.zeros((self.num_classes, self.num_classes), dtype=np.int64)  # by label, by best class

    def update(self, probs: np.ndarray, labels: np.ndarray, loss: float) -> None:
        """Count one batch: probs (N, C) in [0, 1], labels (N,) int64 from -1 to C - 1, loss its mean over videos.

        Raises DataError for probabilities that are not in [0, 1], as those of broken weights, and for
        labels that are no class.
        """
        if not (probs.min() >= 0 and probs.max() <= 1 + _ROUNDING):
            raise DataError("some probabilities are not in [0, 1]; the weights or the videos are broken")
        if labels.min() < -1 or labels.max() >= self.num_classes:
            wrong = labels.min() if labels.min() < -1 else labels.max()
            raise DataError(f"label {wrong} is no class; {self.num_classes} classes take 0 to {self.num_classes - 1}")
        known = labels >= 0
        probs_known, labels_known = probs[known], labels[known]
        self.top5_hits += int((rank_of_label(probs_known, labels_known) < _TOP).sum())
        np.add.at(self.counts, (labels_known, probs_known.argmax(axis=1)), 1)
        self.loss_sums.append(loss * len(probs))
        self.num_videos += len(probs)

    def merge(self, other: "KineticsMetrics") -> None:
        """Count what another has counted, as if its batches had come here."""
        self.counts += other.counts
        self.top5_hits += other.top5_hits
        self.loss_sums += other.loss_sums
        self.num_videos += other.num_videos

    def compute(self, full: bool = True) -> dict[str, float]:
        """loss, top1_acc and top5_acc, and with ``full`` top1_low and top1_high: their 95 % interval.

        All but the loss are in percent of the videos with a known class. Without any such video the
        accuracies are 0 and the interval is 0 to 100. With five classes or fewer top5_acc is 100.
        """
        if not self.num_videos:
            raise RuntimeError("KineticsMetrics has seen no videos; is the file list empty?")
        hits, known = int(np.trace(self.counts)), int(self.counts.sum())
        values = {
            "loss": math.fsum(self.loss_sums) / self.num_videos,
            "top1_acc": 100 * hits / max(known, 1),
            "top5_acc": 100 * self.top5_hits / max(known, 1),
        }
        if full:
            low, high = wilson_interval(hits, known)
            values |= {"top1_low": 100 * low, "top1_high": 100 * high}
        return values

    def report(self) -> dict[str, list[dict]]:
        """What the scores do not tell, ready for JSON; class ids throughout.

        per_class: {class_id, videos, top1_acc in percent} of every class that has videos.
        confusions: {label, predicted, videos, share_percent of the label's videos} of the pairs most
            often mistaken, most frequent first, then by label and by predicted class; 20 at most.
        """
        videos = self.counts.sum(axis=1)  # (C,)
        hits = np.diagonal(self.counts)
        per_class = [
            {"class_id": int(c), "videos": int(videos[c]), "top1_acc": float(100 * hits[c] / videos[c])}
            for c in np.flatnonzero(videos)
        ]
        label, predicted = np.nonzero(self.counts - np.diag(hits))  # by label, then by predicted class
        often = np.argsort(-self.counts[label, predicted], kind="stable")[:_MOST_CONFUSIONS]
        confusions = [
            {
                "label": int(c),
                "predicted": int(p),
                "videos": int(self.counts[c, p]),
                "share_percent": float(100 * self.counts[c, p] / videos[c]),
            }
            for c, p in zip(label[often], predicted[often], strict=True)
        ]
        return {"per_class": per_class, "confusions": confusions}

    def confusion_pairs(self) -> np.ndarray:
        """(P, 3) int64; see ``metrics/metric.py``."""
        label, predicted = np.nonzero(self.counts)
        return np.stack([label, predicted, self.counts[label, predicted]], axis=1)

    def describe(self, values: dict[str, float]) -> str:
        """The values as the log lines of 2019 show them, with units, and the interval where there is one."""
        text = "Loss: {loss:.6f}, top1_acc: {top1_acc:.2f} %".format(**values)
        if "top1_low" in values:
            text += " (95 %: {top1_low:.1f} to {top1_high:.1f})".format(**values)
        return f"{text}, top5_acc: {values['top5_acc']:.2f} %{self._of_all_classes()}"

    def margins(self, probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(N,) float64; see ``metrics/metric.py``."""
        return margins_of(probs, np.arange(self.num_classes) == labels[:, None])

    def rows(self, values: dict[str, float]) -> list[tuple[str, str]]:
        notes = {"loss": "", "top5_acc": f" %{self._of_all_classes()}"}
        return [(name, f"{value:.6f}{notes.get(name, ' %')}") for name, value in values.items()]

    def shown(self, values: dict[str, Any]) -> dict[str, Any]:
        names = {"loss": "loss", "top1_acc": "top-1 accuracy, %", "top5_acc": "top-5 accuracy, %"}
        return {name: values[key] for key, name in names.items() if key in values}

    def interval(self, values: dict[str, float]) -> tuple[float, float] | None:
        return (values["top1_low"], values["top1_high"]) if {"top1_low", "top1_high"} <= values.keys() else None

    def _of_all_classes(self) -> str:
        """What to say behind a top-5 accuracy that is 100 whatever the network does."""
        return f" (there are {self.num_classes} classes)" if self.num_classes <= _TOP else ""


@METRICS.register("kinetics")
def build_kinetics_metrics(config) -> KineticsMetrics:
    return KineticsMetrics(num_classes=config.MODEL.num_classes)
