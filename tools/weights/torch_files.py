"""Weights as PyTorch saves them: ``.pth``, ``.pt``, ``pytorch_model.bin``.

Since PyTorch 1.6 such a file is a .zip archive that packs nothing: ``NAME/data.pkl`` is a pickle, ``NAME/data/KEY`` the
numbers of each of its storages, ``NAME/byteorder`` the order of their bytes. Before, it is pickles one after another (a
magic number, a version, facts of the machine, the object, the keys of its storages) and then each storage, as an int64
number of its elements and these. Both are little-endian. See ``torch_pickles.py`` for what the pickle holds.

Source: torch/serialization.py of PyTorch, up to 2.14.
"""

import io
import os
import pickle
import struct
import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from tools.errors import CheckpointError
from tools.files.pickle_operations import UnsafePickle
from tools.files.pickles import DAMAGED, PlainData
from tools.files.unpickler import unpickle, unpickle_next
from tools.files.zips import open_zip
from tools.runtime.text import count_of, short_repr, shorten
from tools.weights.state_dicts import StateDict, find_state_dict
from tools.weights.torch_pickles import BFLOAT16, Storage, Tensor, TorchData

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_ZIP = b"PK"
_MOST_VIEWS = 4  # how often all tensors of a storage may take its numbers: more would be small files of large arrays
_BECOME_FLOAT32 = ("float64", "float16", "bfloat16")
_ENCRYPTED = 1  # a bit of a file in an archive
_INSTEAD = "torch.save(model.state_dict(), PATH) writes what is read here"
_BROKEN = (*DAMAGED, zipfile.BadZipFile, NotImplementedError, struct.error)


