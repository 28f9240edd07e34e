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


def size_of(x, axis: int):
    """The size of an axis: a number where it is known, a tensor in a graph for inputs of any size."""
    size = x.shape[axis]
    return size if size >= 0 else paddle.shape(x)[axis]


def _look_up(table: np.ndarray, frames):
    if frames.dtype != paddle.uint8:
        return frames
    values = paddle.gather(paddle.to_tensor(table), frames.flatten().astype("int32"))
    return values.reshape(frames.shape)


class PackedOrder:
    """Frames of many videos in the order in which a recurrent network meets them.

    Videos stand longest first, frames time-major: all first frames, then all second ones, and so on, so
    that step t works on the first ``active[t]`` rows and nothing is padded.

    lengths: (N,) int array, frames of each video; the frames come one video after another (flat order).

    - ``active``: videos still running at each step.
    - ``flat``: (M,) packed place -> flat place.
    - ``flip``: (M,) packed place -> packed place of the frame as far from the video's other end; its own
      inverse, so it turns frames back to front and back again.
    - ``padded``: (N, T) flat video and time -> packed place, 0 behind the end. ``real``: (N, T) bool.
    """

    def __init__(self, lengths: np.ndarray):
        longest_first = np.argsort(-lengths, kind="stable")
        sorted_lengths = lengths[longest_first]
        times = np.arange(sorted_lengths[0])
        self.active = (sorted_lengths > times[:, None]).sum(axis=1).tolist()
        starts = np.cumsum([0, *self.active[:-1]])
        time = np.repeat(times, self.active)  # (M,)
        row = np.arange(len(time)) - starts[time]  # place of the video among the sorted ones
        first = np.cumsum([0, *lengths[:-1]])[longest_first]
        self.flat = first[row] + time
        self.flip = starts[sorted_lengths[row] - 1 - time] + row
        self.real = times < lengths[:, None]
        place = np.empty(len(lengths), np.int64)
        place[longest_first] = np.arange(len(lengths))
        self.padded = np.where(self.real, starts + place[:, None], 0)
