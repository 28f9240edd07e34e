"""What is done to samples once they are read."""

import numpy as np

# 2019: computed in float64 and rounded to float32 once.
DEQUANTIZED = (np.arange(256) * 4 / 255 + 4 / 512 - 2).astype("float32")
DEQUANTIZED_UNBIASED = (np.arange(256) * 4 / 255 - 2).astype("float32")  # NeXtVLAD's rgb, before whitening


def dequantize(frames: np.ndarray, table: np.ndarray = DEQUANTIZED) -> np.ndarray:
    """Stored uint8 features of any shape to float32 in about [-2, 2], through a table (256,)."""
    # "wrap" spares NumPy a checked copy of the result; no byte is out of the table's range.
    return np.take(table, frames, out=empty_aligned(frames.shape, np.float32), mode="wrap")


def empty_aligned(shape: tuple[int, ...], dtype) -> np.ndarray:
    """An array that begins on a 64-byte boundary, so that Paddle can use its memory as it is."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + 63, np.uint8)
    begin = -memory.ctypes.data % 64
    return memory[begin : begin + size].view(dtype).reshape(shape)
