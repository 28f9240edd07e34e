"""Shares of lists: as even as whole files allow, and refused where they make no sense."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.splits import apportion, count_served, parse_shares, spread
from tools.errors import DataError


@given(
    sizes=st.lists(st.integers(0, 40), max_size=60),
    weights=st.lists(st.integers(1, 20), min_size=1, max_size=5),
)
def test_every_class_and_the_whole_are_split_as_evenly_as_files_allow(sizes, weights):
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    rows = apportion(sizes, shares)
    assert [sum(row) for row in rows] == sizes
    for size, row in zip(sizes, rows, strict=True):
        assert all(abs(count - size * share) < 1 for count, share in zip(row, shares, strict=True))
    for column, share in enumerate(shares):
        assert abs(sum(row[column] for row in rows) - sum(sizes) * share) <= len(shares)


@given(row=st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_a_spread_row_leaves_no_list_without_where_there_are_files_enough(row):
    even = spread(row)
    assert sum(even) == sum(row)
    served = count_served(sum(row), len(row))
    assert all(even[:served])
    assert not all(row[:served]) or even == row


@pytest.mark.parametrize(
    ("row", "even"),
    [
        ([8, 1, 1], [8, 1, 1]),
        ([4, 1, 0], [3, 1, 1]),
        ([4, 0, 0], [2, 1, 1]),
        ([2, 0, 1], [2, 1, 0]),
        ([1, 0, 1], [1, 1, 0]),
        ([0, 0, 1], [1, 0, 0]),
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_what_a_list_lacks_comes_of_the_largest(row, even):
    assert spread(row) == even


@pytest.mark.parametrize(
    ("split", "part"),
    [
        (["train=0.8", "val=0.3"], "more than 1"),
        (["train=x"], "'x' is not a share"),
        (["train=1/0"], "not a share"),
        (["train=0"], "above 0"),
        (["train=0.5", "train=0.5"], "not come twice"),
        (["a/b=0.5"], "a name such as train"),
    ],
)
def test_shares_that_make_no_sense_are_refused(split, part):
    with pytest.raises(DataError, match=part):
        parse_shares(split)
