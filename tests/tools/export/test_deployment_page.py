"""What tools/deployment.md says of videos and features before the network; and its lines for ONNX Runtime."""

import re
import runpy

import numpy as np
import pytest

import models  # noqa: F401  (registers the specs)
from datareader.sampling import sample_segment_frames, sample_span_frames
from datareader.transforms import DEQUANTIZED, DEQUANTIZED_UNBIASED, normalize, scale_size
from tests.pages import read_page, table_rows
from tests.tools.export.made_models import MadeModel
from tools.config.flags import ConfigSource, read_config
from tools.registry import MODELS

PAGE = read_page("tools/deployment.md")


def numbers_of(cell):
    return [int(number) for number in re.findall(r"\d+", cell)]


def config_of(name):
    spec = MODELS.get(name)
    return read_config(ConfigSource(None), spec(), name, ["MODEL", "INFER"], check=False)


@pytest.mark.parametrize(("name", "column"), [("TSN", 1), ("STNET", 2)])
def test_the_sizes_of_clips_are_those_of_the_published_configs(name, column):
    config = config_of(name)
    cells = [numbers_of(row[column]) for row in table_rows(PAGE, "| step |")]
    shape = MODELS.get(name)().input_shape(config, "INFER")
    model, part = config.MODEL, config.INFER
    assert cells[0] == [model.seg_num, model.seglen]
    assert cells[1:3] == [[part.short_size], [part.target_size] * 2]
    assert cells[-1] == [*shape]
    rows = [row[1] for row in table_rows(PAGE, "| step |")]
    assert rows[3:5] == [", ".join(map(str, values)) for values in (model.image_mean, model.image_std)]


def test_the_frames_of_clips_are_those_that_are_sampled():
    for count, tsn, stnet in table_rows(PAGE, "| n |"):
        assert numbers_of(tsn) == sample_segment_frames(int(count), 3, 1)[:, 0].tolist()
        assert numbers_of(stnet) == sample_segment_frames(int(count), 7, 5)[:, 0].tolist()


def test_the_sizes_and_crops_of_frames_are_those_that_are_computed():
    for frame, scaled, with_aspect, tsn, stnet in (map(numbers_of, row) for row in table_rows(PAGE, "| frame |")):
        assert tuple(scaled) == scale_size(*frame, 256, keep_aspect=False)
        assert tuple(with_aspect) == scale_size(*frame, 256, keep_aspect=True)
        for size, place in ((224, tsn), (256, stnet)):
            assert place == [round(0.5 * (side - size)) for side in scaled]


def test_the_pixel_is_normalised_as_clips_are():
    rows = table_rows(PAGE, "| colour |")
    pixel = np.array([int(row[1]) for row in rows], np.uint8).reshape(1, 1, 3, 1, 1)
    model = config_of("TSN").MODEL
    values = normalize(pixel, model.image_mean, model.image_std).ravel()
    assert [row[4] for row in rows] == [f"{value:.5f}" for value in values]


def test_the_values_and_frames_of_features_are_those_of_the_tables():
    text = " ".join(PAGE.split())
    assert (
        f"A byte of 200 is {DEQUANTIZED[200]:.7f}. In NEXTVLAD's `rgb` it is {DEQUANTIZED_UNBIASED[200]:.6f}," in text
    )
    assert f"from {DEQUANTIZED[0]} to {DEQUANTIZED[255]}" in text
    assert f"it becomes {DEQUANTIZED_UNBIASED[200] * (0.25**0.5 + 1e-4):.6f} in" in text
    for count in (300, 250):
        first, second, third, *_, last = sample_span_frames(count, config_of("AttentionCluster").MODEL.seg_num)
        assert f"{first}, {second}, {third}, ... {last} of {count}" in text


@pytest.mark.slow
def test_the_lines_for_onnx_runtime_run(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("paddle2onnx")
    made = MadeModel("AttentionCluster", tmp_path, is_small=True)
    made.export("exported/attention_cluster", "--onnx")
    (lines,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "lines.py").write_text(lines.replace(" 60,", f" {made.config.MODEL.seg_num},"))
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path("lines.py")
    assert found["probabilities"].shape == (2, made.config.MODEL.num_classes)
    np.testing.assert_allclose(found["probabilities"], 1 / (1 + np.exp(-found["logits"])), rtol=1e-5)
