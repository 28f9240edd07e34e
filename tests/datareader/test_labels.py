"""Class ids of many records."""

import numpy as np
import pytest

from datareader.labels import describe_classes, join_labels, pack_labels, warn_of_classes


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


@pytest.mark.parametrize(
    ("counts", "text", "warnings"),
    [
        ([40, 60, 50], "3 classes, 40 to 60 records each", []),
        ([1200, 1200], "2 classes, 1,200 records each", []),
        ([5], "1 class, 5 records each", ["all labels are of class 0; a classifier trained on one class"]),
        ([1, 1], "2 classes, 1 record each", []),
        ([0, 0], "0 of 2 classes, 0 records each", ["no record has a label"]),
        ([0, 7, 0], "1 of 3 classes, 7 records each", ["all labels are of class 1; a classifier trained on one class"]),
        (
            [0, 9, 9, 8, 9, 9],
            "5 of 6 classes, 8 to 9 records each",
            ["class ids are 1 to 5 with num_classes = 6: ids count from 0; if yours count from 1, subtract 1"],
        ),
        (
            [0, 9, 0, 8, 9],
            "3 of 5 classes, 8 to 9 records each",
            ["class ids are 1 to 4 with", "1 of 5 classes has no record (2); the list is a part of the data, or"],
        ),
        ([0, 9, 9, 0], "2 of 4 classes, 9 records each", ["2 of 4 classes have no record (0, 3);"]),
        (
            [3] * 20 + [0] * 3842,
            "20 of 3,862 classes, 3 records each",
            ["3,842 of 3,862 classes have no record (20, 21, 22, 23, 24 and 3,837 more);"],
        ),
    ],
    ids=range(10),
)
def test_classes_are_counted_in_a_line_and_what_looks_wrong_is_said(counts, text, warnings):
    counts = np.array(counts, np.int64)
    assert describe_classes(counts) == text
    found = warn_of_classes(counts)
    assert len(found) == len(warnings)
    for line, begin in zip(found, warnings, strict=True):
        assert line.startswith(begin)
        assert len(line) < 160
