"""Text of values from files: on one line, as long as was asked for, and never a failure."""

import numpy as np
import pytest

from tools.runtime.tables import format_columns
from tools.runtime.text import decode_text, display_width, printable, short_repr, shorten, shorten_middle


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("naïve 拉", "naïve 拉"),
        ("naïve 拉".encode(), "naïve 拉"),
        (b"a\xffb", "a\ufffdb"),
        ("a\udcffb", "a?b"),
        ("a\nb", "a\nb"),
        (7, "7"),
        (None, "None"),
    ],
)
def test_what_is_decoded_can_be_written_as_utf_8(value, text):
    assert decode_text(value) == text
    assert text.encode().decode() == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("naïve 拉", "naïve 拉"),
        (b"caf\xc3\xa9", "café"),
        ("", ""),
        ("two\nlines \x1b[31m拉", r"'two\nlines \x1b[31m\u62c9'"),
        (b"two\r", r"'two\r'"),
        ("a\udcff", r"'a\udcff'"),
        (np.array([[1], [2]]), r"'[[1]\n [2]]'"),
    ],
)
def test_what_is_printable_is_one_line_and_moves_no_cursor(value, text):
    assert printable(value) == text
    assert text.isprintable()


@pytest.mark.parametrize(
    ("value", "most", "text"),
    [("abc", 5, "'abc'"), ("abcd", 5, "'a..."), (["a", 7], 80, "['a', 7]"), (list(range(100)), 11, "[0, 1, 2...")],
)  # fmt: skip
def test_a_short_repr_is_as_python_writes_it_as_far_as_there_is_room(value, most, text):
    assert short_repr(value, most) == text
    assert len(text) <= most


def test_what_python_does_not_write_is_named_by_its_type():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    for write in (decode_text, printable, short_repr):
        assert write(10**5000) == "a value of type int"
        assert write(nested) == "[" * 20 + "[...]" + "]" * 20


def shared(make, depth):
    """A value of a few parts that takes 2 ** depth times as many to write."""
    value = make("x", "y")
    for _ in range(depth):
        value = make(value, value)
    return value


@pytest.mark.parametrize(
    "make",
    [
        lambda one, other: (one, other),
        lambda one, other: [one, other],
        lambda one, other: {1: one, 2: other},
        lambda one, other: {"a": [one] * 99, "b": (other,) * 99},
        lambda one, other: frozenset([(one, 1), (other, 2)]) if one == "x" else [one, [other] * 200],
    ],
)
def test_a_small_value_that_would_be_huge_as_a_text_is_not_written_out(make):
    for write in (decode_text, printable, short_repr):
        assert len(write(shared(make, 40))) <= (80 if write is short_repr else 1100)


@pytest.mark.parametrize(
    "value",
    [
        {"b": 1, "a": [1, (2,), {3}], "c": {}},
        [(), [], {}, set(), frozenset(), frozenset([1])],
        (1,),
        {"x": {"y": {"z": [None, True, 1.5, b"\0", bytearray(b"a"), 10**70]}}},
        ["a" * 79, "b'\"\n"],
        np.arange(3),
        np.float32(0.5),
    ],
)
def test_a_short_repr_of_what_is_short_is_its_repr(value):
    assert short_repr(value, 200) == repr(value)
    assert short_repr(value, 12) == shorten(repr(value), 12)


def test_a_short_repr_begins_as_the_long_one_does():
    for value in (
        "ab\0" * 10_000,
        b"ab\0" * 10_000,
        [*range(10_000)],
        {i: str(i) for i in range(10_000)},
        [[0] * 99] * 99,
    ):
        assert short_repr(value, 100) == shorten(repr(value), 100)


@pytest.mark.parametrize(("text", "short"), [("", ""), ("1234567", "1234567"), ("12345678", "1234...")])
def test_what_is_shortened_says_so(text, short):
    assert shorten(text, 7) == short


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("打太极", 6), ("e\u0301", 1), ("\u0645\u200c\u062f", 2), ("한글ｱ", 5), ("", 0)]
)
def test_a_text_takes_the_columns_that_a_terminal_gives_it(text, columns):
    assert display_width(text) == columns


def test_a_path_that_is_too_long_loses_its_middle():
    assert shorten_middle("videos/2024/clip.mp4", 20) == "videos/2024/clip.mp4"
    assert shorten_middle("videos/2024/clip.mp4", 15) == "videos...ip.mp4"
    assert shorten_middle("视频/太极/片段.mp4", 12) == "视频/....mp4"


def test_columns_stay_below_one_another_whatever_their_letters():
    lines = format_columns([("打太极", "1"), ("e\u0301e", "22"), ("abc", "3")], "<>").splitlines()
    assert lines == ["打太极   1", "e\u0301e      22", "abc      3"]
