"""Plots of features: their statistics, their heat maps, and that both streams are drawn."""

import io

import numpy as np
import pytest

from tests.tools.drawing.pictures import RGB_BLUE, load_picture
from tools.drawing.feature_plot import PERCENTILES, describe_frames, draw_features, heat_step


def test_statistics_equal_those_of_one_frame_at_a_time():
    values = np.random.default_rng(0).normal(size=(6, 50)).astype(np.float32)
    found = describe_frames(values)
    for i, frame in enumerate(values.astype(float)):
        assert found.mean[i] == pytest.approx(sum(frame) / 50)
        assert found.norm[i] == pytest.approx(sum(x * x for x in frame) ** 0.5)
        below = [sum(frame <= band + 1e-9) / 50 for band in found.bands[:, i]]
        assert below == pytest.approx([share / 100 for share in PERCENTILES], abs=0.021)  # a value more or less
        if i:
            step = frame - values[i - 1]
            assert found.change[i - 1] == pytest.approx(sum(x * x for x in step) ** 0.5)
    assert len(found.change) == 5


@pytest.mark.parametrize(("width", "step"), [(1, 1), (128, 1), (129, 2), (1024, 8)])
def test_a_heat_map_has_a_row_of_pixels_for_every_value_it_draws(width, step):
    assert heat_step(np.zeros((2, width))) == step


def test_a_plot_shows_both_features_under_any_name():
    rng = np.random.default_rng(0)
    streams = {"rgb": rng.normal(size=(300, 64)).astype(np.float32), "audio": np.zeros((300, 8), np.float32)}
    data = draw_features("a $name$ \n\udcff", ["拉小提琴 " * 60], streams, np.ones(300, int), "taken")
    pixels = load_picture(io.BytesIO(data)).reshape(-1, 3)
    for colour in (RGB_BLUE, (0xD5, 0x5E, 0x00)):  # the lines of both are there
        assert (np.abs(pixels.astype(int) - colour).max(axis=1) < 12).sum() > 50
