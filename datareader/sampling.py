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


def sample_segment_frames(
    num_frames: int,
    seg_num: int,
    seglen: int,
    rng: np.random.Generator | None = None,
    clip: int = 0,
    num_clips: int = 1,
) -> np.ndarray:
    """seglen consecutive frames from each of seg_num equal segments: (seg_num, seglen) int64 in [0, num_frames).

    Wang et al., "Temporal Segment Networks" (arXiv:1608.00859), section 3.1. With a generator (training)
    the place in each segment is random. Without one (evaluation) it is the middle, or for clip c of
    num_clips the c-th of as many places at equal distances. Videos shorter than what is asked for give
    their frames again from the start.
    """
    segments = np.arange(seg_num)
    duration = num_frames // seg_num
    if duration < seglen:
        first = segments * max(duration, 1)
    elif rng is None:
        first = segments * duration + (duration - seglen) * (clip + 1) // (num_clips + 1)
    else:
        first = segments * duration + rng.integers(0, duration - seglen, seg_num, endpoint=True)
    return (first[:, None] + np.arange(seglen)) % num_frames
