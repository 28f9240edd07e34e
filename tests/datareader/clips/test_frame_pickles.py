"""Of a pickle of frames only those that are wanted are read, and what is read is what unpickling all of it gives."""

import io
import os
import pickle
import random
import re
import sys

import numpy as np
import pytest

from datareader.clips.files import open_clip
from datareader.clips.frame_pickles import PickledFrames, find_frames, read_file_head
from datareader.clips.settings import ClipSettings
from datareader.lists import ListEntry
from tests.datareader.clips.synthetic import (
    TINY,
    encode_jpeg,
    expect_error,
    make_frames,
    open_dataset,
    read_all,
    write_pickle,
)
from tests.mutants import mutants
from tools.errors import DataError
from tools.files.pickles import load_data_pickle

SETTINGS = ClipSettings(**TINY)
SIZES = [0, 1, 255, 256, 65_535, 65_536, 300, 70_000, 3, 100_000, 40_000, 40_000]  # around what is stored otherwise
FRAMES = [np.random.default_rng(size).bytes(size) for size in SIZES]
SMALL = [b"\xff\xd8\xff one", b"\xff\xd8\xff another" * 30, b"e\x87.", b"\x94e\x87.", b"(e(", b"third"]
LIST_OF_PYTHON_2 = b"K\x03]q\x01(U\x03oner\x03\x01\x00\x00T\x05\x00\x00\x00\x94e\x87.\xffq\x03U\x00q\x04e"
PYTHON_2 = {1: b"(U\x04nameq\x00%bt." % LIST_OF_PYTHON_2, 2: b"\x80\x02U\x04nameq\x00%b\x87q\x05." % LIST_OF_PYTHON_2}


def by_python(content, protocol: int) -> bytes:
    """As Python's pickler in Python writes it, which puts lengths into other places than the one in C."""
    memory = io.BytesIO()
    pickle._Pickler(memory, protocol).dump(content)
    return memory.getvalue()


def read_of(path):
    """What the reader finds, with all frames."""
    found = find_frames(str(path))
    return found and (found.video_id, found.label, list(found.frames))


@pytest.fixture
def pread_sizes(monkeypatch):
    """How many bytes each read from a place in a file asked for."""
    sizes, pread = [], os.pread

    def noting(file, size, place):
        sizes.append(size)
        return pread(file, size, place)

    monkeypatch.setattr(os, "pread", noting)
    return sizes


