"""Arrays of more rows than memory holds, written and read in parts, in NumPy archives as ``np.load`` reads them.

A row may be of any shape. An archive of ours is not compressed, so that any rows of it can be read alone.
"""

import contextlib
import struct
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tools.files.arrays import NO_ARCHIVE, NoArrayError, read_header, read_member
from tools.files.zips import open_zip

_AT_ONCE = 1 << 24  # bytes that are read together
_LARGEST = 1 << 32  # bytes of an array that is read as a whole
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a file in an archive, up to the lengths of its name and of what follows it


class Rows:
    """Rows of one dtype and shape that stand one behind another in an open file, from byte ``offset`` on."""

    def __init__(self, file: BinaryIO, dtype: np.dtype, shape: tuple[int, ...] = (), offset: int = 0, count: int = 0):
        self.dtype, self.shape = np.dtype(dtype), shape
        self._file, self._offset, self._count = file, offset, count
        self.row_bytes = self.dtype.itemsize * int(np.prod(shape, dtype=np.int64))

    def __len__(self) -> int:
        return self._count

    @property
    def at_once(self) -> int:
        """How many rows should be in memory together."""
        return max(1, _AT_ONCE // max(1, self.row_bytes))

    def take(self, places: np.ndarray) -> np.ndarray:
        """(len(places), *shape) of these rows, in this order. Raises OSError."""
        places = np.asarray(places, np.int64)
        rows = np.empty((len(places), *self.shape), self.dtype)
        if not rows.nbytes:
            return rows
        target = memoryview(rows.reshape(-1).view(np.uint8))
        edges = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        for begin, end in pairwise(edges):
            self._file.seek(self._offset + int(places[begin]) * self.row_bytes)
            _fill(target[begin * self.row_bytes : end * self.row_bytes], self._file)
        return rows

    def blocks(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """The rows in an order, as many at once as should be in memory together."""
        for start in range(0, len(order), self.at_once):
            yield self.take(order[start : start + self.at_once])

    def close(self) -> None:
        self._file.close()


class RowSpool(Rows):
    """Rows that are appended to a file without a name in a folder, which is gone with the process. Makes the folder."""

    def __init__(self, folder: Path, dtype: np.dtype, shape: tuple[int, ...] = ()):
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(tempfile.TemporaryFile(dir=folder), dtype, shape)  # noqa: SIM115

    def append(self, rows: np.ndarray) -> None:
        """rows: (N, *shape). Raises OSError, as for a full disk."""
        self._file.seek(self._count * self.row_bytes)
        self._file.write(np.ascontiguousarray(rows, self.dtype).tobytes())
        self._count += len(rows)

    def cut(self, count: int) -> None:
        """Forget the rows from number ``count`` on."""
        self._count = count


# Archives


@dataclass(frozen=True)
class Blocks:
    """An array that is written in parts along its first axis."""

    dtype: np.dtype
    shape: tuple[int, ...]
    parts: Iterable[np.ndarray]


def text_blocks(texts: list[str], at_once: int = 4096) -> Blocks:
    """Texts as an array of as many characters each as the longest has; a part of them is in memory at once."""
    dtype = np.dtype(f"<U{max(map(len, texts), default=0) or 1}")
    parts = (np.array(texts[start : start + at_once], dtype) for start in range(0, len(texts), at_once))
    return Blocks(dtype, (len(texts),), parts)


def write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray | Blocks]) -> None:
    """Write a NumPy archive, not compressed; the same arrays give the same bytes. Raises OSError."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            whole = array if isinstance(array, Blocks) else Blocks(array.dtype, array.shape, [array])
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(whole.dtype)), "fortran_order": False}
            left = int(np.prod(whole.shape, dtype=np.int64)) * np.dtype(whole.dtype).itemsize
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header | {"shape": whole.shape})
                for part in whole.parts:
                    content = np.ascontiguousarray(part, whole.dtype).tobytes()
                    member.write(content)
                    left -= len(content)
            assert left == 0, f"{name} is not of the shape {whole.shape}"


def list_arrays(path: Path) -> list[str]:
    """The names of the arrays in an archive. Raises NoArrayError."""
    with _open(path) as (archive, _):
        return [item.filename.removesuffix(".npy") for item in archive.infolist()]


def load_arrays(path: Path, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Those of the wanted arrays that an archive holds, without objects. Raises NoArrayError."""
    with _open(path) as (archive, _):
        found = {}
        for name in wanted:
            if (item := _find(archive, name)) is not None:
                if item.file_size > _LARGEST:
                    raise NoArrayError(f"its array {name} has {item.file_size:,} bytes, more than {_LARGEST:,}")
                try:
                    found[name] = read_member(archive, item)
                except NoArrayError as error:
                    raise NoArrayError(f"its array {name}: {error}") from None
        return found


