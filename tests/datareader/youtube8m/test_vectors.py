"""Features become the bytes that YouTube-8M stores."""

import numpy as np
import pytest

from datareader.transforms import dequantize
from datareader.youtube8m import vectors
from datareader.youtube8m.vectors import make_projection, quantize_rounding, quantize_truncating
from tests.yt8m_recipe import find_difference, load_golden, used_vggish_pca, used_visual_pca
from tools.errors import DataError


@pytest.fixture(scope="module")
def visual():
    return make_projection(*used_visual_pca())


@pytest.fixture(scope="module")
def audio():
    return make_projection(*used_vggish_pca())


@pytest.mark.parametrize("key", ["a", "b"])
def test_rgb_is_projected_and_rounded_as_by_its_first_program(visual, key):
    numbers, arrays = load_golden("inception")
    projected = visual(arrays[f"pool3_{key}"][None])
    assert projected.dtype == np.float32
    assert projected.shape == (1, 1024)
    np.testing.assert_allclose(projected[0], arrays[f"pca_{key}"], atol=1e-4)
    assert find_difference(numbers["images"][key]["pca"], projected[0]) < 1e-4
    assert (np.abs(projected) > 2).mean() == pytest.approx(numbers["images"][key]["clipped_fraction"], abs=5e-4)
    for quantize, kind in ((quantize_rounding, "round"), (quantize_truncating, "trunc")):
        require_bytes(quantize(projected)[0], arrays[f"q_{kind}_{key}"])


def require_bytes(found, expected):
    assert found.dtype == np.uint8
    differences = np.abs(found.astype(int) - expected)
    assert differences.max() <= 1
    assert (differences > 0).sum() <= 10


def test_without_the_offset_below_the_root_rgb_is_another(monkeypatch):
    _, arrays = load_golden("inception")
    monkeypatch.setattr(vectors, "EIGENVALUE_OFFSET", 0.0)
    projected = make_projection(*used_visual_pca())(arrays["pool3_a"][None])[0]
    assert not np.allclose(projected, arrays["pca_a"], rtol=0, atol=1e-3)
    moved = np.abs(quantize_rounding(projected).astype(int) - arrays["q_round_a"])
    assert moved.mean() == pytest.approx(7.0, abs=0.1)
    assert moved.max() == 65


@pytest.mark.parametrize("key", ["chirp", "noise32", "mp_chirp", "mp_noise05", "mp_noise32"])
def test_audio_is_projected_and_truncated_as_by_vggish(audio, key):
    _, arrays = load_golden("vggish")
    projected = audio(arrays[f"{key}_embedding"])
    assert projected.dtype == np.float32
    np.testing.assert_allclose(projected, arrays[f"{key}_pca"], atol=1e-5)
    for quantize, kind in ((quantize_rounding, "round"), (quantize_truncating, "trunc")):
        if not key.startswith("mp_"):
            require_bytes(quantize(projected), arrays[f"{key}_q_{kind}"])


def test_numbers_of_mediapipe_are_as_told(audio):
    numbers, arrays = load_golden("vggish")
    for key, expected in numbers["mediapipe_style"]["waves"].items():
        assert find_difference(expected["pca"], audio(arrays[f"mp_{key}_embedding"])) < 1e-4


def test_a_vector_is_projected_alike_alone_and_among_others(visual):
    frames = np.random.default_rng(0).random((5, 2048), np.float32)
    np.testing.assert_allclose(visual(frames)[3:4], visual(frames[3:4]), rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "rounded", "truncated"),
    [(-2.0, 0, 0), (2.0, 255, 255), (-9.0, 0, 0), (9.0, 255, 255), (0.0, 128, 127), (-1.984, 1, 1), (1.99, 254, 254)],
)
def test_bytes_stand_for_minus_2_to_2(value, rounded, truncated):
    features = np.array([value])
    assert quantize_rounding(features).tolist() == [rounded]
    assert quantize_truncating(features).tolist() == [truncated]


def test_what_is_read_again_is_within_half_a_step():
    features = np.linspace(-2, 2, 10_001, dtype=np.float32)
    assert np.abs(dequantize(quantize_truncating(features)) - features).max() < 0.0079
    assert np.abs(dequantize(quantize_rounding(features)) - features).max() < 0.0157


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_byte_stands_for_what_is_no_number(value):
    for quantize in (quantize_rounding, quantize_truncating):
        with pytest.raises(DataError, match="features came out infinite or as no numbers"):
            quantize(np.array([0.0, value], np.float32))