@pytest.mark.parametrize("dumps", [pickle.dumps, by_python])
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("video_id", ["name", b"name", "\u6253", "n" * 300])
def test_frames_of_every_protocol_are_those_that_were_written(video_id, protocol, dumps, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(dumps((video_id, 3, FRAMES), protocol))
    clip = open_clip(ListEntry(str(path)), SETTINGS)
    expected = video_id.decode() if isinstance(video_id, bytes) else video_id
    assert (clip.video_id, clip.label, list(clip.jpegs.data)) == (expected, 3, FRAMES)
    assert isinstance(clip.jpegs.data, PickledFrames) == (protocol >= 3)


@pytest.mark.parametrize("protocol", PYTHON_2)
def test_what_python_2_wrote_is_read_frame_by_frame(protocol, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(PYTHON_2[protocol])
    assert read_of(path) == (b"name", 3, [b"one", b"\x94e\x87.\xff", b""]) == load_data_pickle(str(path))


@pytest.mark.parametrize("dumps", [pickle.dumps, by_python])
@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("count", [2, 999, 1000, 1002, 2500])
def test_as_many_frames_are_found_as_were_written(count, protocol, dumps, tmp_path):
    path, frames = tmp_path / "a.pkl", [str(number).encode() * 20 for number in range(count)]
    path.write_bytes(dumps(("a", 3, frames), protocol))
    assert read_of(path) == ("a", 3, frames)


@pytest.mark.parametrize(
    "content",
    [
        ("a", 3, FRAMES[1:2]),  # a list of one is stored otherwise
        ("a", 3, [FRAMES[2]] * 3),
        ("a", np.int64(3), FRAMES[1:4]),
        ["a", 3, FRAMES[1:4]],
        ("a", 3, tuple(FRAMES[1:4])),
        ("n" * 70_000, 3, FRAMES[1:4]),
        ("a", 3, [b""] * 2 + [bytes([i % 256, i // 256 % 256, 0]) for i in range(100_001)]),
    ],
    ids=["one", "the same", "label of NumPy", "list", "tuple", "long id", "very many"],
)
def test_frames_in_other_forms_are_read_with_all_of_the_file(content, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content, 4))
    clip = open_clip(ListEntry(str(path)), SETTINGS)
    assert (clip.video_id, clip.label, clip.jpegs.data) == (content[0], 3, content[2])


def test_only_the_frames_that_are_wanted_are_read(tmp_path, pread_sizes):
    frames = [b"%d" % number * 20_000 for number in range(100)]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(("a", 3, frames), 4))
    data = open_clip(ListEntry(str(tmp_path / "a.pkl")), SETTINGS).jpegs.data
    assert len(pread_sizes) == 101
    assert sum(pread_sizes) < 8000
    del pread_sizes[:]
    assert [data[number] for number in (3, 50)] == [frames[3], frames[50]]
    assert pread_sizes == [20_000, 40_000]


@pytest.mark.skipif(sys.platform != "linux", reason="files are read ahead on Linux alone")
def test_all_of_a_file_is_read_ahead_in_parts_that_linux_does_not_cut(tmp_path, monkeypatch):
    parts, advise = [], os.posix_fadvise
    monkeypatch.setattr(os, "posix_fadvise", lambda file, *part: (parts.append(part), advise(file, *part)))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(("a", 3, FRAMES), 4))
    assert find_frames(str(tmp_path / "a.pkl"))
    assert parts == [(start, 1 << 17, os.POSIX_FADV_WILLNEED) for start in range(0, sum(SIZES) + 200, 1 << 17)]


def test_frames_that_the_system_gives_in_parts_are_put_together(tmp_path, monkeypatch):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(("a", 3, FRAMES), 4))
    data, pread = find_frames(str(tmp_path / "a.pkl")).frames, os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, place: pread(file, min(size, 30_000), place))
    assert list(data) == FRAMES
    assert list(data.sizes()) == SIZES


# Damage


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_what_is_found_in_damaged_files_is_what_unpickling_them_gives(protocol, tmp_path):
    path, rng, num_found = tmp_path / "a.pkl", random.Random(0), 0
    seed = PYTHON_2[protocol] if protocol in PYTHON_2 else pickle.dumps(("name", 3, SMALL), protocol)
    codes = [b"\x94", b"e", b"(", b"e(", b"]", b"\x87", b"t", b".", b"q\x01", b"h\x01", b"K\x01", b"\x95" + b"\0" * 8]
    places = [
        at for at in range(len(seed)) if seed[at : at + 1] in (b"\x94", b"B", b"C", b"e", b"(", b"]", b"q", b"\x87")
    ]
    planted = [seed[:at] + rng.choice(codes) + seed[at + rng.randrange(2) :] for at in places for _ in range(6)]
    for content in [*mutants(seed, 300, protocol), *planted]:
        path.write_bytes(content)
        if (found := read_of(path)) is not None:
            assert found == load_data_pickle(str(path)), content
            num_found += 1
    assert num_found >= 50


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_file_that_is_cut_anywhere_or_goes_on_is_refused_as_one_that_is_unpickled(protocol, tmp_path):
    path, content = tmp_path / "a.pkl", pickle.dumps(("name", 3, SMALL), protocol)
    for size in range(1, len(content)):
        path.write_bytes(content[:size])
        assert find_frames(str(path)) is None
        with pytest.raises(DataError, match="is not a whole pickle"):
            open_clip(ListEntry(str(path)), SETTINGS)
    for more in (b"\0", b".", content, b"\0" * 100):
        path.write_bytes(content + more)
        with pytest.raises(DataError, match="it goes on behind its first object"):
            open_clip(ListEntry(str(path)), SETTINGS)


def test_an_end_as_long_as_what_is_read_at_once_is_the_end_only_where_the_file_ends(tmp_path):
    path, content = tmp_path / "a.pkl", pickle.dumps(("name", 3, SMALL), 4)
    end = b"\x94e\x87".ljust(63, b"\x94") + b"."
    path.write_bytes(content[: content.rindex(b"\x94e\x87")] + end)
    assert read_of(path) == ("name", 3, SMALL) == load_data_pickle(str(path))
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DataError, match="it goes on behind its first object"):
        open_clip(ListEntry(str(path)), SETTINGS)


