"""The outermost boxes of an mp4: ISO/IEC 14496-12, section 4.2."""

from collections.abc import Iterator
from typing import BinaryIO


def walk_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, place, length in bytes) of each box of a file of ``size`` bytes, up to one that cannot be a box.

    The last may end behind the file, where that was cut. Whoever takes one may move in the file.
    """
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        elif length == 0:
            length = size - at  # up to the end
        if length < 8:
            return
        yield header[4:8], at, length
        at += length
