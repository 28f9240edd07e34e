"""Planning from packets against decoding everything: what packets hide, what they say wrongly, and damage."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from datareader.clips import decoding, pyav
from datareader.clips.video import FrameCountError
from tests.datareader.clips.videos import (
    OPEN_GOP,
    Clip,
    av,
    cut_packet,
    decode_everything,
    make_clip,
    read_frames,
    read_number,
    read_planned,
    read_sequential,
    rewrite,
    x264,
    x265,
)
from tools.errors import DataError

pytestmark = pytest.mark.pyav


def test_frames_that_an_edit_list_cuts_away_do_not_count(folder, h264):
    shift = -5 * 512  # ticks of a frame
    path = rewrite(
        h264,
        folder / "edited.mp4",
        lambda i, packet: (bytes(packet), shift),
        options={"avoid_negative_ts": "disabled", "use_editlist": "1"},
    )
    everything = decode_everything(path)
    assert [read_number(frame) for frame in everything] == [*range(5, 30)]
    for way in (read_planned, read_sequential):
        frames, num_frames = way(path, np.arange)
        assert num_frames == 25
        np.testing.assert_array_equal(frames, everything)


def test_a_video_cut_within_an_open_group_has_the_frames_that_decode(folder):
    for codec, options in (("libx264", x264(OPEN_GOP.format("none"))), ("libx265", x265(OPEN_GOP.format(0)))):
        source = make_clip(folder, Clip(f"{codec}.mkv", codec, num_frames=40, options=options))
        with av.open(source) as container:
            second_key = [i for i, packet in enumerate(container.demux(video=0)) if packet.is_keyframe][1]
        path = rewrite(
            source,
            folder / f"cut-{codec}.mkv",
            lambda i, packet, start=second_key: (bytes(packet), 0) if i >= start else None,
        )
        everything = decode_everything(path)
        assert read_planned(path, lambda num_frames: np.array([num_frames - 1])) is None
        frames, num_frames = read_frames(path, np.arange)
        assert num_frames == len(everything)
        np.testing.assert_array_equal(frames, everything)


def test_groups_that_only_refresh_bit_by_bit_are_decoded_from_the_start(folder):
    clip = Clip("refresh.mp4", "libx264", num_frames=40, options=x264("intra-refresh=1:keyint=12:bframes=0"))
    path = make_clip(folder, clip)
    everything = decode_everything(path)
    asked = []
    for i in range(40):
        frames, num_frames = read_frames(path, lambda num_frames, i=i: asked.append(i) or np.array([i]))
        assert num_frames == 40
        np.testing.assert_array_equal(frames[0], everything[i])
    assert asked == [*range(40)], "the second way takes the choice of the first"
    assert read_planned(path, lambda num_frames: np.array([13])) is None


def test_pictures_that_falsely_say_that_nothing_refers_to_them_are_decoded(folder):
    def deny_references(i, packet):
        """Mark the B-frames others refer to, every second frame, as what may be left out: TRAIL_R, 1, as TRAIL_N, 0."""
        content, at = bytearray(packet), 0
        while at < len(content):  # units of a 4-byte length, then a header with the type in bits 1 to 6
            length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4] >> 1 & 63
            if kind == 1 and packet.pts % (4 * 512):
                content[at + 4] &= 0x81
            at += 4 + length
        return bytes(content), 0

    options = x265("bframes=3:b-adapt=0:b-pyramid=1:keyint=250:scenecut=0")
    source = make_clip(folder, Clip("pyramid.mp4", "libx265", gop=250, num_frames=20, options=options))
    path = rewrite(source, folder / "denied.mp4", deny_references)
    everything = decode_everything(path)
    for i in range(20):
        np.testing.assert_array_equal(read_frames(path, lambda num_frames, i=i: np.array([i]))[0][0], everything[i])
    assert read_planned(path, lambda num_frames: np.array([5])) is None


def test_only_wanted_frames_are_converted(h264, monkeypatch):
    converted = []
    to_rgb = pyav._to_rgb
    monkeypatch.setattr(pyav, "_to_rgb", lambda *arguments: converted.append(1) or to_rgb(*arguments))
    for way in (read_planned, read_sequential):
        converted.clear()
        way(h264, lambda num_frames: np.array([3, 25, 3]))
        assert len(converted) == 2


def test_a_group_with_a_picture_the_decoder_calls_corrupt_is_not_used(h264, monkeypatch):
    decode_run = pyav._decode_run

    def decode_corrupt(*arguments):
        return (SimpleNamespace(pts=frame.pts, is_corrupt=True) for frame in decode_run(*arguments))

    monkeypatch.setattr(pyav, "_decode_run", decode_corrupt)
    assert read_planned(h264, lambda num_frames: np.array([20])) is None
    assert read_number(read_frames(h264, lambda num_frames: np.array([20]))[0][0]) == 20


def test_a_video_with_fewer_frames_than_its_packets_say_is_asked_again(folder, h264):
    path = cut_packet(h264, folder / "fewer.mkv", 12)
    video = decoding.open_video(path)
    assert video.num_frames == 30
    assert [number for number, _ in video.frames([2, 3])] == [2, 3], "damage elsewhere goes unseen"
    with pytest.raises(FrameCountError):
        dict(video.frames([15, 3]))
    frames, num_frames = read_sequential(path, np.arange)
    assert video.num_frames == num_frames < 30
    again = dict(video.frames([num_frames - 1, 3]))
    assert [*again] == [3, num_frames - 1]
    np.testing.assert_array_equal(again[3], frames[3])
    np.testing.assert_array_equal(again[num_frames - 1], frames[-1])


def test_a_video_that_is_cut_while_it_is_read_is_an_error(folder):
    path = Path(make_clip(folder, Clip("shrinking.avi", "mpeg4", gop=1)))
    video = decoding.open_video(str(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"shrinking\.avi: no frame of its video stream at 29 can be decoded"):
        dict(video.frames([0, 29]))
