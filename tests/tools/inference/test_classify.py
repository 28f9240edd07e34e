"""Timelines of a made film whose colour changes at known times, and videos whose batches do not all come."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import paddle
import pytest
from paddle import nn

from datareader.clips.dataset import ClipDataset
from datareader.clips.timeline import Windows
from datareader.clips.window_loader import WindowLoader
from datareader.dataset import Batch, Span
from datareader.lists import ListEntry
from datareader.sharding import Shard
from tests.datareader.clips.films import SETTINGS
from tools.inference.classify import classify
from tools.inference.predictions import merge_spans

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
SCENES = [("red", 0.0, 7.0), ("green", 7.0, 12.5), ("blue", 12.5, 13.5), ("red", 13.5, 20.0)]  # seconds


class Colours(nn.Layer):
    """Which of COLOURS the mean of all frames is nearest to."""

    def forward(self, frames):
        means = frames.mean(axis=[1, 3, 4]).reshape([len(frames), -1, 3]).mean(axis=1)  # (N, 3)
        colours = (np.array([*COLOURS.values()]) / 255 - SETTINGS.image_mean) / SETTINGS.image_std
        return -((means.unsqueeze(1) - paddle.to_tensor(colours, "float32")) ** 2).sum(axis=2)

    def probs(self, logits):
        return nn.functional.softmax(logits)


def make_film(path, codec, times):
    """Frames at these times, in seconds, of the colours of SCENES."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 40, 2
        for time in times:
            colour = next(COLOURS[name] for name, start, end in SCENES if start <= time < end)
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8))
            frame.pts, frame.time_base = round(time * 30), Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


EVEN = np.arange(600) / 30
UNEVEN = EVEN[np.random.default_rng(0).random(600) < np.where((EVEN > 8) & (EVEN < 11), 0.05, 0.6)]
UNEVEN = np.union1d(UNEVEN, [start for _, start, _ in SCENES])


@pytest.mark.parametrize(
    ("name", "codec", "times"),
    [("even.mp4", "libx264", EVEN), ("uneven.mp4", "libx264", UNEVEN), ("uneven.mkv", "libx264", UNEVEN),
     ("even.avi", "mpeg4", EVEN)],
)  # fmt: skip
@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_timeline_is_right_to_one_stride(tmp_path, name, codec, times, batch_size):
    path, stride = make_film(tmp_path / name, codec, times), 0.5
    dataset = ClipDataset([ListEntry(path)], SETTINGS, name="film", training=False, skip_broken=0)
    windows = Windows(Fraction(1), Fraction(1, 2))
    loader = WindowLoader(dataset, windows, batch_size, num_workers=1, as_float=True, shard=Shard())
    results = classify(Colours(), loader, 3, None, log_interval=0, shown=False)
    assert [part.start_sec for part in results] == [i * stride for i in range(39)]
    names = list(COLOURS)
    merged = [part for part in merge_spans(results) if part.num_spans > 1]
    assert [names[part.class_id] for part in merged] == [scene for scene, *_ in SCENES]
    for part, (_, start, end) in zip(merged, SCENES, strict=True):
        assert abs(part.start_sec - start) <= stride
        assert abs(part.end_sec - end) <= stride + 0.1  # the last frame before a gap
    for part in results:
        inside = [scene for scene, start, end in SCENES if start <= part.start_sec and part.end_sec <= end]
        assert inside in ([], [names[part.class_ids[0]]])


class Batches:
    """A loader of batches that are there."""

    unit = "window"

    def __init__(self, *batches):
        self.batches = batches

    def __len__(self):
        return 3

    def epoch(self):
        return iter(self.batches)


def test_a_video_counts_once_its_last_span_has_come_and_from_where_it_last_began():
    def batch(name, starts, **ends):
        frames = np.zeros((len(starts), *SETTINGS.shape), np.float32)
        spans = [Span(Fraction(start), Fraction(start) + 1, (start,)) for start in starts]
        entries = [ListEntry(f"{name}.mp4", written=f"x/{name}.mp4")] * len(starts)
        return replace(Batch([name] * len(starts), [name], entries, (frames,), None), spans=spans, **ends)

    loader = Batches(
        batch("a", [0, 1], ends=False),
        batch("a", [2], begins=False, ends=False),
        batch("a", [0, 1, 2], ends=False),  # again, as damage was seen
        batch("a", [3], begins=False),
        batch("b", [0], ends=False),  # its last one does not come
        batch("c", [0]),
    )
    results = classify(Colours(), loader, 1, None, log_interval=0, shown=False)
    assert [part.name for part in results] == ["a#t=0,1", "a#t=1,2", "a#t=2,3", "a#t=3,4", "c#t=0,1"]
    assert [part.frames for part in results] == [(0,), (1,), (2,), (3,), (0,)]
    assert {part.path for part in results} == {"x/a.mp4", "x/c.mp4"}


def test_the_span_of_a_film_of_less_than_a_millisecond_is_not_empty():
    frames = np.zeros((1, *SETTINGS.shape), np.float32)
    batch = Batch(["v"], ["v"], [ListEntry("v.mp4")], (frames,), None, spans=[Span(0, Fraction(3, 10_000), (0,))])
    (part,) = classify(Colours(), Batches(batch), 1, None, log_interval=0, shown=False)
    assert part.name == "v#t=0,0.001"
    assert part.begins


def test_lines_name_the_last_answer_of_a_batch(log_lines):
    frames = np.zeros((1, *SETTINGS.shape), np.float32)
    whole = Batch(["v"], ["v"], [ListEntry("v.mp4")], (frames,), None)
    part = replace(whole, spans=[Span(Fraction("0.5"), Fraction(2), (1,))])
    classify(Colours(), Batches(whole, whole, part), 1, ["red", "green", "blue"], log_interval=2, shown=False)
    assert [line.split(": ")[0] for line in log_lines] == ["[INFER] iter 0   , v", "[INFER] iter 2   , v#t=0.5,2"]
