"""Kinetics metrics against the zoo of 2019, SciPy, slow references and invariants."""

import doctest
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

import metrics.kinetics
import models  # noqa: F401  (registers the specs)
from metrics.kinetics import KineticsMetrics, rank_of_label, wilson_interval
from tests.golden_inputs import load_golden, make_score_batches
from tools.errors import DataError
from tools.registry import METRICS, MODELS

(GOLDEN,) = (case for case in load_golden("metrics") if case["metrics"] == "kinetics")


def random_batch(rng, num_videos=40, num_classes=10, levels=None, unknown=False):
    """Probabilities (rounded to few levels where ties are wanted) and labels, -1 among them if ``unknown``."""
    probs = rng.random((num_videos, num_classes), dtype=np.float32)
    if levels:
        probs = np.round(probs * levels).astype(np.float32) / levels
    return probs, rng.integers(-1 if unknown else 0, num_classes, num_videos)


def counted(batches, num_classes=10, loss=1.0):
    metric = KineticsMetrics(num_classes)
    for probs, labels in batches:
        metric.update(probs, labels, loss)
    return metric


def metric_of(counts):
    """Metrics that have seen ``counts[label][predicted]`` videos."""
    probs = np.eye(len(counts), dtype=np.float32)
    label, predicted = np.indices(np.shape(counts)).reshape(2, -1)
    times = np.ravel(counts)
    return counted([(probs[predicted.repeat(times)], label.repeat(times))], num_classes=len(counts))


def as_2019(values):
    names = {"top1_acc": "top1_percent", "top5_acc": "top5_percent", "loss": "loss"}
    return {names[key]: value for key, value in values.items()}


def test_every_value_equals_the_2019_zoo():
    inputs = GOLDEN["inputs"]
    epoch = KineticsMetrics(inputs["num_classes"])
    for (loss, probs, labels), expected in zip(make_score_batches(**inputs), GOLDEN["per_batch"], strict=True):
        batch = KineticsMetrics(inputs["num_classes"])
        for metric in (batch, epoch):
            metric.update(probs, labels, loss)
        assert as_2019(batch.compute(full=False)) == pytest.approx(expected, rel=1e-9)
    assert as_2019(epoch.compute(full=False)) == pytest.approx(GOLDEN["epoch"], rel=1e-9)


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("num_classes", [3, 5, 10])
def test_accuracies_equal_counting_one_video_at_a_time(num_classes, levels):
    probs, labels = random_batch(np.random.default_rng(0), 64, num_classes, levels, unknown=True)
    top1 = top5 = known = 0
    for row, label in zip(probs, labels, strict=True):
        if label < 0:
            continue
        order = sorted(range(num_classes), key=lambda c: (-row[c], c))
        known += 1
        top1 += label == order[0]
        top5 += label in order[:5]
    parts = [(probs[part], labels[part]) for part in np.array_split(np.arange(64), 7)]
    values = counted(parts, num_classes).compute()
    assert 0 < known < 64
    assert values["top1_acc"] == pytest.approx(100 * top1 / known)
    assert values["top5_acc"] == pytest.approx(100 * top5 / known)


def test_among_equal_scores_the_lower_class_is_ahead():
    probs = np.array([[0.5, 0.5], [0.5, 0.5]], np.float32)
    assert rank_of_label(probs, np.array([0, 1])).tolist() == [0, 1]
    assert counted([(probs, np.array([1, 1]))], num_classes=2).compute()["top1_acc"] == 0.0


@pytest.mark.parametrize("levels", [None, 4])
def test_results_do_not_depend_on_the_order_or_size_of_batches(levels):
    rng = np.random.default_rng(1)
    probs, labels = random_batch(rng, levels=levels, unknown=True)
    whole = counted([(probs, labels)])
    order = rng.permutation(len(probs))
    parts = counted([(probs[part], labels[part]) for part in np.array_split(order, 7)])
    assert parts.compute() == pytest.approx(whole.compute(), rel=1e-12)
    assert parts.report() == whole.report()


def test_merging_equals_counting_everything_in_one_place():
    rng = np.random.default_rng(2)
    batches = [random_batch(rng, unknown=True) for _ in range(4)]
    left, right = counted(batches[:1], loss=2.0), counted(batches[1:], loss=2.0)
    left.merge(right)
    whole = counted(batches, loss=2.0)
    assert left.compute() == whole.compute()
    assert left.report() == whole.report()
    assert left.num_videos == 160


def test_scores_can_be_asked_for_again_and_counting_can_go_on():
    rng = np.random.default_rng(3)
    batches = [random_batch(rng) for _ in range(2)]
    metric = counted(batches[:1])
    assert metric.compute() == metric.compute()
    metric.update(*batches[1], loss=1.0)
    assert metric.compute() == counted(batches).compute()
    metric.reset()
    assert metric.num_videos == 0
    metric.update(*batches[1], loss=1.0)
    assert metric.compute() == counted(batches[1:]).compute()


@given(st.integers(0, 3000), st.integers(1, 3000))
def test_the_interval_equals_that_of_scipy(hits, trials):
    hits = min(hits, trials)
    expected = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_interval_stands_in_the_full_scores_around_the_accuracy():
    values = metric_of([[30, 10], [20, 40]]).compute()
    expected = binomtest(70, 100).proportion_ci(method="wilson")
    assert values["top1_acc"] == 70.0
    assert (values["top1_low"], values["top1_high"]) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert set(metric_of([[1]]).compute(full=False)) == {"loss", "top1_acc", "top5_acc"}


