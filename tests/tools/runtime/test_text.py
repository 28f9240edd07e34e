"""Text of values from files: on one line, as long as was asked for, and never a failure."""

import numpy as np
import pytest

from tools.runtime.text import decode_text, printable, short_repr, shorten


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
        assert write(nested) == "a value of type list"


@pytest.mark.parametrize(("text", "short"), [("", ""), ("1234567", "1234567"), ("12345678", "1234...")])
def test_what_is_shortened_says_so(text, short):
    assert shorten(text, 7) == short
