"""Videos with known frames in many codecs and containers, and every way of reading them."""

import os
import struct
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest

from datareader.clips import decoding, opencv, pyav
from datareader.clips.video import FrameCountError
from tools.errors import DataError

# Degrees counterclockwise -> what ``write_matrix`` takes
TURNS = {90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), -90: (0, 1, -1, 0)}
BLOCK = 8  # px; a frame's number is drawn as 10 black or white blocks


@dataclass(frozen=True)
class Clip:
    """What ``make_clip`` makes. planned: whether its packets can be planned; codec: an encoder of FFmpeg."""

    name: str
    codec: str
    planned: bool = True
    num_frames: int = 30
    gop: int = 12
    size: tuple[int, int] = (64, 48)  # width, height
    pix_fmt: str = "yuv420p"
    b_frames: int = 0
    rotation: int = 0  # degrees, counterclockwise
    ticks: list[int] = field(default_factory=list)  # when each frame is shown, in 1/30 s; one after another if empty
    options: dict[str, str] = field(default_factory=dict)


def x264(text):
    return {"x264-params": text}


def x265(text):
    return {"x265-params": f"log-level=none:{text}"}


OPEN_GOP = "open-gop=1:bframes=3:b-pyramid={}:keyint=12:min-keyint=12:scenecut=0"
UNEVEN = np.cumsum(np.random.default_rng(2).integers(1, 9, 30)).tolist()

CLIPS = [
    Clip("one-frame.mp4", "libx264", num_frames=1),
    Clip("two-frames.mkv", "libx264", num_frames=2),
    Clip("all-key.mp4", "libx264", gop=1),
    Clip("short-groups.mov", "libx264", num_frames=400, b_frames=2),
    Clip("one-group.mkv", "libx264", num_frames=400, gop=250, b_frames=3),
    Clip("open-groups.mp4", "libx264", num_frames=60, options=x264(OPEN_GOP.format("normal"))),
    Clip("odd.mp4", "libx264", size=(65, 49), pix_fmt="yuv444p"),
    Clip("10-bit.mp4", "libx264", pix_fmt="yuv420p10le", b_frames=2),
    Clip("uneven-times.mp4", "libx264", ticks=UNEVEN, b_frames=2),
    Clip("uneven-times.mkv", "libx264", ticks=UNEVEN, b_frames=2),
    Clip("turned-left.mp4", "libx264", size=(80, 48), rotation=90),
    Clip("turned-right.mov", "libx264", size=(80, 48), rotation=-90),
    Clip("upside-down.mp4", "libx264", rotation=180),
    Clip("one-group-265.mp4", "libx265", gop=250, options=x265("bframes=3")),
    Clip("open-groups-265.mkv", "libx265", num_frames=60, options=x265(OPEN_GOP.format(1))),
    Clip("10-bit-265.mp4", "libx265", pix_fmt="yuv420p10le", options=x265("bframes=2")),
    Clip("vp8.webm", "libvpx", options={"b": "400000"}),
    Clip("vp9.webm", "libvpx-vp9", num_frames=40, gop=250, options={"auto-alt-ref": "1", "lag-in-frames": "16"}),
    Clip("odd-vp9.webm", "libvpx-vp9", size=(65, 49)),
    Clip("av1.mp4", "libsvtav1", options={"preset": "10"}),
    Clip("av1.webm", "libsvtav1", num_frames=40, gop=250, options={"preset": "10"}),
    Clip("mpeg4.mp4", "mpeg4", planned=False, b_frames=2),
    Clip("mpeg4.avi", "mpeg4", planned=False, num_frames=400, b_frames=2),
    Clip("h264.avi", "libx264", planned=False, b_frames=2),
    Clip("mjpeg.mov", "mjpeg", planned=False, pix_fmt="yuvj420p"),
    Clip("mjpeg.avi", "mjpeg", planned=False, pix_fmt="yuvj420p"),
]


