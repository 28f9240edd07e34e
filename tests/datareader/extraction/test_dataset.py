"""Videos as a data set of the models on features: inputs as of their records, broken ones, and what is refused."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from datareader.dataset import Dataset
from datareader.extraction.dataset import DescribedVideos, describe_videos
from datareader.extraction.extraction import Hearing, Sight
from datareader.extraction.youtube8m import PACE
from datareader.features.inputs import RaggedFrames, SegmentFrames, choose_inputs
from datareader.features.records import Expected
from datareader.lists import ListEntry
from datareader.loader import EvaluationLoader
from datareader.transforms import DEQUANTIZED, DEQUANTIZED_UNBIASED
from tests.datareader.clips.videos import Clip, make_clip, read_number
from tools.errors import ConfigError, DataError

EXPECTED = Expected(("rgb", "audio"), (1024, 128), num_classes=5, labels_needed=False)


def open_senses():
    sight = Sight(
        PACE, lambda frames: np.array([read_number(*frames)]), lambda batch: np.repeat(batch / 64 - 1, 1024, axis=1), 2
    )
    return sight, Hearing(lambda path: None, None, 1)


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [
        ListEntry(make_clip(folder, Clip(f"{number}.mp4", "libx264", num_frames=count)))
        for number, count in enumerate((30, 95, 65))
    ]


def open_videos(entries, skip_broken=0, senses=open_senses):
    arrange = RaggedFrames([DEQUANTIZED] * 2)
    return DescribedVideos(entries, EXPECTED, arrange, senses, name="--video", num_workers=1, skip_broken=skip_broken)


@pytest.mark.parametrize("batch_size", [1, 2, 10])
def test_batches_hold_the_inputs_of_all_videos_in_order(entries, batch_size):
    dataset = open_videos(entries)
    assert isinstance(dataset, Dataset)
    batches = [*EvaluationLoader(dataset, batch_size, num_workers=0, as_float=False).epoch()]
    assert [name for batch in batches for name in batch.ids] == [entry.path for entry in entries]
    assert [entry for batch in batches for entry in batch.entries] == entries
    lengths = np.concatenate([batch.inputs[0] for batch in batches])
    assert lengths.tolist() == [1, 4, 3]
    numbers = np.array([0, 0, 30, 60, 90, 0, 30, 60])
    wanted = np.rint((numbers / 64 + 1) * 255 / 4)
    np.testing.assert_array_equal(np.concatenate([batch.inputs[1] for batch in batches])[:, 0], wanted)
    assert not np.concatenate([batch.inputs[2] for batch in batches]).any()


def test_a_broken_video_is_skipped_as_often_as_may_be(entries, tmp_path):
    broken = ListEntry(str(tmp_path / "no.mp4"))
    dataset, heard = open_videos([entries[0], broken, entries[1]], skip_broken=1), []
    dataset.on_broken = heard.append
    batches = [*EvaluationLoader(dataset, 2, num_workers=0, as_float=True).epoch()]
    assert [len(batch) for batch in batches] == [1, 1]
    assert heard == dataset.broken
    assert "no.mp4 cannot be read" in heard[0]
    with pytest.raises(DataError, match=r"no.mp4 cannot be read.*; --skip-broken 1 would skip such"):
        [*EvaluationLoader(open_videos([broken]), 1, num_workers=0, as_float=True).epoch()]


def test_a_video_of_which_no_numbers_come_out_is_broken(entries):
    def fail():
        sight, hearing = open_senses()
        return replace(sight, describe=lambda batch: sight.describe(batch) / (batch != 60)), hearing  # of two of them

    with np.errstate(divide="ignore", invalid="ignore"):
        dataset = open_videos(entries, 2, fail)
        (batch,) = EvaluationLoader(dataset, 3, num_workers=0, as_float=True).epoch()
    assert batch.ids == [entries[0].path]
    assert [text.split(": its")[0] for text in dataset.broken] == [entries[1].path, entries[2].path]


def test_it_is_said_once_which_videos_have_no_sound_or_less_than_picture(entries, caplog):
    def hear(path):
        return np.zeros((2, 1)) if path == entries[1].path else np.zeros((3, 1)) if path == entries[2].path else None

    hearing = Hearing(hear, lambda batch: np.zeros((len(batch), 128)), 1)
    dataset = open_videos(entries, senses=lambda: (open_senses()[0], hearing))
    with caplog.at_level("INFO"):
        assert len([*EvaluationLoader(dataset, 1, num_workers=0, as_float=True).epoch()]) == 3
    said = [
        f"{entries[0].path} has no sound: its audio is 0 in every byte",
        f"{entries[1].path}: its sound ends 2 s before its picture, of which 2 s are taken",
    ]
    assert dataset.notices == [record.message for record in caplog.records] == said


def make_config(dims):
    model = SimpleNamespace(feature_names=["rgb", "audio"], feature_dims=dims, num_classes=5, seg_num=7)
    sections = {"MODEL": model, "INFER": SimpleNamespace(num_reader_threads=2)}
    config = type("Config", (dict,), {"MODEL": model, "where": lambda self, section: f"made [{section}]"})
    return config(sections)


def test_a_model_on_other_features_takes_no_videos(entries):
    describe = partial(describe_videos, section="INFER", training=False, skip_broken=0, reader="feature_frames")
    assert len(describe(make_config([1024, 128]), entries=entries, open_senses=open_senses)) == 3
    with pytest.raises(ConfigError, match=r"made \[MODEL\]: the features are rgb of 1024 and audio of 64; those that"):
        describe(make_config([1024, 64]), entries=entries, open_senses=open_senses)


def test_the_inputs_are_those_of_the_reader():
    config = make_config([1024, 128])
    assert choose_inputs("feature_segments", config).seg_num == 7
    assert isinstance(choose_inputs("feature_segments", config), SegmentFrames)
    assert all(table is DEQUANTIZED for table in choose_inputs("feature_frames", config).tables)
    rgb, audio = choose_inputs("feature_frames_unbiased_rgb", config).tables
    assert rgb is DEQUANTIZED_UNBIASED
    assert audio is DEQUANTIZED
