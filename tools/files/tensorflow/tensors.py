"""TensorProto and what belongs to it: types, shapes, values, and arrays that are stored in slices.

tensorflow/core/framework: tensor.proto, types.proto, tensor_shape.proto, tensor_slice.proto.
"""

import math
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from google.protobuf.message import Message

from tools.files.tensorflow.messages import parse
from tools.files.tensorflow.wire import Cutter, MalformedError

Shape = tuple[int, ...]

_BFLOAT16 = 14
_DTYPES = {  # number in types.proto -> as values are stored, in little-endian order
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    _BFLOAT16: np.dtype("<u2"),  # the upper half of a float32; NumPy has no such type
    19: np.dtype("<f2"),
}
_LISTS = {  # number -> the field that holds its values one by one
    1: "float_val",
    2: "double_val",
    3: "int_val",
    4: "int_val",
    9: "int64_val",
    10: "bool_val",
    _BFLOAT16: "half_val",
    19: "half_val",
}
_CONTENT, _FLOATS, _DOUBLES = 4, 5, 6  # fields of TensorProto that can be large
_PACKED = {1: _FLOATS, 2: _DOUBLES}  # number -> the field whose packed values are the array as it stands
_SMALL, _BYTES_A_VALUE = 4096, 12  # bytes of all else in a message; of a value in a list of varints
_MOST_LISTED = 1 << 22  # bytes of values that do not stand as they lie in memory; parsed, they take 20 times that
MOST_UNKNOWN = 1 << 20  # bytes of an array, and of its message, whose shape was not known beforehand


class Tensor:
    """A TensorProto, of which the large part is a view of the file."""

    def __init__(self, content: memoryview, cutter: Cutter, wanted: Shape | None):
        """wanted: the shape that it is to have, by which it may be large; None for any small one."""
        largest = MOST_UNKNOWN if wanted is None else min(_SMALL + _BYTES_A_VALUE * math.prod(wanted), _MOST_LISTED)
        self._large, rest = cutter.cut(content, (_CONTENT, _FLOATS, _DOUBLES), largest)
        self._rest = parse("TensorProto", rest)

    @property
    def dtype(self) -> int:
        """As types.proto numbers it; 0 where the message does not say."""
        return self._rest.dtype

    @property
    def shape(self) -> Shape:
        return read_shape(self._rest.tensor_shape)

    def read(self, dtype: int, shape: Shape, *, may_repeat: bool) -> np.ndarray:
        """The values as an array of its own. may_repeat: whether the last stands for all that follow.

        A bfloat16 comes as a float32. Raises MalformedError for other values than the type and shape ask for.
        """
        stored, count = require_dtype(dtype), math.prod(shape)
        if sum(map(len, self._large.values())) > 1:
            raise MalformedError("its values stand in several places")
        place, content = next(((number, views[0]) for number, views in self._large.items() if views), (None, None))
        if content is None:
            values = self._listed(dtype, stored)
        elif place in (_CONTENT, _PACKED.get(dtype)):
            if len(content) % stored.itemsize:
                raise MalformedError(f"its values have {len(content):,} bytes, and {stored.itemsize} each")
            values = np.frombuffer(content, stored)
        else:
            raise MalformedError("its values are of another type than it says")
        if may_repeat and place != _CONTENT and 0 < len(values) < count:
            values = np.concatenate([values, np.full(count - len(values), values[-1])])
        if len(values) != count:
            raise MalformedError(f"it has {len(values):,} values, and its shape {list(shape)} asks for {count:,}")
        return decode(values, dtype).reshape(shape)

    def _listed(self, dtype: int, stored: np.dtype) -> np.ndarray:
        """The values in the list of their type."""
        values = getattr(self._rest, _LISTS[dtype])
        if stored.kind in "fb" and _LISTS[dtype] != "half_val":
            return np.fromiter(values, stored, len(values))
        bits = np.dtype("<u2") if _LISTS[dtype] == "half_val" else stored
        numbers = np.fromiter(values, np.int64, len(values))
        limits = np.iinfo(bits)
        if ((numbers < limits.min) | (numbers > limits.max)).any():
            raise MalformedError(f"a value in it is beyond {limits.min} to {limits.max}")
        return numbers.astype(bits).view(stored)


