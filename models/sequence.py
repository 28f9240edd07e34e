"""Frame features as networks take them: stored bytes or dequantised, one video after another or padded."""

import numpy as np
import paddle

# 2019: the value of a stored byte, rounded to float32 once, from float64.
DEQUANTIZED = (np.arange(256) * 4 / 255 + 4 / 512 - 2).astype("float32")
DEQUANTIZED_UNBIASED = (np.arange(256) * 4 / 255 - 2).astype("float32")  # NeXtVLAD's rgb, before whitening


def dequantize(frames):
    """Stored bytes to features in about [-2, 2]; float32 is taken as dequantised already.

    frames: any shape, uint8 or float32. Returns float32 of that shape. A table look-up, so that the
    result has the same bits on every device and in NumPy.
    """
    return _look_up(DEQUANTIZED, frames)


def dequantize_unbiased(frames):
    """As ``dequantize``, without the half step of 4 / 512."""
    return _look_up(DEQUANTIZED_UNBIASED, frames)


def mask_frames(lengths, num_frames):
    """(N,) lengths -> (N, num_frames) float32, 1 for the frames of a video and 0 behind them."""
    return (paddle.arange(num_frames).unsqueeze(0) < lengths.unsqueeze(1)).astype("float32")


def _look_up(table: np.ndarray, frames):
    if frames.dtype != paddle.uint8:
        return frames
    values = paddle.gather(paddle.to_tensor(table), frames.flatten().astype("int32"))
    return values.reshape(frames.shape)
