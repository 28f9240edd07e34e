"""Texts in the encodings that people have, and what is no text."""

import codecs
import pickle

import pytest

from tools.files.texts import NotTextError, read_text, read_utf8, split_lines

NAMES = "a.mp4 0\n视频/é.mp4 1\n"


@pytest.mark.parametrize(
    "data",
    [
        NAMES.encode(),
        NAMES.encode("utf-8-sig"),
        NAMES.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF16_LE + NAMES.replace("\n", "\r\n").encode("utf-16-le"),  # as PowerShell writes it
        codecs.BOM_UTF16_BE + NAMES.encode("utf-16-be"),
    ],
    ids=["utf-8", "mark", "crlf", "utf-16-le", "utf-16-be"],
)
def test_a_text_is_read_in_utf_8_and_in_utf_16_with_its_mark(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    assert read_text(tmp_path / "x") == NAMES
    assert read_utf8(tmp_path / "x") == NAMES.encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a.mp4 0\n\n视频/一.mp4 0\n".encode("gbk"), "is not UTF-8 in line 3 (it looks like GBK); save it as UTF-8"),
        ("a.mp4 0\ncafé.mp4 0\n".encode("latin-1"), "is not UTF-8 in line 2 (it may be Latin-1, or what Windows"),
        (NAMES.encode() * 1000 + "视.mp4".encode("gbk"), "is not UTF-8 in line 2001 (it looks like GBK)"),
        ("a.mp4 0\n".encode("utf-16-le"), "is a text in UTF-16; save it as UTF-8"),
        ("a.mp4 0\n".encode("utf-32"), "is a text in UTF-32; save it as UTF-8"),
        (b"a.mp4 0\nb\0.mp4 1\n", "is not a text: line 2 holds a zero byte"),
        (pickle.dumps(("v", 1, [b"\xff"])), "is a pickle, not a text"),
        (b"\0\0\0\x20ftypisom\xff\xff", "is an MP4 or QuickTime video, not a text"),
    ],
    ids=["gbk", "latin-1", "late", "utf-16", "utf-32", "zero", "pickle", "video"],
)
def test_what_is_no_text_in_utf_8_is_told_with_its_line(tmp_path, data, message):
    (tmp_path / "x").write_bytes(data)
    for read in (read_text, read_utf8):
        with pytest.raises(NotTextError) as error:
            read(tmp_path / "x")
        assert str(error.value).startswith(message)


@pytest.mark.parametrize("length", [(1 << 16) - 2, (1 << 16) - 1, 1 << 16])
def test_a_character_may_stand_on_both_sides_of_where_a_long_text_is_parted(tmp_path, length):
    (tmp_path / "x").write_text("x" * length + "视频\r")
    assert read_utf8(tmp_path / "x").decode() == "x" * length + "视频\n"
    (tmp_path / "x").write_bytes(b"x" * length + "视".encode()[:2])
    with pytest.raises(NotTextError, match="is not UTF-8 in line 1"):
        read_utf8(tmp_path / "x")


def test_line_feeds_alone_end_lines():
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g"
    assert split_lines(f"{text}\n\n{text}\n") == [text, "", text]
    assert split_lines(text) == [text]
    assert split_lines("") == []
    assert split_lines("\n") == [""]


def test_a_text_may_be_bounded(tmp_path):
    (tmp_path / "a.txt").write_text("abc")
    assert read_text(tmp_path / "a.txt", 3) == "abc"
    with pytest.raises(NotTextError, match="has more than 2 bytes"):
        read_text(tmp_path / "a.txt", 2)
    with pytest.raises(NotTextError, match="has more than 1,000 bytes"):
        read_text("/dev/zero", 1000)  # which has no end
