"""The specs of NeXtVLAD and AttentionLSTM: config, schedule and the file of eigenvalues."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import models  # noqa: F401  (registers the specs)
from models.nextvlad.spec import load_whitening
from tests.conftest import PROJECT
from tools.config.load import Override, load_config
from tools.errors import ConfigError, ConfigFileError
from tools.registry import MODELS


def load(name, *settings):
    spec = MODELS.get(name)()
    overrides = [Override(section, key, value, f"--{key}") for section, key, value in settings]
    return spec, load_config(str(PROJECT / spec.default_config), spec.schema, ["MODEL", "TRAIN"], name, overrides)


@pytest.fixture
def eigenvalues(tmp_path):
    np.save(tmp_path / "eigenvals.npy", np.ones((2048, 1), np.float32))
    return ("MODEL", "eigen_file", str(tmp_path / "eigenvals.npy"))


def test_the_rate_of_nextvlad_falls_by_examples_up_to_max_iter(eigenvalues):
    spec, config = load("NEXTVLAD", eigenvalues, ("TRAIN", "max_iter", 30_000))
    rate = spec.build_schedule(config, steps_per_epoch=1)
    boundary = 2_000_000 // 160
    steps = (0, boundary - 1, boundary, 2 * boundary, 10**9)
    assert [rate(step) for step in steps] == pytest.approx([0.0002, 0.0002, 0.00016, 0.000128, 0.000128])
    _, config = load("NEXTVLAD", eigenvalues, ("TRAIN", "lr_boundary_examples", 1))
    assert spec.build_schedule(config, 1)(3) == pytest.approx(0.0002 * 0.8**3)  # 2019 looped for ever


def test_the_rate_of_attention_lstm_falls_after_epochs_of_num_samples():
    spec, config = load("AttentionLSTM")
    rate = spec.build_schedule(config, steps_per_epoch=1)
    end = 5 * 5_000_000 // 1024
    assert [rate(step) for step in (0, end - 1, end)] == pytest.approx([0.001, 0.001, 0.0001])


def test_a_rate_that_does_not_fall_as_the_list_is_long_is_told(eigenvalues):
    spec, config = load("AttentionLSTM")
    assert spec.notices(config, 4_900_000) == []
    assert "num_samples = 5000000, but the list holds 900 videos; the learning rate" in spec.notices(config, 900)[0]
    spec, config = load("NEXTVLAD", eigenvalues)
    assert spec.notices(config, 400_000) == []
    assert (
        "6 epochs of the list's 900 videos are no more; the learning rate never falls" in spec.notices(config, 900)[0]
    )


@pytest.mark.parametrize("apply", [False, True])
def test_gradients_are_clipped_only_on_request(eigenvalues, apply):
    spec, config = load("NEXTVLAD", eigenvalues, ("TRAIN", "apply_gradient_clip", apply))
    assert spec.gradient_clip(config) == (config.TRAIN.gradient_clip_norm if apply else 0)


def error_of(name, *settings):
    with pytest.raises(ConfigError) as error:
        load(name, *settings)
    return str(error.value)


def test_sizes_that_do_not_divide_are_named_with_one_that_does(eigenvalues):
    message = error_of("NEXTVLAD", eigenvalues, ("MODEL", "groups", 7))
    assert message.endswith(
        "groups = 7 does not divide expansion * video_feature_size = 2048; a divisor of 2048 works, such as 4"
    )
    assert "gating_reduction = 3 does not divide hidden_size = 2048" in error_of(
        "NEXTVLAD", eigenvalues, ("MODEL", "gating_reduction", 3)
    )


def test_a_missing_eigen_file_says_where_it_comes_from():
    message = error_of("NEXTVLAD", ("MODEL", "eigen_file", "gone.npy"))
    assert "eigen_file gone.npy does not exist" in message
    assert "yt8m_pca.tgz at data.yt8m.org" in message
    assert "python -m tools.download eigenvals --output gone.npy" in message


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((10, 1), np.float32), "is a (10, 1) float32 array; expected (2048, 1) float32"),
        (np.ones((64, 32), np.float32), "is a (64, 32) float32 array; expected (2048, 1) float32"),
        (np.ones((2048, 1), np.int64), "is a (2048, 1) int64 array; expected (2048, 1) float32"),
        (np.full((2048, 1), np.nan, np.float32), "holds values that are negative or not finite"),
        (np.full((2048, 1), -1, np.float32), "holds values that are negative or not finite"),
    ],
)
def test_an_eigen_file_of_the_wrong_kind_is_named(tmp_path, array, message):
    np.save(tmp_path / "e.npy", array)
    with pytest.raises(ConfigError) as error:
        load_whitening(str(tmp_path / "e.npy"), 1024, "c.txt [MODEL]")
    assert message in str(error.value)


def test_an_eigen_file_that_is_no_npy_is_named(tmp_path):
    """Also a zip file of arrays, whole or damaged, and an .npy whose header or end is."""
    eigenvalues = np.ones((2048, 1), np.float32)
    np.savez(tmp_path / "e.npz", eigenvalues)
    np.save(tmp_path / "e.npy", eigenvalues)
    zipped, whole = (tmp_path / "e.npz").read_bytes(), (tmp_path / "e.npy").read_bytes()
    headers = [whole.replace(b"2048, 1", shape) for shape in (b"9" * 30, b"2048, (", b"9" * 15, b"2048, x")]
    for content in (b"", b"junk", zipped, zipped[:100], zipped[:-30], pickle.dumps(eigenvalues), whole[:-9], *headers):
        (tmp_path / "bad.npy").write_bytes(content)
        with pytest.raises(ConfigError, match=r"c\.txt \[MODEL\]: eigen_file .*bad\.npy is not a NumPy array \(.+\)"):
            load_whitening(str(tmp_path / "bad.npy"), 1024, "c.txt [MODEL]")


@pytest.mark.parametrize("header", ["{", "(" * 5000, "'" * 3, "-" * 9000 + "1", "9" * 5000, "x" * 20_000])
def test_a_file_of_eigenvalues_with_a_damaged_header_is_one_line(eigenvalues, header):
    path = Path(eigenvalues[2])
    path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(8192))
    with pytest.raises(ConfigFileError, match=r"eigenvals\.npy is not a NumPy array \(.") as error:
        load("NEXTVLAD", eigenvalues)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