class Joiner:
    """An array that is put together of slices.

    shape: the whole. Memory is taken for it once its slices have as many values as it has.
    """

    def __init__(self, shape: Shape):
        self._shape = shape
        self._parts: list[tuple[tuple[slice, ...], np.ndarray]] = []
        self._left = math.prod(shape)

    def add(self, place: tuple[slice, ...], values: np.ndarray) -> None:
        """Take a slice of ``place_of``."""
        self._left -= values.size
        if self._left < 0:
            raise MalformedError("its slices have more values than itself")
        self._parts.append((place, values))

    def join(self) -> np.ndarray:
        """The whole. Raises MalformedError where a value is missing."""
        if self._left or not self._parts:
            raise MalformedError("a slice of it is missing")
        if len(self._parts) == 1:
            return self._parts[0][1].reshape(self._shape)
        whole = np.empty(self._shape, self._parts[0][1].dtype)
        is_covered = np.zeros(self._shape, bool)
        for place, values in self._parts:
            whole[place] = values
            is_covered[place] = True
        if not is_covered.all():
            raise MalformedError("slices of it overlap")
        return whole


def require_dtype(number: int) -> np.dtype:
    """How values of a type are stored. Raises MalformedError for a type that is not read here."""
    if number not in _DTYPES:
        raise MalformedError(f"its values are of type {number} of types.proto; {', '.join(map(str, _DTYPES))} are read")
    return _DTYPES[number]


def decode(values: np.ndarray, dtype: int) -> np.ndarray:
    """Stored values as an array of their type that can be written to; it may be the same."""
    if dtype == _BFLOAT16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    if values.dtype == np.dtype("?") and (values.view(np.uint8) > 1).any():
        raise MalformedError("a truth value in it is neither 0 nor 1")
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return native if native.flags.writeable else native.copy()


def read_values(file: BinaryIO, count: int, dtype: int) -> np.ndarray:
    """So many stored values of a file, from where it is at. The caller knows that it has them, and decodes them."""
    values = np.empty(count, require_dtype(dtype))
    if file.readinto(values.view(np.uint8)) != values.nbytes:
        raise MalformedError("it became shorter while it was read")
    return values


def read_shape(message: Message) -> Shape:
    """Of a TensorShapeProto. Raises MalformedError for one that no array can have."""
    shape = tuple(dim.size for dim in message.dim)
    if message.unknown_rank or len(shape) > 32 or min(shape, default=0) < 0 or math.prod(shape) >= 1 << 40:
        raise MalformedError(f"its shape {str(list(shape))[:80]} is none")
    return shape


def place_of(message: Message, shape: Shape) -> tuple[slice, ...]:
    """Where a TensorSliceProto lies in an array of a shape: a slice for each axis."""
    extents = list(message.extent) or [None] * len(shape)
    if len(extents) != len(shape):
        raise MalformedError(f"a slice of it has {len(extents)} axes, and itself {len(shape)}")
    place = []
    for extent, length in zip(extents, shape, strict=True):
        start, size = (0, length) if extent is None else (extent.start, extent.length)
        if extent is not None and not extent.HasField("length"):
            size = length
        if start < 0 or size < 0 or start + size > length:
            raise MalformedError(f"a slice of it reaches from {start} to {start + size}, and its axis has {length}")
        place.append(slice(start, start + size))
    return tuple(place)


def shape_of(place: Sequence[slice]) -> Shape:
    return tuple(part.stop - part.start for part in place)


def find_wrong_shape(name: str, shape: Shape, wanted: Shape | None) -> str:
    """What is wrong with the shape of an array: it is not the wanted one, or large where any will do; or ""."""
    if wanted is None:
        is_right = 8 * math.prod(shape) <= MOST_UNKNOWN
        return "" if is_right else f"{name} has the shape {list(shape)}, which is more than was to be expected"
    return "" if shape == wanted else f"{name} has the shape {list(shape)}, expected {list(wanted)}"