def test_the_report_names_every_class_that_has_videos():
    report = metric_of([[3, 1, 0], [0, 0, 0], [0, 1, 1]]).report()
    assert report["per_class"] == [
        {"class_id": 0, "videos": 4, "top1_acc": 75.0},
        {"class_id": 2, "videos": 2, "top1_acc": 50.0},
    ]


def test_the_pairs_most_often_mistaken_come_first_and_ties_by_class():
    report = metric_of([[1, 2, 1], [5, 5, 0], [2, 0, 8]]).report()
    assert report["confusions"] == [
        {"label": 1, "predicted": 0, "videos": 5, "share_percent": 50.0},
        {"label": 0, "predicted": 1, "videos": 2, "share_percent": 50.0},
        {"label": 2, "predicted": 0, "videos": 2, "share_percent": 20.0},
        {"label": 0, "predicted": 2, "videos": 1, "share_percent": 25.0},
    ]


def test_a_report_names_twenty_pairs_at_most_and_is_json():
    report = metric_of(np.ones((10, 10), int)).report()
    assert [(pair["label"], pair["predicted"]) for pair in report["confusions"]] == [
        (c, p) for c in range(10) for p in range(10) if c != p
    ][:20]
    assert json.loads(json.dumps(report)) == report


def test_videos_without_a_known_class_count_for_the_loss_and_for_no_accuracy():
    probs = np.array([[0.9, 0.1], [0.9, 0.1]], np.float32)
    metric = counted([(probs, np.array([0, -1]))], num_classes=2, loss=0.25)
    metric.update(probs, np.array([0, 1]), loss=0.75)
    values = metric.compute()
    assert metric.num_videos == 4
    assert values["loss"] == 0.5
    assert values["top1_acc"] == pytest.approx(200 / 3)
    assert sum(row["videos"] for row in metric.report()["per_class"]) == 3


def test_without_any_known_class_the_accuracies_are_zero_and_the_interval_is_everything():
    probs, _ = random_batch(np.random.default_rng(4))
    metric = counted([(probs, np.full(len(probs), -1))], loss=0.0)
    expected = {"loss": 0.0, "top1_acc": 0.0, "top5_acc": 0.0, "top1_low": 0.0, "top1_high": 100.0}
    assert metric.compute() == expected
    assert metric.report() == {"per_class": [], "confusions": []}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.1, 1.1])
def test_what_is_no_probability_is_refused(value):
    probs, labels = random_batch(np.random.default_rng(5))
    probs[3, 4] = value
    with pytest.raises(DataError, match=r"some probabilities are not in \[0, 1\]"):
        counted([(probs, labels)])


def test_a_probability_may_exceed_one_by_rounding():
    probs = np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], np.float32)
    assert probs.max() > 1
    assert counted([(probs, np.array([0]))], num_classes=2).compute()["top1_acc"] == 100.0


@pytest.mark.parametrize("label", [-2, 10])
def test_a_label_that_is_no_class_is_refused(label):
    probs, labels = random_batch(np.random.default_rng(6))
    labels[7] = label
    with pytest.raises(DataError, match=f"label {label} is no class; 10 classes take 0 to 9"):
        counted([(probs, labels)])


def test_no_videos_at_all_is_an_error():
    with pytest.raises(RuntimeError, match="has seen no videos"):
        KineticsMetrics(3).compute()


def test_the_log_line_has_the_form_of_2019_with_units():
    values, metrics = {"loss": 1.2345678, "top1_acc": 12.345, "top5_acc": 45.67}, KineticsMetrics(6)
    assert metrics.describe(values) == "Loss: 1.234568, top1_acc: 12.35 %, top5_acc: 45.67 %"
    assert metrics.rows(values)[1] == ("top1_acc", "12.345000 %")
    values |= {"top1_low": 10.12, "top1_high": 14.93}
    line = "Loss: 1.234568, top1_acc: 12.35 % (95 %: 10.1 to 14.9), top5_acc: 45.67 %"
    assert metrics.describe(values) == line


@pytest.mark.parametrize("num_classes", [1, 3, 5])
def test_the_top_5_of_five_classes_or_fewer_is_called_what_it_is(num_classes):
    metrics = counted([(np.full((2, num_classes), 1 / num_classes), np.array([0, -1]))], num_classes)
    values = metrics.compute()
    assert values["top5_acc"] == 100.0
    assert metrics.describe(values).endswith(f"top5_acc: 100.00 % (there are {num_classes} classes)")
    assert metrics.rows(values)[2] == ("top5_acc", f"100.000000 % (there are {num_classes} classes)")


@pytest.mark.parametrize("name", ["TSN", "STNET"])
def test_both_models_of_kinetics_are_scored_so(name):
    metric = METRICS.get(MODELS.get(name).metrics)(SimpleNamespace(MODEL=SimpleNamespace(num_classes=7)))
    assert isinstance(metric, KineticsMetrics)
    assert metric.num_classes == 7


def test_the_examples_in_the_docstrings_hold():
    results = doctest.testmod(metrics.kinetics)
    assert results.attempted
    assert not results.failed
