"""Where other rules than TensorFlow 1's place the pixels of a resized frame; each stands in for ``place_pixels``."""

import numpy as np

from datareader.youtube8m.pixels import SIDE


def place_by_centres(length):
    """As most programs do: the centres of the pixels lie on one another."""
    places = (np.arange(SIDE, dtype=np.float32) + np.float32(0.5)) * np.float32(length / SIDE) - np.float32(0.5)
    places = np.maximum(places, np.float32(0))
    return np.floor(places).astype(np.int64), np.minimum(np.floor(places).astype(np.int64) + 1, length - 1), places % 1


def place_in_float64(length):
    places = np.arange(SIDE) * (length / SIDE)
    before = np.floor(places).astype(np.int64)
    return before, np.minimum(before + 1, length - 1), (places - before).astype(np.float32)
