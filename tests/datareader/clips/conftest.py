"""Clips of both kinds in one list, and a video of known frames."""

import os

import pytest

from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.datareader.clips.videos import Clip, make_clip


@pytest.fixture
def clips(tmp_path):
    """A list of three pickles and three videos of 3 to 40 frames, one with spaces in its name."""
    lines = []
    for i, count in enumerate((3, 20, 40)):
        write_pickle(tmp_path / f"p{i}.pkl", make_frames(count, seed=i), label=i)
        write_video(tmp_path / f"v {i}.mp4", make_frames(count, seed=i))
        lines += [f"p{i}.pkl", f"v {i}.mp4 {i}"]
    path = tmp_path / "clips.list"
    path.write_text("# made\n" + "\n".join(lines) + "\n\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the videos of a test file are made."""
    os.environ["SVT_LOG"] = "0"  # libsvtav1 prints its settings otherwise
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def h264(folder):
    """30 frames in groups of 12, with B-frames."""
    return make_clip(folder, Clip("h264.mp4", "libx264", b_frames=2))
