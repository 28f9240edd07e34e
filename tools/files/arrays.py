"""NumPy's .npy files, which may be cut, damaged or made by anybody."""

import os
import tokenize
from pathlib import Path

import numpy as np

# What a file that is no .npy, or one whose header is damaged, can raise.
NO_ARRAY = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)


class NoArrayError(Exception):
    """A file is not a whole .npy; the text says why, in one line."""


def load_npy(path: Path) -> np.ndarray:
    """The array of a .npy without objects. Nothing is allocated for a size that the file does not have."""
    try:
        with open(path, "rb") as file:
            magic = file.read(len(np.lib.format.MAGIC_PREFIX))
            size = os.fstat(file.fileno()).st_size
        if magic != np.lib.format.MAGIC_PREFIX:
            raise NoArrayError(f"it begins with {magic!r}, not {np.lib.format.MAGIC_PREFIX!r}")
        array = np.lib.format.open_memmap(path, mode="r")
        if array.offset + array.nbytes != size:
            raise NoArrayError(f"{size - array.offset} bytes follow its header, which says {array.nbytes}")
        return np.array(array)
    except NO_ARRAY as error:
        reason = str(error) or type(error).__name__
        raise NoArrayError(reason.splitlines()[0][:200]) from None
