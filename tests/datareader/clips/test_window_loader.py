"""Windows of several videos in batches: their order, what is skipped, and what they take of memory."""

import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from datareader.clips import decoding, pyav
from datareader.clips.dataset import ClipDataset
from datareader.clips.timeline import Windows, read_windows
from datareader.clips.times import FrameTimes
from datareader.clips.window_loader import WindowLoader, refuse_untimed
from datareader.lists import ListEntry
from datareader.sharding import Shard
from tests.conftest import PROJECT
from tests.datareader.clips.films import SETTINGS
from tests.datareader.clips.synthetic import make_frames, write_pickle, write_video
from tests.datareader.clips.test_frame_folders import write_folder
from tests.datareader.clips.videos import Clip, cut_packet, make_clip
from tools.errors import DataError

WINDOWS = Windows(Fraction("0.4"), Fraction("0.2"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three videos of 12, 30 and 20 frames, 25 a second, which have 2, 5 and 3 windows."""
    folder = tmp_path_factory.mktemp("films")
    frames = make_frames(62)
    parts = {"a": frames[:12], "b": frames[12:42], "c": frames[42:]}
    return [str(write_video(folder / f"{name}.mp4", part)) for name, part in parts.items()]


def open_videos(paths, skip_broken=0):
    entries = [ListEntry(path, written=Path(path).name) for path in paths]
    return ClipDataset(entries, SETTINGS, name="films", training=False, skip_broken=skip_broken)


def load(dataset, batch_size=4, num_workers=1, as_float=False, shard=None):
    loader = WindowLoader(
        dataset, WINDOWS, batch_size, num_workers=num_workers, as_float=as_float, shard=shard or Shard()
    )
    return list(loader.epoch()), loader


def test_batches_are_of_one_video_each_and_the_same_with_and_without_a_thread(videos):
    batches, loader = load(open_videos(videos))
    assert [batch.ids for batch in batches] == [["a"] * 2, ["b"] * 4, ["b"], ["c"] * 3]
    assert [batch.begins for batch in batches] == [True, True, False, True]
    assert [batch.ends for batch in batches] == [True, False, True, True]
    assert [len(batch) for batch in batches] == [len(batch.spans) for batch in batches] == [2, 4, 1, 3]
    assert [span.start_sec for span in batches[1].spans] == [Fraction(i, 5) for i in range(4)]
    assert {batch.inputs[0].shape[1:] for batch in batches} == {SETTINGS.shape}
    assert {(batch.labels, batch.views) for batch in batches} == {(None, 1)}
    assert batches[0].entries[0].written == "a.mp4"
    assert len(loader) == 10
    again, _ = load(open_videos(videos), num_workers=0, as_float=True)
    for batch, other in zip(batches, again, strict=True):
        assert batch.spans == other.spans
        assert other.inputs[0].dtype == np.float32
        restored = other.inputs[0] * np.tile(SETTINGS.image_std, 2)[:, None, None]
        restored += np.tile(SETTINGS.image_mean, 2)[:, None, None]
        np.testing.assert_allclose(restored * 255, batch.inputs[0], atol=1e-3)


def test_processes_share_the_videos(videos):
    parts = [load(open_videos(videos), shard=Shard(rank, 2))[0] for rank in range(2)]
    assert [[batch.ids[0] for batch in part] for part in parts] == [["a"], ["b", "b", "c"]]
    assert load(open_videos(videos[:1]), shard=Shard(0, 2))[0] == []


def test_the_number_of_windows_is_guessed_from_the_videos_that_were_opened(videos):
    loader = WindowLoader(open_videos(videos), WINDOWS, 9, num_workers=0, as_float=False, shard=Shard())
    seen = [len(loader)] + [len(loader) for _ in loader.epoch()]
    assert seen == [0, 6, round(7 * 3 / 2), 10]


def test_a_video_that_turns_out_to_be_broken_has_no_last_batch(videos, tmp_path, monkeypatch):
    dataset = open_videos(videos, skip_broken=1)
    read_b = decoding.open_video

    def break_off(path):
        video = read_b(path)
        if path == videos[1]:
            whole = video.frames_once
            monkeypatch.setattr(type(video), "frames_once", lambda self, numbers: fail_at(whole(numbers), 9))
        return video

    def fail_at(frames, count):
        for _, pair in zip(range(count), frames, strict=False):
            yield pair
        monkeypatch.undo()
        raise DataError("b.mp4 breaks off")

    monkeypatch.setattr("datareader.clips.files.open_video", break_off)
    batches, _ = load(dataset, batch_size=1, num_workers=0)
    assert [batch.ids[0] for batch in batches if batch.ends] == ["a", "c"]
    assert [batch.ids[0] for batch in batches].count("b") in range(1, 5)
    assert dataset.broken == ["b.mp4 breaks off"]


@pytest.mark.pyav
def test_windows_come_again_where_damage_is_seen(folder):
    source = make_clip(folder, Clip("whole.mp4", "libx264", num_frames=90, b_frames=2))
    path = cut_packet(source, folder / "cut.mkv", 70)
    batches, loader = load(open_videos([path]), batch_size=3)
    assert [batch.begins for batch in batches].count(True) == 2
    last = max(i for i, batch in enumerate(batches) if batch.begins)
    assert [batch.ends for batch in batches].count(True) == 1
    spans = [span for batch in batches[last:] for span in batch.spans]
    assert [span.start_sec for span in spans] == [Fraction(i, 5) for i in range(len(spans))]
    assert len(loader) == len(spans)


def test_clips_that_are_no_videos_have_no_windows(videos, tmp_path):
    write_pickle(tmp_path / "p.pkl", make_frames(3))
    write_folder(tmp_path / "f", make_frames(3))
    for name, kind in (("p.pkl", "pickle of frames"), ("f", "folder of frames")):
        with pytest.raises(DataError, match=rf"{name} is a {kind}, which does not say .*; --window-sec takes videos"):
            refuse_untimed(open_videos)([videos[0], str(tmp_path / name)])
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 5000)
    assert len(refuse_untimed(open_videos)([videos[0], str(tmp_path / "broken.mp4")], skip_broken=1)) == 2


class EndlessVideo:
    """So many frames, 30 a second, all alike."""

    def __init__(self, num_frames):
        self.path, self.times = "endless.mp4", FrameTimes(np.arange(num_frames), Fraction(1, 30))
        self.image = make_frames(1)[0]

    def frames_once(self, numbers):
        return ((int(number), self.image) for number in numbers)


def test_memory_does_not_grow_with_the_video():
    windows, peaks = Windows(Fraction(10), Fraction(5)), []
    for num_frames in (6_000, 66_000):
        video = EndlessVideo(num_frames)
        tracemalloc.start()
        assert sum(1 for _ in read_windows(video, windows, SETTINGS)) == num_frames // 150 - 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 20 * 60_000  # bytes


@pytest.mark.pyav
def test_packets_and_times_take_a_few_bytes_a_frame(folder):
    path = make_clip(folder, Clip("many.mp4", "libx264", num_frames=400))
    with pyav.open_container(path) as (container, stream):
        packets = pyav.list_packets(container, stream)
    assert sum(array.nbytes for array in (packets.pts, packets.is_key, packets.is_shown)) == 10 * 400


def write_film(path, codec, num_frames):
    """Frames of 320 x 240 px, 30 a second."""
    images = [av.VideoFrame.from_ndarray(image) for image in make_frames(50, 320, 240)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.thread_count = 1
        for i in range(num_frames):
            image = images[i // 30 % 50]
            image.pts, image.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path


@pytest.mark.slow
@pytest.mark.pyav
@pytest.mark.parametrize(("name", "codec"), [("film.mp4", "libx264"), ("film.avi", "mpeg4")])
def test_a_process_takes_no_more_memory_for_ten_minutes_than_for_five(tmp_path, name, codec):
    script = """
import re, sys
from fractions import Fraction
from datareader.clips.decoding import open_video
from datareader.clips.timeline import Windows, read_windows
from tests.datareader.clips.films import SETTINGS
print(sum(1 for _ in read_windows(open_video(sys.argv[1]), Windows(Fraction(10), Fraction(5)), SETTINGS)))
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""
    peaks_kb = []
    for minutes in (5, 10):
        command = [sys.executable, "-c", script, write_film(tmp_path / name, codec, minutes * 1800)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=True)
        num_windows, peak_kb = map(int, done.stdout.split())
        assert num_windows == minutes * 12 - 1
        peaks_kb.append(peak_kb)
    assert peaks_kb[1] - peaks_kb[0] < 10_000
