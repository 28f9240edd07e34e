"""Weights as the safetensors library saves them: a header of names, types and shapes in JSON, then all bytes.

Source: https://github.com/huggingface/safetensors, "Format". The library itself checks that the bytes of no two arrays
overlap, that none are left over, and that they fit types and shapes.
"""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize

from tools.errors import CheckpointError
from tools.runtime.text import short_repr
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


def load_safetensors(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """(arrays by name, notes) of a file; half and double precision become float32. Raises CheckpointError.

    The arrays are read-only.
    """
    try:
        content = path.read_bytes()
        if int.from_bytes(content[:8], "little") > _LARGEST_HEADER:
            raise CheckpointError(
                f"{path} is not a whole safetensors file: its header has more than {_LARGEST_HEADER:,} bytes"
            )
        found = deserialize(content)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {short_repr(str(error), 200)}") from None
    arrays = {}
    for name, facts in sorted(found, key=lambda item: item[0]):  # which come in any order
        if facts["dtype"] not in _DTYPES:
            known = ", ".join(_DTYPES)
            raise CheckpointError(f"{path}: {short_repr(name)} holds {facts['dtype']}; what is read is {known}")
        arrays[name] = make_plain(facts["data"], _DTYPES[facts["dtype"]]).reshape(facts["shape"])
    if not arrays:
        raise CheckpointError(f"{path} holds no array")
    return arrays, describe_dtypes(_DTYPES[facts["dtype"]] for _, facts in found)
