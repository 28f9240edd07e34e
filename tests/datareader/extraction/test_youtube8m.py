"""YouTube-8M's features of real files: how many rows, in which second a sound is heard, and what records hold."""

import struct

import numpy as np
import pytest

from datareader.clips.decoding import open_video
from datareader.clips.seconds import choose_frames
from datareader.extraction.extraction import Features
from datareader.extraction.youtube8m import PACE, Silent, SilentError, hear, make_record, use_networks
from datareader.features.records import load_records
from datareader.features.tfrecord_writing import write_record
from datareader.lists import ListEntry
from tests import yt8m_recipe
from tests.conftest import PROJECT
from tests.datareader.clips.soundtracks import LAYOUTS, make_film
from tests.sequence_examples import message_class
from tools.errors import DataError

pytestmark = pytest.mark.pyav


def make_sound(seconds, rate, channels=1, click_sec=None):
    """(channels, n) int16 noise of little power, and a tenth of a second of much where one is asked for."""
    samples = np.random.default_rng(0).integers(-30, 30, (channels, round(seconds * rate))).astype(np.int16)
    if click_sec is not None:
        start = round(click_sec * rate)
        samples[:, start : start + rate // 10] *= 900
    return samples


def count_rows(path):
    """(of the picture, of the sound)."""
    examples = hear(path)
    return len(choose_frames(open_video(path).times, PACE)), 0 if examples is None else len(examples)


@pytest.mark.parametrize("channels", LAYOUTS)
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_a_sound_has_a_row_for_each_second_that_it_begins(tmp_path, rate, channels):
    path = make_film(tmp_path / "film.mkv", make_sound(3.2, rate, channels), rate, ticks=range(96))
    assert count_rows(path) == (4, 4)


@pytest.mark.parametrize(
    ("frames", "sound_sec", "late_sec", "rows"),
    [
        (range(12), 0.4, 0, (1, 1)),
        (range(90), 3, 0, (3, 3)),
        (range(90), 5.5, 0, (3, 6)),
        (range(150), 1.5, 0, (5, 2)),
        (range(90), 2, 1.5, (3, 4)),
        ([0, 1, 2, 72, 73, 119], 4, 0, (4, 4)),  # of uneven length
    ],
)
def test_picture_and_sound_have_a_row_for_each_second_that_they_begin(tmp_path, frames, sound_sec, late_sec, rows):
    sound = make_sound(sound_sec, 16000)
    assert count_rows(make_film(tmp_path / "film.mkv", sound, 16000, starts=(late_sec,), ticks=frames)) == rows


def test_six_minutes_have_300_rows(tmp_path):
    film = {"ticks": range(360), "frames_per_sec": 1, "size": (80, 48)}
    assert count_rows(make_film(tmp_path / "film.mkv", make_sound(360, 8000), 8000, **film)) == (300, 300)


def test_a_film_without_sound_has_rows_of_the_picture_alone(tmp_path):
    assert count_rows(make_film(tmp_path / "film.mkv", None, None, ticks=range(61))) == (3, 0)


@pytest.mark.parametrize("late_sec", [0, 0.7, 1.5])
@pytest.mark.parametrize("click_sec", [2.05, 2.5, 2.8])
def test_a_click_is_heard_in_the_row_of_its_second(tmp_path, late_sec, click_sec):
    sound = make_sound(4 - late_sec, 16000, click_sec=click_sec - late_sec)
    examples = hear(make_film(tmp_path / "film.mkv", sound, 16000, starts=(late_sec,), ticks=range(120)))
    loud = examples.max(axis=2) > examples.min() + 5  # (rows, 96): of steps of 10 ms
    assert np.flatnonzero(loud.any(axis=1)).tolist() == [2]
    assert np.argmax(loud[2]) * 0.01 == pytest.approx(click_sec - 2, abs=0.03)


def features_of(pictures, sound):
    return Features(ListEntry("a.mp4", written="clips/a.mp4"), pictures, sound)


def test_a_record_has_the_rows_that_both_have_and_their_means():
    pictures, sound = np.linspace(-3, 3, 5 * 1024).reshape(5, 1024), np.linspace(-3, 3, 3 * 128).reshape(3, 128)
    made = make_record(features_of(pictures, sound), (7, 3), Silent.ZERO)
    record = made.record
    assert (record["video"], record["nframes"], record["label"]) == ("clips/a.mp4", 3, [3, 7])
    scaled = [(np.clip(values, -2, 2) + 2) * 255 / 4 for values in (pictures[:3], sound)]
    np.testing.assert_array_equal(record["feature"], np.rint(scaled[0]))
    np.testing.assert_array_equal(record["audio"], np.floor(scaled[1]))
    np.testing.assert_allclose(made.means["mean_rgb"], pictures[:3].mean(axis=0))
    np.testing.assert_allclose(made.means["mean_audio"], sound.mean(axis=0))
    assert made.remark == "a.mp4: its sound ends 2 s before its picture, of which 3 s are taken"


@pytest.mark.parametrize(("silent", "value"), [(Silent.ZERO, 0), (Silent.MEAN, 127)])
def test_a_silent_video_has_the_bytes_that_were_asked_for(silent, value):
    made = make_record(features_of(np.zeros((2, 1024)), None), None, silent)
    assert (made.record["audio"] == value).all()
    assert made.record["audio"].shape == (2, 128)
    assert "label" not in made.record
    assert made.remark == f"a.mp4 has no sound: its audio is {value} in every byte"


def test_a_silent_video_may_have_no_record():
    with pytest.raises(SilentError, match=r"a.mp4 has no sound"):
        make_record(features_of(np.zeros((2, 1024)), None), None, Silent.SKIP)


@pytest.mark.parametrize("place", [0, 1])
def test_features_that_are_no_numbers_are_an_error_that_names_the_video(place):
    features = [np.zeros((2, 1024)), np.zeros((2, 128))]
    features[place][1, 7] = np.nan
    with pytest.raises(DataError, match=r"^a.mp4: its features came out infinite or as no numbers"):
        make_record(features_of(*features), None, Silent.ZERO)


def test_networks_describe_what_is_seen_and_heard_through_their_projections():
    class Pca:
        mean, vectors, values = np.full(2048, 1.0), np.eye(1024, 2048), np.full(1024, 4 - 1e-4)

    class SoundPca:
        mean, vectors, values = np.zeros(128), 2 * np.eye(128), None

    sight, hearing = use_networks(
        lambda pictures: np.full((len(pictures), 2048), 5.0), lambda heard: np.ones((len(heard), 128)), Pca, SoundPca
    )
    np.testing.assert_allclose(
        sight.describe(np.stack([sight.see([np.zeros((4, 6, 3), np.uint8)])] * 2)), np.full((2, 1024), 2.0)
    )
    np.testing.assert_allclose(hearing.describe(np.zeros((3, 96, 64))), np.full((3, 128), 2.0))


def test_records_and_shards_are_those_of_the_official_extractor(tmp_path):
    shard = PROJECT / "tests/golden/youtube8m_features/official.tfrecord"
    made = []
    for name, count, labels, path in (
        ("one", 3, (52, 3, 10), "videos/one.mp4"),
        ("two", 2, (67, 7), "videos/zwei.mkv"),
    ):
        entry, pictures = ListEntry(path, written=path), yt8m_recipe.uniform(f"seq/{name}", (count, 1024), -2.4, 2.4)
        made.append(make_record(Features(entry, pictures, None), labels, Silent.ZERO))
    for read, own in zip(load_records(str(shard)), made, strict=True):
        assert (read["video"], read["label"], read["nframes"]) == (
            own.record["video"], own.record["label"], own.record["nframes"],
        )  # fmt: skip
        np.testing.assert_array_equal(read["feature"], own.record["feature"])
        np.testing.assert_array_equal(read["audio"], own.record["audio"])
    (tmp_path / "own.tfrecord").write_bytes(b"".join(write_record(item.record, item.means) for item in made))
    examples = [[parse(data) for data in split(path)] for path in (shard, tmp_path / "own.tfrecord")]
    for theirs, ours in zip(*examples, strict=True):
        assert theirs.feature_lists == ours.feature_lists
        assert theirs.context.feature.keys() == ours.context.feature.keys()
        for name in ("mean_rgb", "mean_audio"):
            means = [example.context.feature.pop(name).float_list.value for example in (theirs, ours)]
            np.testing.assert_allclose(means[1], means[0], rtol=0, atol=1e-6)
        assert theirs.context == ours.context


def split(path):
    """The data of each record of a shard."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        yield content[at + 12 : at + 12 + length]
        at += length + 16


def parse(data):
    example = message_class("SequenceExample")()
    example.ParseFromString(data)
    return example
