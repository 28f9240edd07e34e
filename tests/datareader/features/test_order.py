"""The order of records: file by file, shuffled by seed and epoch, sorted by length."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datareader.features.order import group_by_length, sort_by_length, warn_of_sorted_files
from tests.datareader.features.reading import batches_of, ids_of, open_list


def test_an_epoch_holds_every_record_once_and_files_stay_together(tiny):
    dataset = open_list(tiny / "data/train.list", training=True)
    in_order = ids_of(batches_of(open_list(tiny / "data/train.list")))
    for epoch in (0, 1):
        shuffled = ids_of(batches_of(dataset, epoch=epoch))
        assert sorted(shuffled) == sorted(in_order)
        files = [name.split("_")[0] for name in shuffled]
        assert len([1 for a, b in pairwise(files) if a != b]) == 2


def test_files_of_one_class_each_are_told():
    def notices(*classes):
        counts = [np.array([[class_id, number] for class_id, number in file.items()]) for file in classes]
        return warn_of_sorted_files("my.list", counts, [sum(file.values()) for file in classes])

    (line,) = notices({0: 6}, {1: 6}, {2: 6})
    assert line.startswith("3 of 3 files of my.list hold records of one class alone")
    assert notices({0: 10, 1: 1}, {1: 10}, {2: 9, 0: 1}, {0: 3, 1: 3})  # nearly so, and most of them
    assert not notices({0: 2, 1: 2, 2: 2}, {0: 2, 1: 2, 2: 2})
    assert not notices({0: 6}, {0: 5}, {0: 6, 1: 2})  # most records are of that class
    assert not notices({0: 3}, {1: 3}, {2: 3})  # too few to say
    assert not notices({0: 6, 1: 6})


def test_the_order_changes_with_seed_and_epoch_and_with_nothing_else(tiny):
    dataset = open_list(tiny / "data/train.list", training=True)
    orders = {tuple(dataset.order(seed, epoch, len(dataset))) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4
    again = open_list(tiny / "data/train.list", training=True)
    np.testing.assert_array_equal(again.order(1, 1, len(dataset)), dataset.order(1, 1, len(dataset)))


@given(count=st.integers(0, 300), batch_size=st.integers(1, 20), seed=st.integers(0, 9))
def test_sorting_by_length_changes_no_epoch_only_its_batches(count, batch_size, seed):
    rng = np.random.default_rng(seed)
    num_frames, order = rng.integers(1, 301, count), rng.permutation(count)
    grouped = group_by_length(order, num_frames, batch_size, np.random.default_rng(1), window=4)
    whole = count // batch_size * batch_size
    assert sorted(grouped[:whole]) == sorted(order[:whole])
    np.testing.assert_array_equal(grouped[whole:], order[whole:])

    def spread(records):
        batches = num_frames[records[:whole]].reshape(-1, batch_size)
        return (batches.max(axis=1) - batches.min(axis=1)).sum() if whole else 0

    assert spread(grouped) <= spread(order)


@given(count=st.integers(1, 300), batch_size=st.integers(1, 20), seed=st.integers(0, 9))
def test_a_test_sorts_records_by_length_in_windows_that_none_leaves(count, batch_size, seed):
    rng, size = np.random.default_rng(seed), 4 * batch_size
    num_frames, order = rng.integers(1, 301, count), np.arange(count)
    arranged = sort_by_length(order, num_frames, batch_size, window=4)
    for start in range(0, count, size):
        part = arranged[start : start + size]
        assert sorted(part) == order[start : start + size].tolist()
        assert (np.diff(num_frames[part]) <= 0).all()
    np.testing.assert_array_equal(sort_by_length(order, np.full(count, 7), batch_size), order)
