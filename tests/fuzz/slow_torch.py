"""Files of PyTorch before 1.6 and of safetensors, read number by number, for comparison."""

import io
import json
import pickle
import struct
from collections import OrderedDict
from itertools import product

import numpy as np

KINDS = {"FloatStorage": "f", "DoubleStorage": "d", "LongStorage": "q", "ByteStorage": "B", "HalfStorage": "e"}


def load_stream_slowly(content: bytes) -> dict:
    """Name -> what ``as_floats`` gives. Raises whatever there is for what is no such file."""
    file = io.BytesIO(content)
    for _ in range(3):
        _Slow(file, encoding="bytes").load()
    reader = _Slow(file, encoding="bytes")
    tree = reader.load()
    for key in _Slow(file, encoding="bytes").load():
        kind, count = reader.storages[_text(key)]
        assert struct.unpack("<q", file.read(8)) == (count,)
        size = struct.calcsize(kind)
        reader.numbers[_text(key)] = [struct.unpack(f"<{kind}", file.read(size))[0] for _ in range(count)]
    assert file.read() == b""
    return {_text(name): reader.fill(*place) for name, place in tree.items()}


def load_safetensors_slowly(content: bytes) -> dict:
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__", None)
    kinds = {"F32": "f", "I64": "q", "U8": "B", "F16": "e", "F64": "d"}
    found = {}
    for name, facts in header.items():
        begin, end = (8 + size + place for place in facts["data_offsets"])
        kind, count = kinds[facts["dtype"]], int(np.prod(facts["shape"], dtype=np.int64))
        found[name] = tuple(facts["shape"]), as_floats(struct.unpack(f"<{count}{kind}", content[begin:end]), kind)
    return found


def as_floats(values, kind: str) -> list[str]:
    """Numbers as text, those with a point as float32."""
    with np.errstate(over="ignore"):
        return [repr(np.float32(value) if kind in "fde" else int(value)) for value in values]


def as_shown(arrays: dict) -> dict:
    """What the readers of the project gave, to be compared."""
    kinds = {name: "f" if value.dtype.kind == "f" else "q" for name, value in arrays.items()}
    return {name: (value.shape, as_floats(value.reshape(-1), kinds[name])) for name, value in arrays.items()}


def _text(value) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class _Slow(pickle._Unpickler):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.storages, self.numbers = {}, {}

    def persistent_load(self, identity):
        word, kind, key, _, count, view = identity
        assert (_text(word), view) == ("storage", None)
        self.storages[_text(key)] = kind, count
        return _text(key)

    def find_class(self, module, name):
        if module == "torch":
            return KINDS[name]
        return {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, first, shape, strides, *_: (
                storage,
                first,
                shape,
                strides,
            ),
        }[module, name]

    def fill(self, key, first, shape, strides):
        numbers = self.numbers[key]
        places = [first + sum(map(int.__mul__, index, strides)) for index in product(*map(range, shape))]
        return shape, as_floats([numbers[place] for place in places], self.storages[key][0])
