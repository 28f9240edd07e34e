"""Batches of training and evaluation, and results in order from threads that read ahead."""

import time

import numpy as np
import pytest

from datareader.loader import TrainingLoader
from tests.datareader.features.reading import batches_of, error_of, ids_of, open_list
from tools.errors import DataError
from tools.runtime.workers import map_in_order


@pytest.mark.parametrize("training", [False, True])
def test_batches_do_not_depend_on_the_number_of_workers(tiny, training):
    dataset = open_list(tiny / "data/train.list", training=training)
    alone = batches_of(dataset, batch_size=7, num_workers=0, epoch=3)
    for num_workers in (1, 4):
        for one, other in zip(alone, batches_of(dataset, 7, num_workers, epoch=3), strict=True):
            assert one.ids == other.ids
            np.testing.assert_array_equal(one.labels, other.labels)
            for left, right in zip(one.inputs, other.inputs, strict=True):
                np.testing.assert_array_equal(left, right)


def test_training_drops_the_last_partial_batch_and_evaluation_none(tiny):
    path = tiny / "data/val.list"
    assert len(ids_of(batches_of(open_list(path), 8))) == 21
    assert len(ids_of(batches_of(open_list(path, training=True), 8))) == 16


def test_an_epoch_can_start_in_its_middle_with_the_same_batches(tiny):
    dataset = open_list(tiny / "data/train.list", training=True)
    whole = batches_of(dataset, epoch=2)
    rest = batches_of(dataset, epoch=2, start=3)
    assert [batch.ids for batch in rest] == [batch.ids for batch in whole[3:]]


def test_a_batch_larger_than_the_data_is_refused_in_training_with_what_would_work(tiny):
    dataset = open_list(tiny / "data/val.list", training=True)
    message = error_of(TrainingLoader, dataset, 64, num_workers=0, as_float=True)
    assert "has 21 records, which do not fill one training batch of 64" in message


# Threads


def test_results_come_in_order_whatever_finishes_first():
    def slow_first(i):
        time.sleep(0.02 if i % 3 == 0 else 0)
        return i

    assert list(map_in_order(slow_first, range(20), 4)) == list(range(20))


def test_no_more_is_read_ahead_than_was_said():
    started = []
    results = map_in_order(lambda i: started.append(i) or i, range(100), 2)
    next(results)
    time.sleep(0.05)
    assert len(started) <= 4
    results.close()


@pytest.mark.parametrize("num_workers", [0, 3])
def test_an_exception_comes_in_its_place_with_its_own_type_and_text(num_workers):
    def fail_at_five(i):
        if i == 5:
            raise DataError("clip 5 is broken")
        return i

    results = map_in_order(fail_at_five, range(10), num_workers)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(DataError, match="clip 5 is broken"):
        next(results)
