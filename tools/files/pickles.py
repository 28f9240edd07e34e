"""Pickles from strangers: plain containers, text, numbers and NumPy arrays, and nothing that runs.

Standard unpickling calls whatever a file names. Here the few callables that NumPy and Python 2 put
into pickles are replaced by functions of ours that build arrays of plain types only; every other
name is refused before anything is called.
"""

import mmap
import os
import pickle
import pickletools
import re
from typing import BinaryIO

import numpy as np

from tools.errors import DataError, DataIssue


class UnsafePickle(pickle.UnpicklingError):
    """The file names something that data does not need; nothing was executed."""


def load_pickle(file: BinaryIO):
    """Unpickle one object. Python 2 strings come as bytes (its NumPy arrays need that).

    Raises UnsafePickle for anything but data, and the usual errors of damaged files, all of which
    are in ``DAMAGED``.
    """
    return _DataUnpickler(file, encoding="bytes", fix_imports=False).load()


# What unpickling a cut or altered file raises; each was seen when such files were made by the thousand.
DAMAGED = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    MemoryError,
    OverflowError,
    AssertionError,
)


def load_data_pickle(path: str, where: str | None = None):
    """The object of a file that holds one pickle, as ``load_pickle`` gives it.

    Raises DataError that begins with ``where``, by default the path.
    """
    where = where or path
    try:
        with open(path, "rb") as file:
            content = load_pickle(file)
            more = file.read(1)
    except UnsafePickle as error:
        raise DataError(f"{where} is not a data file and was not loaded: {error}", DataIssue.UNSAFE) from None
    except DAMAGED as error:
        raise DataError(f"{where} is not a whole pickle ({type(error).__name__}: {error})", DataIssue.DAMAGED) from None
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error}", DataIssue.UNREADABLE) from None
    if more:
        raise DataError(f"{where} goes on behind its first pickle; a file holds one", DataIssue.DAMAGED)
    return content


def require_bounded(file: BinaryIO) -> None:
    """Refuse a pickle whose numbers ask for more memory than its size justifies; nothing is unpickled.

    Python makes room for what a length or the number of a remembered object says before it reads on, so
    thirteen bytes can take gigabytes. Raises UnsafePickle; leaves the file at its beginning.
    """
    size = os.fstat(file.fileno()).st_size
    if not size:
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at, operations = 0, 0
        while at < size and content[at] != _STOP:
            code = content[at]
            operations += 1
            end = _end_of_operation(content, at + 1, _ARGUMENTS.get(code))
            if not at < end <= size:
                raise UnsafePickle(f"it is cut short, or altered, at byte {at}")
            if code in _PUTS and _memo_number(content[at + 1 : end], code) > operations:
                raise UnsafePickle(f"it remembers more objects than it holds, at byte {at}")
            at = end


# Operation -> how its argument is laid out: a number of bytes, or one of pickletools' negative codes.
_ARGUMENTS = {ord(code.code): code.arg.n if code.arg else 0 for code in pickletools.opcodes}
_TWO_LINES = {ord(code.code) for code in pickletools.opcodes if code.arg and code.arg.name.endswith("_pair")}
_PUTS = {ord(pickle.PUT), ord(pickle.BINPUT), ord(pickle.LONG_BINPUT)}
_STOP, _FRAME = ord(pickle.STOP), ord(pickle.FRAME)
# Codes of a length before the data: bytes it takes and whether it has a sign.
_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}


def _end_of_operation(content, at: int, argument: int | None) -> int:
    """The byte after an operation whose argument begins at a byte; -1 if there is none."""
    code = content[at - 1]
    if argument is None:
        return -1
    if argument == pickletools.UP_TO_NEWLINE:
        for _ in range(2 if code in _TWO_LINES else 1):
            at = content.find(b"\n", at) + 1
            if not at:
                return -1
        return at
    if argument >= 0:
        frame = int.from_bytes(content[at : at + 8], "little") if code == _FRAME else 0
        return at + argument if at + argument + frame <= len(content) else -1
    width, signed = _LENGTHS[argument]
    length = int.from_bytes(content[at : at + width], "little", signed=signed)
    return at + width + length if length >= 0 else -1


def _memo_number(argument: bytes, code: int) -> int:
    if code != ord(pickle.PUT):
        return int.from_bytes(argument, "little")
    text = argument.strip()
    return int(text) if text.isdigit() and len(text) < 20 else 1 << 64


_NDARRAY = object()  # stands for the class numpy.ndarray, which a pickle must never get to call


class _DType:
    """A dtype of plain numbers. NumPy's own would let a pickle set its internal flags."""

    def __init__(self, code, align=False, copy=True):
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(code, str) or not re.fullmatch("b1|[iu][1248]|f[248]", code):
            raise UnsafePickle(f"it holds an array of type {code!r}, not of plain numbers")
        self.value = np.dtype(code)

    def __setstate__(self, state):
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        self.value = self.value.newbyteorder(order)


class _Array(np.ndarray):
    """An array whose shape, type and bytes a pickle may set, once they agree with each other."""

    def __setstate__(self, state):
        version, shape, dtype, fortran, data = state
        if not isinstance(data, bytes):
            raise UnsafePickle("it holds an array that is not made of bytes")
        super().__setstate__((version, shape, _plain(dtype), bool(fortran), data))


def _plain(dtype) -> np.dtype:
    if not isinstance(dtype, _DType):
        raise UnsafePickle("it holds an array without a type")
    return dtype.value


def _reconstruct(subtype, shape, code):
    if subtype is not _NDARRAY or shape != (0,):
        raise UnsafePickle("it holds an array that does not start empty")
    return np.ndarray.__new__(_Array, (0,), dtype="int8")


def _scalar(dtype, value=b""):
    value = value.encode("latin1") if isinstance(value, str) else value
    return np.frombuffer(value, _plain(dtype), count=1)[0]


def _frombuffer(buffer, dtype, shape, order, axis_order=None):
    if axis_order is not None:
        raise UnsafePickle("it holds an array with permuted axes")
    return np.frombuffer(buffer, _plain(dtype)).reshape(shape, order=order)


def _latin1(text, encoding):
    """How protocol 2 spells bytes."""
    if encoding not in ("latin1", b"latin1") or not isinstance(text, str):
        raise UnsafePickle(f"it holds text in encoding {encoding!r}")
    return text.encode("latin1")


class _Sealed:
    """A function that a pickle may call and cannot alter, as it could alter a plain function's defaults."""

    __slots__ = ("_function",)

    def __init__(self, function):
        self._function = function

    def __call__(self, *arguments):
        return self._function(*arguments)

    def __setstate__(self, state):
        raise UnsafePickle("it tries to change a function")


_ALLOWED = {
    ("_codecs", "encode"): _Sealed(_latin1),
    ("numpy", "dtype"): _Sealed(_DType),
    ("numpy", "ndarray"): _NDARRAY,
    **{
        (f"numpy.{core}.multiarray", name): _Sealed(builder)
        for core in ("core", "_core")  # before and since NumPy 2
        for name, builder in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Sealed(_frombuffer) for core in ("core", "_core")},
}


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UnsafePickle(f"it names {module}.{name}, which data does not need") from None
