"""TensorFlow's tables, in which both kinds of checkpoints are: LevelDB's format, with its checksums.

https://github.com/google/leveldb/blob/main/doc/table_format.md: blocks of entries (key, value) in the order of their
keys; an index block, whose values say where the others are; a footer that says where the index is.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO

from tools.files.checksums import masked_crc32c
from tools.files.tensorflow.wire import MalformedError, read_varint

_FOOTER, _TRAILER = 48, 5  # bytes: of the footer; behind each block, for its type and checksum
_MAGIC = bytes.fromhex("57fb808b247547db")
_RAW, _SNAPPY = 0, 1  # types of blocks
MOST_ENTRIES = 100_000  # of a table, with those of its index; each variable or slice of one is an entry
MOST_KEYS = 1 << 24  # bytes of all keys together, which are longer than what is stored of them
_LONGEST_KEY = 1 << 14  # bytes


def read_table(file: BinaryIO) -> Iterator[tuple[bytes, memoryview]]:
    """The entries (key, value) of an open file, a block at a time, each block once its checksum was right.

    A value is a view of its block, which stays in memory as long as the value does. Raises MalformedError for what is
    damaged, and OSError.
    """
    end = os.fstat(file.fileno()).st_size - _FOOTER
    if end < 0:
        raise MalformedError("it is too short for a table")
    file.seek(end)
    footer = file.read(_FOOTER)
    if footer[-len(_MAGIC) :] != _MAGIC:
        raise MalformedError("it does not end as a table does")
    _, at = _read_handle(footer, 0)  # of the metaindex, which says nothing that is needed
    index, _ = _read_handle(footer, at)
    last, read_up_to, count = None, 0, _Count()
    for limit, value in _split(_read_block(file, index, end), count):
        handle, _ = _read_handle(value, 0)
        if handle[0] < read_up_to:  # blocks that share bytes could be more than the file has
            raise MalformedError("its index is not in the order of its blocks")
        read_up_to = sum(handle)
        for key, content in _split(_read_block(file, handle, end), count):
            if (last is not None and key <= last) or key > limit:
                raise MalformedError("its keys are not in order")
            yield key, content
            last = key


def _read_handle(content: bytes | memoryview, at: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the place behind them."""
    offset, at = read_varint(content, at)
    size, at = read_varint(content, at)
    return (offset, size), at


def _read_block(file: BinaryIO, handle: tuple[int, int], end: int) -> memoryview:
    """The content of a block that lies before ``end``."""
    offset, size = handle
    if offset + size + _TRAILER > end:
        raise MalformedError(f"a block of {size:,} bytes at byte {offset:,} reaches beyond its {end:,}")
    file.seek(offset)
    block = memoryview(file.read(size + _TRAILER))
    if len(block) < size + _TRAILER:
        raise MalformedError("it became shorter while it was read")
    if masked_crc32c(block[:-4]) != int.from_bytes(block[-4:], "little"):
        raise MalformedError(f"the block at byte {offset:,} does not match its checksum")
    if block[-5] != _RAW:
        kind = "with Snappy" if block[-5] == _SNAPPY else f"in the way of number {block[-5]}"
        raise MalformedError(f"the block at byte {offset:,} is compressed {kind}, which those of checkpoints are not")
    return block[:-_TRAILER]


class _Count:
    """Of the entries of a table, whatever block they are in."""

    def __init__(self):
        self._entries = self._key_bytes = 0

    def add(self, key_bytes: int) -> None:
        """One more. Raises MalformedError for more than any checkpoint has."""
        self._entries += 1
        self._key_bytes += key_bytes
        if self._entries > MOST_ENTRIES or self._key_bytes > MOST_KEYS:
            raise MalformedError(f"it has more than {MOST_ENTRIES:,} entries, or {MOST_KEYS:,} bytes of keys")


def _split(block: memoryview, count: _Count) -> Iterator[tuple[bytes, memoryview]]:
    """The entries of a block, behind which stand the places where keys are whole, as uint32, and their number."""
    places = int.from_bytes(block[-4:], "little")
    end, at, key = len(block) - 4 - 4 * places, 0, b""
    if len(block) < 4 or end < 0:
        raise MalformedError("a block in it has no end")
    while at < end:
        shared, at = read_varint(block, at)
        unshared, at = read_varint(block, at)
        size, at = read_varint(block, at)
        begin = at + unshared
        if shared > len(key) or begin + size > end or shared + unshared > _LONGEST_KEY:
            raise MalformedError("an entry of a block in it is damaged")
        count.add(shared + unshared)
        key = key[:shared] + bytes(block[at:begin])
        yield key, block[begin : begin + size]
        at = begin + size
