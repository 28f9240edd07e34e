"""The pictures that VGGish takes of a sound equal those of its authors, and other spectra are seen."""

import tracemalloc

import numpy as np
import pytest

from datareader.youtube8m import log_mel as module
from datareader.youtube8m.log_mel import BANDS, EXAMPLE, VGGISH, YOUTUBE8M, log_mel, make_examples, mel_weights
from datareader.youtube8m.resample import mix_down, resample
from tests.yt8m_recipe import find_difference, load_golden, wave

NOISES = ["noise05", "noise32"]
WAVES = ["chirp", *NOISES]


def sound_of(key):
    """16 kHz, in blocks."""
    samples, rate_hz = wave(key)
    return [*resample([mix_down(samples)], rate_hz)]


def rows_of(blocks, keeps_tail=False):
    return np.concatenate([np.empty((0, BANDS)), *log_mel(blocks, keeps_tail)])


def examples_of(blocks, rule):
    return np.stack([np.empty((EXAMPLE, BANDS), np.float32), *make_examples(blocks, rule)])[1:]


def rows_by_the_formula(samples):
    """One frame at a time, with a sum for each frequency."""
    mel_of_bins, *ends = (1127 * np.log(1 + hz / 700) for hz in (np.arange(257) * 31.25, 125, 7500))
    edges = np.linspace(*ends, 66)
    turns = np.outer(np.arange(257), np.arange(400)) / 512
    rows = []
    for begin in range(0, len(samples) - 399, 160):
        frame = samples[begin : begin + 400] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400))
        magnitude = np.hypot(np.cos(2 * np.pi * turns) @ frame, np.sin(2 * np.pi * turns) @ frame)
        triangles = [np.interp(mel_of_bins, edges[i : i + 3], [0, 1, 0], left=0, right=0) for i in range(64)]
        rows.append(np.log([magnitude @ triangle + 0.01 for triangle in triangles]))
    return np.array(rows)


def test_the_bands_are_those_of_the_golden():
    numbers = load_golden("vggish")[0]["mel_matrix"]
    assert find_difference(numbers, mel_weights()) < 1e-7
    assert (mel_weights() > 0).sum() == numbers["nonzero"]
    np.testing.assert_allclose(mel_weights().sum(axis=0), numbers["colsum"], rtol=1e-6)


def compare_rows(key):
    """How far the rows of a sound are from the golden's; infinite where their number is another."""
    numbers, arrays = load_golden("vggish")
    expected, rows = numbers["waves"][key], rows_of(sound_of(key))
    if len(rows) != expected["n_logmel_frames"]:
        return np.inf
    differences = find_difference(expected["logmel"], rows), *np.abs(rows[:8] - arrays[f"{key}_logmel_rows0_8"]).flat
    return max(*differences, *np.abs(rows[::10].mean(axis=1) - expected["logmel_row_means"]))


@pytest.mark.parametrize("key", NOISES)
def test_rows_equal_those_of_the_authors(key):
    assert compare_rows(key) < 1e-5


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("hann_window", lambda: np.hanning(400)),  # the symmetric one
        ("compute_magnitudes", lambda frames: np.abs(np.fft.rfft(frames * module.hann_window(), 512)) ** 2),  # power
    ],
)
def test_another_window_and_the_power_spectrum_are_seen(monkeypatch, name, mistake):
    monkeypatch.setattr(module, name, mistake)
    assert all(compare_rows(key) > 1e-5 for key in NOISES)


@pytest.mark.parametrize("key", WAVES)
def test_examples_a_second_equal_those_of_mediapipe(key):
    numbers = load_golden("vggish")[0]["mediapipe_style"]["waves"][key]
    blocks = sound_of(key)
    assert sum(map(len, blocks)) == numbers["n_samples"]
    assert len(rows_of(blocks, keeps_tail=True)) == numbers["n_logmel_frames"]
    examples = examples_of(blocks, YOUTUBE8M)
    assert examples.dtype == np.float32
    assert len(examples) == numbers["n_examples_hop100"]
    assert find_difference(numbers["examples"], examples) < 1e-5


@pytest.mark.parametrize("key", NOISES)
def test_examples_side_by_side_equal_those_of_the_authors(key):
    numbers, arrays = load_golden("vggish")
    examples = examples_of(sound_of(key), VGGISH)
    assert len(examples) == numbers["waves"][key]["n_examples_hop096"]
    if len(examples):
        assert find_difference(numbers["waves"][key]["examples_hop096"], examples) < 1e-5
        np.testing.assert_allclose(examples[0], arrays[f"{key}_example0"], atol=1e-5)


def test_rows_equal_the_formula():
    samples = np.random.default_rng(0).standard_normal(1234)
    np.testing.assert_allclose(rows_of([samples]), rows_by_the_formula(samples), atol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 159, 399, 400, 401, 560, 561, 15600, 16000, 31600, 31601, 47760, 47761])
def test_each_sample_is_in_a_row_and_each_second_has_an_example(count):
    samples = np.random.default_rng(count).standard_normal(count)
    rows = rows_of([samples], keeps_tail=True)
    num_rows = 1 + (max(count + 159, 400) - 400) // 160 if count else 0
    assert len(rows) == num_rows
    examples = examples_of([samples], YOUTUBE8M)
    assert len(examples) == -(-num_rows // 100)
    for second, example in enumerate(examples):
        part = rows[100 * second : 100 * second + 96]
        assert (example[: len(part)] == part.astype(np.float32)).all()
        assert (example[len(part) :] == 0).all()
    dropped = rows_of([samples])
    assert len(dropped) == (1 + (count - 400) // 160 if count >= 400 else 0)
    assert len(examples_of([samples], VGGISH)) == len(dropped) // 96


@pytest.mark.parametrize("rule", [YOUTUBE8M, VGGISH])
def test_where_blocks_end_does_not_show(rule):
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(60_000)
    whole = examples_of([samples], rule)
    for cuts in (np.sort(rng.integers(0, len(samples), 50)), np.arange(500), np.arange(1024, len(samples), 1024)):
        np.testing.assert_allclose(examples_of(np.split(samples, cuts), rule), whole, rtol=1e-6, atol=1e-7)


def test_memory_does_not_grow_with_the_length_of_the_sound():
    peaks = []
    for length_sec in (5, 50):
        tracemalloc.start()
        assert sum(1 for _ in make_examples(np.zeros(1600) for _ in range(10 * length_sec))) == length_sec
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.1


def test_one_long_block_takes_little_more_memory_than_itself():
    block = np.zeros(16000 * 120)
    tracemalloc.start()
    assert sum(1 for _ in make_examples([block])) == 120
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * block.nbytes + 40e6
