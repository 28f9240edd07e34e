"""How far wrong answers are from right: by how much a class that is none of a video's own is ahead."""

import numpy as np


def margins_of(probs: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The best probability less that of the best of a video's own classes: (N,) float64 in [0, 1].

    probs: (N, C) in [0, 1]. own: (N, C) bool. -1 for a video whose best class is its own, and for one that has none.
    Of equal scores the lower class counts as the higher.
    """
    if not len(probs):
        return np.zeros(0)
    best = probs.argmax(axis=1)[:, None]  # (N, 1), of equal ones the first
    of_best = np.take_along_axis(probs, best, axis=1)[:, 0].astype(np.float64)
    of_own = np.where(own, probs, 0).max(axis=1)
    is_right = np.take_along_axis(own, best, axis=1)[:, 0]
    return np.where(is_right | ~own.any(axis=1), -1.0, of_best - of_own)
