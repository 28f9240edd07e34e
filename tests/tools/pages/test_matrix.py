"""Matrices of confusions: which part is shown, what is counted, and that nothing goes missing."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.pages import matrix
from tools.pages.matrix import SHOWN, ConfusionMatrix


def matrix_of(counts):
    """The matrix of counts[label][predicted] videos, of classes that are called c0, c1 and so on."""
    label, predicted = np.nonzero(counts)
    pairs = np.stack([label, predicted, np.asarray(counts)[label, predicted]], axis=1)
    return ConfusionMatrix([f"c{i}" for i in range(len(counts))], pairs)


def read_dots(paths):
    """The places that SVG paths of dots name."""
    found = []
    for path in paths:
        x = y = 0
        for kind, a, b in re.findall(r"([Mm])(-?\d+) (-?\d+)h0", path):
            x, y = (int(a), int(b)) if kind == "M" else (x + int(a), y + int(b))
            found.append((y, x))
    return sorted(found)


def test_few_classes_are_shown_all_with_their_shares():
    shown = matrix_of([[6, 3, 0], [0, 0, 0], [1, 0, 1]])
    assert shown.overview is None
    part = shown.part
    assert part.caption == "All 3 classes"
    assert part.heads == [(0, "c0"), (1, "c1"), (2, "c2")]
    assert [[cell.text for cell in row.cells] for row in part.rows] == [["6", "3", ""], ["", "", ""], ["1", "", "1"]]
    assert [[cell.heat for cell in row.cells] for row in part.rows] == [[7, 4, 0], [0, 0, 0], [5, 0, 5]]
    assert [[cell.is_right for cell in row.cells] for row in part.rows] == np.eye(3, dtype=bool).tolist()
    assert [(row.others, row.total) for row in part.rows] == [("", "9"), ("", "0"), ("", "2")]
    assert json.loads(part.values) == {
        "names": ["c0", "c1", "c2"], "rows": [[0, 6, 1, 3], [], [0, 1, 2, 1]], "whole": "all classes",
    }  # fmt: skip


def test_of_many_classes_those_of_the_most_frequent_mistakes_are_shown():
    counts = np.diag(np.full(400, 50))
    for i in range(30):
        counts[10 * i, 399 - i] = 40 - i
    counts[0, 1] = 2
    part = matrix_of(counts).part
    assert part.caption == "The 20 classes that are mistaken most often"
    assert [number for number, _ in part.heads] == sorted([10 * i for i in range(10)] + [399 - i for i in range(10)])
    assert part.rows[0].cells[-1].text == "40"
    assert (part.rows[0].others, part.rows[0].total) == ("2", "92")
    assert json.loads(part.values)["whole"] == "those that are mistaken most often"


@given(st.integers(SHOWN + 1, 60), st.integers(0, 20), st.floats(0, 1))
def test_every_mistake_is_a_dot_once_and_all_videos_are_in_the_values(num_classes, seed, density):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 40, (num_classes, num_classes)) * (rng.random((num_classes, num_classes)) < density)
    shown = matrix_of(counts)
    wrong = [(int(i), int(j)) for i, j in zip(*np.nonzero(counts), strict=True) if i != j]
    assert read_dots(shown.overview.dots) == wrong
    assert f"{counts.sum() - np.trace(counts):,} of {counts.sum():,} videos" in shown.overview.about
    rows = json.loads(shown.part.values)["rows"]
    assert [dict(zip(row[::2], row[1::2], strict=True)) for row in rows] == [
        {j: int(count) for j, count in enumerate(row) if count} for row in counts
    ]
    for row in shown.part.rows:
        numbers = [int(text.replace(",", "") or 0) for text in (*(cell.text for cell in row.cells), row.others)]
        assert sum(numbers) == int(row.total.replace(",", ""))


def test_the_rarest_mistakes_of_too_many_have_no_dot_and_that_is_said(monkeypatch):
    monkeypatch.setattr(matrix, "MOST_DOTS", 50)
    counts = np.ones((30, 30), int)
    counts[3, :20] = 9
    overview = matrix_of(counts).overview
    dots = read_dots(overview.dots)
    assert len(dots) == 50
    assert {(3, j) for j in range(20) if j != 3} <= set(dots)
    assert len({row for row, _ in dots}) > 10  # of all parts
    assert overview.note == "820 of the rarest pairs have no dot."


def test_four_hundred_classes_of_any_tests_fit_into_a_page():
    counts = np.full((400, 400), 3)
    shown = matrix_of(counts)
    assert len(shown.part.values) + sum(map(len, shown.overview.dots)) < 3_000_000
    assert shown.overview.scale == pytest.approx(1)
