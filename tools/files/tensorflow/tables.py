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
MOST_ENTRIES = 100_000  # of a table, and of its index; each variable or slice of one is an entry
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
    last, read_up_to = None, 0
    for count, (limit, value) in enumerate(_split(_read_block(file, index, end)), start=1):
        handle, _ = _read_handle(value, 0)
        if count > MOST_ENTRIES or handle[0] < read_up_to:  # blocks that share bytes could be more than the file has
            raise MalformedError("its index is not in the order of its blocks, or too long")
        read_up_to = sum(handle)
        for key, content in _split(_read_block(file, handle, end)):
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


def _split(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The entries of a block, behind which stand the places where keys are whole, as uint32, and their number."""
    places = int.from_bytes(block[-4:], "little")
    end, at, key, count = len(block) - 4 - 4 * places, 0, b"", 0
    if len(block) < 4 or end < 0:
        raise MalformedError("a block in it has no end")
    while at < end:
        shared, at = read_varint(block, at)
        unshared, at = read_varint(block, at)
        size, at = read_varint(block, at)
        begin = at + unshared
        if shared > len(key) or begin + size > end or shared + unshared > _LONGEST_KEY or count == MOST_ENTRIES:
            raise MalformedError("an entry of a block in it is damaged")
        key = key[:shared] + bytes(block[at:begin])
        yield key, block[begin : begin + size]
        at = begin + size
        count += 1
