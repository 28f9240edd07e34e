"""What PyTorch's pickles hold besides plain data: tensors, which are places in storages outside of the pickle.

A storage stands in a pickle as a persistent id ("storage", its class, its key, its device, how many numbers it has); a
tensor is a call of torch._utils with a storage, the first number in it, a shape, and how far the numbers beside one
another on each axis are apart. Nothing of PyTorch is imported or called.

Source: torch/serialization.py and torch/_utils.py of PyTorch, up to 2.14.
"""

import math
from dataclasses import dataclass

from tools.files.pickle_operations import Builder, UnsafePickle
from tools.files.pickles import PlainData

BFLOAT16 = "bfloat16"  # the first half of a float32, which NumPy has no type for
STORAGES = {  # class in torch -> what NumPy calls its numbers, little-endian
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}
_MOST_OBJECTS = 100_000  # tensors, storages and dicts of a file; a ResNet-152 has 932 tensors
_MOST_AXES = 8
_LARGEST = 1 << 48  # bytes or numbers; more is no file of weights
_METADATA = ("_metadata", b"_metadata")


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers that lie one after another. dtype: one of those of ``STORAGES``."""

    key: str
    dtype: str
    count: int

    @property
    def num_bytes(self) -> int:
        size = 2 if self.dtype == BFLOAT16 else int(self.dtype[2:])
        return size * self.count


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where the numbers of a tensor stand in a storage. first, strides: in numbers, not bytes."""

    storage: Storage
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def count(self) -> int:
        return math.prod(self.shape)


class _StorageClass(str):
    """What a pickle means by a class of storages: its dtype."""


class TorchData(PlainData):
    """Tensors as well. storages: those that a pickle has named, by their key.

    is_stream: whether it is of before PyTorch 1.6, where an identity also says whether a storage is a part of another.
    """

    data = frozenset({Tensor})

    def __init__(self, *, is_stream: bool):
        self._identity_length = 6 if is_stream else 5
        self.storages: dict[str, Storage] = {}
        self._left = _MOST_OBJECTS
        parameter = Builder(self._parameter)
        self._known = {
            ("collections", "OrderedDict"): Builder(self._ordered_dict),
            ("torch._utils", "_rebuild_tensor"): Builder(self._tensor),
            ("torch._utils", "_rebuild_tensor_v2"): Builder(self._tensor),
            ("torch._utils", "_rebuild_parameter"): parameter,
            ("torch.nn.parameter", "Parameter"): parameter,  # before PyTorch 0.4
            **{("torch", name): _StorageClass(dtype) for name, dtype in STORAGES.items()},
        }

    def find(self, module: str, name: str):
        return self._known.get((module, name)) or super().find(module, name)

    def find_outside(self, identity) -> Storage:
        is_known = type(identity) is tuple and len(identity) == self._identity_length
        if not is_known or _as_text(identity[0]) != "storage":
            raise UnsafePickle("it asks for something outside of it that is no storage")
        _, kind, key, _, count, *view = identity
        if type(kind) is not _StorageClass:
            raise UnsafePickle("it has a storage of no known class")
        if not _are_sizes((count,)):
            raise UnsafePickle("it has a storage whose size is none")
        if view not in ([], [None]):
            raise UnsafePickle("it has a storage that is a part of another, as PyTorch before 0.4 could write")
        storage = Storage(_as_text(key), str(kind), count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise UnsafePickle("it says of a storage what it has said otherwise before")
        self._count_object()
        return storage

    def set_state(self, value, state) -> None:
        """Pass over what tensors and OrderedDicts have besides their content: versions, whether they are trained."""
        of_dict = type(value) is dict and type(state) is dict and all(key in _METADATA for key in state)
        of_parameter = type(value) is Tensor and type(state) is tuple and len(state) == 3
        if not of_dict and not of_parameter:
            super().set_state(value, state)

    def _tensor(self, storage, first, shape, strides, requires_grad=False, hooks=None, metadata=None) -> Tensor:
        self._count_object()
        if type(storage) is not Storage:
            raise UnsafePickle("it has a tensor without a storage")
        if not (_are_sizes(shape) and _are_sizes(strides) and _are_sizes((first,))) or len(shape) != len(strides):
            raise UnsafePickle("it has a tensor whose shape is none")
        tensor = Tensor(storage, first, shape, strides)
        last = first + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if tensor.count > storage.count or (tensor.count and last >= storage.count):
            raise UnsafePickle(
                f"it has a tensor of {tensor.count:,} numbers that reaches beyond its storage of {storage.count:,}"
            )
        return tensor

    def _parameter(self, tensor, requires_grad=True, hooks=None) -> Tensor:
        if type(tensor) is not Tensor:
            raise UnsafePickle("it has a parameter that is no tensor")
        return tensor

    def _ordered_dict(self, pairs=()) -> dict:
        """Empty, as Python 3 begins one; Python 2 gave its items along."""
        self._count_object()
        made = {}
        if type(pairs) not in (tuple, list):
            raise UnsafePickle("it has a dict that is made of something else than pairs")
        for pair in pairs:
            if type(pair) not in (tuple, list) or len(pair) != 2 or type(pair[0]) not in (str, bytes):
                raise UnsafePickle("it has a dict that is made of something else than names and values")
            made[pair[0]] = pair[1]
        return made

    def _count_object(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise UnsafePickle(f"it has more than {_MOST_OBJECTS:,} tensors, storages and dicts")


def _are_sizes(values) -> bool:
    """Whether it is a tuple of whole numbers of 0 or more, and not of too many or too large ones."""
    if type(values) is not tuple or len(values) > _MOST_AXES:
        return False
    return all(type(value) is int and 0 <= value < _LARGEST for value in values)


def _as_text(value) -> str:
    """Python 2's text too. Raises UnsafePickle for what is none, or too long for a key."""
    text = value.decode("latin1") if type(value) is bytes else value
    if type(text) is not str or len(text) > 100:
        raise UnsafePickle("it calls a storage by something that is no short text")
    return text
