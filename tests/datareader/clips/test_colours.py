"""Colours: both decoders give the same, or OpenCV refuses; what is not ordinary is told."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from datareader.clips import decoding, opencv, video
from datareader.clips.bitstreams import UnknownError, read_stream
from datareader.clips.headers import Header
from tests.datareader.clips.videos import (
    Clip,
    av,
    error_of,
    make_clip,
    read_frames,
    read_with_opencv,
    rewrite,
    x264,
    x265,
)

pytestmark = pytest.mark.pyav

HLG, PQ, P3 = (9, 18, "bt2020", "arib-std-b67"), (9, 16, "bt2020", "smpte2084"), (12, 1, "smpte432", "bt709")
PLAIN = [
    Clip("full-range.mp4", "libx264", pix_fmt="yuvj420p", num_frames=3),
    Clip("422.mp4", "libx264", pix_fmt="yuv422p", num_frames=3),
    Clip("444-10-bit.mkv", "libx264", pix_fmt="yuv444p10le", num_frames=3),
    Clip("grey.mp4", "libx264", pix_fmt="gray", num_frames=3),
    Clip("rgb.mp4", "libx265", pix_fmt="gbrp", num_frames=3, options=x265("bframes=0")),
    Clip("alpha.webm", "libvpx-vp9", pix_fmt="yuva420p", num_frames=3),
    Clip("moving.gif", "gif", pix_fmt="rgb8", num_frames=3),
    Clip("raw.y4m", "wrapped_avframe", num_frames=3),
    Clip("raw.h264", "libx264", num_frames=3),
]


def tagged(name, colours, codec="libx264"):
    """A clip whose stream names its colours."""
    text = f"colorprim={colours[2]}:transfer={colours[3]}:colormatrix=bt2020nc"
    return Clip(name, codec, num_frames=3, options=x264(text) if codec == "libx264" else x265(text))


def make_tagged_webm(folder, name, colours):
    """VP9, whose stream names no primaries: the container does."""
    with av.open(str(folder / name), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.color_primaries, stream.codec_context.color_trc = colours[:2]
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode(None))
    return str(folder / name)


def read_both(path):
    return [read(str(path), np.arange)[0] for read in (read_frames, read_with_opencv)]


@pytest.mark.parametrize("clip", PLAIN, ids=lambda clip: clip.name)
def test_both_decoders_give_the_same_of_every_pixel_format(folder, clip):
    first, second = read_both(make_clip(folder, clip))
    assert len(first) == 3
    np.testing.assert_array_equal(first, second)


def to_yuv(colour, red_share, blue_share, full_range):
    """Three levels out of three of RGB, by the shares of red and blue in luma: ITU-T H.273, 8.3."""
    red, green, blue = colour
    luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    chroma = [(blue - luma) / (1 - blue_share) / 2, (red - luma) / (1 - red_share) / 2]
    if not full_range:
        luma, chroma = 16 + luma * 219 / 255, [value * 224 / 255 for value in chroma]
    return [round(luma), *(round(128 + value) for value in chroma)]


@pytest.mark.parametrize("range_number", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize(
    ("matrix", "shares"),
    [("bt709", (0.2126, 0.0722)), ("smpte170m", (0.299, 0.114)), ("bt2020nc", (0.2627, 0.0593))],
)
def test_both_decoders_heed_the_matrix_and_the_range(folder, matrix, shares, range_number):
    green = (30, 180, 60)
    levels = to_yuv(green, *shares, range_number == 2)
    path = folder / f"{matrix}-{range_number}.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=x264(f"colormatrix={matrix}"))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.codec_context.color_range = range_number
        planes = np.broadcast_to(np.array(levels, np.uint8)[:, None, None], (3, 48, 64))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv444p")
        frame.color_range = range_number
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for frames in read_both(path):
        assert np.abs(frames[0].astype(int) - green).max() <= 3


@pytest.mark.parametrize("name", ["x.mp4", "x.mov", "x.mkv", "x.h264", "x-265.mp4", "x.webm"])
@pytest.mark.parametrize("colours", [HLG, PQ, P3], ids=["HLG", "PQ", "P3"])
def test_hdr_and_wide_gamuts_are_as_stored_and_refused_by_opencv(folder, name, colours, log_lines):
    video.note_colours.cache_clear()
    name = f"{colours[3]}-{name}"
    if name.endswith("webm"):
        path = make_tagged_webm(folder, name, colours)
    else:
        path = make_clip(folder, tagged(name, colours, "libx265" if "265" in name else "libx264"))
    said = {HLG: "HDR (HLG, BT.2020)", PQ: "HDR (PQ, BT.2020)", P3: "of a wide gamut (Display P3)"}[colours]
    assert error_of(read_with_opencv, path) == (
        f"{path} is {said}, which OpenCV makes other colours of; install PyAV (python -m pip install av)"
    )
    assert decoding.read_facts(path).colours == said
    for _ in range(2):
        read_frames(path, np.arange)
    assert log_lines == [
        f"some videos are {said}: their colours are taken as they are stored, not tone-mapped, so that weights trained "
        "on ordinary videos may score them worse"
    ]


def test_colours_that_only_the_container_names_count_too(folder, h264):
    path = Path(rewrite(h264, folder / "boxed.mp4", lambda i, packet: (bytes(packet), 0)))
    content = path.read_bytes()
    at = content.index(b"avcC") - 4
    box = b"\0\0\0\x13colrnclx" + bytes([0, 9, 0, 18, 0, 9, 0])
    content = content[:at] + box + content[at:]
    for name in (b"avc1", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):  # all around it grow
        where = content.rindex(name, 0, at) - 4
        length = int.from_bytes(content[where : where + 4], "big") + len(box)
        content = content[:where] + length.to_bytes(4, "big") + content[where + 4 :]
    path.write_bytes(content)
    assert decoding.read_facts(str(path)).colours == "HDR (HLG, BT.2020)"
    assert "is HDR (HLG, BT.2020)" in error_of(read_with_opencv, path)


@pytest.mark.parametrize(
    "clip",
    [
        Clip("fields.mp4", "libx264", options=x264("tff=1")),
        Clip("fields.mkv", "libx264", options=x264("bff=1")),
        Clip("fields.avi", "mpeg4", options={"flags": "+ildct+ilme"}),
        Clip("fields-mpeg4.mp4", "mpeg4", options={"flags": "+ildct+ilme"}),
    ],
    ids=lambda clip: clip.name,
)
def test_opencv_refuses_interlaced_videos(folder, clip):
    path = make_clip(folder, clip)
    assert "may be interlaced, which OpenCV garbles" in error_of(read_with_opencv, path)
    assert read_frames(path, np.arange)[1] == 30


@pytest.mark.parametrize("clip", [Clip("x.mpg", "mpeg2video"), Clip("x.flv", "libx264"), Clip("x.ts", "libx264")])
def test_opencv_refuses_containers_that_are_not_looked_into(folder, clip):
    path = make_clip(folder, clip)
    assert read_frames(path, np.arange)[1] == 30
    assert "is not a video that OpenCV reads: mp4, mov, mkv" in error_of(read_with_opencv, path)


def test_opencv_refuses_other_codecs_by_name(folder):
    path = make_clip(folder, Clip("lossless.mkv", "ffv1", num_frames=3))
    assert "is of a codec, ffv1, that OpenCV is not trusted with" in error_of(read_with_opencv, path)
    assert "is of a codec, ffv1," in error_of(lambda path, select: opencv.read_facts(path), path)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_the_parameters_of_a_stream_are_read_as_their_encoder_wrote_them(codec):
    rng = np.random.default_rng(0)
    for number in range(24):
        width, height = rng.integers(32, 200, 2) * 2
        options = {"keyint": int(rng.choice([12, 250])), "bframes": int(rng.integers(0, 4)), "sar": "4/3", "ref": 3}
        if codec == "libx265":
            options |= {"sar": 2, "log-level": "none", "temporal-layers": int(rng.integers(1, 4)), "amp": 1, "rect": 1}
        if named := number % 2:
            options |= {"colorprim": "bt2020", "transfer": "smpte2084", "colormatrix": "bt2020nc"}
        encoder = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.framerate = int(width), int(height), int(rng.choice([15, 25, 60]))
        encoder.pix_fmt = str(rng.choice(["yuv420p", "yuv420p10le", "yuv444p"]))
        text = ":".join(f"{key}={value}" for key, value in options.items())
        encoder.options = {"preset": "ultrafast", f"{codec[3:]}-params": text}
        encoder.flags |= av.codec.context.Flags.global_header.value
        encoder.open()
        header = Header()
        read_stream(header, "h264" if codec == "libx264" else "hevc", b"", bytes(encoder.extradata))
        assert header == Header(colours=[(9, 16)] if named else header.colours)
        assert all(pair == (2, 2) for pair in header.colours) or named


def test_parameters_that_are_not_there_or_not_understood_are_said_to_be():
    for codec in ("h264", "hevc"):
        for packet in (b"", b"\0\0\1", b"\0\0\1\x65\x88\x80"):
            with pytest.raises(UnknownError):
                read_stream(Header(), codec, b"", packet)


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg4", "mjpeg", "plain"])
def test_no_bytes_make_a_stream_crash_or_hang(codec):
    rng = np.random.default_rng(1)
    for _ in range(300):
        packet = b"\0\0\1" + bytes(rng.choice([[0x67], [0x42, 1], [0x20], [0xB5], [6, 47]][rng.integers(5)], 1))
        packet += rng.bytes(int(rng.integers(0, 80))) * int(rng.integers(1, 3))
        with suppress(UnknownError):
            read_stream(Header(), codec, packet, packet)
