"""Weights as TensorFlow stores them, for networks whose weights were published so."""

from collections.abc import Mapping

import numpy as np

from tools.errors import CheckpointError

_NAMED = 5  # of what is missing


def require_arrays(arrays: Mapping[str, np.ndarray], shapes: dict[str, tuple[int, ...]], where: str) -> None:
    """Raise CheckpointError unless all of ``shapes`` are there, as finite floating-point numbers; others may be too.

    where: what the arrays are of, for messages.
    """
    if missing := [name for name in shapes if name not in arrays]:
        names = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        raise CheckpointError(f"{where}: {len(missing)} of {len(shapes)} weights are missing: {names}")
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype.kind != "f":
            came = f"{array.shape} {array.dtype}"
            raise CheckpointError(f"{where}: {name} is {came}; it should be {shape} of floating-point numbers")
        if not is_float32(array):
            raise CheckpointError(f"{where}: {name} holds values that float32 does not have")


def is_float32(array: np.ndarray) -> bool:
    """Whether all values are finite as float32."""
    largest = np.finfo(np.float32).max
    return bool(array.min() >= -largest and array.max() <= largest)  # false of a NaN, which both find


def to_paddle_kernel(kernel: np.ndarray) -> np.ndarray:
    """A convolution's (height, width, in, out) -> (out, in, height, width), in memory of its own."""
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
