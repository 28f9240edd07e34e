"""A file in pieces: small ones for what it is described by, and what is long in one read of its own."""

import io
import pickle
from typing import BinaryIO

_LEAST, _MOST = 1 << 12, 1 << 18  # bytes of a piece
_SLACK = 128  # bytes for an operation and what describes an array


class Pieces:
    """What stands in a file from where it is at.

    content: a piece of the file. at: the place in it. renew_at: from here on ``renew`` is to be called before
    bytes are looked at.

    An array of a file is so read into memory of its own. The C library gives one block of the file's size back to
    the system when it is freed, and to have it anew for the next file takes three times as long as reading it.
    """

    __slots__ = ("_begin", "_file", "_size", "at", "content", "num_bytes", "renew_at")

    def __init__(self, file: BinaryIO):
        self._file = file if file.seekable() else io.BytesIO(file.read())
        begin = self._file.tell()
        self.num_bytes = self._file.seek(0, io.SEEK_END)
        self._size = _LEAST
        self.go_to(begin)

    def place(self) -> int:
        """Where in the file this is."""
        return self._begin + self.at

    def go_to(self, place: int) -> None:
        """Go on from a place in the file."""
        self._file.seek(place)
        self.content, self._begin, self.at = self._file.read(self._size), place, 0
        end = len(self.content)
        is_last = end < self._size or place + end >= self.num_bytes
        self.renew_at = end + 1 if is_last else end - _SLACK

    def renew(self) -> None:
        """Go on with a piece that begins here."""
        self._size = min(2 * self._size, _MOST)
        self.go_to(self.place())

    def take(self, size: int) -> bytes:
        """The next bytes. Raises pickle.UnpicklingError where there are fewer."""
        start, self.at = self.at, self.at + size
        if self.at <= len(self.content):
            return self.content[start : self.at]
        place = self._begin + start
        if place + size > self.num_bytes:  # before there is memory for them
            raise pickle.UnpicklingError("it is cut short")
        self._file.seek(place)
        taken = self._file.read(size)
        if len(taken) < size:
            raise pickle.UnpicklingError("it became shorter while it was read")
        self._size = _LEAST  # what is long is often followed by what is, too
        self.go_to(place + size)
        return taken

    def take_number(self, size: int) -> int:
        """The next bytes as a number of 0 or more."""
        return int.from_bytes(self.take(size), "little")

    def take_line(self, most: int | None = None) -> bytes:
        """The next line, of at most so many bytes, without its end. Raises pickle.UnpicklingError where it has none."""
        most = self.num_bytes if most is None else most
        while (end := self.content.find(b"\n", self.at, self.at + most)) < 0:
            if self.renew_at > len(self.content) or len(self.content) - self.at >= most:
                raise pickle.UnpicklingError("it is damaged: a line in it has no end, or is too long")
            self._size = 2 * len(self.content)
            self.go_to(self.place())
        start, self.at = self.at, end + 1
        return self.content[start:end]
