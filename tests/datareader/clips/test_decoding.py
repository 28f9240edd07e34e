"""Frames of videos by number: three ways of decoding against decoding everything, and files that are no videos."""

import multiprocessing
import os
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datareader.clips import decoding
from datareader.clips.decoding import (
    PacketInfo,
    plan_runs,
    read_frames,
    read_planned,
    read_sequential,
    read_with_opencv,
)
from tests.conftest import PROJECT
from tools.errors import DataError

av = pytest.importorskip("av", reason="PyAV makes the videos of these tests")

WAYS = [read_frames, read_planned, read_sequential, read_with_opencv]
BLOCK = 8  # px; a frame's number is drawn as 10 black or white blocks

# Videos with known frames


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
    with av.open(str(path), "w") as container:
        stream = container.add_stream(clip.codec, rate=30, options=clip.options)
        stream.width, stream.height = clip.size
        stream.pix_fmt = clip.pix_fmt
        stream.codec_context.gop_size = clip.gop
        stream.codec_context.max_b_frames = clip.b_frames
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        for i in range(clip.num_frames):
            frame = av.VideoFrame.from_ndarray(draw(i, clip.size), format="rgb24")
            frame.pts, frame.time_base = (clip.ticks or range(clip.num_frames))[i], Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


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


def error_of(function, path):
    with pytest.raises(DataError) as error:
        function(str(path), np.arange)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    os.environ["SVT_LOG"] = "0"  # libsvtav1 prints its settings otherwise
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def h264(folder):
    """30 frames in groups of 12, with B-frames."""
    return make_clip(folder, Clip("h264.mp4", "libx264", b_frames=2))


# The three ways against decoding everything


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
    to_rgb = decoding._to_rgb
    monkeypatch.setattr(decoding, "_to_rgb", lambda *arguments: converted.append(1) or to_rgb(*arguments))
    for way in (read_planned, read_sequential):
        converted.clear()
        way(h264, lambda num_frames: np.array([3, 25, 3]))
        assert len(converted) == 2


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
from datareader.clips.decoding import read_frames
frames, num_frames = read_frames({h264!r}, lambda num_frames: [29, 0])
print(num_frames, frames[0].shape)
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


# Runs of packets


def packets_of(text):
    """ "0k 3 1h": pictures shown at 0, 3 and 1; the first a key picture, the last never given out."""
    return [PacketInfo(int(word.rstrip("kh")), "k" in word, "h" not in word) for word in text.split()]


@pytest.mark.parametrize(
    ("text", "wanted", "runs"),
    [
        ("0k 1 2 3k 4 5", {4}, [range(3, 5)]),
        ("0k 1 2 3k 4 5", {0, 5}, [range(1), range(3, 6)]),
        ("0k 3 1 2 4k 5", {2, 4}, [range(4), range(4, 5)]),
        ("0k 1 4k 2 3 5 6k", {3}, [range(5)]),  # open: 2 and 3 may refer to 1
        ("0k 1 4k 2 3 5 6k", {0, 4, 3, 5}, [range(6)]),
        ("0k 1 4k 2 3 5 6k", {5, 6}, [range(2, 6), range(6, 7)]),
        ("0k 2k 1 4k 3", {1, 2, 3, 4}, [range(5)]),  # every group needs the one before
        ("0k 1h 1 2", {1}, [range(3)]),
        ("0k 1 2", set(), []),
    ],
)
def test_runs_begin_with_a_key_packet_and_end_with_a_wanted_one(text, wanted, runs):
    assert plan_runs(packets_of(text), wanted) == runs


@given(st.data())
def test_runs_cover_every_wanted_packet_and_do_not_overlap(data):
    num_packets = data.draw(st.integers(1, 30))
    order = data.draw(st.permutations(range(num_packets)))
    keys = {0} | data.draw(st.sets(st.integers(0, num_packets - 1)))
    packets = [PacketInfo(pts, i in keys, True) for i, pts in enumerate(order)]
    wanted = data.draw(st.sets(st.integers(0, num_packets - 1)))
    runs = plan_runs(packets, wanted)
    covered = [i for run in runs for i in run]
    assert covered == sorted(set(covered))
    assert wanted <= {packets[i].pts for i in covered}
    assert all(packets[run.start].is_key and packets[run.stop - 1].pts in wanted for run in runs)


# Files that cannot be used


