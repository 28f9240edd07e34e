"""What is done to samples once they are read."""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

# 2019: computed in float64 and rounded to float32 once.
DEQUANTIZED = (np.arange(256) * 4 / 255 + 4 / 512 - 2).astype("float32")
DEQUANTIZED_UNBIASED = (np.arange(256) * 4 / 255 - 2).astype("float32")  # NeXtVLAD's rgb, before whitening


def dequantize(frames: np.ndarray, table: np.ndarray = DEQUANTIZED) -> np.ndarray:
    """Stored uint8 features of any shape to float32 in about [-2, 2], through a table (256,)."""
    out = empty_aligned(frames.shape, np.float32)
    if frames.size:
        # OpenCV looks bytes up in a third of the time of NumPy, which makes 8-byte numbers of them first.
        width = frames.shape[-1] if frames.ndim else 1
        cv2.LUT(frames.reshape(-1, width), table[None], dst=out.reshape(-1, width))
    return out


def empty_aligned(shape: tuple[int, ...], dtype) -> np.ndarray:
    """An array that begins on a 64-byte boundary, so that Paddle can use its memory as it is."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + 63, np.uint8)
    begin = -memory.ctypes.data % 64
    return memory[begin : begin + size].view(dtype).reshape(shape)


@dataclass(frozen=True)
class Crop:
    """Which part of a scaled frame is used.

    x, y: the crop's place as shares of the room there is, 0 for left or top, 1 for right or bottom.
    flip: mirrored, left for right.
    """

    x: float = 0.5
    y: float = 0.5
    flip: bool = False


CENTRE = Crop()


def scale_size(width: int, height: int, short_size: int, keep_aspect: bool) -> tuple[int, int]:
    """Width and height of a frame whose short side becomes short_size, in pixels.

    2019: a frame that is not there already becomes 4:3 whatever it was, which distorts 16:9; the released
    weights were trained so. keep_aspect turns that off.
    """
    short = min(width, height)
    if short == short_size:
        return width, height
    long_size = max(width, height) * short_size / short if keep_aspect else short_size * 4 / 3
    return (short_size, int(long_size)) if width < height else (int(long_size), short_size)


def draw_crop(width: int, height: int, size: int, rng: np.random.Generator) -> Crop:
    """A random place for a square crop of ``size`` in a frame of width x height, and a coin's flip."""
    across, down = width - size, height - size
    x, y, flip = rng.integers(0, [across + 1, down + 1, 2])
    return Crop(x / max(across, 1), y / max(down, 1), bool(flip))


def list_crops(num_crops: int, width: int, height: int) -> list[Crop]:
    """The crops of a test: 1, the centre; 3 along the long side; 10, corners and centre, and these mirrored."""
    if num_crops == 1:
        return [CENTRE]
    if num_crops == 3:
        return [Crop(x=place) if width >= height else Crop(y=place) for place in (0.0, 0.5, 1.0)]
    places = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)]
    return [Crop(x, y, flip) for flip in (False, True) for x, y in places]


def crop_frame(
    frame: np.ndarray, crop: Crop, scaled: tuple[int, int], size: int, resample=Image.Resampling.BILINEAR
) -> np.ndarray:
    """A square part of a frame scaled to ``scaled`` (width, height): (size, size, 3) uint8 of (H, W, 3) uint8.

    Only the crop is computed, which differs by at most one grey level from scaling the whole frame.
    """
    height, width = frame.shape[:2]
    left, top = (round(share * (side - size)) for share, side in zip((crop.x, crop.y), scaled, strict=True))
    if scaled == (width, height):
        part = frame[top : top + size, left : left + size]
    else:
        across, down = width / scaled[0], height / scaled[1]
        box = (left * across, top * down, (left + size) * across, (top + size) * down)
        part = np.asarray(Image.fromarray(frame).resize((size, size), resample, box))
    return part[:, ::-1] if crop.flip else part


def normalize(frames: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(N, S, 3 * L, H, W) uint8 to float32: each colour / 255, less its mean, over its std, in this order."""
    out = empty_aligned(frames.shape, np.float32)
    times = frames.shape[2] // 3
    mean, std = (np.tile(np.asarray(part, np.float32), times)[:, None, None] for part in (mean, std))
    for stored, values in zip(frames, out, strict=True):  # a video at a time stays in the cache
        np.divide(stored, np.float32(255), out=values)
        values -= mean
        values /= std
    return out
