"""Which frames of a video the network sees."""

import numpy as np


def sample_span_frames(num_frames: int, seg_num: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """One frame from each of seg_num equal spans of a video: (seg_num,) int64 in [0, num_frames).

    With a generator (training) the place in each span is random. Without one (evaluation) it is the
    middle of the span. 2019: random in evaluation too, so that scores changed from run to run.
    """
    if rng is None:
        return (2 * np.arange(seg_num) + 1) * num_frames // (2 * seg_num)
    places = (np.arange(seg_num) + rng.random(seg_num)) * (num_frames / seg_num)
    return np.minimum(places.astype(np.int64), num_frames - 1)
