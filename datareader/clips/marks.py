"""The mark that a copy of --save-video carries: what it is, and its own size, which what is made of it has not."""

import re
from collections.abc import Iterator
from pathlib import Path

from datareader.clips.boxes import walk_boxes
from tools.files.recognise import HEAD_SIZE, FileKind, describe_content

_TEXT = "a copy with classes drawn in, made by infer.py --save-video"
_DIGITS = 16
COMMENT = f"{_TEXT} in {0:0{_DIGITS}} bytes"  # of the mp4, while its size is not known
_MARK = re.compile(_TEXT.encode() + rb"(?: in ([0-9]{%d}) bytes)?" % _DIGITS)
_TABLE = b"moov"
_LAST_BYTES = 1 << 16  # of a table, in which FFmpeg writes comments


def seal(path: str) -> None:
    """Write the size of a finished copy into its mark, in the place of zeros. Raises OSError."""
    with open(path, "r+b") as file:
        size = file.seek(0, 2)
        for place in [place for place, said in _find_marks(file) if said is not None]:
            file.seek(place)
            file.write(f"{size:0{_DIGITS}}".encode())


def has_mark(path: str | Path) -> bool:
    """Whether a file is a copy, or was made of one and kept its comment. Raises OSError."""
    with open(path, "rb") as file:
        return any(True for _ in _find_marks(file))


def is_copy(path: str | Path) -> bool:
    """Whether a file is a copy as it was made, and nothing that somebody has made of one since. Raises OSError."""
    with open(path, "rb") as file:
        return file.seek(0, 2) in [size for _, size in _find_marks(file)]


def _find_marks(file) -> Iterator[tuple[int, int | None]]:
    """The places of the sizes in the marks of an mp4, and the sizes."""
    file.seek(0)
    if describe_content(file.read(HEAD_SIZE)) is not FileKind.MP4:
        return
    for name, at, length in walk_boxes(file, file.seek(0, 2)):
        if name == _TABLE:
            start = max(at, at + length - _LAST_BYTES)
            file.seek(start)
            for match in _MARK.finditer(file.read(at + length - start)):
                yield start + match.start(1), int(match[1]) if match[1] else None
