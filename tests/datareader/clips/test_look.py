"""The first look at every clip: what it finds, what it leaves to the reader, and what it remembers."""

import pickle
import struct
import threading

import av
import numpy as np
import pytest

from datareader.clips import decoding
from datareader.clips import look as look_module
from datareader.clips.dataset import ClipDataset
from datareader.clips.files import open_clip
from datareader.clips.look import look, look_at_ends
from datareader.clips.settings import ClipSettings
from datareader.lists import ListEntry, load_list
from tests.datareader.clips.synthetic import (
    TINY,
    encode_jpeg,
    make_frames,
    open_dataset,
    read_all,
    write_cut_video,
    write_pickle,
    write_video,
)
from tools.errors import DataError

CONTAINERS = {  # name -> format, codec
    "a.mp4": ("mp4", "mpeg4"),
    "a.mov": ("mov", "mpeg4"),
    "a.mkv": ("matroska", "mpeg4"),
    "a.avi": ("avi", "mpeg4"),
    "a.ts": ("mpegts", "mpeg2video"),
    "a.mpg": ("mpeg", "mpeg1video"),
    "a.wmv": ("asf", "wmv2"),
    "a.flv": ("flv", "flv1"),
    "a.gif": ("gif", "gif"),
    "a.y4m": ("yuv4mpegpipe", "rawvideo"),
    "a.h264": ("h264", "libx264"),
}
BY_THEIR_ENDS = {"a.mp4", "a.mov", "a.mkv", "a.avi"}  # of which the reader is not needed
SOUNDS = {"mp4": "aac", "matroska": "aac", "avi": "pcm_s16le", "mpegts": "mp2", "mpeg": "mp2", "flv": "adpcm_swf"}


def write_container(path, kind, codec, size=(64, 48), options=None):
    with av.open(str(path), "w", format=kind, options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = {"gif": "rgb8", "apng": "rgb24"}.get(codec, "yuv420p")
        for frame in make_frames(8, *size):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))
    return path


def write_sound(path, kind, codec):
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), layout="mono")
        frame.sample_rate = 44100
        resampler = av.AudioResampler(stream.format, stream.layout, 44100, frame_size=stream.frame_size or None)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.pyav
@pytest.mark.parametrize("name", CONTAINERS)
def test_healthy_videos_of_every_container_are_called_so_and_the_common_ones_without_opening_them(tmp_path, name):
    entry = ListEntry(str(write_container(tmp_path / name, *CONTAINERS[name])), label=1)
    assert (look_at_ends(entry, label_needed=False) is not None) == (name in BY_THEIR_ENDS)
    look(entry, ClipSettings(**TINY))


@pytest.mark.pyav
@pytest.mark.parametrize("kind", SOUNDS)
def test_a_file_of_sound_alone_is_found(tmp_path, kind):
    """Whatever words turn up by chance."""
    path = write_sound(tmp_path / "sound", kind, SOUNDS[kind])
    with open(path, "ab") as file:
        file.write((20).to_bytes(4, "big") + b"free" + b"V_videtheora" + bytes(1 << 15))
    entry = ListEntry(str(path), label=1)
    with pytest.raises(DataError, match="has no video stream"):
        look(entry, ClipSettings(**TINY))


@pytest.mark.parametrize("where", ["end", "middle"])
def test_a_cut_video_is_broken_only_where_its_table_is_lost(tmp_path, where):
    """Of a film cut in its middle training reads the frames that are left."""
    path = write_video(tmp_path / "a.mp4", make_frames(40))
    if where == "middle":  # the table first, as for the web
        options = {"movflags": "faststart"}
        with av.open(str(path)) as source, av.open(str(tmp_path / "web.mp4"), "w", options=options) as to:
            stream = to.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    to.mux(packet)
        path = tmp_path / "web.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    (tmp_path / "x.list").write_text(f"{path.name} 1\n")
    if where == "middle":
        assert [batch.ids for batch in read_all(open_dataset(tmp_path / "x.list"))] == [["web"]]
    else:
        with pytest.raises(DataError, match=r"x\.list line 1: .*a\.mp4 is not a video \("):
            open_dataset(tmp_path / "x.list")


