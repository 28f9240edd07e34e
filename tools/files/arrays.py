"""NumPy's .npy files, alone or in an archive, which may be cut, damaged or made by anybody."""

import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np

# What a file that is no .npy, or one whose header is damaged, can raise.
NO_ARRAY = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)
# What a file that is no .npz can raise besides, when it is opened or a member is read; RuntimeError: an encrypted one.
NO_ARCHIVE = (*NO_ARRAY, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error)


class NoArrayError(Exception):
    """A file is not a whole .npy or .npz; the text says why, in one line."""


def load_npy(path: Path) -> np.ndarray:
    """The array of a .npy without objects. Nothing is allocated for a size that the file does not have."""
    try:
        with open(path, "rb") as file:
            return read_npy(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise NoArrayError(str(error)) from None


def read_npy(file: BinaryIO, size: int) -> np.ndarray:
    """As ``load_npy``, of an open file of ``size`` bytes, read to its end."""
    try:
        shape, is_fortran, dtype = read_header(file)
        if dtype.kind not in "biufcSU" or not dtype.itemsize:
            raise NoArrayError(f"its values are of type {str(dtype)[:40]}, not numbers or texts")
        count = 1
        for length in shape:
            count *= length
        if file.tell() + count * dtype.itemsize != size:
            follow = f"{size - file.tell():,} bytes follow its header"
            raise NoArrayError(f"{follow}, which says {str(count)[:40]} values of {dtype.itemsize} bytes")
        array = np.empty(count, dtype)
        _fill(memoryview(array.view(np.uint8)), file)
        return array.reshape(shape, order="F" if is_fortran else "C")
    except NO_ARRAY as error:
        raise NoArrayError(_first_line(error)) from None


def load_npz(path: Path, wanted: Collection[str], largest: int) -> dict[str, np.ndarray]:
    """Arrays of a .npz by name, without objects; others in it are not looked at.

    largest: bytes of the file, and of each array, which may be compressed. Raises NoArrayError, also for one that is
    not there.
    """
    try:
        if (size := path.stat().st_size) > largest:
            raise NoArrayError(f"it has {size:,} bytes, more than {largest:,}")
        with zipfile.ZipFile(path) as archive:
            return {name: _load_member(archive, name, largest) for name in wanted}
    except NO_ARCHIVE as error:
        raise NoArrayError(_first_line(error)) from None


def read_member(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> np.ndarray:
    """An array of an archive, read to its end, where its CRC-32 is compared: a damaged header may end it earlier.

    Raises NoArrayError and what NO_ARCHIVE holds. The caller has bounded the size that the archive says.
    """
    with archive.open(item) as file:
        return read_npy(file, item.file_size)


def _load_member(archive: zipfile.ZipFile, name: str, largest: int) -> np.ndarray:
    items = [item for item in archive.infolist() if item.filename in (name, f"{name}.npy")]
    if len(items) != 1:
        raise NoArrayError(f"it holds {'several arrays' if items else 'no array'} {name}")
    (item,) = items
    if item.file_size > largest:
        raise NoArrayError(f"its array {name} has {item.file_size:,} bytes, more than {largest:,}")
    if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a bound
        raise NoArrayError(f"its array {name} is compressed in a way that NumPy does not use")
    try:
        return read_member(archive, item)
    except NoArrayError as error:
        raise NoArrayError(f"its array {name} is damaged: {error}") from None


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0][:200] or type(error).__name__


def read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the first axis varies fastest, and dtype. Raises what NO_ARRAY holds."""
    magic = file.read(len(np.lib.format.MAGIC_PREFIX))
    if magic != np.lib.format.MAGIC_PREFIX:
        raise NoArrayError(f"it begins with {magic!r}, not {np.lib.format.MAGIC_PREFIX!r}")
    version = tuple(file.read(2))
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:  # (3, 0) is of tables whose columns have names beyond Latin-1
        raise NoArrayError(f"it is of version {version} of the format; 1.0 and 2.0 are read")
    return readers[version](file)


def _fill(target: memoryview, file: BinaryIO) -> None:
    """Read to a file's end, where an archive compares its sum."""
    at = 0
    while read := file.readinto(target[at:] if at < len(target) else bytearray(1)):
        if at == len(target):
            raise NoArrayError("something stands behind its values")
        at += read
    if at < len(target):
        raise NoArrayError(f"it ends after {at:,} of {len(target):,} bytes of values")