def open_rows(path: Path, name: str, look: Callable[[int, np.ndarray], None]) -> Rows:
    """An array of an archive as rows that can be read in any order, after all of it was read once.

    look: is given the number of the first row and the rows of each part; what it raises goes on. The sum that the
    archive has of the array is compared. A compressed array is unpacked into a temporary file. Raises NoArrayError.
    """
    with _open(path) as (archive, file):
        if (item := _find(archive, name)) is None:
            raise NoArrayError(f"it holds no array {name}")
        with contextlib.ExitStack() as unless_read:
            unpacked = None
            if item.compress_type != zipfile.ZIP_STORED:
                unpacked = unless_read.enter_context(tempfile.TemporaryFile())
            with archive.open(item) as member:
                shape, dtype, header_bytes = _read_shape(member, name)
                rows = Rows(member, dtype, shape[1:], count=shape[0])
                if header_bytes + len(rows) * rows.row_bytes != item.file_size:
                    raise NoArrayError(f"its array {name} has not the size that its header says")
                for start in range(0, len(rows), rows.at_once):
                    part = np.empty((min(rows.at_once, len(rows) - start), *rows.shape), dtype)
                    _fill(memoryview(part.reshape(-1).view(np.uint8)), member)
                    look(start, part)
                    if unpacked:
                        unpacked.write(part.tobytes())
                member.read(1)  # where its sum is compared
            if unpacked:
                unless_read.pop_all()
                return Rows(unpacked, dtype, shape[1:], count=shape[0])
        file.seek(item.header_offset)
        lengths = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        offset = item.header_offset + _LOCAL_HEADER.size + sum(lengths) + header_bytes
    return Rows(open(path, "rb"), dtype, shape[1:], offset, shape[0])


def _read_shape(member: BinaryIO, name: str) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, dtype, and how many bytes the header has."""
    shape, is_fortran, dtype = read_header(member)
    if dtype.kind not in "biuf" or not shape or min(shape) < 1:
        raise NoArrayError(f"its array {name} is {dtype} of shape {shape}, not rows of numbers")
    if is_fortran and len(shape) > 1:
        raise NoArrayError(f"its array {name} is stored by columns; np.ascontiguousarray makes rows of it")
    return shape, dtype, member.tell()


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[zipfile.ZipFile, BinaryIO]]:
    """An archive and its file. What is wrong with either comes out as NoArrayError."""
    try:
        with open(path, "rb") as file, open_zip(file) as archive:
            yield archive, file
    except NO_ARCHIVE as error:
        raise NoArrayError(str(error).split("\n")[0][:200] or type(error).__name__) from None


def _find(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo | None:
    items = [item for item in archive.infolist() if item.filename == f"{name}.npy"]
    if len(items) > 1:
        raise NoArrayError(f"it holds several arrays {name}")
    if items and items[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NoArrayError(f"its array {name} is compressed in a way that NumPy does not use")
    return items[0] if items else None


def _fill(target: memoryview, file: BinaryIO) -> None:
    at = 0
    while at < len(target):
        read = file.readinto(target[at:])
        if not read:
            raise OSError(f"it ends {len(target) - at:,} bytes early")
        at += read
