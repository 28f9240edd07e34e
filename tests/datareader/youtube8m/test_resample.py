"""Sound becomes what QResampler makes of it, in whatever blocks it comes."""

import math
import tracemalloc

import numpy as np
import pytest
import scipy.signal

from datareader.youtube8m.log_mel import log_mel
from datareader.youtube8m.resample import FASTEST_HZ, RATE_HZ, SLOWEST_HZ, mix_down, resample
from tests.yt8m_recipe import checksum, find_difference, load_golden, wave
from tools.errors import DataError

OURS, SCIPY = "mediapipe QResampler (own NumPy from its formula)", "scipy.signal.resample_poly(160,441)"
RATES = [8000, 11025, 22050, 32000, 44100, 48000, 96000, 15999]


def resample_whole(samples, rate_hz, cuts=()):
    return np.concatenate([np.empty(0), *resample(np.split(samples, cuts), rate_hz)])


def resample_by_the_formula(samples, rate_hz):
    """One output at a time, from all inputs."""
    ratio = rate_hz / RATE_HZ
    longer = max(1.0, ratio)
    radius, slope = 5 * longer, 0.9 / longer
    out = []
    for n in range(math.ceil((len(samples) + math.ceil(radius)) * RATE_HZ / rate_hz)):
        t = n * ratio - np.arange(len(samples))
        near = np.abs(t) <= radius
        t = t[near]
        window = np.i0(6.0 * np.sqrt(1 - (t / radius) ** 2)) / np.i0(6.0)
        out.append((samples[near] * slope * np.sinc(slope * t) * window).sum())
    return np.array(out)


@pytest.mark.parametrize("key", ["chirp", "noise05", "noise32"])
def test_the_made_sound_is_that_of_the_golden(key):
    samples, rate_hz = wave(key)
    numbers = load_golden("vggish")[0]["waves"][key]
    assert rate_hz == numbers["sample_rate"]
    assert checksum(samples) == numbers["sha256_int16"]
    assert find_difference(numbers["mono"], mix_down(samples)) < 1e-7


def test_the_chirp_is_resampled_as_by_qresampler():
    numbers, arrays = load_golden("vggish")
    samples, rate_hz = wave("chirp")
    found = resample_whole(mix_down(samples), rate_hz)
    assert len(found) == numbers["qresampled_chirp"]["length_with_flush"]
    assert find_difference(numbers["qresampled_chirp"]["stats"], found) < 1e-6
    for begin in (0, 25600):
        np.testing.assert_allclose(found[begin : begin + 200], arrays[f"chirp_qresampler_{begin}_200"], atol=1e-7)


def test_the_golden_tells_resamplers_apart():
    """resampy's chirp is not further away than was measured, and further than the tolerance."""
    numbers, arrays = load_golden("vggish")
    measured = numbers["resampler_comparison_vs_resampy_kaiser_best"][OURS]
    samples, rate_hz = wave("chirp")
    ours = resample_whole(mix_down(samples), rate_hz)
    for begin in (0, 25600):
        resampy = arrays[f"chirp_resampled_{begin}_200"]
        differences = np.abs(ours[begin : begin + 200] - resampy)
        assert 1e-3 < differences.max() < measured["sample_maxdiff"]


@pytest.mark.parametrize("resampler", [OURS, SCIPY])
def test_the_log_mel_rows_of_a_resampled_chirp_are_near_those_of_resampy(resampler):
    """As near as was measured for each of the resamplers."""
    numbers, arrays = load_golden("vggish")
    measured = numbers["resampler_comparison_vs_resampy_kaiser_best"][resampler]
    samples, rate_hz = wave("chirp")
    mono = mix_down(samples)
    sound = resample_whole(mono, rate_hz) if resampler == OURS else scipy.signal.resample_poly(mono, 160, 441)
    differences = np.abs(np.concatenate([*log_mel([sound])])[:96] - arrays["chirp_example0"])
    assert differences.max() < measured["logmel_maxdiff"] * 1.01
    assert differences.mean() < measured["logmel_meandiff"] * 2


