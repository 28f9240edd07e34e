"""Independent writers of TensorFlow's graphs and checkpoints, also at their published size: nothing large is copied.

A message is a list of its parts, which are bytes and views of arrays. Of the variables in ``tests/golden/tensorflow``
these writers make TensorFlow's own files, to the byte.
"""

import struct
from pathlib import Path

import google_crc32c
import numpy as np

NUMBERS = {"f4": 1, "f8": 2, "i4": 3, "u1": 4, "i8": 9, "b1": 10, "f2": 19}  # dtype -> type in types.proto
LISTS = {1: 5, 2: 6, 3: 7, 4: 7, 9: 10, 10: 11, 14: 13, 19: 13}  # type -> the field with its values one by one
MAGIC = bytes.fromhex("57fb808b247547db")
BLOCK_BYTES, RESTART_EVERY = 262_144, 16
PIECE = 1 << 20


def write_graph_def(path: Path, constants: dict[str, np.ndarray]) -> None:
    """A GraphDef with a constant for each array, and nodes of other kinds around them."""
    parts = node("DecodeJpeg", "Placeholder", {"shape": field(7, [])})
    for name, array in constants.items():
        parts += node(name, "Const", constant_attributes(array))
    parts += node("pool_3", "AvgPool", {"ksize": field(1, field(3, packed([1, 8, 8, 1])))}, inputs=[*constants][:2])
    write_parts(path, [*parts, *field(4, field(1, 8))])


def write_checkpoint_v1(path: Path, variables: dict[str, np.ndarray], rows: dict[str, int] | None = None) -> None:
    """One file. rows: name -> how many each slice of a variable has, for those that are stored in slices."""
    metas, entries = [], {}
    for name, array in sorted(variables.items()):
        bounds = slice_bounds(array, (rows or {}).get(name))
        extents = [extents_of(array, *bound) for bound in bounds]
        slices = [part for extent in extents for part in field(4, slice_message(extent))]
        metas += field(
            1, [*field(1, name), *field(2, shape_message(array.shape)), *field(3, number_of(array)), *slices]
        )
        for extent, (start, end) in zip(extents, bounds, strict=True):
            values = listed(array if start is None else array[start:end])
            saved = [*field(1, name), *field(2, slice_message(extent)), *field(3, values)]
            entries[slice_key(name, extent)] = field(2, saved)
    write_table(path, {b"": field(1, [*metas, *field(2, field(1, 1))])} | entries)


def write_checkpoint_v2(prefix: Path, variables: dict[str, np.ndarray], rows: dict[str, int] | None = None) -> None:
    """``prefix.index`` and ``prefix.data-00000-of-00001``; rows as of ``write_checkpoint_v1``."""
    entries, offset = {b"": [*field(1, 1), *field(3, field(1, 1))]}, 0
    with open(f"{prefix}.data-00000-of-00001", "wb") as file:
        for name, array in sorted(variables.items()):
            bounds = slice_bounds(array, (rows or {}).get(name))
            head = [*field(1, number_of(array)), *field(2, shape_message(array.shape))]
            extents = [extents_of(array, *bound) for bound in bounds]
            if len(bounds) > 1:
                slices = [part for extent in extents for part in field(7, slice_message(extent))]
                entries[name.encode()] = [*head, *slices]
            for extent, (start, end) in zip(extents, bounds, strict=True):
                values = array if start is None else array[start:end]
                file.write(view(values))
                head = [*field(1, number_of(array)), *field(2, shape_message(values.shape))]
                crc = varint(6 << 3 | 5) + struct.pack("<I", masked_crc([view(values)]))
                key = name.encode() if len(bounds) == 1 else slice_key(name, extent)
                entries[key] = [*head, *(field(4, offset) if offset else []), *field(5, values.nbytes), crc]
                offset += values.nbytes
    write_table(Path(f"{prefix}.index"), entries)


def write_parts(path: Path, parts: list) -> None:
    with open(path, "wb") as file:
        for part in parts:
            file.write(part)