@pytest.mark.pyav
@pytest.mark.parametrize("name", sorted(CONTAINERS))
@pytest.mark.parametrize("size", [300, 1000, 2500])
def test_a_file_that_is_cut_in_its_first_picture_is_refused_where_training_would(tmp_path, name, size):
    path = write_container(tmp_path / name, *CONTAINERS[name])
    path.write_bytes(path.read_bytes()[:size])
    entry, settings = ListEntry(str(path), label=1), ClipSettings(**TINY)
    try:
        dict(open_clip(entry, settings).open().frames(np.zeros(1, int)))
    except DataError:
        with pytest.raises(DataError):
            look(entry, settings)
    else:
        look(entry, settings)


@pytest.mark.pyav
def test_a_matroska_file_that_ends_before_it_says_so_is_opened(tmp_path):
    path = tmp_path / "a.mkv"
    write_container(path, *CONTAINERS[path.name])
    content = path.read_bytes()
    padding = 1 << 15
    start = content.index(bytes.fromhex("18538067")) + 4
    length = int.from_bytes(content[start + 1 : start + 8], "big") + padding
    content = content[: start + 1] + length.to_bytes(7, "big") + content[start + 8 :] + bytes.fromhex("ec10007ffc")
    path.write_bytes(content.ljust(len(content) + padding - 5, b"\0"))
    entry = ListEntry(str(path), label=1)
    assert look_at_ends(entry, label_needed=False) is not None
    path.write_bytes(path.read_bytes()[:-1])
    assert look_at_ends(entry, label_needed=False) is None


