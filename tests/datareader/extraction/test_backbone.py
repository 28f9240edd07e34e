"""Features of a backbone: what is seen of frames, and how the numbers are stored and read again."""

import numpy as np
import pytest

from datareader.clips.seconds import Pace
from datareader.clips.settings import ClipSettings
from datareader.clips.views import see_frame
from datareader.extraction.backbone import Store, make_record, use_backbone
from datareader.extraction.extraction import Features
from datareader.features.records import Expected, parse_record
from datareader.lists import ListEntry
from datareader.transforms import normalize
from tools.errors import DataError

SETTINGS = ClipSettings(
    num_classes=2,
    seg_num=3,
    seglen=2,
    short_size=40,
    target_size=32,
    image_mean=(0.4, 0.5, 0.6),
    image_std=(0.2, 0.3, 0.4),
)
EXPECTED = Expected(("rgb",), (2048,), num_classes=3)
VALUES = np.abs(np.random.default_rng(0).normal(size=(5, 2048))).astype(np.float32)


def record_of(values, store, labels=(1,)):
    features = Features(ListEntry("a.mp4", written="clips/a.mp4"), values, None)
    return make_record(features, labels, store).record


def test_frames_of_a_row_are_seen_as_a_test_sees_them():
    frames = [np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8) for seed in range(2)]
    sight = use_backbone(lambda batch: batch, SETTINGS, Pace(length=2))
    seen = sight.see(frames)
    assert (seen.shape, seen.dtype) == ((6, 32, 32), np.float32)
    crops = np.concatenate([see_frame(frame, SETTINGS)[0] for frame in frames])
    wanted = normalize(crops[None, None], SETTINGS.image_mean, SETTINGS.image_std)
    np.testing.assert_array_equal(seen, wanted[0, 0])


@pytest.mark.parametrize(("store", "error"), [(Store.FLOAT16, 2e-3), (Store.UINT8, 0.01)])
def test_what_is_stored_is_read_again_as_nearly_as_it_can_be(store, error):
    record = record_of(VALUES, store)
    assert (record["video"], record["nframes"], record["label"]) == ("clips/a.mp4", 5, [1])
    read = parse_record(record, EXPECTED, "made").streams[0]
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, VALUES, rtol=1e-3, atol=error)


def test_a_video_of_one_value_keeps_it():
    read = parse_record(record_of(np.full((2, 2048), 3.0, np.float32), Store.UINT8), EXPECTED, "made").streams[0]
    np.testing.assert_allclose(read, 3.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("store", Store)
def test_what_is_no_number_cannot_be_stored(value, store):
    values = VALUES.copy()
    values[1, 7] = value
    with pytest.raises(DataError, match=r"a.mp4: its features came out infinite or as no numbers"):
        record_of(values, store)


def test_what_float16_does_not_hold_is_stored_as_bytes():
    values = VALUES * 7e4
    with pytest.raises(DataError, match=r"a.mp4: its features reach .*, beyond float16; --store uint8 holds them"):
        record_of(values, Store.FLOAT16)
    read = parse_record(record_of(values, Store.UINT8), EXPECTED, "made").streams[0]
    np.testing.assert_allclose(read, values, atol=0.01 * 7e4)


def test_videos_without_labels_have_none():
    assert "label" not in record_of(VALUES, Store.FLOAT16, labels=None)