def varint(number: int) -> bytes:
    """As protocol buffers write it; negative numbers have 64 bits."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, content) -> list:
    """A field with a number, a text, bytes or a message."""
    if isinstance(content, int):
        return [varint(number << 3) + varint(content)]
    parts = [content.encode()] if isinstance(content, str) else [content] if isinstance(content, bytes) else content
    return [varint(number << 3 | 2) + varint(sum(map(len, parts))), *parts]


def packed(numbers) -> bytes:
    return b"".join(varint(int(number)) for number in numbers)


def view(array: np.ndarray) -> memoryview:
    """The bytes of an array in little-endian order, without a copy where it has that."""
    stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return memoryview(stored.reshape(-1).view(np.uint8))


def number_of(array: np.ndarray) -> int:
    return NUMBERS[array.dtype.str[1:]]


def shape_message(shape: tuple[int, ...]) -> list:
    return [part for size in shape for part in field(2, field(1, size) if size else [])]


def tensor(array: np.ndarray) -> list:
    """A TensorProto with its values as they lie in memory."""
    return [*field(1, number_of(array)), *field(2, shape_message(array.shape)), *field(4, [view(array)])]


def listed(array: np.ndarray) -> list:
    """A TensorProto with its values one by one, and without type and shape, as checkpoints have it."""
    number = number_of(array)
    if number in (1, 2):
        return field(LISTS[number], [view(array)])
    return field(LISTS[number], packed(array.reshape(-1).view("u2" if number == 19 else array.dtype).tolist()))


def constant_attributes(array: np.ndarray) -> dict[str, list]:
    return {"dtype": field(6, number_of(array)), "value": field(8, tensor(array))}


def node(name: str, op: str, attributes: dict[str, list], inputs=()) -> list:
    """The field of a GraphDef with a NodeDef in it. attributes: name -> AttrValue."""
    parts = [*field(1, name), *field(2, op), *(part for each in inputs for part in field(3, each))]
    for key, value in attributes.items():
        parts += field(5, [*field(1, key), *field(2, value)])
    return field(1, parts)


def slice_bounds(array: np.ndarray, rows: int | None) -> list[tuple]:
    """Where slices of so many rows begin and end; a whole array is (None, None)."""
    if rows is None:
        return [(None, None)]
    return [(start, min(start + rows, len(array))) for start in range(0, len(array), rows)]


def extents_of(array: np.ndarray, start, end) -> list[tuple[int, int]]:
    """For each axis (start, length), (0, -1) for all of it."""
    if start is None:
        return [(0, -1)] * array.ndim
    return [(start, end - start), *((0, size) for size in array.shape[1:])]


def slice_message(extents: list[tuple[int, int]]) -> list:
    """A TensorSliceProto."""
    parts = []
    for start, length in extents:
        parts += field(1, [*(field(1, start) if start else []), *(field(2, length) if length >= 0 else [])])
    return parts


def slice_key(name: str, extents: list[tuple[int, int]]) -> bytes:
    """The ordered code of a slice; its numbers are below 64, as no test needs others."""
    assert all(-64 <= number < 64 for extent in extents for number in extent)
    escaped = name.encode().replace(b"\xff", b"\xff\x00").replace(b"\x00", b"\x00\xff")
    numbers = bytes((number & 0xFF) ^ 0x80 for extent in extents for number in extent)
    return b"\0" + escaped + b"\0\1" + (bytes([1, len(extents)]) if extents else b"\0") + numbers


def masked_crc(parts: list) -> int:
    crc = 0
    for part in parts:
        for at in range(0, len(part), PIECE):
            crc = google_crc32c.extend(crc, bytes(part[at : at + PIECE]))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def block_of(entries: list[tuple[bytes, list]]) -> list:
    """A block of a table, without what follows it."""
    parts, restarts, at, previous = [], [], 0, b""
    for count, (key, value) in enumerate(entries):
        shared = 0
        if count % RESTART_EVERY == 0:
            restarts.append(at)
        else:
            while shared < min(len(key), len(previous)) and key[shared] == previous[shared]:
                shared += 1
        size = sum(map(len, value))
        head = varint(shared) + varint(len(key) - shared) + varint(size) + key[shared:]
        parts += [head, *value]
        at += len(head) + size
        previous = key
    restarts = restarts or [0]
    return [*parts, struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))]


def separator(key: bytes, following: bytes | None) -> bytes:
    """A short key from this one on and before the next, as the index has it."""
    at = 0
    while following and at < min(len(key), len(following)) and key[at] == following[at]:
        at += 1
    if at < len(key) and key[at] < 0xFF and (following is None or key[at] + 1 < following[at]):
        return key[:at] + bytes([key[at] + 1])
    return key


def write_table(path: Path, entries: dict[bytes, list], *, kind: int = 0, sort: bool = True) -> None:
    """A table of values by key. kind: of the blocks, as their types are numbered."""
    with open(path, "wb") as file:

        def write_block(parts: list) -> bytes:
            handle = varint(file.tell()) + varint(sum(map(len, parts)))
            for part in [*parts, bytes([kind]), struct.pack("<I", masked_crc([*parts, bytes([kind])]))]:
                file.write(part)
            return handle

        index, waiting, size = [], [], 0
        items = sorted(entries.items()) if sort else list(entries.items())
        for (key, value), following in zip(items, [*(key for key, _ in items[1:]), None], strict=True):
            waiting.append((key, value))
            size += len(key) + sum(map(len, value))
            if size >= BLOCK_BYTES or following is None:
                index.append((separator(key, following), [write_block(block_of(waiting))]))
                waiting, size = [], 0
        handles = write_block(block_of([])) + write_block(block_of(index))
        file.write(handles.ljust(40, b"\0") + MAGIC)
