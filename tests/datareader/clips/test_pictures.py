"""How large a picture may be, before anything of it is decoded."""

import io
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from datareader.clips.files import open_clip
from datareader.clips.pictures import MOST_PIXELS, decode_image, read_size
from datareader.clips.settings import ClipSettings
from datareader.lists import ListEntry
from datareader.media import identify
from tests.conftest import PROJECT
from tests.datareader.clips.synthetic import TINY, encode_jpeg, make_frames, write_frame
from tests.datareader.clips.videos import error_of, read_frames, read_sequential, read_with_opencv
from tests.mutants import mutants, refusal_of
from tools.errors import DataError, DataIssue

HUGE = (20_000, 20_000)
LIMIT = f"frames have at most {MOST_PIXELS:,} px"


def make_png(width, height):
    """A black one of one bit a pixel: a few kB, however large."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + (width + 7) // 8)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def make_huge_pictures():
    """Small files that say that they are huge."""
    jpeg = bytearray(encode_jpeg(make_frames(1)[0]))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", *HUGE)
    others = {}
    for kind, place, form in (("GIF", 6, "<HH"), ("BMP", 18, "<ii")):
        memory = io.BytesIO()
        Image.fromarray(make_frames(1)[0]).save(memory, kind)
        others[kind] = bytearray(memory.getvalue())
        others[kind][place : place + struct.calcsize(form)] = struct.pack(form, *HUGE)
    return {
        "PNG": make_png(*HUGE),
        "JPEG": bytes(jpeg),
        "PPM": b"P5 20000 20000 255\n",
        **dict(map(bytes_of, others.items())),
    }


def bytes_of(item):
    return item[0], bytes(item[1])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "PPM", "GIF", "BMP"])
def test_a_picture_that_says_that_it_is_huge_is_refused_before_it_is_decoded(tmp_path, kind):
    data = make_huge_pictures()[kind]
    assert len(data) < 400_000
    for number, fast_decode in enumerate((False, True)):
        path = str(write_frame(tmp_path / f"{number}.pkl", data).with_suffix(".pkl"))
        clip = open_clip(ListEntry(path), ClipSettings(**TINY, fast_decode=fast_decode))
        with pytest.raises(DataError) as error:
            next(clip.open().frames(np.arange(1)))
        assert error.value.issue is DataIssue.FRAME
        assert str(error.value).endswith(LIMIT)
        assert "frame 0 is a picture of " in str(error.value)


def test_the_memory_for_a_huge_picture_is_not_asked_for(tmp_path):
    (tmp_path / "huge.png").write_bytes(make_png(*HUGE))
    program = (
        "import resource, sys\n"
        "from datareader.clips.pictures import decode_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        f"    decode_image(open({str(tmp_path / 'huge.png')!r}, 'rb').read(), 'huge.png')\n"
        "except Exception as error:\n"
        "    print(type(error).__name__)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    name, grown_kib = done.stdout.split()
    assert name == "DataError"
    assert int(grown_kib) < 50_000


def test_a_jpeg_of_many_scans_is_refused(tmp_path):
    memory = io.BytesIO()
    Image.new("RGB", (4000, 3000)).save(memory, "JPEG", progressive=True)
    data = memory.getvalue()
    assert 3 < data.count(b"\xff\xda") < 20
    assert decode_image(data, "x").shape == (3000, 4000, 3)
    at = data.rindex(b"\xff\xda")
    with pytest.raises(DataError, match=r"x is a JPEG of 1,0\d\d scans"):
        decode_image(data[:-2] + data[at:-2] * 1000 + data[-2:], "x")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_the_size_of_a_picture_is_read_from_its_header_as_pil_reads_it(kind, options):
    memory = io.BytesIO()
    Image.fromarray(make_frames(1, width=67, height=45)[0]).save(memory, kind, **options)
    assert read_size(memory.getvalue()) == (67, 45)
    assert decode_image(memory.getvalue(), "x").shape == (45, 67, 3)


@pytest.mark.parametrize(("number", "seed"), [(300, 0), pytest.param(20_000, 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_damaged_picture_is_decoded_at_the_size_that_was_read_or_refused(kind, number, seed):
    memory = io.BytesIO()
    Image.fromarray(make_frames(1, width=67, height=45)[0]).save(memory, kind)
    decoded = 0
    for mutant in mutants(memory.getvalue(), number, seed):
        frames = []
        if refusal_of(lambda mutant=mutant, frames=frames: frames.append(decode_image(mutant, "x"))) is None:
            decoded += 1
            assert frames[0].shape[1::-1] == read_size(mutant)
    assert decoded


def test_bytes_between_the_segments_of_a_jpeg_are_passed_over_as_decoders_do():
    jpeg = encode_jpeg(make_frames(1)[0])
    at = jpeg.index(b"\xff\xdb")
    for more in (b"", b"\xff\xff", b"abc", b"\xff\x00", b"\xff\xd0"):
        padded = jpeg[:at] + more + jpeg[at:]
        assert read_size(padded) == read_size(jpeg)
        assert decode_image(padded, "x").shape == decode_image(jpeg, "x").shape


def test_what_is_no_picture_has_no_size():
    jpeg = encode_jpeg(make_frames(1)[0])
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff", jpeg[:30], b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n", b"text" * 9):
        assert read_size(data) is None


# Videos


def make_gif(width, height):
    memory = io.BytesIO()
    first, *others = (Image.fromarray(np.full((4, 4), 90 * i, np.uint8)) for i in range(3))
    first.save(memory, "GIF", save_all=True, append_images=others)
    data = bytearray(memory.getvalue())
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


@pytest.mark.pyav
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("huge.gif", make_gif(16_000, 16_000)),
        ("huge.y4m", b"YUV4MPEG2 W16000 H16000 F25:1 Ip C420jpeg\nFRAME\n" + bytes(1000)),
    ],
)
def test_a_video_of_huge_frames_is_refused_before_one_is_decoded(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for way in (read_frames, read_sequential, read_with_opencv):
        assert f"{MOST_PIXELS:,} px" in error_of(way, tmp_path / name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB; one frame takes a GB


def test_a_huge_still_is_told_from_a_film_by_its_header(tmp_path):
    (tmp_path / "huge.png").write_bytes(make_png(*HUGE))
    (tmp_path / "huge.gif").write_bytes(make_gif(60_000, 60_000))
    for name in ("huge.png", "huge.gif"):
        kind, words = identify(tmp_path / name)
        assert kind in (None, "video")
        assert kind or words
