"""Pickles from strangers: plain containers, text, numbers and NumPy arrays, and nothing that runs.

The few callables that NumPy and Python put into pickles of data stand for functions of ours, which build arrays of
plain numbers from bytes; every other name is refused before anything is called.
"""

import math
import pickle
import re
import reprlib
from typing import BinaryIO

import numpy as np

from tools.errors import DataError, DataIssue
from tools.files.pickle_operations import Builder, UnsafePickle
from tools.files.unpickler import unpickle

# What reading a cut or altered pickle raises, here and by pickletools.
DAMAGED = (pickle.UnpicklingError, EOFError, ValueError, OverflowError, MemoryError)


def load_pickle(file: BinaryIO):
    """Unpickle the one object of a file. Python 2 strings come as bytes, and arrays cannot be written to.

    Raises UnsafePickle for anything but data, and pickle.UnpicklingError for what is cut, altered or goes on behind it.
    """
    return unpickle(file, PlainData())


def load_data_pickle(path: str, where: str | None = None):
    """The object of a file that holds one pickle, as ``load_pickle`` gives it.

    Raises DataError that begins with ``where``, by default the path.
    """
    where = where or path
    try:
        with open(path, "rb") as file:
            return load_pickle(file)
    except UnsafePickle as error:
        raise DataError(f"{where} is not a data file and was not loaded: {error}", DataIssue.UNSAFE) from None
    except pickle.UnpicklingError as error:
        raise DataError(f"{where} is not a whole pickle: {error}", DataIssue.DAMAGED) from None
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error}", DataIssue.UNREADABLE) from None


_NDARRAY = object()  # stands for the class numpy.ndarray, which a pickle must never get to call


class _DType:
    """A dtype of plain numbers. NumPy's own would let a pickle set its internal flags."""

    def __init__(self, code, align=False, copy=True):
        code = _text(code)
        if not re.fullmatch("b1|[iu][1248]|f[248]", code):
            raise UnsafePickle(f"it holds an array of type {reprlib.repr(code)}, not of plain numbers")
        self.value, self._has_order = np.dtype(code), False

    def set_order(self, state) -> None:
        """Take the state of a dtype of NumPy, of which only the order of bytes says something new."""
        if self._has_order:
            raise UnsafePickle("it changes a type that it has made")
        order = _text(state[1])
        if order not in ("<", ">", "|", "="):
            raise UnsafePickle(f"it has numbers in the order {reprlib.repr(order)}")
        self.value, self._has_order = self.value.newbyteorder(order), True


def _text(value) -> str:
    """Python 2's text too. Raises UnsafePickle for what is no text."""
    text = value.decode("latin1") if type(value) is bytes else value
    if type(text) is not str:
        raise UnsafePickle(f"it describes a type by a {type(value).__name__}")
    return text


def _plain(dtype) -> np.dtype:
    if type(dtype) is not _DType:
        raise UnsafePickle("it holds an array without a type")
    return dtype.value


def _require_bytes(data, dtype: np.dtype, count: int) -> bytes:
    if type(data) is not bytes:  # nothing else is sure never to change
        raise UnsafePickle("it holds an array that is not made of bytes")
    _require_size(len(data), dtype, count)
    return data


def _require_size(size: int, dtype: np.dtype, count: int) -> None:
    if size != count * dtype.itemsize:
        raise UnsafePickle(f"it holds {size:,} bytes for {count:,} numbers of {dtype.itemsize} bytes")


def _count(shape) -> int:
    if type(shape) is not tuple or set(map(type, shape)) - {int} or min(shape, default=0) < 0:
        raise UnsafePickle("it holds an array whose shape is none")
    return math.prod(shape)


def _start_array(kind, shape, code) -> np.ndarray:
    """An array that waits for its state: such can be written to."""
    if kind is not _NDARRAY or shape != (0,):
        raise UnsafePickle("it holds an array that does not start empty")
    return np.empty(0, np.int8)


def _read_state(state) -> tuple[tuple, np.dtype, bool, bytes]:
    """The shape, type, order (whether by columns) and bytes in the state of an array."""
    _, shape, dtype, by_columns, data = state
    dtype = _plain(dtype)
    return shape, dtype, bool(by_columns), _require_bytes(data, dtype, _count(shape))


def _scalar(dtype, value=b"") -> np.generic:
    dtype = _plain(dtype)
    value = value.encode("latin1") if type(value) is str else value
    return np.frombuffer(_require_bytes(value, dtype, 1), dtype)[0]


def _frombuffer(buffer, dtype, shape, order, axis_order=None) -> np.ndarray:
    if axis_order is not None:
        raise UnsafePickle("it holds an array with permuted axes")
    dtype = _plain(dtype)
    return np.frombuffer(_require_bytes(buffer, dtype, _count(shape)), dtype).reshape(shape, order=order)


def _latin1(text, encoding) -> bytes:
    """How protocol 2 spells bytes."""
    if encoding not in ("latin1", b"latin1") or type(text) is not str:
        raise UnsafePickle(f"it holds text in encoding {reprlib.repr(encoding)}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How protocol 2 spells no bytes."""
    return b""


_START_ARRAY = Builder(_start_array)
_ALLOWED = {
    ("_codecs", "encode"): Builder(_latin1),
    ("__builtin__", "bytes"): Builder(_no_bytes),
    ("numpy", "dtype"): Builder(_DType),
    ("numpy", "ndarray"): _NDARRAY,
    **{
        (f"numpy.{core}.multiarray", name): builder
        for core in ("core", "_core")  # before and since NumPy 2
        for name, builder in (("_reconstruct", _START_ARRAY), ("scalar", Builder(_scalar)))
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): Builder(_frombuffer) for core in ("core", "_core")},
}


def _shorten(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) < 80 else reprlib.repr(name)


class PlainData:
    """Arrays of plain numbers, as NumPy pickles them: see ``Objects``."""

    data = frozenset()

    def find(self, module: str, name: str):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UnsafePickle(f"it names {_shorten(module)}.{_shorten(name)}, which data does not need") from None

    def find_outside(self, identity):
        raise UnsafePickle("it asks for BINPERSID, which data does not need")

    def set_state(self, value, state) -> None:
        if type(value) is _DType:
            value.set_order(state)
        elif type(value) is np.ndarray and value.flags.writeable:
            value.__setstate__((1, *_read_state(state)))
            value.flags.writeable = False
        else:
            raise UnsafePickle(f"it changes a {type(value).__name__} that it has made")

    def build_array(self, function, kind, shape, dtype, content, start, size) -> np.ndarray:
        if function is not _START_ARRAY or kind is not _NDARRAY:
            raise UnsafePickle("it holds an array that does not start empty")
        dtype, count = _plain(dtype), _count(shape)
        _require_size(size, dtype, count)
        return np.frombuffer(content, dtype, count, start).reshape(shape)
