"""Weights as the safetensors library saves them: a header of names, types and shapes in JSON, then all bytes.

Source: https://github.com/huggingface/safetensors, "Format". The library itself checks that the bytes of no two arrays
overlap, that none are left over, and that they fit types and shapes.
"""

import json
import math
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from tools.errors import CheckpointError
from tools.files.texts import NO_JSON
from tools.runtime.text import printable, short_repr
from tools.weights.torch_files import describe_dtypes, make_plain
from tools.weights.torch_pickles import BFLOAT16

_LARGEST_HEADER = 10_000_000  # bytes; that of a ResNet-152 has 100,000
_DTYPES = {
    "F32": "<f4",
    "F64": "<f8",
    "F16": "<f2",
    "BF16": BFLOAT16,
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}


class StoredArray:
    """An array that lies in a file, of which shape and type are known: its values are read when NumPy asks for them.

    shape, dtype: of what is read; half and double precision become float32. Reading raises CheckpointError for values
    that are not finite.
    """

    def __init__(self, path: Path, name: str, stored: str, shape: list[int], begin: int, num_bytes: int):
        """stored: one of ``_DTYPES``. begin: where in the file its bytes are."""
        self._path, self._name, self._stored, self._begin, self._num_bytes = path, name, stored, begin, num_bytes
        self.shape, self.dtype = tuple(shape), make_plain(b"", _DTYPES[stored]).dtype
        self.ndim, self.size = len(shape), math.prod(shape)
        self.nbytes = self.size * self.dtype.itemsize

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        try:
            with open(self._path, "rb") as file:
                file.seek(self._begin)
                content = file.read(self._num_bytes)
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be read: {error}") from None
        if len(content) != self._num_bytes:
            raise CheckpointError(f"{self._path} became shorter while it was read")
        value = make_plain(content, _DTYPES[self._stored]).reshape(self.shape)
        if not np.isfinite(value).all():
            raise CheckpointError(f"{self._path}: {printable(self._name)} holds values that are not finite")
        return value if dtype is None else value.astype(dtype, copy=False)


def load_safetensors(path: Path) -> tuple[dict[str, StoredArray], list[str]]:
    """(arrays by name, notes) of a file, of which only the header is read. Raises CheckpointError."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _LARGEST_HEADER:
                raise CheckpointError(
                    f"{path} is not a whole safetensors file: its header has more than {_LARGEST_HEADER:,} bytes"
                )
            with safe_open(path, framework="np"):  # which checks it
                pass
            header = json.loads(file.read(size))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    except (SafetensorError, *NO_JSON) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {short_repr(str(error), 200)}") from None
    header.pop("__metadata__", None)
    arrays = {}
    for name, facts in sorted(header.items()):  # which come in any order
        if facts["dtype"] not in _DTYPES:
            known = ", ".join(_DTYPES)
            raise CheckpointError(f"{path}: {short_repr(name)} holds {facts['dtype']}; what is read is {known}")
        begin, end = facts["data_offsets"]
        arrays[name] = StoredArray(path, name, facts["dtype"], facts["shape"], 8 + size + begin, end - begin)
    if not arrays:
        raise CheckpointError(f"{path} holds no array")
    return arrays, describe_dtypes(_DTYPES[facts["dtype"]] for facts in header.values())
