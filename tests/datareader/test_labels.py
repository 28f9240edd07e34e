"""Class ids of many records."""

import numpy as np

from datareader.labels import join_labels, pack_labels


def rows(labels):
    return [ids.tolist() for ids in np.split(labels.class_ids, labels.starts[1:-1])]


def test_labels_of_records_are_packed_joined_and_counted():
    one, other, none = pack_labels([[3, 1], [], [3]]), pack_labels([[0]]), pack_labels([])
    assert (len(one), len(other), len(none)) == (3, 1, 0)
    both = join_labels([one, none, other])
    assert rows(both) == [[3, 1], [], [3], [0]]
    assert both.count(5).tolist() == [1, 1, 0, 2, 0]
    assert none.count(2).tolist() == [0, 0]
    assert (both.starts.dtype, both.class_ids.dtype, both.count(5).dtype) == (np.int64, np.int32, np.int64)