def test_a_file_that_is_no_video_is_an_error_that_names_it(tmp_path):
    files = {
        "empty.mp4": b"",
        "words.mp4": b"no video at all\n" * 100,
        "noise.mp4": np.random.default_rng(0).bytes(9999),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name, reason in {
        "missing.mp4": "cannot be read: No such file or directory",
        ".": "cannot be read: Is a directory",
        "empty.mp4": "is empty",
        "words.mp4": "is not a video",
        "noise.mp4": "is not a video",
    }.items():
        for way in WAYS:
            assert error_of(way, tmp_path / name).startswith(f"{tmp_path / name} {reason}")


def test_a_file_with_sound_alone_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for way in (read_frames, read_planned, read_sequential):
        assert f"{path} has no video stream (audio only)" in error_of(way, path)
    assert f"{path} is not a video" in error_of(read_with_opencv, path)


def test_a_video_without_a_frame_that_decodes_is_an_error(folder, h264):
    path = rewrite(h264, folder / "hollow.mkv", lambda i, packet: (b"\x00\x00\x00\x02\x09\x30", 0))
    for way in (read_frames, read_sequential, read_with_opencv):
        assert error_of(way, path).startswith(f"{path}: no frame of its ")


# Damaged files


@pytest.mark.parametrize("percent", [30, 60, 90, 99])
@pytest.mark.parametrize(
    "clip",
    [
        Clip("cut.mp4", "libx264", b_frames=2),
        Clip("cut.mkv", "libx264", b_frames=2),
        Clip("cut.webm", "libvpx-vp9"),
        Clip("cut.avi", "mpeg4", b_frames=2),
    ],
    ids=lambda clip: clip.name,
)
def test_of_a_file_cut_short_the_frames_that_decode_count(folder, clip, percent):
    source = make_clip(folder, clip)
    if clip.name.endswith("mp4"):  # with its table in front, as files from the web have it
        source = rewrite(
            source, folder / "in-front.mp4", lambda i, packet: (bytes(packet), 0), options={"movflags": "faststart"}
        )
    with av.open(source) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    path = folder / f"{percent}-{clip.name}"
    path.write_bytes(Path(source).read_bytes()[: places[0] + (places[-1] - places[0]) * percent // 100])
    frames, num_frames = read_frames(str(path), np.arange)
    assert 0 < num_frames == len(frames) <= 30
    whole = frames[: max(1, num_frames - 4)]  # the last few may be damaged
    assert [read_number(frame) for frame in whole] == [*range(len(whole))]
    assert read_sequential(str(path), np.arange)[1] == num_frames


def test_an_mp4_cut_before_its_table_is_an_error(folder, h264):
    path = folder / "no-table.mp4"
    path.write_bytes(Path(h264).read_bytes()[:2000])
    for way in WAYS:
        assert error_of(way, path).startswith(f"{path} is not a video")


def test_a_damaged_picture_does_not_end_the_video(folder, h264):
    def damage(i, packet):
        content = bytes(packet)
        half = len(content) // 2 if i == 4 else len(content)
        return content[:half] + np.random.default_rng(0).bytes(len(content) - half), 0

    path = rewrite(h264, folder / "damaged.mkv", damage)
    for way in (read_frames, read_sequential):
        frames, num_frames = way(path, np.arange)
        assert num_frames >= 29
        assert read_number(frames[-1]) == 29


def test_a_group_with_a_picture_the_decoder_calls_corrupt_is_not_used(h264, monkeypatch):
    decode_run = decoding._decode_run

    def decode_corrupt(*arguments):
        return (SimpleNamespace(pts=frame.pts, is_corrupt=True) for frame in decode_run(*arguments))

    monkeypatch.setattr(decoding, "_decode_run", decode_corrupt)
    assert read_planned(h264, lambda num_frames: np.array([20])) is None
    assert read_number(read_frames(h264, lambda num_frames: np.array([20]))[0][0]) == 20


def test_no_decoder_prints(folder, h264, tmp_path, capfd):
    content = bytearray(Path(h264).read_bytes())
    content[2000:2010] = bytes(10)
    path = tmp_path / "damaged.mp4"
    for broken in (bytes(content), bytes(content[:3000]), b"\x00\x00\x00\x18ftypmp42" + bytes(200)):
        path.write_bytes(broken)
        for way in WAYS:
            outcome_of(way, str(path))
    assert capfd.readouterr() == ("", "")


def outcome_of(way, path):
    """Read three frames: "read" or "refused", with what came back checked."""
    try:
        read = way(path, lambda num_frames: np.array([[num_frames - 1], [0], [num_frames // 2]]))
    except DataError as error:
        return "refused" if path in str(error) else "refused without its name"
    if read is not None:
        frames, num_frames = read
        assert num_frames >= 1
        assert [frame.dtype for frame in frames] == [np.uint8] * 3
        assert all(frame.ndim == 3 and frame.shape[2] == 3 for frame in frames)
    return "read"


def mutate(content, rng):
    """Flip bytes, cut the end off, or insert some."""
    content = bytearray(content)
    kind = rng.integers(4)
    at = int(rng.integers(len(content)))
    if kind == 0:
        return bytes(content[:at])
    if kind == 1:
        return bytes(content[:at] + rng.bytes(int(rng.integers(1, 40))) + content[at:])
    for where in rng.integers(0, len(content), rng.integers(1, 20)):
        content[where] = rng.integers(256)
    return bytes(content)


def read_mutations(sources, folder, num_mutations):
    """Runs in a process of its own, which a crash or a hang does not take the tests along with."""
    rng = np.random.default_rng(5)
    outcomes = []
    for i in range(num_mutations):
        source = sources[i % len(sources)]
        path = folder / f"mutated{Path(source).suffix}"
        path.write_bytes(mutate(Path(source).read_bytes(), rng))
        outcomes += [outcome_of(way, str(path)) for way in WAYS]
    assert {*outcomes} == {"read", "refused"}


def test_mutated_files_give_frames_or_an_error_but_no_crash_and_no_hang(folder, tmp_path):
    clips = [
        Clip("seed.mp4", "libx264", num_frames=8, gop=4, b_frames=1, size=(48, 32)),
        Clip("seed.mkv", "libx264", num_frames=8, gop=4, b_frames=1, size=(48, 32)),
        Clip("seed.avi", "mpeg4", num_frames=8, gop=4, b_frames=1, size=(48, 32)),
        Clip("seed.webm", "libvpx-vp9", num_frames=8, gop=4, size=(48, 32)),
    ]
    sources = [make_clip(folder, clip) for clip in clips]
    process = multiprocessing.get_context("spawn").Process(target=read_mutations, args=(sources, tmp_path, 200))
    process.start()
    process.join(60)
    process.kill()
    assert process.exitcode == 0, "a crash has a negative exit code, a hang has -9"


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
