"""Texts that users write or export, such as lists and names of classes, in the encodings that they come in."""

import codecs
import re
from pathlib import Path

from tools.files.recognise import TEXTS, FileKind, recognise_file

NO_JSON = (ValueError, RecursionError)  # what json.loads raises for bytes that are none, or too deep to be ours
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PART = 1 << 16  # bytes that are decoded at once


class NotTextError(ValueError):
    """A file is no text in UTF-8. The text follows the file's name: "is ...; save it as UTF-8"."""


def read_text(path: str | Path, most_bytes: int = -1) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark, as Windows PowerShell writes it; line feeds end lines.

    most_bytes: of a file that is read; -1 takes any. Raises OSError, and NotTextError that says what the file is
    instead, that it is larger, or in which line it stops being UTF-8.
    """
    with open(path, "rb") as file:
        data = file.read(most_bytes + 1 if most_bytes >= 0 else -1)
    if 0 <= most_bytes < len(data):
        raise NotTextError(f"has more than {most_bytes:,} bytes, too many for such a text")
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16_MARKS) else "utf-8-sig")
        end = text.find("\0")
    except UnicodeDecodeError as error:
        end = error.start
    if end >= 0:
        raise NotTextError(_explain(path, data, end))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_utf8(path: str | Path) -> bytes:
    """As ``read_text``, in UTF-8 without a mark: a long text takes half the memory, also while it is read."""
    with open(path, "rb") as file:
        data = file.read()
    if b"\0" in data or not _is_utf8(data):  # which may be UTF-16
        return read_text(path).encode()
    return data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _is_utf8(data: bytes) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _PART):
            decoder.decode(data[start : start + _PART])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def split_lines(text: str) -> list[str]:
    """The lines of what ``read_text`` gives, which line feeds alone end; names may hold what else Python splits at.

    None stands behind the last line feed.
    """
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def _explain(path: str | Path, data: bytes, end: int) -> str:
    """What a file is that is text up to byte ``end`` at most."""
    kind = recognise_file(path)
    if kind in (FileKind.UTF16, FileKind.UTF32):
        return f"is {kind}; save it as UTF-8"
    if kind is not None and kind not in TEXTS:
        return f"is {kind}, not a text"
    line = data.count(b"\n", 0, end) + 1
    if data[end : end + 1] == b"\0":
        return f"is not a text: line {line} holds a zero byte"
    guess = _guess(data.split(b"\n")[line - 1])
    return f"is not UTF-8 in line {line} ({guess}); save it as UTF-8"


def _guess(line: bytes) -> str:
    """An encoding for a line that is not UTF-8: in GBK, pairs of bytes are Chinese characters."""
    try:
        found = re.sub(r"[\x00-\x7f]", "", line.decode("gbk"))
    except UnicodeDecodeError:
        found = ""
    is_chinese = found and all("\u3000" <= character <= "\u9fff" or character >= "\uff00" for character in found)
    return "it looks like GBK" if is_chinese else "it may be Latin-1, or what Windows calls ANSI"
