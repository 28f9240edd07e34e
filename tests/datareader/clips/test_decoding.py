"""Frames of videos by number: every way of decoding against decoding everything, and what a video says of itself."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from datareader.clips import decoding, opencv
from tests.conftest import PROJECT
from tests.datareader.clips.videos import (
    CLIPS,
    WAYS,
    Clip,
    choices,
    decode_everything,
    error_of,
    make_clip,
    read_frames,
    read_number,
    read_planned,
    read_with_opencv,
    rewrite,
)
from tools.errors import DataError

pytestmark = pytest.mark.pyav


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_every_way_gives_the_frames_of_decoding_everything(folder, clip):
    path = make_clip(folder, clip)
    everything = decode_everything(path, clip.rotation)
    assert [read_number(np.rot90(frame, -clip.rotation // 90)) for frame in everything] == [*range(clip.num_frames)]
    for way in WAYS:
        if way is read_planned and not clip.planned:
            assert way(path, np.arange) is None
            continue
        if way is read_with_opencv and clip.codec == "libsvtav1":
            continue  # OpenCV's wheels may come without a decoder for AV1
        for kind, chosen in choices(clip.num_frames).items():
            frames, num_frames = way(path, lambda num_frames, chosen=chosen: chosen)
            assert num_frames == clip.num_frames
            assert {(frame.dtype, frame.flags.c_contiguous) for frame in frames} == {(np.dtype(np.uint8), True)}
            assert np.array_equal(frames, everything[chosen.ravel()]), f"{way.__name__}, {kind}"


def test_choose_is_given_the_number_of_frames_whatever_the_header_says(folder, h264):
    content = Path(h264).read_bytes()
    where = content.index(b"mdhd") + 4
    lying = folder / "lying.mp4"
    lying.write_bytes(content[: where + 16] + struct.pack(">I", 2**31) + content[where + 20 :])  # its duration
    webm = make_clip(folder, Clip("no-count.mkv", "libx264"))  # Matroska has no count
    for path in (str(lying), webm):
        for way in WAYS:
            assert way(path, lambda num_frames: np.array([num_frames - 1]))[1] == 30


def test_hidden_pictures_of_vp8_do_not_count(folder):
    source = make_clip(folder, Clip("source-vp8.webm", "libvpx", options={"b": "400000"}))
    hidden = {3, 20}
    path = rewrite(
        source,
        folder / "hidden.webm",
        lambda i, packet: (bytes([bytes(packet)[0] & ~((i in hidden) << 4)]) + bytes(packet)[1:], 0),
    )
    for way in WAYS:
        frames, num_frames = way(path, np.arange)
        assert num_frames == 28
        assert [read_number(frame) for frame in frames] == [i for i in range(30) if i not in hidden]


def test_choosing_nothing_gives_nothing(h264):
    for way in WAYS:
        assert way(h264, lambda num_frames: np.zeros((0, 3), int)) == ([], 30)


def test_a_frame_that_is_not_there_is_a_mistake_of_the_caller(h264):
    for way in WAYS:
        for i in (-1, 30):
            with pytest.raises(AssertionError):
                way(h264, lambda num_frames, i=i: np.array([i]))


def test_opencv_decodes_where_pyav_is_not_installed(h264):
    script = f"""
import sys
sys.modules["av"] = None
from datareader.clips.decoding import open_video
video = open_video({h264!r})
frames = dict(video.frames([29, 0]))
print(video.num_frames, frames[29].shape)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("30 (48, 64, 3)\n", "")


@pytest.mark.parametrize("name", ["with space.mp4", "c:colon.mp4", "%03d.mp4", "ünï.mp4", "a?b#c.mp4", "-.mp4"])
def test_any_file_name_will_do(h264, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(Path(h264).read_bytes())
    for way in WAYS:
        assert way(name, np.arange)[1] == 30


def test_a_name_that_is_not_utf8_is_an_error_where_opencv_would_crash(h264, tmp_path):
    path = f"{tmp_path}/caf\udce9.mp4"
    Path(path).write_bytes(Path(h264).read_bytes())
    assert read_frames(path, np.arange)[1] == 30
    assert "caf\\udce9.mp4': OpenCV opens only names in UTF-8" in error_of(read_with_opencv, path)


def test_a_title_that_is_not_utf8_does_no_harm(folder, h264):
    path = rewrite(h264, folder / "title.mkv", lambda i, packet: (bytes(packet), 0))
    content = Path(path).read_bytes()
    assert b"Lavf" in content  # the muxer's name, which is among what PyAV reads as text
    Path(path).write_bytes(content.replace(b"Lavf", b"\xff\xfe\xe9f"))
    assert read_frames(path, np.arange)[1] == 30


@pytest.mark.parametrize("without_pyav", [False, True])
def test_a_video_says_what_it_is_before_any_frame_is_decoded(without_pyav, tmp_path, monkeypatch):
    path = make_clip(tmp_path, Clip("x.mp4", "libx264", num_frames=45, size=(80, 48)))
    if without_pyav:
        monkeypatch.setattr(decoding, "av", None)
    facts = decoding.read_facts(str(path))
    assert facts.size == (80, 48)
    assert facts.frames_per_sec == pytest.approx(30)
    assert facts.duration_sec == pytest.approx(1.5)
    known = ("", "h264") if without_pyav else ("QuickTime / MOV", "h264, yuv420p")
    assert (facts.container, facts.codec) == known
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"text.mp4 is not a video"):
        decoding.read_facts(str(tmp_path / "text.mp4"))


RATES = [  # clip, frames a second; the times of uneven ones are in 1/30 s
    (Clip("h264.avi", "libx264", b_frames=2), 30),
    (Clip("mpeg4.avi", "mpeg4", b_frames=2), 30),
    (Clip("uneven.mp4", "libx264", num_frames=60, ticks=[*range(0, 60, 2), *range(60, 90)]), 20),
    (Clip("slow-fast.mov", "libx264", num_frames=60, ticks=[*range(0, 300, 10), *range(300, 330)]), 60 / 11),
]


@pytest.mark.parametrize(("clip", "rate"), RATES, ids=[clip.name for clip, _ in RATES])
def test_the_frame_rate_is_the_average_of_the_frames_themselves(folder, clip, rate):
    path = make_clip(folder, clip)
    assert decoding.read_frame_rate(path) == pytest.approx(rate, rel=0.04)
    assert opencv.read_facts(path).frames_per_sec == pytest.approx(rate, rel=0.04)


@pytest.mark.pyav
def test_the_frame_rate_of_dv_is_that_of_its_frames(tmp_path):
    with av.open(str(tmp_path / "x.dv"), "w") as container:
        stream = container.add_stream("dvvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        for frame in [av.VideoFrame(720, 576, "yuv420p")] * 5:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert decoding.read_frame_rate(str(tmp_path / "x.dv")) == 25


@pytest.mark.skipif(sys.platform != "linux", reason="realtime threads are Linux's")
def test_making_a_video_leaves_the_process_no_realtime_one(folder):
    before = os.sched_getscheduler(0)
    make_clip(folder, Clip("realtime.mp4", "libsvtav1", num_frames=2, options={"preset": "10"}))
    assert os.sched_getscheduler(0) == before