def load_torch(path: Path) -> tuple[dict[str, np.ndarray], StateDict]:
    """(arrays by name, what was found where) of the weights in a file; half and double precision become float32.

    The arrays are read-only, and several may share their memory. Raises CheckpointError.
    """
    try:
        with open(path, "rb") as file:
            source = (_Archive if file.read(2) == _ZIP else _Stream)(file)
            found = find_state_dict(source.content)
            notes = describe_dtypes(tensor.storage.dtype for tensor in found.tensors.values())
            return _read_arrays(found.tensors, source), replace(found, notes=(*found.notes, *notes))
    except UnsafePickle as error:
        raise CheckpointError(f"{path} holds more than weights and was not loaded: {error}; {_INSTEAD}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    except _BROKEN as error:
        raise CheckpointError(f"{path} is not a whole file of PyTorch: {shorten(str(error), 300)}") from None


class _Source(Protocol):
    """content: what the pickle holds, with ``Tensor`` in the place of tensors."""

    content: object

    def read(self, storage: Storage) -> bytes:
        """The bytes of a storage."""


class _Archive:
    """Of PyTorch 1.6 and later. Raises zipfile.BadZipFile, and what reading a pickle raises."""

    def __init__(self, file: BinaryIO):
        size = os.fstat(file.fileno()).st_size
        self._archive = open_zip(file)
        infos = self._archive.infolist()
        self._infos = {info.filename: info for info in infos}
        if len(self._infos) != len(infos):
            raise zipfile.BadZipFile("it holds several files of one name")
        if sum(info.file_size for info in infos) > size:
            raise zipfile.BadZipFile("its files have more bytes than it has, so that some are packed or share them")
        roots = [name.removesuffix("data.pkl") for name in self._infos if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise zipfile.BadZipFile(f"it holds {len(roots)} files data.pkl, expected one")
        (self._root,) = roots
        if (order := f"{self._root}byteorder") in self._infos and self._read(order).strip() != b"little":
            raise zipfile.BadZipFile("it was written on a machine with another order of bytes")
        self.content = unpickle(io.BytesIO(self._read(f"{self._root}data.pkl")), TorchData(is_stream=False))

    def read(self, storage: Storage) -> bytes:
        name = f"{self._root}data/{storage.key}"
        if name not in self._infos:
            raise zipfile.BadZipFile(f"it holds no {short_repr(name)}")
        if self._infos[name].file_size != storage.num_bytes:
            raise zipfile.BadZipFile(
                f"{short_repr(name)} has {self._infos[name].file_size:,} bytes, expected {storage.num_bytes:,}"
            )
        return self._read(name)

    def _read(self, name: str) -> bytes:
        """A file's content, which has its checksum."""
        info = self._infos[name]
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise zipfile.BadZipFile(f"{short_repr(name)} is packed, which PyTorch does not do")
        if info.flag_bits & _ENCRYPTED:
            raise zipfile.BadZipFile(f"{short_repr(name)} is encrypted")
        return self._archive.read(info)


class _Stream:
    """Before PyTorch 1.6. Raises what reading a pickle raises."""

    def __init__(self, file: BinaryIO):
        file.seek(0)
        if unpickle_next(file, PlainData()) != _MAGIC or unpickle_next(file, PlainData()) != _VERSION:
            raise pickle.UnpicklingError("it does not begin as a file of PyTorch")
        machine = unpickle_next(file, PlainData())
        if not isinstance(machine, dict) or True not in (machine.get("little_endian"), machine.get(b"little_endian")):
            raise pickle.UnpicklingError("it was written on a machine with another order of bytes")
        data = TorchData(is_stream=True)
        self.content = unpickle_next(file, data)
        keys = unpickle_next(file, PlainData())
        if not isinstance(keys, list) or not all(isinstance(key, str | bytes) for key in keys):
            raise pickle.UnpicklingError("it does not say which storages it has")
        names = [key.decode("latin1") if isinstance(key, bytes) else key for key in keys]
        if Counter(names) != Counter(data.storages.keys()):
            raise pickle.UnpicklingError("its storages are not those of its tensors")
        self._file, self._places = file, {}
        end = os.fstat(file.fileno()).st_size
        for name in names:
            head = file.read(8)
            self._places[name] = file.tell()
            count = int.from_bytes(head, "little")
            if len(head) < 8 or count != data.storages[name].count:
                raise pickle.UnpicklingError(
                    f"a storage has {count:,} numbers, expected {data.storages[name].count:,}; or it is cut short"
                )
            if file.seek(data.storages[name].num_bytes, os.SEEK_CUR) > end:
                raise pickle.UnpicklingError("it is cut short")
        if file.tell() != end:
            raise pickle.UnpicklingError("it goes on behind its last storage")

    def read(self, storage: Storage) -> bytes:
        self._file.seek(self._places[storage.key])
        content = self._file.read(storage.num_bytes)
        if len(content) != storage.num_bytes:
            raise pickle.UnpicklingError("it became shorter while it was read")
        return content


def _read_arrays(tensors: dict[str, Tensor], source: _Source) -> dict[str, np.ndarray]:
    """What tensors stand for. Each storage is read, and made float32, once, whatever number of tensors it has."""
    taken = Counter()
    for tensor in tensors.values():
        taken[tensor.storage] += tensor.count
    for storage, count in taken.items():
        if count > _MOST_VIEWS * storage.count:
            raise UnsafePickle(f"its tensors take {count:,} numbers of a storage of {storage.count:,}")
    numbers = {storage: make_plain(source.read(storage), storage.dtype) for storage in taken}
    return {name: _view(numbers[tensor.storage], tensor) for name, tensor in tensors.items()}


def _view(numbers: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor, which ``TorchData`` has found to be inside of its storage."""
    size = numbers.itemsize
    strides = [size * stride for stride in tensor.strides]
    part = numbers[tensor.first :] if tensor.count else numbers[:0]
    return np.lib.stride_tricks.as_strided(part, tensor.shape, strides, writeable=False)


def describe_dtypes(dtypes: Iterable[str]) -> list[str]:
    """A line on each type of numbers that becomes float32. dtypes: of arrays, as ``make_plain`` takes them."""
    names = Counter("bfloat16" if dtype == BFLOAT16 else np.dtype(dtype).name for dtype in dtypes)
    return [f"{count_of(names[name], 'array')} of {name} became float32" for name in _BECOME_FLOAT32 if names[name]]


def make_plain(content: bytes, dtype: str) -> np.ndarray:
    """Numbers one after another, those with a point as float32. Read-only. dtype: NumPy's, or BFLOAT16."""
    if dtype == BFLOAT16:
        value = (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        value = np.frombuffer(content, dtype)
        with np.errstate(over="ignore"):  # what is then infinite is told by its name
            value = value.astype(np.float32) if value.dtype.kind == "f" and value.dtype.itemsize != 4 else value
    value.flags.writeable = False
    return value
