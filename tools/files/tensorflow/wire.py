"""Large messages of protocol buffers taken apart by hand, so that what is large in them is never copied.

The protobuf library copies every byte, and makes an object of every two where a stranger wants it to. ``Cutter`` cuts
fields out of a message, as views, and gives back the rest, which is small and can be parsed.

https://protobuf.dev/programming-guides/encoding: a field is a varint of its number and type, and its content.
"""

from collections.abc import Collection

MOST_FIELDS = 200_000  # that are looked at in a file, which takes 0.2 s and 50 MB; Inception's graph has about 6000
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # types
_LONGEST_VARINT = 10  # bytes


class MalformedError(ValueError):
    """A file is not what it should be; the text says how, in a sentence on "it"."""


def read_varint(content: memoryview | bytes, at: int) -> tuple[int, int]:
    """A number, and the place behind it."""
    value = 0
    for i, byte in enumerate(content[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise MalformedError("a number in it has no end")


class Cutter:
    """Cuts messages of one file; it looks at no more than MOST_FIELDS fields of it."""

    def __init__(self):
        self._left = MOST_FIELDS

    def cut(
        self, content: memoryview, numbers: Collection[int], largest: int
    ) -> tuple[dict[int, list[memoryview]], bytes]:
        """The contents of the fields of these numbers that have a length, in order, and the message without them.

        largest: bytes of the rest. Raises MalformedError for a message that is damaged or has a larger rest.
        """
        found = {number: [] for number in numbers}
        rest, at, kept, size = [], 0, 0, len(content)
        while kept < len(content):
            start, number, end = self._step(content, kept)
            if start is not None and number in found:
                found[number].append(content[start:end])
                rest.append(content[at:kept])
                size -= end - kept
                at = end
            kept = end
        if size > largest:
            raise MalformedError(f"it describes something in {size:,} bytes, and {largest:,} are more than enough")
        return found, b"".join([*rest, content[at:]])

    def cut_one(self, content: memoryview, number: int, largest: int) -> tuple[memoryview | None, bytes]:
        """As ``cut``, of a field that comes at most once."""
        found, rest = self.cut(content, [number], largest)
        if len(found[number]) > 1:
            raise MalformedError("it says something twice that can be said once")
        return (found[number] or [None])[0], rest

    def _step(self, content: memoryview, at: int) -> tuple[int | None, int, int]:
        """Of the field that begins at a place: where its content begins if it has a length, its number, its end."""
        self._left -= 1
        if self._left < 0:
            raise MalformedError(f"it has more than {MOST_FIELDS:,} fields")
        key, at = read_varint(content, at)
        number, kind, start = key >> 3, key & 7, None
        if kind == _VARINT:
            _, end = read_varint(content, at)
        elif kind == _LENGTH:
            size, start = read_varint(content, at)
            end = start + size
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            end = at + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise MalformedError(f"a field in it is of type {kind}, which its format does without")
        if not number:
            raise MalformedError("a field in it has the number 0")
        if end > len(content):
            raise MalformedError(f"a field in it is cut short: it ends at byte {end:,} of {len(content):,}")
        return start, number, end