def test_a_file_that_is_cut_behind_the_frames_that_are_seen_is_refused(tmp_path):
    path = write_pickle(tmp_path / "a.pkl", make_frames(30))
    (tmp_path / "x.list").write_text("a.pkl")
    (batch,) = read_all(open_dataset(tmp_path / "x.list", seg_num=1))
    assert len(batch.ids) == 1
    path.write_bytes(path.read_bytes()[:-100])
    expect_error(tmp_path / "x.list", "is not a whole pickle: it is cut short", seg_num=1)


def test_damage_to_a_frame_is_told_where_the_frame_is_seen(tmp_path):
    jpegs = [encode_jpeg(frame) for frame in make_frames(9)]
    jpegs[4] = jpegs[4][:-300]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(("a", 3, jpegs), 4))
    frames = open_clip(ListEntry(str(tmp_path / "a.pkl")), SETTINGS).open()
    assert [number for number, _ in frames.frames(np.array([3, 5]))] == [3, 5]
    with pytest.raises(DataError, match=re.escape("a.pkl frame 4 is a JPEG that was cut off")):
        list(frames.frames(np.array([3, 4])))


# Files that change


def write_anew(path):
    path.write_bytes(pickle.dumps(("a", 3, [b"?" + frame for frame in FRAMES]), 4))


def write_in_place(path):
    status = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def cut(path):
    status = path.stat()
    os.truncate(path, 1000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (write_anew, "was changed while it was read"),
        (write_in_place, "was changed while it was read"),
        (cut, "was changed while it was read"),
        (os.unlink, "cannot be read: No such file or directory"),
    ],
)
def test_frames_of_a_file_that_was_changed_since_are_refused(change, text, tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(("a", 3, FRAMES), 4))
    data = find_frames(str(path)).frames
    assert data[7] == FRAMES[7]
    change(path)
    with pytest.raises(DataError) as error:
        data[7]
    assert str(error.value) == f"{path} {text}"


def test_frames_are_refused_where_a_file_becomes_shorter_as_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(("a", 3, FRAMES), 4))
    data, pread = find_frames(str(path)).frames, os.pread
    monkeypatch.setattr(
        os, "pread", lambda file, size, place: pread(file, size, place)[: 1000 if size == 70_000 else 0]
    )
    with pytest.raises(DataError, match="was changed while it was read"):
        data[7]


def test_reading_in_threads_gives_the_same_bits_as_unpickling(tmp_path):
    for number in range(12):
        content = (f"clip {number}", number % 5, [encode_jpeg(frame) for frame in make_frames(20, seed=number)])
        for protocol in (2, 4):  # all of the first are read
            (tmp_path / f"{protocol}").mkdir(exist_ok=True)
            (tmp_path / f"{protocol}" / f"{number}.pkl").write_bytes(pickle.dumps(content, protocol))
    lists = [tmp_path / f"{protocol}.list" for protocol in (2, 4)]
    for path in lists:
        path.write_text("".join(f"{path.stem}/{number}.pkl\n" for number in range(12)))
    whole, parts = read_all(open_dataset(lists[0])), read_all(open_dataset(lists[1]), num_workers=4)
    for one, other in zip(whole, parts, strict=True):
        assert (one.ids, one.labels.tolist()) == (other.ids, other.labels.tolist())
        np.testing.assert_array_equal(one.inputs[0], other.inputs[0])


def test_the_head_of_a_file_tells_its_id_and_class(tmp_path):
    path = write_pickle(tmp_path / "a.pkl", make_frames(1), label=4, video_id="name")
    assert read_file_head(path) == ("name", 4)
