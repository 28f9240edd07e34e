"""The few functions of oneDNN's C interface that are needed here, in the library that Paddle's wheels bring along.

oneDNN stores maps in blocks of 8 or 16 channels, in which its convolutions are faster than Paddle's own, and it has no
business with Paddle: memory goes in and out by its address.
"""

import ctypes
import weakref
from collections.abc import Iterable
from functools import cache

import paddle

from tools.errors import ConfigError
from tools.runtime.cpu import find_onednn, name_vectors

# Of dnnl_types.h and dnnl_common_types.h, version 3, whose numbers are the same in all of its releases.
_SUCCESS, _NO_MEMORY, _CPU, _IN_ORDER, _MOST_DIMS = 0, 1, 1, 1, 12
_NUMBERS = {"float32": 3, "bfloat16": 2}
_ANY, _VECTOR, _PLAIN, _CHANNELS_LAST, _BLOCKS_OF_8, _BLOCKS_OF_16 = 1, 2, 5, 22, 102, 78
FORWARD_TRAINING, FORWARD_INFERENCE, BACKWARD = 64, 96, 128
DIRECT, RELU, MAX, ADD = 0x1, 0x20, 0x1FF, 0x1FFF0  # algorithms
SRC, SRC_1, DST, WEIGHTS, BIAS, MEAN, VARIANCE, SCALE, SHIFT, WORKSPACE = 1, 2, 17, 33, 41, 49, 50, 51, 52, 64
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_SCALE, DIFF_SHIFT = 129, 145, 161, 255, 256
_SCRATCHPAD, _OF_THE_CALLER = 80, 1
_QUERIES = {
    SRC: 129,
    DIFF_SRC: 130,
    WEIGHTS: 131,
    DIFF_WEIGHTS: 132,
    DST: 133,
    DIFF_DST: 134,
    WORKSPACE: 135,
    _SCRATCHPAD: 136,
}


class _Argument(ctypes.Structure):
    _fields_ = [("role", ctypes.c_int), ("memory", ctypes.c_void_p)]


@cache
def load_onednn() -> ctypes.CDLL:
    """oneDNN of version 3, as Paddle's wheels for x86 have it. Raises ConfigError without one."""
    path = find_onednn()
    try:
        library = ctypes.CDLL(str(path)) if path else None
        reason = "none is in this one"
    except OSError as error:
        library, reason = None, f"it cannot be loaded here ({error})"
    if not library:
        raise ConfigError(
            f"--conv-engine onednn and --engine onednn need oneDNN 3, which Paddle's wheels for Linux on x86 hold, but "
            f"{reason}; the other engines work everywhere"
        )
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.dnnl_primitive_desc_query_md.restype = pointer
    library.dnnl_primitive_desc_query_md.argtypes = [pointer, number, number]
    library.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
    library.dnnl_memory_desc_get_size.argtypes = [pointer]
    library.dnnl_memory_desc_equal.argtypes = [pointer, pointer]
    library.dnnl_primitive_execute.argtypes = [pointer, pointer, number, pointer]
    for name in ("primitive", "primitive_desc", "primitive_attr", "post_ops", "memory", "memory_desc"):
        getattr(library, f"dnnl_{name}_destroy").argtypes = [pointer]
    return library


def _call(name: str, *arguments) -> None:
    status = getattr(load_onednn(), name)(*arguments)
    if status == _NO_MEMORY:
        raise MemoryError(f"oneDNN's {name} cannot allocate memory")
    if status != _SUCCESS:
        raise RuntimeError(f"oneDNN's {name} ended with status {status}; the other engines do without it")


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


@cache
def _blocks() -> int:
    return _BLOCKS_OF_16 if name_vectors() == "AVX-512" else _BLOCKS_OF_8


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
        return Layout(shape, _blocks() if dtype == "float32" else _CHANNELS_LAST, dtype)