def test_what_is_broken_is_refused_at_once_with_the_count_or_skipped(clips):
    (clips.parent / "v 1.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(4000))
    whole = (clips.parent / "p2.pkl").read_bytes()
    (clips.parent / "p2.pkl").write_bytes(whole[:-9])
    write_pickle(clips.parent / "p0.pkl", make_frames(20), label=7)
    with pytest.raises(DataError) as error:
        open_dataset(clips, skip_broken=2)
    assert f"{clips} line 2: {clips.parent / 'p0.pkl'}: label 7 is not in 0 to 4 (num_classes) " in str(error.value)
    assert f"(and 2 more in {clips}); --skip-broken 3 would skip such" in str(error.value)
    dataset = open_dataset(clips, skip_broken=3)
    assert [text.split(": ")[0] for text in dataset.broken] == [f"{clips} line {number}" for number in (2, 5, 6)]
    assert dataset.labels.tolist() == [-1, 0, 1, -1, -1, 2]
    assert len(open_dataset(clips, skip_broken=2, labels_needed=False).broken) == 2


def test_class_ids_come_from_the_list_or_else_from_the_pickles(clips):
    (clips.parent / "x.list").write_text("p0.pkl\np1.pkl 4\nv 2.mp4 3\nv 1.mp4 -1\np2.pkl -1\n")
    assert open_dataset(clips.parent / "x.list").labels.tolist() == [0, 4, 3, -1, -1]
    (clips.parent / "x.list").write_text("p0.pkl\np1.pkl 400\nv 2.mp4\n")
    assert open_dataset(clips.parent / "x.list", labels_needed=False).labels.tolist() == [0, -1, -1]
    jpeg = encode_jpeg(make_frames(1)[0])
    (clips.parent / "n.pkl").write_bytes(pickle.dumps(("n", np.int64(3), [jpeg] * 3), protocol=2))
    (clips.parent / "x.list").write_text("n.pkl\n")
    assert open_dataset(clips.parent / "x.list").labels.tolist() == [3]


@pytest.fixture
def many(clips, monkeypatch):
    """The list of ``clips``, which is long enough to be remembered, and the names of files that are looked at."""
    monkeypatch.setattr(look_module, "REMEMBERED_AT_LEAST", 6)
    seen, lock = [], threading.Lock()

    def note(entry, settings):
        with lock:
            seen.append(entry.path.rsplit("/", 1)[1])
        return look(entry, settings)

    monkeypatch.setattr(look_module, "look", note)
    return clips, seen


def open_remembered(path, skip_broken=0, **settings):
    settings = ClipSettings(**{**TINY, **settings})
    entries = load_list(str(path), labelled=True)
    cache = f"{path}.looked.npz"
    return ClipDataset(entries, settings, name="x", training=False, skip_broken=skip_broken, cache=cache)


def test_what_is_well_is_looked_at_once_and_again_when_it_changes(many):
    path, seen = many
    first = open_remembered(path)
    assert len(seen) == 6
    seen.clear()
    assert open_remembered(path).labels.tolist() == first.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert not seen
    write_pickle(path.parent / "p1.pkl", make_frames(21), label=4)
    assert open_remembered(path).labels.tolist() == [0, 0, 4, 1, 2, 2]
    assert seen == ["p1.pkl"]
    seen.clear()
    (path.parent / "v 0.mp4").write_bytes(bytes(2000))
    for _ in range(2):  # what is broken is not remembered
        assert len(open_remembered(path, skip_broken=1).broken) == 1
        assert seen.pop() == "v 0.mp4"
        assert not seen


def test_what_is_remembered_holds_in_other_orders_under_other_paths_and_for_other_classes(many, monkeypatch):
    path, seen = many
    open_remembered(path)
    seen.clear()
    monkeypatch.chdir(path.parent)
    lines = path.read_text().split("\n")[1:7]
    path.write_text("\n".join(f"./{line}" for line in reversed(lines)))
    assert open_remembered("clips.list").labels.tolist() == [2, 2, 1, 1, 0, 0]
    assert not seen
    path.write_text("p0.pkl\np1.pkl\np2.pkl\n" * 2)
    with pytest.raises(
        DataError, match=r"p2\.pkl: label 2 is not in 0 to 1 .*and 1 more in x\); --skip-broken 2 would"
    ):
        open_remembered(path, num_classes=2)
    assert not seen


def test_class_ids_that_were_not_asked_for_are_looked_up_when_they_are(many):
    path, seen = many
    jpeg = encode_jpeg(make_frames(1)[0])
    (path.parent / "p1.pkl").write_bytes(pickle.dumps(("n", "three", [jpeg] * 3), protocol=4))
    assert open_remembered(path, labels_needed=False).labels.tolist() == [0, 0, -1, 1, 2, 2]
    seen.clear()
    with pytest.raises(DataError, match=r"p1\.pkl: label is 'three'"):
        open_remembered(path)
    assert seen == ["p1.pkl"]


@pytest.mark.pyav
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_videos_that_are_cut_short_are_told_with_how_much_of_them_there_is(tmp_path, name):
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    path = write_container(tmp_path / name, *CONTAINERS[name], options=options)
    whole = open_dataset_of(path)
    assert not [notice for notice in whole.notices if "cut short" in notice]
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size * 3 // 4])
    (notice,) = [notice for notice in open_dataset_of(path).notices if "cut short" in notice]
    assert notice.startswith(f"1 video cut short, of which what is there counts: {path} ({size * 3 // 4:,} of the ")
    assert "fetch or copy again" in notice


def open_dataset_of(path):
    return ClipDataset([ListEntry(str(path), label=1)], ClipSettings(**TINY), name="x", training=False, skip_broken=0)


def test_what_is_cut_short_is_told_in_every_run(many):
    path, seen = many
    for number in range(3):
        write_cut_video(path.parent / f"v {number}.mp4", make_frames(8))
    for _ in range(2):
        (notice,) = [notice for notice in open_remembered(path).notices if "cut short" in notice]
        assert notice.startswith("3 videos cut short")
        assert "v 0.mp4 (" in notice
    assert len(seen) == 6 + 3


def test_a_short_list_leaves_nothing_behind(clips):
    before = sorted(clips.parent.iterdir())
    open_remembered(clips)
    assert sorted(clips.parent.iterdir()) == before


@pytest.mark.parametrize("damage", [b"", b"no zip", None, "other"])
def test_a_damaged_memory_is_made_again(many, damage):
    path, seen = many
    open_remembered(path)
    cache = path.with_name("clips.list.looked.npz")
    if damage == "other":
        np.savez(cache, format="0", stamps=np.zeros((6, 4), np.uint64), labels=np.zeros(6, np.int64))
    else:
        cache.write_bytes(cache.read_bytes()[:90] if damage is None else damage)
    seen.clear()
    assert open_remembered(path).labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(seen) == 6


@pytest.mark.pyav
def test_what_one_decoder_found_well_is_looked_at_again_with_another(many, monkeypatch):
    path, seen = many
    open_remembered(path)
    seen.clear()
    monkeypatch.setattr(decoding, "av", None)
    open_remembered(path)
    assert len(seen) == 6


def test_a_memory_that_cannot_be_written_is_a_notice(many, monkeypatch):
    path, _ = many
    monkeypatch.setattr(look_module.np, "savez", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left")))
    dataset = open_remembered(path)
    assert "No space left" in dataset.notices[0]
    assert "the next run will look at the files again" in dataset.notices[0]


def test_a_line_that_asks_for_more_frames_than_were_remembered_is_looked_at_again(many):
    path, seen = many
    folder = path.parent / "f"
    folder.mkdir()
    for number, frame in enumerate(make_frames(4)):
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(frame))
    path.write_text(path.read_text() + "f 4 1\n")
    open_remembered(path)
    seen.clear()
    path.write_text(path.read_text().replace("f 4 1", "f 5 1"))
    with pytest.raises(DataError, match="f holds 4 frames, but its line says 5"):
        open_remembered(path)
    assert seen == ["f"]


def test_runs_that_start_together_look_once(many):
    path, seen = many
    threads = [threading.Thread(target=open_remembered, args=(path,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(seen) == 6


def test_a_pickle_is_judged_by_its_beginning_and_its_end_alone(tmp_path, monkeypatch):
    path = write_pickle(tmp_path / "a.pkl", make_frames(30), label=3)
    monkeypatch.setattr(look_module, "open_clip", None)
    assert look(ListEntry(str(path)), ClipSettings(**TINY)).label == 3


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("width", [64, 640])
def test_pickles_of_every_protocol_with_bytes_are_judged_so(tmp_path, protocol, count, width):
    """Python 2 wrote bytes as its strings, as protocols 0 to 2 have no others."""
    jpegs = [encode_jpeg(frame) for frame in make_frames(count, width=width)]
    content = pickle.dumps(("a" * 90, 3, jpegs), protocol=protocol) if protocol > 2 else python_2_pickle(jpegs)
    (tmp_path / "a.pkl").write_bytes(content)
    ends = look_at_ends(ListEntry(str(tmp_path / "a.pkl")), label_needed=True)
    assert ends is not None
    assert ends.label == 3


def python_2_pickle(jpegs):
    """(id, 3, jpegs) in protocol 2, as Python 2 writes it."""
    frames = b"".join(b"T" + struct.pack("<I", len(jpeg)) + jpeg + b"q\x03" for jpeg in jpegs)
    frames = b"(" + frames + b"e" if len(jpegs) > 1 else frames + b"a"
    return b"\x80\x02U\x02idq\x01K\x03]q\x02" + frames + b"\x87q\x04."


JPEG = encode_jpeg(make_frames(1, width=160, height=120)[0])
NO_FRAMES = {
    "arrays": ([np.zeros((9, 9, 3), np.uint8)] * 9, "its frames are a list of NumPy arrays"),
    "array": (np.zeros((9, 9, 9, 3), np.uint8), "its frames are a NumPy array"),
    "numbers": ([3, 4] * 999, "its frames are a list of ints"),
    "dict": ({0: JPEG}, "its frames are a dict"),
    "text": ("x" * 3000, "its frames are a str"),
    "paths": (["/a/b.jpg"] * 300, "its frames are a list of strs"),
    "no JPEG": ([b"no" * 2000] * 3, "frame 0 is no image that can be decoded"),
    "empty first": ([b"", JPEG, JPEG], "frame 0 is no image that can be decoded (0 bytes)"),
    "empty last": ([JPEG, JPEG, b""], "frame 2 is no image that can be decoded (0 bytes)"),
}


@pytest.mark.parametrize("what", NO_FRAMES)
def test_a_pickle_without_jpegs_is_refused_and_what_it_holds_is_said(tmp_path, what):
    frames, text = NO_FRAMES[what]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(("a", 1, frames), protocol=5))
    with pytest.raises(DataError) as error:
        look(ListEntry(str(tmp_path / "a.pkl")), ClipSettings(**TINY))
    assert text in str(error.value)
    assert ("cv2.imencode" in str(error.value)) == (what in ("arrays", "array"))


def test_bytearrays_are_read_as_bytes(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(("a", 1, [bytearray(JPEG)] * 3), protocol=5))
    assert open_clip(ListEntry(str(path)), ClipSettings(**TINY)).jpegs.data == [JPEG] * 3


def test_a_pickle_of_four_things_is_refused(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(("a", 1, [JPEG] * 3, "extra" * 500), protocol=4))
    with pytest.raises(DataError, match="holds a tuple of 4; expected"):
        look(ListEntry(str(tmp_path / "a.pkl")), ClipSettings(**TINY))


def test_an_empty_file_among_frames_is_found(tmp_path):
    for number, frame in enumerate(make_frames(5)):
        (tmp_path / f"{number}.jpg").write_bytes(encode_jpeg(frame) if number != 2 else b"")
    with pytest.raises(DataError, match=r"2\.jpg is no image that can be decoded \(0 bytes\)"):
        look(ListEntry(str(tmp_path), label=1), ClipSettings(**TINY))