@pytest.mark.parametrize("rate_hz", RATES)
def test_every_sample_equals_the_formula(rate_hz):
    samples = np.random.default_rng(rate_hz).standard_normal(rate_hz // 100)
    np.testing.assert_allclose(
        resample_whole(samples, rate_hz), resample_by_the_formula(samples, rate_hz), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("count", [1, 2, 29, 100])
@pytest.mark.parametrize("rate_hz", [8000, 44100, 192000, SLOWEST_HZ, FASTEST_HZ])
def test_a_short_sound_equals_the_formula_too(rate_hz, count):
    samples = np.random.default_rng(count).standard_normal(count)
    np.testing.assert_allclose(
        resample_whole(samples, rate_hz), resample_by_the_formula(samples, rate_hz), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("rate_hz", RATES)
def test_where_blocks_end_does_not_show_in_a_bit(rate_hz):
    rng = np.random.default_rng(rate_hz)
    samples = rng.standard_normal(2 * rate_hz)
    whole = resample_whole(samples, rate_hz)
    cuts = np.sort(rng.integers(0, len(samples), 40))
    for places in (cuts, np.arange(60), [0, 0, len(samples)], np.arange(1000, len(samples), 1024)):
        assert (resample_whole(samples, rate_hz, places) == whole).all()


def test_no_sound_stays_none():
    assert len(resample_whole(np.empty(0), 44100)) == 0
    assert list(resample([], 44100)) == []


def test_sound_at_the_right_rate_passes_as_it_is():
    samples = np.random.default_rng(0).standard_normal(1000)
    assert (resample_whole(samples, RATE_HZ, [300]) == samples).all()


@pytest.mark.parametrize("rate_hz", [44100, 95_999])
def test_memory_does_not_grow_with_the_length_of_the_sound(rate_hz):
    block = np.zeros(rate_hz // 10)
    peaks = []
    for count in (5, 50):
        tracemalloc.start()
        made = sum(len(part) for part in resample((block for _ in range(count)), rate_hz))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert made >= count * 1599
    assert peaks[1] < peaks[0] * 1.1


def test_one_long_block_takes_little_more_memory_than_itself():
    block = np.zeros(44100 * 60)
    tracemalloc.start()
    made = sum(len(part) for part in resample([block], 44100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made > 960_000
    assert peak < 1.5 * block.nbytes + 20e6


@pytest.mark.parametrize("rate_hz", [0, -1, SLOWEST_HZ - 1, FASTEST_HZ + 1, 2**31])
def test_a_rate_that_no_sound_has_is_refused(rate_hz):
    with pytest.raises(DataError, match=f"^the sound has {rate_hz} samples a second; rates from 1000 to 768000 Hz"):
        resample([np.zeros(10)], rate_hz)


# To one channel


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([[0, 128], [192, 192]], np.uint8, [-0.5, 0.5]),
        ([[-(2**15), 0], [2**14, 2**14]], np.int16, [-0.5, 0.5]),
        ([[2**30], [-(2**31)]], np.int32, [0.5, -1.0]),
        ([[2**62, 2**62], [-(2**63), -(2**63)]], np.int64, [0.5, -1.0]),
        ([[0.5, -0.25, 0.5]], np.float32, [0.25]),
        ([[3.0, 1.0]], np.float64, [2.0]),
    ],
)
def test_the_channels_mean_has_full_scale_1(values, dtype, expected):
    mono = mix_down(np.array(values, dtype))
    assert mono.dtype == np.float64
    assert mono.tolist() == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_samples_that_are_no_numbers_are_refused(value):
    with pytest.raises(DataError, match=r"samples that are infinite or no numbers"):
        mix_down(np.array([[0.0], [value]]))


@pytest.mark.parametrize("wrong", [np.zeros(5), np.zeros((5, 0)), np.zeros((5, 2), np.uint16)])
def test_an_array_of_another_kind_is_refused(wrong):
    with pytest.raises(
        ValueError, match=r"sound is \(n, channels\) of uint8, int16, int32, int64, float32, float64, not"
    ):
        mix_down(wrong)