def count_channels(channels: int) -> int:
    """How many a convolution takes in place of so many, the last of which are zeros.

    With some that fill no block, and are not the colours of one image, oneDNN (3.6) computes gradients of a weight by
    its plain loops, a thousand times as long.
    """
    return channels if channels <= 3 else -(-channels // 16) * 16


def _size(layout) -> int:
    """In bytes."""
    return load_onednn().dnnl_memory_desc_get_size(layout.handle)


class Memory:
    """Numbers of one layout, in a tensor of their own or in one that is given, which has to be contiguous.

    offset: bytes of the tensor before them.
    """

    def __init__(self, layout, tensor=None, offset: int = 0):
        self.layout = layout
        self.tensor = paddle.empty([_size(layout)], "uint8") if tensor is None else tensor
        address = ctypes.c_void_p(self.tensor.data_ptr() + offset)
        self.handle = _create("memory", "dnnl_memory_create", layout.handle, engine(), address, owner=self)

    def part(self, layout: Layout, begin: int) -> "Memory":
        """From the begin of its first axis on as much as the layout has, which says how these numbers lie."""
        return Memory(layout, self.tensor, begin * _size(layout) // layout.shape[0])

    @staticmethod
    def of(tensor) -> "Memory":
        """A float32 tensor of one or four axes as it is."""
        assert tensor.dtype == paddle.float32
        assert tensor.is_contiguous()
        return Memory(Layout.plain(tensor.shape), tensor)

    def widen(self, channels: int) -> "Memory":
        """Plain numbers with as many channels, the second axis: those that are not there are zeros."""
        missing = channels - self.layout.shape[1]
        if not missing:
            return self
        zeros = paddle.zeros([self.layout.shape[0], missing, *self.layout.shape[2:]])
        return Memory.of(paddle.concat([self.tensor.reshape(self.layout.shape), zeros], axis=1))

    def narrow(self, channels: int) -> "Memory":
        """The first channels; this memory where there are no others, else plain float32."""
        if channels == self.layout.shape[1]:
            return self
        plain = self.copy_to(Memory.of(paddle.empty(self.layout.shape))).tensor
        return Memory.of(plain[:, :channels].contiguous())

    def lies_as(self, layout) -> bool:
        return bool(load_onednn().dnnl_memory_desc_equal(self.layout.handle, layout.handle))

    def to(self, layout) -> "Memory":
        """The same numbers in another layout; this memory where it has that layout already."""
        return self if self.lies_as(layout) else self.copy_to(Memory(layout))

    def copy_to(self, other: "Memory") -> "Memory":
        """Fill another memory of the same shape with these numbers; that memory."""
        layouts = self.layout.handle, engine(), other.layout.handle, engine()
        Primitive("dnnl_reorder_primitive_desc_create", *layouts).run({SRC: self, DST: other})
        return other


class Attributes:
    """What an operation does to each of its results before it is written, in the order of the calls of ``then_``.

    What it notes meanwhile lies in memory of the caller. In oneDNN's own, which each operation keeps, two threads that
    run the same one would disturb each other, and the notes for all shapes would take gigabytes on many cores.
    """

    def __init__(self):
        self._steps = _create("post_ops", "dnnl_post_ops_create", owner=self)
        self.handle = _create("primitive_attr", "dnnl_primitive_attr_create", owner=self)
        _call("dnnl_primitive_attr_set_scratchpad_mode", self.handle, _OF_THE_CALLER)

    def then_relu(self) -> "Attributes":
        return self._append("dnnl_post_ops_append_eltwise", RELU, ctypes.c_float(0), ctypes.c_float(0))

    def then_add_to_result(self) -> "Attributes":
        """To what lies where the results go."""
        return self._append("dnnl_post_ops_append_sum", ctypes.c_float(1), 0, 0)

    def _append(self, name: str, *arguments) -> "Attributes":
        _call(name, self._steps, *arguments)
        _call("dnnl_primitive_attr_set_post_ops", self.handle, self._steps)
        return self


@cache
def _usual() -> Attributes:
    return Attributes()


class _Queried:
    """The layout of an argument, as long as the primitive that has chosen it is there."""

    def __init__(self, primitive: "Primitive | None", handle: int, shape: tuple[int, ...], dtype: str):
        self._primitive, self.handle, self.shape, self.dtype = primitive, ctypes.c_void_p(handle), shape, dtype


class Primitive:
    """One operation on memory of fixed layouts, compiled for this processor.

    create: the function of oneDNN that describes it, which takes the arguments, and attributes behind them.
    """

    def __init__(self, create: str, *arguments, attributes: Attributes | None = None):
        attributes = attributes or _usual()
        self.description = _create("primitive_desc", create, *arguments, attributes.handle, owner=self)
        self._handle = _create("primitive", "dnnl_primitive_create", self.description, owner=self)
        handle = load_onednn().dnnl_primitive_desc_query_md(self.description, _QUERIES[_SCRATCHPAD], 0)
        notes = _Queried(None, handle, (), "")  # of this primitive, which would not go while it held itself
        self._notes = notes if _size(notes) else None

    def layout(self, role: int, shape: Iterable[int] = (), dtype: str = "") -> _Queried:
        """What it takes or gives as an argument; shape and dtype: those of it, where somebody needs to know."""
        handle = load_onednn().dnnl_primitive_desc_query_md(self.description, _QUERIES[role], 0)
        return _Queried(self, handle, tuple(shape), dtype)

    def run(self, arguments: dict[int, Memory]) -> None:
        """arguments: role -> memory."""
        if self._notes:
            arguments = {**arguments, _SCRATCHPAD: Memory(self._notes)}
        array = (_Argument * len(arguments))(*[(role, memory.handle) for role, memory in arguments.items()])
        _call("dnnl_primitive_execute", self._handle, _stream(), len(arguments), array)
