"""Files that are no videos, and videos that are cut or damaged."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from tests.datareader.clips.videos import (
    WAYS,
    Clip,
    av,
    error_of,
    make_clip,
    read_frames,
    read_number,
    read_planned,
    read_sequential,
    read_with_opencv,
    rewrite,
)
from tools.errors import DataError

pytestmark = pytest.mark.pyav


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
    for way in (read_frames, read_sequential):
        assert error_of(way, path).startswith(f"{path}: no frame of its ")
    assert "is of a kind that OpenCV is not trusted with" in error_of(read_with_opencv, path)


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
