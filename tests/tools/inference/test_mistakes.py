"""The worst mistakes of an evaluation: which are kept, and what is shown of them."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.kinetics import KineticsMetrics
from metrics.youtube8m import YouTube8MMetrics
from tools.errors import DataError
from tools.inference.mistakes import WorstMistakes, picture_mistakes

CLASSES = 4


@dataclass
class FakeBatch:
    ids: list
    sources: list
    entries: list
    labels: np.ndarray


@dataclass
class FakePrediction:
    probs: np.ndarray
    batch: FakeBatch


def predictions_of(probs, labels, sizes):
    """Batches of such sizes, in order."""
    start = 0
    for size in sizes:
        rows = range(start, start + size)
        names = [f"v{i:03}" for i in rows]
        yield FakePrediction(
            probs[start : start + size], FakeBatch(names, names, list(rows), labels[start : start + size])
        )
        start += size


def collect(metric, predictions, most):
    worst = WorstMistakes(most)
    for prediction in predictions:
        worst.add(prediction, metric.margins(prediction.probs, prediction.batch.labels))
        assert len(worst.found) <= most
    return worst


@given(st.lists(st.integers(0, 7), max_size=8), st.integers(1, 6), st.integers(0, 50), st.data())
def test_the_same_are_kept_in_whatever_batches_and_processes_they_came(sizes, most, seed, data):
    rng, total = np.random.default_rng(seed), sum(sizes)
    probs, labels = np.round(rng.random((total, CLASSES)), 1), rng.integers(-1, CLASSES, total)
    metric = KineticsMetrics(CLASSES)
    margins = metric.margins(probs, labels)
    expected = sorted((-margins[i], f"v{i:03}") for i in np.flatnonzero(margins >= 0))[:most]
    found = collect(metric, predictions_of(probs, labels, sizes), most).found
    assert [(-one.margin, one.source) for one in found] == expected
    batches = list(predictions_of(probs, labels, sizes))
    edge = data.draw(st.integers(0, len(batches)))
    merged = collect(metric, batches[:edge], most)
    merged.merge(collect(metric, batches[edge:], most))
    assert merged.found == found


def test_a_mistake_says_its_own_classes_and_the_best_ones():
    probs = np.array([[0.5, 0.25, 0.75, 0.125]])
    (one,) = collect(KineticsMetrics(CLASSES), predictions_of(probs, np.array([1]), [1]), 3).found
    assert one.own == [(1, 0.25)]
    assert one.best == [(2, 0.75), (0, 0.5), (1, 0.25), (3, 0.125)]
    assert (one.margin, one.video_id, one.entry) == (0.5, "v000", 0)
    labels = np.array([[0, 1, 0, 1]], np.float32)
    (one,) = collect(YouTube8MMetrics(CLASSES, 2), predictions_of(probs, labels, [1]), 3).found
    assert one.own == [(1, 0.25), (3, 0.125)]
    assert one.margin == 0.5


@dataclass
class FakeDataset:
    """Clips by their entries, and which were asked for."""

    frames: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    def pictures(self, entry, count):
        self.asked.append(entry)
        if entry not in self.frames:
            raise DataError(f"clip {entry} has gone")
        return dict.fromkeys(range(count), self.frames[entry])


@pytest.fixture
def mistakes():
    probs = np.array([[0.9, 0.1], [0.8, 0.2]])
    return collect(KineticsMetrics(2), predictions_of(probs, np.array([1, 1]), [2]), 3).found


def test_mistakes_on_clips_have_pictures_which_are_decoded_once(mistakes):
    dataset = FakeDataset({0: np.full((40, 60, 3), 99, np.uint8)})
    first, second = picture_mistakes(mistakes, dataset)
    assert [picture.caption for picture in first.pictures] == ["frame 0", "frame 1", "frame 2"]
    assert first.pictures[0].alternative == "frame 0 of v000"
    assert first.note == ""
    assert second.pictures == []
    assert second.note == "cannot be read any more: clip 1 has gone"
    dataset.asked.clear()
    assert picture_mistakes(mistakes, dataset, [first, second])[0] == first
    assert dataset.asked == [1]


def test_mistakes_on_features_have_no_pictures(mistakes):
    class Features:
        def pictures(self, entry, count):
            return {}

    assert [one.pictures for one in picture_mistakes(mistakes, Features())] == [[], []]
