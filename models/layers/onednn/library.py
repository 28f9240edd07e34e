"""The few functions of oneDNN's C interface that are needed here, in the library that Paddle's wheels bring along.

oneDNN stores maps in blocks of 8 or 16 channels, in which its convolutions are faster than Paddle's own, and it has no
business with Paddle: memory goes in and out by its address.
"""

import ctypes
import weakref
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import paddle

from tools.errors import ConfigError
from tools.runtime.cpu import name_vectors

# Of dnnl_types.h and dnnl_common_types.h, version 3, whose numbers are the same in all of its releases.
_SUCCESS, _CPU, _IN_ORDER, _MOST_DIMS = 0, 1, 1, 12
_NUMBERS = {"float32": 3, "bfloat16": 2}
_ANY, _VECTOR, _PLAIN, _CHANNELS_LAST, _BLOCKS_OF_8, _BLOCKS_OF_16 = 1, 2, 5, 22, 102, 78
FORWARD_TRAINING, BACKWARD = 64, 128
SRC, SRC_1, DST, WEIGHTS, MEAN, VARIANCE, SCALE, SHIFT, WORKSPACE = 1, 2, 17, 33, 49, 50, 51, 52, 64
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_SCALE, DIFF_SHIFT = 129, 145, 161, 255, 256
_QUERIES = {
    SRC: 129,
    DIFF_SRC: 130,
    WEIGHTS: 131,
    DIFF_WEIGHTS: 132,
    DST: 133,
    DIFF_DST: 134,
    WORKSPACE: 135,
}


class _Argument(ctypes.Structure):
    _fields_ = [("role", ctypes.c_int), ("memory", ctypes.c_void_p)]


@cache
def load_onednn() -> ctypes.CDLL:
    """oneDNN of version 3, as Paddle's wheels for x86 have it. Raises ConfigError without one."""
    path = Path(paddle.__path__[0]) / "libs" / "libdnnl.so.3"  # the number is that of its binary interface
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ConfigError(
            f"--conv-engine onednn needs oneDNN 3, which Paddle's wheels for Linux on x86 hold; {path} could not be "
            f"loaded ({error}). --conv-engine paddle works everywhere"
        ) from None
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.dnnl_primitive_desc_query_md.restype = pointer
    library.dnnl_primitive_desc_query_md.argtypes = [pointer, number, number]
    library.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
    library.dnnl_memory_desc_get_size.argtypes = [pointer]
    library.dnnl_memory_desc_equal.argtypes = [pointer, pointer]
    library.dnnl_primitive_execute.argtypes = [pointer, pointer, number, pointer]
    for name in ("primitive", "primitive_desc", "memory", "memory_desc"):
        getattr(library, f"dnnl_{name}_destroy").argtypes = [pointer]
    return library


def _call(name: str, *arguments) -> None:
    status = getattr(load_onednn(), name)(*arguments)
    if status != _SUCCESS:
        raise RuntimeError(f"oneDNN's {name} ended with status {status}; --conv-engine paddle does without it")


def _create(kind: str, function: str, *arguments, owner=None) -> ctypes.c_void_p:
    """What a function of oneDNN makes; it is destroyed together with its owner."""
    made = ctypes.c_void_p()
    _call(function, ctypes.byref(made), *arguments)
    if owner is not None:
        weakref.finalize(owner, getattr(load_onednn(), f"dnnl_{kind}_destroy"), made)
    return made


@cache
def engine() -> ctypes.c_void_p:
    """The processor."""
    return _create("engine", "dnnl_engine_create", _CPU, ctypes.c_size_t(0))


@cache
def _stream() -> ctypes.c_void_p:
    return _create("stream", "dnnl_stream_create", engine(), _IN_ORDER)


def pair(number: int) -> ctypes.Array:
    """The same for height and width, as strides and padding are given."""
    return _dims((number, number))


def _dims(numbers: Iterable[int]) -> ctypes.Array:
    return (ctypes.c_int64 * _MOST_DIMS)(*numbers)


