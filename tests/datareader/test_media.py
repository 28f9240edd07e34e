"""Files of a folder by their content, folders of frames, and what is left out."""

import os
import socket

import numpy as np
import pytest

from datareader.media import find_media, identify
from tests.datareader.clips.synthetic import make_frames, write_pickle
from tests.datareader.clips.test_frame_folders import write_folder
from tests.datareader.clips.test_look import SOUNDS, write_container, write_sound
from tools.show.kinds import recognise


@pytest.mark.pyav
@pytest.mark.parametrize("kind", ["nut", "m4v", "apng", "rm"])
def test_videos_that_only_the_decoder_knows_are_videos(tmp_path, kind):
    codec = {"apng": "apng", "rm": "rv10"}.get(kind, "mpeg4")
    path = write_container(tmp_path / f"a.{kind}", kind, codec, size=(176, 144))
    path = path.rename(tmp_path / "a.dat")
    assert identify(path) == ("video", "")
    assert recognise(str(path)) == "clips"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    assert identify(path)[0] is None


@pytest.mark.pyav
@pytest.mark.parametrize("kind", SOUNDS)
def test_sound_alone_is_left_out_and_named(tmp_path, kind):
    path = write_sound(tmp_path / "a.mp4", kind, SOUNDS[kind])
    assert identify(path) == (None, "a file without a video stream")


def test_an_empty_file_counts_by_its_name(tmp_path):
    for name, kind in {"a.mp4": "video", "b.pkl": "pickle", "c.tfrecord": "shard", "d": None}.items():
        (tmp_path / name).touch()
        assert identify(tmp_path / name)[0] == kind


def test_pictures_beside_videos_are_no_clips(tmp_path):
    write_pickle(tmp_path / "a.pkl", make_frames(3))
    write_folder(tmp_path / "thumbs", make_frames(2))
    found, left_out = find_media(tmp_path)
    assert found == [(tmp_path / "a.pkl", "pickle")]
    assert left_out == {"a picture beside videos": ["img_00001.jpg", "img_00002.jpg"]}


def test_pipes_and_sockets_are_passed_over_without_reading(tmp_path):
    write_pickle(tmp_path / "a.pkl", make_frames(3))
    os.mkfifo(tmp_path / "b.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "c.mp4"))
        found, left_out = find_media(tmp_path)
    assert found == [(tmp_path / "a.pkl", "pickle")]
    assert left_out == {"a pipe, socket or device": ["b.mp4", "c.mp4"]}
