"""What all metrics have in common: the contract, and that those of several processes merge to those of one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.kinetics import KineticsMetrics
from metrics.metric import Metric
from metrics.youtube8m import YouTube8MMetrics


def kinetics_metric(batches):
    metric = KineticsMetrics(6)
    for seed, size in batches:
        rng = np.random.default_rng(seed)
        metric.update(rng.random((size, 6), np.float32), rng.integers(-1, 6, size), rng.random())
    return metric


def youtube8m_metric(batches):
    metric = YouTube8MMetrics(6, top_k=3)
    for seed, size in batches:
        rng = np.random.default_rng(seed)
        probs = np.round(rng.random((size, 6), np.float32), 1)  # with ties
        metric.update(probs, (rng.random((size, 6)) < 0.3).astype(np.float32), rng.random())
    return metric


def test_they_have_every_member_of_the_contract():
    for metric_of in (kinetics_metric, youtube8m_metric):
        assert isinstance(metric_of([]), Metric)


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9), world=st.integers(1, 4), data=st.data())
def test_metrics_of_several_processes_merge_to_those_of_one_bit_for_bit(sizes, world, data):
    batches = list(enumerate(sizes))
    mixed = data.draw(st.permutations(batches))
    edges = sorted(data.draw(st.lists(st.integers(0, len(mixed)), min_size=world - 1, max_size=world - 1)))
    parts = [mixed[a:b] for a, b in zip([0, *edges], [*edges, len(mixed)], strict=True)]  # some may be empty
    for metric_of in (kinetics_metric, youtube8m_metric):
        merged = metric_of(parts[0])
        for part in parts[1:]:
            merged.merge(metric_of(part))
        whole = metric_of(batches)
        assert merged.compute() == whole.compute()
        assert merged.report() == whole.report()
        assert merged.num_videos == whole.num_videos


@given(st.integers(1, 20), st.integers(0, 100))
def test_margins_are_of_wrong_answers_and_grow_as_the_own_class_falls_behind(size, seed):
    rng = np.random.default_rng(seed)
    probs = np.round(rng.random((size, 6), np.float32), 1)  # with ties
    labels = rng.integers(-1, 6, size)
    margins = KineticsMetrics(6).margins(probs, labels)
    for row, label, margin in zip(probs, labels, margins, strict=True):
        if label < 0 or np.argmax(row) == label:
            assert margin == -1
        else:
            assert margin == np.float64(row.max()) - row[label]
    several = (rng.random((size, 6)) < 0.3).astype(np.float32)
    for row, own, margin in zip(probs, several > 0, YouTube8MMetrics(6, 3).margins(probs, several), strict=True):
        if not own.any() or own[np.argmax(row)]:
            assert margin == -1
        else:
            assert margin == np.float64(row.max()) - row[own].max()


def test_margins_of_no_videos_are_none():
    assert KineticsMetrics(6).margins(np.zeros((0, 6)), np.zeros(0, int)).shape == (0,)
    assert YouTube8MMetrics(6, 3).margins(np.zeros((0, 6)), np.zeros((0, 6))).shape == (0,)


def test_values_are_shown_in_percent_under_the_names_that_people_know():
    clips, features = kinetics_metric([(0, 9)]), youtube8m_metric([(0, 9)])
    values = clips.compute()
    assert clips.shown(values) == {
        "loss": values["loss"], "top-1 accuracy, %": values["top1_acc"], "top-5 accuracy, %": values["top5_acc"],
    }  # fmt: skip
    assert clips.interval(values) == (values["top1_low"], values["top1_high"])
    assert clips.interval(clips.compute(full=False)) is None
    values = features.compute()
    assert features.shown(values)["GAP, %"] == 100 * values["gap"]
    assert list(features.shown(values)) == ["loss", "Hit@1, %", "PERR, %", "GAP, %", "MAP, %"]
    assert features.interval(values) is None
    np.testing.assert_array_equal(features.shown({"map": np.array([0.5, 1])})["MAP, %"], [50, 100])


def test_every_value_of_a_class_has_a_name_for_people():
    for metric in (kinetics_metric([(0, 30)]), youtube8m_metric([(0, 30)])):
        rows = metric.report()["per_class"]
        assert rows
        for row in rows:
            (shown,) = metric.shown({key: value for key, value in row.items() if key not in ("class_id", "videos")})
            assert shown.endswith(", %")


def test_average_precisions_of_classes_are_those_that_map_is_the_mean_of():
    metric = youtube8m_metric([(0, 9)])
    first = metric.report()
    assert sum(row["average_precision"] for row in first["per_class"]) / 6 == pytest.approx(metric.compute()["map"])
    assert [row["videos"] for row in first["per_class"]] == [int(count) for count in metric.positives if count]
    metric.merge(youtube8m_metric([(1, 9)]))
    assert metric.report() == youtube8m_metric([(0, 9), (1, 9)]).report() != first
    metric.update(*[np.eye(6, dtype=np.float32)] * 2, loss=0.0)
    mean = sum(row["average_precision"] for row in metric.report()["per_class"]) / 6
    assert mean == pytest.approx(metric.compute()["map"])
    metric.reset()
    assert metric.report() == {"per_class": []}


@given(st.lists(st.integers(1, 9), max_size=5))
def test_pairs_of_classes_are_counted_one_by_one_and_add_up(sizes):
    metric, counted = kinetics_metric(enumerate(sizes)), {}
    for seed, size in enumerate(sizes):
        rng = np.random.default_rng(seed)
        for row, label in zip(rng.random((size, 6), np.float32), rng.integers(-1, 6, size), strict=True):
            if label >= 0:
                pair = int(label), int(row.argmax())
                counted[pair] = counted.get(pair, 0) + 1
    pairs = metric.confusion_pairs()
    assert (pairs.shape[1], pairs.dtype) == (3, np.int64)
    assert [tuple(row) for row in pairs.tolist()] == [(*pair, counted[pair]) for pair in sorted(counted)]
    assert youtube8m_metric(enumerate(sizes)).confusion_pairs() is None
