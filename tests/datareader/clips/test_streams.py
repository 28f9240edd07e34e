"""Which stream of a file is its video, and files that hold none."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datareader.clips import decoding
from tests.conftest import PROJECT
from tests.datareader.clips.tracks import COVERED, FILM, STILL, Disposition, make_films, make_song
from tests.datareader.clips.videos import (
    Clip,
    draw,
    error_of,
    make_clip,
    read_frames,
    read_number,
    read_sequential,
    read_with_opencv,
    rewrite,
)

pytestmark = pytest.mark.pyav


@pytest.mark.parametrize("name", COVERED)
def test_a_cover_picture_is_no_video(folder, name):
    path = make_song(folder, name, cover=True)
    for way in (read_frames, read_sequential):
        assert error_of(way, path) == (
            f"{path} has no video stream (audio and a cover picture); expected a video such as an mp4"
        )
    assert error_of(read_with_opencv, path).startswith(f"{path} has no video stream")
    plain = make_song(folder, name, cover=False)
    assert error_of(read_frames, plain).startswith(f"{plain} has no video stream (audio only)")


NONE, DEFAULT = Disposition(0), Disposition.default


@pytest.mark.parametrize("name", ["two.mkv", "two.mp4", "two.mov", "two.avi", "two.ts"])
def test_a_still_first_track_is_not_taken_instead_of_the_film(folder, name):
    still = "libx264" if name.endswith("ts") else "mjpeg"
    path = make_films(folder / name, (still, STILL, 1, NONE), ("libx264", FILM, 30, DEFAULT))
    frames, _ = read_frames(str(path), np.arange)
    assert [read_number(frame) for frame in frames] == [*range(30)]
    assert frames[0].shape == (48, 64, 3)
    facts = decoding.read_facts(str(path))
    assert facts.stream == "2 of 2 video streams"
    assert facts.size == FILM
    refused = "is not a video that OpenCV reads" if name.endswith("ts") else "has 2 video streams"
    assert refused in error_of(read_with_opencv, path)


def test_the_default_of_two_films_is_taken(folder):
    for at in (0, 1):
        tracks = [("libx264", (64 + 16 * i, 48), 10, DEFAULT if i == at else NONE) for i in (0, 1)]
        path = make_films(folder / f"default-{at}.mkv", *tracks)
        assert read_frames(str(path), np.arange)[0][0].shape == (48, 64 + 16 * at, 3)


def test_a_film_with_a_cover_is_the_film(folder):
    path = make_films(
        folder / "film.mp4", ("mjpeg", STILL, 1, Disposition.attached_pic), ("libx264", FILM, 30, DEFAULT)
    )
    assert [read_number(frame) for frame in read_frames(str(path), np.arange)[0]] == [*range(30)]
    np.testing.assert_array_equal(read_with_opencv(str(path), np.arange)[0], read_frames(str(path), np.arange)[0])


def test_a_film_of_one_frame_is_taken_and_not_its_cover(folder):
    cover, film = ("mjpeg", FILM, 1, Disposition.attached_pic), ("libx264", STILL, 1, DEFAULT)
    frames, num_frames = read_frames(str(make_films(folder / "short.mp4", cover, film)), np.arange)
    assert num_frames == 1
    assert frames[0].shape == (*STILL, 3)


def test_without_a_default_the_stream_with_more_pictures_is_taken(folder):
    path = make_films(folder / "broadcast.ts", ("libx264", STILL, 2, NONE), ("libx264", FILM, 30, NONE))
    assert read_frames(str(path), np.arange)[1] == 30


def make_others(folder):
    """Files that FFmpeg opens and that are no videos -> what is said of them."""
    image = Image.fromarray(draw(3, FILM))
    files = {}
    for name in ("a.png", "a.jpg", "a.bmp", "a.webp", "a.tiff"):
        image.save(folder / name)
        files[name] = {"jpg": "a JPEG", "webp": "a WebP"}.get(name[2:], f"a {name[2:].upper()}") + " picture"
    (folder / "named.mp4").write_bytes((folder / "a.png").read_bytes())
    texts = {
        "long.txt": "".join(f"videos/clip_{i}.mp4 {i % 7}\n" for i in range(3000)),
        "long-umlauts.txt": "ä".join(map(str, range(5000))),
        "numbers.list": "".join(f"{i}\n" for i in range(40000)),
        "playlist.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\nclip.ts\n",
        "script.ffconcat": "ffconcat version 1.0\nfile clip.ts\n",
        "subtitles.srt": "1\n00:00:01,000 --> 00:00:02,000\nhello\n",
        "picture.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="5" height="5"></svg>',
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "still.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(100))
    (folder / "still.heic").write_bytes(b"\0\0\0\x1cftypheic" + bytes(100))
    heif = dict.fromkeys(("still.avif", "still.heic"), "a HEIF or AVIF picture")
    return {
        **files,
        "named.mp4": "a PNG picture",
        **dict.fromkeys(texts, "a text"),
        "picture.svg": "an XML text",
        **heif,
    }


def test_pictures_text_and_playlists_are_no_videos(tmp_path):
    for name, said in make_others(tmp_path).items():
        for way in (read_frames, read_sequential, read_with_opencv):
            assert error_of(way, tmp_path / name) == (
                f"{tmp_path / name} is not a video (it is {said}); expected a whole file such as an mp4"
            )


def test_a_playlist_without_an_end_is_refused_at_once(tmp_path):
    make_others(tmp_path)
    program = f"from datareader.clips.decoding import open_video; open_video({str(tmp_path / 'playlist.m3u8')!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert "is not a video (it is a text)" in done.stderr


@pytest.mark.parametrize("name", ["x.mp4", "x.ts", "x.MTS", "x.gif", "x.h264", "x.y4m", "x.apng", "x.mpg", "x.flv"])
def test_videos_of_any_container_are_read(folder, name):
    codecs = {"gif": "gif", "y4m": "wrapped_avframe", "apng": "apng", "mpg": "mpeg2video"}
    formats = {"gif": "rgb8", "apng": "rgb24"}
    suffix = Path(name).suffix[1:]
    clip = Clip(f"any-{name}", codecs.get(suffix, "libx264"), pix_fmt=formats.get(suffix, "yuv420p"))
    frames, num_frames = read_frames(make_clip(folder, clip), np.arange)
    assert num_frames == 30
    assert [read_number(frame) for frame in frames] == [*range(30)]


def test_a_video_with_a_title_that_looks_like_a_playlist_is_read(folder, h264):
    path = rewrite(h264, folder / "playlist.m3u8.mp4", lambda i, packet: (bytes(packet), 0))
    assert read_frames(path, np.arange)[1] == 30


def test_a_file_without_any_stream_is_told(tmp_path):
    (tmp_path / "a.mp4").write_bytes(bytes.fromhex("00000018") + b"ftypisom" + bytes(4) + b"isommp42" + MOOV)
    assert "has no video stream (no streams at all)" in error_of(read_frames, tmp_path / "a.mp4")


MOOV = (116).to_bytes(4, "big") + b"moov" + (108).to_bytes(4, "big") + b"mvhd" + bytes(12) + b"\0\0\x03\xe8" + bytes(84)
