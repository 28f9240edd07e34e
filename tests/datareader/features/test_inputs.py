"""The arrays of a batch: frames of segments, and all frames of all videos."""

import numpy as np

from datareader.features.inputs import RaggedFrames
from datareader.features.records import Expected, load_records, parse_record
from datareader.transforms import DEQUANTIZED, DEQUANTIZED_UNBIASED
from tests.golden_inputs import GOLDEN


def test_rgb_is_whitened_to_the_values_of_the_2019_reader(tmp_path):
    golden = np.load(GOLDEN / "yt8m.npz")
    expected = Expected(("rgb", "audio"), (1024, 128), num_classes=3862)
    records = [parse_record(raw, expected, "golden") for raw in load_records(str(GOLDEN / "yt8m_bytes_keys.pkl"))]
    frames = RaggedFrames([DEQUANTIZED_UNBIASED, DEQUANTIZED])
    lengths, rgb, audio = frames.to_float(frames(records, None))
    assert lengths.tolist() == [12, 300, 7, 150]
    for i, start in enumerate(np.cumsum([0, *lengths[:-1]])):
        values = golden[f"NEXTVLAD_{i}"]
        sampled, whitened = rgb[start : start + 5, ::97], values[:55].reshape(5, 11)
        factors = whitened / sampled  # the eigenvalues, which are not stored here, are the same in every frame
        np.testing.assert_allclose(factors, np.broadcast_to(np.median(factors, axis=0), factors.shape), rtol=2e-6)
        np.testing.assert_array_equal(audio[start : start + 5, ::13].ravel(), values[55:])
