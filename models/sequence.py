"""Frame features as networks take them: stored uint8, or float32 that the reader has dequantised."""

import numpy as np
import paddle

# 2019: the value of a stored byte, rounded to float32 once, from float64.
DEQUANTIZED = (np.arange(256) * 4 / 255 + 4 / 512 - 2).astype("float32")


def dequantize(frames):
    """Stored bytes to features in about [-2, 2]; float32 is taken as dequantised already.

    frames: any shape, uint8 or float32. Returns float32 of that shape. A table look-up, so that the
    result has the same bits on every device and in NumPy.
    """
    if frames.dtype != paddle.uint8:
        return frames
    table = paddle.to_tensor(DEQUANTIZED)
    return paddle.gather(table, frames.flatten().astype("int32")).reshape(frames.shape)