class Layout:
    """A shape of numbers and how they lie in memory. handle: oneDNN's descriptor of it."""

    def __init__(self, shape: Iterable[int], tag: int, dtype: str):
        self.shape, self.dtype = tuple(shape), dtype
        name, count = "dnnl_memory_desc_create_with_tag", len(self.shape)
        self.handle = _create("memory_desc", name, count, _dims(self.shape), _NUMBERS[dtype], tag, owner=self)

    @staticmethod
    def any(shape: Iterable[int], dtype: str) -> "Layout":
        """One that oneDNN chooses."""
        return Layout(shape, _ANY, dtype)

    @staticmethod
    def plain(shape: Iterable[int]) -> "Layout":
        """As Paddle's tensors lie, of one or four axes of float32."""
        shape = tuple(shape)
        return Layout(shape, {1: _VECTOR, 4: _PLAIN}[len(shape)], "float32")

    @staticmethod
    def of_maps(shape: Iterable[int], dtype: str) -> "Layout":
        """(N, C, H, W) as convolutions take them fastest.

        In blocks of as many channels as the processor computes at once; bfloat16 with all channels together, without
        which oneDNN (3.6) leaves AMX alone.
        """
        blocks = _BLOCKS_OF_16 if name_vectors() == "AVX-512" else _BLOCKS_OF_8
        return Layout(shape, blocks if dtype == "float32" else _CHANNELS_LAST, dtype)


class Memory:
    """Numbers of one layout, in a tensor of their own or in one that is given, which has to be contiguous."""

    def __init__(self, layout, tensor=None):
        self.layout = layout
        if tensor is None:
            tensor = paddle.empty([load_onednn().dnnl_memory_desc_get_size(layout.handle)], "uint8")
        self.tensor = tensor
        address = ctypes.c_void_p(tensor.data_ptr())
        self.handle = _create("memory", "dnnl_memory_create", layout.handle, engine(), address, owner=self)

    @staticmethod
    def of(tensor) -> "Memory":
        """A float32 tensor of one or four axes as it is."""
        return Memory(Layout.plain(tensor.shape), tensor)

    def to(self, layout) -> "Memory":
        """The same numbers in another layout; this memory where it has that layout already."""
        if load_onednn().dnnl_memory_desc_equal(self.layout.handle, layout.handle):
            return self
        return self.copy_to(Memory(layout))

    def copy_to(self, other: "Memory") -> "Memory":
        """Fill another memory of the same shape with these numbers; that memory."""
        layouts = self.layout.handle, engine(), other.layout.handle, engine()
        Primitive("dnnl_reorder_primitive_desc_create", *layouts, None).run({SRC: self, DST: other})
        return other


class _Queried:
    """The layout of an argument, as long as the primitive that has chosen it is there."""

    def __init__(self, primitive: "Primitive", handle: int, shape: tuple[int, ...], dtype: str):
        self._primitive, self.handle, self.shape, self.dtype = primitive, ctypes.c_void_p(handle), shape, dtype


class Primitive:
    """One operation on memory of fixed layouts, compiled for this processor.

    create: the function of oneDNN that describes it, which takes the arguments after the engine, where it takes one.
    """

    def __init__(self, create: str, *arguments):
        self.description = _create("primitive_desc", create, *arguments, owner=self)
        self._handle = _create("primitive", "dnnl_primitive_create", self.description, owner=self)

    def layout(self, role: int, shape: Iterable[int] = (), dtype: str = "") -> _Queried:
        """What it takes or gives as an argument; shape and dtype: those of it, where somebody needs to know."""
        handle = load_onednn().dnnl_primitive_desc_query_md(self.description, _QUERIES[role], 0)
        return _Queried(self, handle, tuple(shape), dtype)

    def run(self, arguments: dict[int, Memory]) -> None:
        """arguments: role -> memory."""
        array = (_Argument * len(arguments))(*[(role, memory.handle) for role, memory in arguments.items()])
        _call("dnnl_primitive_execute", self._handle, _stream(), len(arguments), array)
