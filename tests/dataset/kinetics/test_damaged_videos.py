"""Videos with fewer frames than they say, on their way to pickles."""

import cv2
import numpy as np
import pytest

from dataset.kinetics.video2pkl import Encoding, encode_video, thin_frames
from tests.datareader.clips.videos import Clip, cut_packet, make_clip, read_sequential


@pytest.mark.pyav
def test_of_a_damaged_video_the_frames_that_decode_are_kept(tmp_path):
    path = cut_packet(make_clip(tmp_path, Clip("h264.mp4", "libx264", b_frames=2)), tmp_path / "damaged.mkv", 12)
    frames, num_frames = read_sequential(path, np.arange)
    assert num_frames < 30
    for fps in (None, 10):
        kept = np.arange(num_frames) if fps is None else thin_frames(num_frames, 30, fps)
        jpegs = encode_video(path, Encoding(fps=fps))
        assert len(jpegs) == len(kept)
        for number, jpeg in zip(kept, jpegs, strict=True):
            found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
            assert np.abs(found.astype(int) - frames[number]).mean() < 8
