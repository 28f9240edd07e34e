"""Variables as Paddle Fluid stored them: one a file in a folder, or one after another in a single file.

Each is a LoDTensor stream, little-endian: uint32 version 0; uint64 number of LoD levels, each a uint64 of
bytes and so many bytes (weights have none); uint32 tensor version 0; int32 length of a protobuf message
TensorDesc (field 1 the data type, field 2 the dimensions); the values. A single file holds them in the order
of their names, which it does not say.
"""

import math
import mmap
import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tools.errors import CheckpointError
from tools.files.atomic import atomic_folder, atomic_write

# Number of a type in TensorDesc -> what NumPy calls it.
DTYPES = {2: "<i4", 3: "<i8", 5: "<f4", 6: "<f8"}
_MAPPED_FROM = 1 << 16  # bytes; a smaller file is read sooner than mapped
_HEAD = 16  # bytes up to the length of the message; all of them 0 in a weight


def begins_as_variable(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a variable, of which two may be damaged."""
    head = head[:_HEAD]
    if len(head) < _HEAD:
        return bool(head) and not any(head)
    return head.count(0) >= _HEAD - 2


def read_folder(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The variables of a folder by file name, and the names of what is not one, each sorted.

    The arrays are read-only; large ones are maps of their files. Raises CheckpointError naming the file for
    one that begins as a variable and is damaged.
    """
    arrays, ignored = {}, []
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        if entry.name.startswith(".") or not entry.is_file():
            ignored.append(entry.name + "/" * entry.is_dir())
            continue
        content = _open(Path(entry.path))
        if not begins_as_variable(content[:_HEAD]):
            ignored.append(entry.name)
            continue
        arrays[entry.name], end = read_variable(content, 0, entry.path)
        if end != len(content):
            raise CheckpointError(
                f"{entry.path}: {len(content)} bytes, but the variable of shape {list(arrays[entry.name].shape)} "
                f"at its beginning takes {end}; a file of several variables is given by its own name"
            )
    return arrays, ignored


def read_file(path: Path) -> list[np.ndarray]:
    """The variables of a single file, in its order. Read-only; raises CheckpointError where one is damaged."""
    content, arrays, start = _open(path), [], 0
    while start < len(content):
        value, start = read_variable(content, start, f"{path}, variable {len(arrays)} at byte {start}")
        arrays.append(value)
    return arrays


def read_variable(content, start: int, where: str) -> tuple[np.ndarray, int]:
    """The variable that begins at a byte, as a view of ``content``, and the byte after it.

    content: bytes or a map of a file. where: what messages begin with.
    Raises CheckpointError; nothing is allocated for a size that the content does not have.
    """
    at = _expect_zero(content, start, where, "version of the stream")
    levels, at = _number(content, at, "<Q", where, "number of LoD levels")
    for _ in range(levels):  # each takes 8 bytes at least, so a wrong number soon meets the end
        size, at = _number(content, at, "<Q", where, "size of a LoD level")
        if size % 8 or size > len(content) - at:
            raise CheckpointError(f"{where}: a LoD level of {size} bytes, with {len(content) - at} left")
        at += size
    at = _expect_zero(content, at, where, "version of the tensor")
    size, at = _number(content, at, "<i", where, "length of the description")
    if not 0 < size <= len(content) - at:
        raise CheckpointError(f"{where}: a description of {size} bytes, with {len(content) - at} left")
    dtype, shape = _parse_description(bytes(content[at : at + size]), where)
    at += size
    count = math.prod(shape)
    if count * dtype.itemsize > len(content) - at:
        raise CheckpointError(
            f"{where}: {dtype.name} of shape {shape} takes {count * dtype.itemsize} bytes, "
            f"but only {len(content) - at} follow"
        )
    return np.frombuffer(content, dtype, count, at).reshape(shape), at + count * dtype.itemsize


def write_folder(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a folder of variables, which appears under its name when it is complete. Raises OSError."""
    with atomic_folder(path) as folder:
        for name, value in arrays.items():
            with open(folder / name, "xb") as file:
                _write_variable(file, value)
                file.flush()
                os.fsync(file.fileno())


def write_file(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write variables into a single file, in the order of their names. Raises OSError."""
    with atomic_write(path) as file:
        for name in sorted(arrays):
            _write_variable(file, arrays[name])


def _write_variable(file: BinaryIO, value: np.ndarray) -> None:
    numbers = {np.dtype(name): number for number, name in DTYPES.items()}
    description = bytes([0x08, numbers[value.dtype.newbyteorder("<")]])
    description += b"".join(b"\x10" + _encode(size) for size in value.shape)
    file.write(struct.pack("<IQIi", 0, 0, 0, len(description)) + description)
    file.write(np.ascontiguousarray(value, value.dtype.newbyteorder("<")).data)


def _open(path: Path):
    """The bytes of a file: read, or mapped where it is large."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size >= _MAPPED_FROM else file.read()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def _number(content, at: int, form: str, where: str, what: str) -> tuple[int, int]:
    size = struct.calcsize(form)
    if len(content) - at < size:
        raise CheckpointError(f"{where}: it ends inside the {what}")
    return struct.unpack_from(form, content, at)[0], at + size


def _expect_zero(content, at: int, where: str, what: str) -> int:
    value, at = _number(content, at, "<I", where, what)
    if value:
        raise CheckpointError(f"{where}: {what} is {value}, expected 0")
    return at


def _parse_description(message: bytes, where: str) -> tuple[np.dtype, list[int]]:
    """Data type and shape of a TensorDesc: a type, then dimensions, as Fluid wrote them and nothing else."""
    numbers = _decode(message, where)
    tags, values = numbers[::2], numbers[1::2]
    if len(tags) != len(values) or tags != [0x08] + [0x10] * (len(tags) - 1):
        raise CheckpointError(f"{where}: description {message[:32].hex()} is not a data type and then dimensions")
    number, *shape = values
    if number not in DTYPES:
        known = ", ".join(f"{number} {np.dtype(name).name}" for number, name in DTYPES.items())
        raise CheckpointError(f"{where}: data type {number}; known are {known}")
    if not all(1 <= size < 1 << 63 for size in shape) or len(shape) > 8:
        raise CheckpointError(f"{where}: shape {shape[:9]}; expected at most 8 dimensions, each of 1 or more")
    return np.dtype(DTYPES[number]), shape


def _decode(message: bytes, where: str) -> list[int]:
    """Protobuf's varints: seven bits a byte, lowest first; the last byte of a number is below 128."""
    numbers, value, shift = [], 0, 0
    for byte in message:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if not byte and shift > 7:
                raise CheckpointError(
                    f"{where}: description {message[:32].hex()} holds a number longer than it need be"
                )
            numbers.append(value)
            value = shift = 0
        elif shift > 63:
            raise CheckpointError(f"{where}: description {message[:32].hex()} holds a number of more than 64 bits")
    if shift:
        raise CheckpointError(f"{where}: description {message[:32].hex()} ends inside a number")
    return numbers


def _encode(value: int) -> bytes:
    *low, high = (value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7))
    return bytes([*(part | 0x80 for part in low), high])
