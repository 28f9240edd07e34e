"""Files that name others, and names that FFmpeg takes for more than a file: nothing but the file itself is read."""

import os
import socket
from pathlib import Path

import av
import pytest
from PIL import Image

from datareader.clips.decoding import open_video
from datareader.clips.files import open_clip
from datareader.clips.settings import ClipSettings
from datareader.lists import load_list
from datareader.media import find_media
from tests.datareader.clips.synthetic import TINY
from tests.datareader.clips.videos import (
    Clip,
    draw,
    error_of,
    make_clip,
    read_frames,
    read_number,
    read_sequential,
    read_with_opencv,
)
from tools.errors import DataError, DataIssue

WAYS = (read_frames, read_sequential, read_with_opencv)
MPD = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static"
 mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">
<BaseURL>other.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>"""
TEXTS = {
    "script.ffconcat": "ffconcat version 1.0\nfile other.mp4\n",
    "of-itself.ffconcat": "ffconcat version 1.0\nfile of-itself.ffconcat\n",
    "ended.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n",
    "live.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\nother.ts\n",
    "stream.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "dash.mpd": MPD,
    "subtitles.idx": "# VobSub index file, v7 (do not modify this line!)\nsize: 64x48\nid: en, index: 0\n",
}
DISGUISED = {f"{name}.mp4": text for name, text in TEXTS.items()}


@pytest.fixture(scope="module")
def references(folder):
    """A folder of texts that name its films, and of numbered pictures beside a film that is called as all of them."""
    film = make_clip(folder, Clip("other.mp4", "libx264"))
    make_clip(folder, Clip("other.ts", "libx264"))
    for name, text in {**TEXTS, **DISGUISED}.items():
        (folder / name).write_text(text)
    for i in range(3):
        Image.fromarray(draw(20 + i, (64, 48))).save(folder / f"picture{i:03d}.png")
    (folder / "picture%03d.png").write_bytes(Path(film).read_bytes())
    return folder


@pytest.mark.pyav
@pytest.mark.parametrize("name", [*TEXTS, *DISGUISED])
def test_a_text_that_names_films_is_refused_at_once(references, name):
    for way in WAYS:
        assert f"{name} is not a video (it is a" in error_of(way, references / name)


@pytest.mark.pyav
def test_a_film_that_is_called_as_a_row_of_pictures_does_not_show_them(references):
    for way in WAYS:
        assert "picture%03d.png is not a video (" in error_of(way, references / "picture%03d.png")


@pytest.mark.parametrize("name", [*TEXTS, *DISGUISED])
def test_a_line_of_a_list_reads_no_other_file(references, name):
    (references / "films.list").write_text(f"{name} 1\n")
    (entry,) = load_list(str(references / "films.list"), labelled=True)
    with pytest.raises(DataError) as error:
        open_clip(entry, ClipSettings(**TINY)).open()
    assert error.value.issue in (DataIssue.NOT_A_VIDEO, DataIssue.FORMAT)
    assert "\n" not in str(error.value)


def test_a_search_takes_none_of_them_for_a_film(references):
    found, _ = find_media(references)
    assert {path.name for path, _ in found} == {"other.mp4", "other.ts"}


def test_addresses_in_a_list_are_names_of_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path, Clip("a.mp4", "libx264", num_frames=3))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        for line in (
            f"http://{address}/a.mp4",
            f"tcp://{address}",
            "concat:a.mp4|a.mp4",
            "pipe:0",
            "fd:0",
            "data:video/mp4;base64,AAAA",
            "subfile,,start,0,end,9,,:a.mp4",
            "file:a.mp4",
        ):
            Path("films.list").write_text(f"{line} 1\n")
            with pytest.raises(DataError) as error:
                load_list("films.list", labelled=True)
            assert error.value.issue is DataIssue.MISSING
            with pytest.raises(DataError, match="cannot be read"):
                open_video(line)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("name", ["concat:a.mp4|b.mp4", "pipe:0", "data:x,y", "subfile,,start,0,end,9,,:a.mp4"])
def test_a_film_may_be_called_as_an_address(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for other, count in (("a.mp4", 3), ("b.mp4", 4), ("c.mp4", 7)):
        make_clip(tmp_path, Clip(other, "libx264", num_frames=count))
    Path("c.mp4").rename(name)
    assert open_video(name).num_frames == 7


# QuickTime's references


def refer(film, target, path):
    """A copy of a film without a table in front, whose track's data are in another file: an alias with its path."""
    whole = bytearray(Path(film).read_bytes())
    alias = bytes(10) + bytes([1]) + b"x".ljust(27, b"\0") + bytes(12) + bytes([1]) + b"x".ljust(63, b"\0") + bytes(16)
    alias += b"\0\0\0\0" + bytes(16) + b"\0\2" + len(os.fsencode(path)).to_bytes(2, "big") + os.fsencode(path)
    alias += b"\0" * (len(os.fsencode(path)) % 2) + b"\xff\xff\0\0"
    at = whole.index(b"url \0\0\0\1") - 4
    entry = (12 + len(alias)).to_bytes(4, "big") + b"alis" + bytes(4) + alias
    more = len(entry) - 12
    whole[at : at + 12] = entry
    for name in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        start = whole.rindex(name, 0, at) - 4
        whole[start : start + 4] = (int.from_bytes(whole[start : start + 4], "big") + more).to_bytes(4, "big")
    target.write_bytes(whole)
    return str(target)


@pytest.mark.pyav
def test_a_quicktime_film_does_not_show_the_frames_of_the_film_it_refers_to(folder):
    film = make_clip(folder, Clip("referred.mov", "libx264", num_frames=5))
    path = refer(film, folder / "reference.mov", film)
    content = bytearray(Path(path).read_bytes())
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    content[start:end] = bytes(end - start)  # so that frames can come from the other file alone
    Path(path).write_bytes(content)
    with av.open(path, options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        numbers = [read_number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert numbers == [*range(5)], "this is how it would be done"
    for way in (read_frames, read_sequential):
        assert "no frame of its" in error_of(way, path)
    assert "OpenCV is not trusted with" in error_of(read_with_opencv, path)  # it got no packet
