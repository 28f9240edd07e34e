"""Which frames are sampled."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datareader.sampling import sample_segment_frames, sample_span_frames


@given(num_frames=st.integers(1, 1000), seg_num=st.integers(1, 300), seed=st.integers(0, 100))
def test_every_frame_lies_in_its_own_span(num_frames, seg_num, seed):
    span = num_frames / seg_num
    for rng in (None, np.random.default_rng(seed)):
        frames = sample_span_frames(num_frames, seg_num, rng)
        assert frames.shape == (seg_num,)
        assert frames.min() >= 0
        assert frames.max() < num_frames
        places = np.arange(seg_num) * span
        assert (frames >= np.floor(places - 1e-6)).all()
        assert (frames <= places + span + 1e-6).all()


def test_evaluation_takes_the_middle_of_each_span_and_training_draws():
    assert sample_span_frames(100, 4).tolist() == [12, 37, 62, 87]
    assert sample_span_frames(3, 6).tolist() == [0, 0, 1, 1, 2, 2]
    rng = np.random.default_rng(0)
    seen = {tuple(sample_span_frames(100, 4, rng)) for _ in range(20)}
    assert len(seen) > 10


def test_segments_follow_the_rule_of_2019():
    np.testing.assert_array_equal(sample_segment_frames(40, 3, 1), [[6], [19], [32]])
    np.testing.assert_array_equal(sample_segment_frames(23, 7, 5)[:, 0], [0, 3, 6, 9, 12, 15, 18])
    np.testing.assert_array_equal(sample_segment_frames(23, 7, 5)[6], [18, 19, 20, 21, 22])
    np.testing.assert_array_equal(sample_segment_frames(2, 3, 2), [[0, 1], [1, 0], [0, 1]])


@given(num_frames=st.integers(1, 400), seg_num=st.integers(1, 30), seglen=st.integers(1, 8), seed=st.integers(0, 2**32))
def test_sampled_frames_are_consecutive_and_in_their_segment(num_frames, seg_num, seglen, seed):
    duration = num_frames // seg_num
    for rng in (None, np.random.default_rng(seed)):
        frames = sample_segment_frames(num_frames, seg_num, seglen, rng)
        assert frames.shape == (seg_num, seglen)
        assert frames.min() >= 0
        assert frames.max() < num_frames
        assert ((frames - frames[:, :1] - np.arange(seglen)) % num_frames == 0).all()
        if duration >= seglen:
            np.testing.assert_array_equal(frames[:, 0] // duration, np.arange(seg_num))
            np.testing.assert_array_equal(frames[:, -1] // duration, np.arange(seg_num))


def test_every_place_in_a_segment_is_drawn_and_no_other():
    rng = np.random.default_rng(0)
    starts = {int(sample_segment_frames(30, 3, 4, rng)[1, 0]) for _ in range(500)}
    assert starts == set(range(10, 17))


def test_several_clips_spread_over_the_room_there_is():
    starts = [int(sample_segment_frames(100, 2, 10, clip=c, num_clips=3)[0, 0]) for c in range(3)]
    assert starts == [10, 20, 30]
