"""Writes what torch.save and the safetensors library write, without either: see ``tools/weights/torch_files.py``.

``tests/golden/torch`` holds small files that PyTorch itself wrote, for comparison.
"""

import collections
import io
import json
import pickle
import struct
import zipfile
from dataclasses import dataclass

import numpy as np

CLASSES = {
    "<f4": "FloatStorage",
    "<f8": "DoubleStorage",
    "<f2": "HalfStorage",
    "<i8": "LongStorage",
    "|u1": "ByteStorage",
}
SAFE = {"<f4": "F32", "<f8": "F64", "<f2": "F16", "<i8": "I64", "|u1": "U8"}
MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


@dataclass(frozen=True)
class Name:
    """What a pickle has for a class or function of ``module``, without importing it."""

    module: str
    name: str

    def __call__(self):  # pickling asks for it
        raise AssertionError


@dataclass(eq=False)
class Storage:
    """kind: the class in torch. numbers: how many there are. key: "" for one that the pickle gives."""

    content: bytes
    kind: str
    numbers: int
    key: str = ""

    @classmethod
    def of(cls, array):
        array = np.ascontiguousarray(array)
        return cls(array.tobytes(), CLASSES[array.dtype.str], array.size)


@dataclass(eq=False)
class Tensor:
    storage: Storage
    first: int
    shape: tuple
    strides: tuple
    form: str = "v2"  # or "v1" and "parameter", of before PyTorch 0.4

    @classmethod
    def of(cls, array, form="v2"):
        array = np.asarray(array)
        strides = tuple(int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim))
        return cls(Storage.of(array), 0, array.shape, strides, form)


class TorchPickler(pickle._Pickler):
    """legacy: as before PyTorch 1.6. python2: text as bytes, and dicts with their items given along.

    storages: fills with key -> Storage.
    """

    def __init__(self, file, storages, protocol=2, *, legacy=False, python2=False):
        super().__init__(file, protocol)
        self.storages, self.legacy, self.python2 = storages, legacy, python2

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        key = next((key for key, storage in self.storages.items() if storage is obj), "")
        key = key or obj.key or str(len(self.storages) + (94_000_000 if self.legacy else 0))
        self.storages.setdefault(key, obj)
        identity = ("storage", Name("torch", obj.kind), key, "cpu", obj.numbers)
        return (*identity, None) if self.legacy else identity

    def save_name(self, obj):
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        self.memoize(obj)

    def save_tensor(self, obj):
        place = (obj.storage, obj.first, obj.shape, obj.strides)
        if obj.form == "v2":
            call = (Name("torch._utils", "_rebuild_tensor_v2"), (*place, False, collections.OrderedDict()))
            self.save_reduce(*call, obj=obj)
            return
        bare = Tensor(*place, form="bare")
        if obj.form == "parameter":
            call = (Name("torch.nn.parameter", "Parameter"), (bare,))
            self.save_reduce(*call, state=(True, False, collections.OrderedDict()), obj=obj)
        else:
            self.save_reduce(Name("torch._utils", "_rebuild_tensor"), place, obj=obj)

    def save_text(self, obj):
        if self.python2:
            content = obj.encode()
            self.write(pickle.SHORT_BINSTRING + bytes([len(content)]) + content)
        else:
            self.save_str(obj)

    def save_ordered(self, obj):
        if self.python2:
            self.save_reduce(collections.OrderedDict, ([[key, value] for key, value in obj.items()],), obj=obj)
        else:
            self.save_reduce(*obj.__reduce_ex__(2), obj=obj)

    dispatch = {  # noqa: RUF012
        **pickle._Pickler.dispatch, Name: save_name, Tensor: save_tensor, str: save_text,
        collections.OrderedDict: save_ordered,
    }  # fmt: skip


def tensors(arrays, form="v2"):
    """A state dict of tensors with a storage each, as ``model.state_dict()`` gives it."""
    state = collections.OrderedDict((name, Tensor.of(array, form)) for name, array in arrays.items())
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    return state


def pickled(tree, protocol=2, **options):
    """(the pickle, key -> Storage)."""
    file, storages = io.BytesIO(), {}
    TorchPickler(file, storages, protocol, **options).dump(tree)
    return file.getvalue(), storages


def zip_content(tree, *, root="archive", byteorder="little", compression=zipfile.ZIP_STORED, files=()):
    """A file of PyTorch 1.6 and later. files: more of them, or others: name -> content."""
    data, storages = pickled(tree)
    members = {"data.pkl": data, "byteorder": byteorder.encode()}
    members |= {f"data/{key}": storage.content for key, storage in storages.items()}
    members |= {"version": b"3\n", ".data/serialization_id": b"0" * 40} | dict(files)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{root}/{name}", content)
    return packed.getvalue()


def stream_content(tree, *, machine=None, python2=False, protocol=2):
    """A file of before PyTorch 1.6. python2: as of PyTorch before 0.4 and Python 2."""
    data, storages = pickled(tree, protocol, legacy=True, python2=python2)
    storages = dict(sorted(storages.items()))
    parts = [pickle.dumps(MAGIC, protocol), pickle.dumps(1001, protocol)]
    parts += [pickled(machine or MACHINE, protocol, python2=python2)[0], data]
    parts += [pickled(list(storages), protocol, python2=python2)[0]]
    parts += [struct.pack("<q", storage.numbers) + storage.content for storage in storages.values()]
    return b"".join(parts)


def safetensors_content(arrays, metadata=("format", "pt")):
    """arrays: NumPy's, or (the library's name of a type, shape, bytes) for types that NumPy has not."""
    header, data, end = {"__metadata__": dict([metadata])}, [], 0
    for name, array in arrays.items():
        if not isinstance(array, tuple):
            array = np.asarray(array)
            array = SAFE[array.dtype.str], list(array.shape), array.tobytes()
        dtype, shape, content = array
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(content)]}
        data.append(content)
        end += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *data])
