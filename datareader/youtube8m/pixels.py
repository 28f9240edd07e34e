"""Frames as the Inception network of YouTube-8M sees them: resized by the rule of TensorFlow 1, to the bit."""

from functools import lru_cache

import numpy as np

SIDE = 299  # of what the network takes, in pixels


def resize_frame(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8, red green blue, of any size -> (3, 299, 299) float32 in [0, 255].

    TensorFlow 1's ResizeBilinear with align_corners=false: output pixel i lies at i * H / 299, without the shift by
    half a pixel that OpenCV, Pillow and Paddle make; the sides' ratio is not kept and nothing is smoothed. The network
    was trained so. All sums are float32 in TensorFlow's order, which gives its bits. Raises ValueError for any other
    array.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(f"a frame is (H, W, 3) uint8, not {frame.shape} {frame.dtype}")
    height, width = frame.shape[:2]
    top, bottom, down = place_pixels(height)
    left, right, across = place_pixels(width)
    across = np.repeat(across, 3)
    # A pixel is one element, so that its three bytes are copied together. "clip" spares a check of what is in range.
    pixels = np.ascontiguousarray(frame).reshape(-1, 3).view("V3").reshape(-1)
    rows = []
    for line in (top, bottom):
        near, far = (
            pixels.take(line[:, None] * width + column, mode="clip").view(np.uint8).reshape(SIDE, -1).astype(np.float32)
            for column in (left, right)
        )
        rows.append(_blend(near, far, across))  # (299, 299 * 3)
    resized = _blend(*rows, down[:, None])
    return np.ascontiguousarray(resized.reshape(SIDE, SIDE, 3).transpose(2, 0, 1))


@lru_cache(maxsize=64)  # both sides of the videos that are read at the time
def place_pixels(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the 299 output pixels lie on a side of so many: (pixel before, pixel after, share of the latter).

    All are (299,), int64, int64 and float32. Computed in float32, whose rounding shows in the shares.
    """
    places = np.arange(SIDE, dtype=np.float32) * (np.float32(length) / np.float32(SIDE))
    before = np.floor(places)
    pixel = before.astype(np.int64)
    return pixel, np.minimum(pixel + 1, length - 1), places - before


def _blend(near: np.ndarray, far: np.ndarray, share: np.ndarray) -> np.ndarray:
    """near + (far - near) * share, in the memory of far."""
    far -= near
    far *= share
    far += near
    return far
