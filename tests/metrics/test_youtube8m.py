"""YouTube-8M metrics against the zoo of 2019, slow references and invariants."""

import doctest

import numpy as np
import pytest

import metrics.youtube8m
from metrics.youtube8m import YouTube8MMetrics, average_precision, pack_pairs, select_top_classes
from tests.golden_inputs import load_golden, make_prediction_batches
from tools.errors import DataError

YOUTUBE8M = [case for case in load_golden("metrics") if case["metrics"] == "youtube8m"]


def random_batch(rng, num_videos=40, num_classes=30, levels=None):
    """Probabilities (rounded to few levels where ties are wanted) and multi-hot labels."""
    probs = rng.random((num_videos, num_classes), dtype=np.float32)
    if levels:
        probs = np.round(probs * levels).astype(np.float32) / levels
    return probs, (rng.random(probs.shape) < 0.1).astype(np.float32)


def counted(batches, num_classes=30, top_k=5):
    metric = YouTube8MMetrics(num_classes, top_k)
    for probs, labels in batches:
        metric.update(probs, labels, loss=1.0)
    return metric


@pytest.mark.parametrize("case", YOUTUBE8M, ids=["50 classes", "10 classes"])
def test_every_value_equals_the_2019_zoo(case):
    inputs = case["inputs"]
    epoch = YouTube8MMetrics(inputs["num_classes"], case["top_k"])
    for (loss, probs, labels), expected in zip(make_prediction_batches(**inputs), case["per_batch"], strict=True):
        batch = YouTube8MMetrics(inputs["num_classes"], case["top_k"])
        for metric in (batch, epoch):
            metric.update(probs, labels, loss)
        assert batch.compute(full=False) == pytest.approx(expected, rel=1e-9)
    assert epoch.compute() == pytest.approx(case["epoch"], rel=1e-9)
    per_class = epoch.average_precision_per_class()
    assert per_class.tolist() == pytest.approx(case["average_precision_per_class"], rel=1e-9)


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("k", [1, 7, 29, 30, 50])
def test_top_classes_equal_a_stable_sort_ties_included(k, levels):
    probs, _ = random_batch(np.random.default_rng(0), levels=levels)
    expected = np.argsort(-probs, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(select_top_classes(probs, k), expected)


@pytest.mark.parametrize("levels", [None, 4])
def test_hit_at_one_and_perr_equal_counting_one_video_at_a_time(levels):
    probs, labels = random_batch(np.random.default_rng(1), levels=levels)
    hits, perr = 0, 0.0
    for row, label in zip(probs, labels, strict=True):
        order = sorted(range(len(row)), key=lambda c: (-row[c], c))
        hits += label[order[0]]
        n = int(label.sum())
        perr += sum(label[c] for c in order[:n]) / n if n else 0
    values = counted([(probs, labels)]).compute()
    assert values["hit_at_one"] == hits / len(probs)
    assert values["perr"] == pytest.approx(perr / len(probs))


def test_average_precision_equals_walking_down_the_list():
    rng = np.random.default_rng(2)
    scores, hits = rng.random(500, dtype=np.float32), rng.random(500) < 0.2
    found, total = 0, 0.0
    for rank, i in enumerate(np.argsort(-scores), start=1):
        if hits[i]:
            found += 1
            total += found / rank
    assert average_precision(pack_pairs(scores, hits), 120) == pytest.approx(total / 120)


def test_average_precision_does_not_depend_on_the_size_of_its_chunks(monkeypatch):
    rng = np.random.default_rng(3)
    keys = pack_pairs(rng.random(500, dtype=np.float32), rng.random(500) < 0.2)
    whole = average_precision(keys.copy(), 100)
    monkeypatch.setattr("metrics.youtube8m._CHUNK", 7)
    assert average_precision(keys.copy(), 100) == pytest.approx(whole)


def test_equal_scores_put_hits_last_so_that_ties_earn_nothing():
    scores = np.full(4, 0.5, np.float32)
    hits = np.array([False, True, False, True])
    assert average_precision(pack_pairs(scores, hits), 2) == pytest.approx((1 / 3 + 2 / 4) / 2)
    probs, labels = random_batch(np.random.default_rng(9), num_videos=300)
    values = counted([(np.full_like(probs, 0.5), labels)], top_k=30).compute()
    assert values["gap"] < 0.15
    assert values["map"] < 0.15


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
def test_what_is_no_probability_is_refused(value):
    probs, labels = random_batch(np.random.default_rng(10))
    probs[3, 4] = value
    with pytest.raises(DataError, match=r"some probabilities are not in \[0, 1\]"):
        counted([(probs, labels)])


def test_keys_keep_the_order_of_scores_up_to_one():
    scores = np.array([0.0, 1e-38, 1e-7, 0.5, 1 - 2**-24, 1.0], np.float32)
    keys = pack_pairs(scores, np.zeros(6, bool))
    assert (np.diff(keys.astype(np.int64)) > 0).all()


@pytest.mark.parametrize("levels", [None, 4])
def test_results_do_not_depend_on_the_order_or_size_of_batches(levels):
    rng = np.random.default_rng(4)
    probs, labels = random_batch(rng, levels=levels)
    whole = counted([(probs, labels)]).compute()
    order = rng.permutation(len(probs))
    parts = [(probs[part], labels[part]) for part in np.array_split(order, 7)]
    assert counted(parts).compute() == pytest.approx(whole, rel=1e-12)


def test_merging_equals_counting_everything_in_one_place():
    rng = np.random.default_rng(5)
    batches = [random_batch(rng) for _ in range(4)]
    left, right = counted(batches[:1]), counted(batches[1:])
    left.merge(right)
    assert left.compute() == pytest.approx(counted(batches).compute(), rel=1e-12)
    assert left.num_videos == 160


def test_scores_can_be_asked_for_again_and_counting_can_go_on():
    rng = np.random.default_rng(6)
    batches = [random_batch(rng) for _ in range(2)]
    metric = counted(batches[:1])
    assert metric.compute() == metric.compute()
    metric.update(*batches[1], loss=1.0)
    assert metric.compute() == counted(batches).compute()


def test_six_bytes_are_kept_for_a_pair():
    metric = counted([random_batch(np.random.default_rng(7), num_videos=1000)] * 3)
    pairs = 3000 * 5
    assert len(metric.keys) == len(metric.classes) == pairs
    assert metric.keys.view().nbytes + metric.classes.view().nbytes == 6 * pairs


def test_the_global_random_state_is_left_alone():
    np.random.seed(0)  # noqa: NPY002  (the state that 2019's GAP reset)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    counted([random_batch(np.random.default_rng(8))]).compute()
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_videos_without_labels_and_batches_without_any_are_counted():
    metric = YouTube8MMetrics(3, 2)
    metric.update(np.full((2, 3), 0.5, np.float32), np.zeros((2, 3), np.float32), loss=2.0)
    assert metric.compute() == {"loss": 2.0, "hit_at_one": 0.0, "perr": 0.0, "gap": 0.0, "map": 0.0}


def test_no_videos_at_all_is_an_error():
    with pytest.raises(RuntimeError, match="has seen no videos"):
        YouTube8MMetrics(3, 2).compute()


def test_the_log_line_has_the_names_of_2019_and_percent():
    values, metrics = {"loss": 1.2345678, "hit_at_one": 0.12345, "perr": 0.1, "gap": 0.08}, YouTube8MMetrics(3, 2)
    assert metrics.describe(values) == "loss = 1.234568, Hit@1 = 12.35 %, PERR = 10.00 %, GAP = 8.00 %"
    assert metrics.describe(values | {"map": 1.0}).endswith(", MAP = 100.00 %")
    assert metrics.rows(values)[:2] == [("loss", "1.234568"), ("hit_at_one", "12.345000 %")]


def test_the_examples_in_the_docstrings_hold():
    results = doctest.testmod(metrics.youtube8m)
    assert results.attempted
    assert not results.failed
