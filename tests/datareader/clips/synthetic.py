"""Small clips with known frames, as pickles and videos, and data sets that read them."""

import io
import pickle

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from datareader.clips.dataset import ClipDataset
from datareader.clips.settings import ClipSettings
from datareader.lists import load_list
from datareader.loader import EvaluationLoader
from tools.errors import DataError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TINY = {"num_classes": 5, "seg_num": 3, "seglen": 2, "short_size": 40, "target_size": 32}
TINY |= {"image_mean": MEAN, "image_std": STD}


def make_frames(count, width=52, height=40, seed=0):
    """Smooth coloured frames that differ from one another: (count, height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 5, 7, 3), dtype=np.uint8)
    return np.stack([cv2.resize(frame, (width, height)) for frame in small])


def encode_jpeg(frame):
    memory = io.BytesIO()
    Image.fromarray(frame).save(memory, "JPEG", quality=95)
    return memory.getvalue()


def write_pickle(path, frames, label=1, video_id=None):
    content = (video_id or path.stem, label, [encode_jpeg(frame) for frame in frames])
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path


def write_video(path, frames, **options):
    """options: of the container."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))
    return path


def write_cut_video(path, frames):
    """An mp4 whose last quarter is missing."""
    write_video(path, frames, movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    return path


def write_frame(path, jpeg):
    """A pickle of one frame in a list of its own; gives the list."""
    path.write_bytes(pickle.dumps((path.stem, 1, [jpeg]), protocol=4))
    path.with_suffix(".list").write_text(path.name)
    return path.with_suffix(".list")


def open_dataset(path, training=False, skip_broken=0, balanced=False, **settings):
    """The clips of a list, as training or an evaluation opens them."""
    entries, settings = load_list(str(path), labelled=True), ClipSettings(**{**TINY, **settings})
    return ClipDataset(entries, settings, name=str(path), training=training, skip_broken=skip_broken, balanced=balanced)


def read_all(dataset, batch_size=4, num_workers=0, as_float=False, **options):
    """All batches of a data set."""
    loader = EvaluationLoader(dataset, batch_size, num_workers=num_workers, as_float=as_float, **options)
    return list(loader.epoch())


def expect_error(dataset_or_path, *parts, **settings):
    """Read a list and assert that the error holds these parts."""
    with pytest.raises(DataError) as error:
        read_all(open_dataset(dataset_or_path, **settings))
    for part in parts:
        assert part in str(error.value)