@cache
def draw(number, size):
    """(H, W, 3) uint8: coloured squares that move 1 px a frame, and above them the number in 10 blocks."""
    width, height = size
    colours = np.random.default_rng(0).integers(0, 256, (height // BLOCK + 1, width // BLOCK + 1, 3), dtype=np.uint8)
    image = np.roll(colours.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width], number, axis=1)
    for bit in range(10):
        y, x = bit // 5 * BLOCK, bit % 5 * BLOCK
        image[y : y + BLOCK, x : x + BLOCK] = 255 * (number >> bit & 1)
    return image


def read_number(frame):
    """The number that ``draw`` has drawn."""
    blocks = frame[: 2 * BLOCK, : 5 * BLOCK].reshape(2, BLOCK, 5, BLOCK, 3).mean((1, 3, 4)).ravel()
    return int(sum(1 << bit for bit, level in enumerate(blocks) if level > 127))


def make_clip(folder, clip):
    if clip.codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {clip.codec}")
    path = folder / clip.name
    with scheduled_as_before(), av.open(str(path), "w") as container:
        stream = container.add_stream(clip.codec, rate=30, options=clip.options)
        stream.width, stream.height = clip.size
        stream.pix_fmt = clip.pix_fmt
        stream.codec_context.thread_count = 1  # with more, vp8 was seen to spin for ever (PyAV 18.1, busy machine)
        stream.codec_context.gop_size = clip.gop
        stream.codec_context.max_b_frames = clip.b_frames
        for i in range(clip.num_frames):
            frame = av.VideoFrame.from_ndarray(draw(i, clip.size), format="rgb24")
            frame.pts, frame.time_base = (clip.ticks or range(clip.num_frames))[i], Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if clip.rotation:
        write_matrix(path, TURNS[clip.rotation], clip.size)
    return str(path)


@contextmanager
def scheduled_as_before():
    """Undo what SVT-AV1 does to the thread that encodes: run by root it is realtime from then on (4.1, in PyAV 19.0).

    All that it starts would be so too, and two of them would leave next to nothing of two cores to anybody else.
    """
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def write_matrix(path, turn, size):
    """Make an mp4 or mov be shown turned: a point (x, y) goes to (a * x + c * y, b * x + d * y), moved into the frame.

    turn: a, b, c, d. size: width and height as stored.
    """
    a, b, c, d = turn
    width, height = size
    corners = [(a * x + c * y, b * x + d * y) for x in (0, width) for y in (0, height)]
    shift = [-min(place) for place in zip(*corners, strict=True)]
    one = 1 << 16
    matrix = [round(value * one) for value in (a, b, 0, c, d, 0, *shift)] + [1 << 30]
    content = bytearray(path.read_bytes())
    where = content.index(b"tkhd") + 4 + 40
    content[where : where + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)


def rewrite(source, path, edit, **options):
    """Copy a video packet by packet; ``edit(i, packet)`` gives new (bytes, shift of times) or None to leave one out."""
    with av.open(source) as old, av.open(str(path), "w", **options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for i, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            if (edited := edit(i, packet)) is None:
                continue
            copy = av.Packet(edited[0])
            copy.pts, copy.dts = packet.pts + edited[1], packet.dts + edited[1]
            copy.time_base, copy.duration, copy.is_keyframe = packet.time_base, packet.duration, packet.is_keyframe
            copy.stream = stream
            new.mux(copy)
    return str(path)


def stamp_anew(source, path, tenths, gap=1):
    """Copy a video without B-frames and show its frames at these tenths of a second, each said to last gap seconds."""
    with av.open(source) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = (packet for packet in old.demux(video=0) if packet.size)
        for i, (packet, time) in enumerate(zip(packets, tenths, strict=True)):
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts, packet.dts = time, min(tenths[i:])
            packet.duration = 10 * gap
            new.mux(packet)
    return str(path)


def cut_packet(source, path, number):
    """Copy a video and leave 12 bytes of one packet, which no longer decodes."""
    return rewrite(source, path, lambda i, packet: (bytes(packet)[: 12 if i == number else None], 0))


def decode_everything(path, rotation=0):
    """Every frame, one after another, with nothing left out: (T, H, W, 3) uint8 RGB."""
    images = []
    with av.open(path) as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="bgr24", interpolation="BICUBIC")[:, :, ::-1]
            images.append(np.rot90(image, rotation // 90))
    return np.array(images)


def choices(num_frames):
    rng = np.random.default_rng(num_frames)
    return {
        "first": np.array([0]),
        "last": np.array([num_frames - 1]),
        "all": np.arange(num_frames),
        "backwards": np.arange(num_frames)[::-7],
        "random": rng.integers(0, num_frames, (3, 2)),
        "repeated": np.array([num_frames // 2] * 3),
    }


def read_chosen(video, select):
    """The frames that ``select(num_frames)`` gives the numbers of, in its order, and how many there are."""
    while True:
        numbers = select(video.num_frames)
        try:
            frames = dict(video.frames(numbers))
        except FrameCountError:
            continue
        return [frames[number] for number in np.asarray(numbers).ravel().tolist()], video.num_frames


def read_frames(path, select):
    return read_chosen(decoding.open_video(path), select)


def read_planned(path, select):
    """None where the packets do not say which to decode, or where damage is seen on the way."""
    if (video := pyav.plan_video(path)) is None:
        return None
    try:
        return read_chosen(video, select)
    except pyav.DamageError:
        return None


def read_sequential(path, select):
    return read_chosen(pyav.SequentialVideo(path), select)


def read_with_opencv(path, select):
    return read_chosen(opencv.Video(path), select)


WAYS = [read_frames, read_planned, read_sequential, read_with_opencv]


def error_of(function, path):
    with pytest.raises(DataError) as error:
        function(str(path), np.arange)
    assert "\n" not in str(error.value)
    return str(error.value)
