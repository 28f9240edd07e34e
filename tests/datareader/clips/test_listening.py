"""The sound of videos: in time with the picture, of every rate, format and number of channels."""

from pathlib import Path

import av
import numpy as np
import pytest

from datareader.clips.listening import _SampleClock, open_sound, to_mono
from tests.datareader.clips.soundtracks import LAYOUTS, make_film
from tests.datareader.clips.talkies import make_talkie
from tests.datareader.clips.tracks import make_song
from tests.datareader.clips.videos import Clip, make_clip
from tools.errors import DataError

pytestmark = pytest.mark.pyav
FRAME_SEC = 1 / 30


def hear(path):
    """(rate, all samples), None where there is no sound."""
    with open_sound(str(path)) as sound:
        return sound and (sound.rate, np.concatenate([np.zeros(0), *sound.blocks]))


def click_of(path):
    rate, samples = hear(path)
    loud = np.abs(samples) > 0.3 * np.abs(samples).max()
    return int(loud.argmax()) / rate


def noise(channels, count, seed=0):
    return np.random.default_rng(seed).integers(-20000, 20000, (channels, count)).astype(np.int16)


@pytest.mark.parametrize("channels", LAYOUTS)
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_samples_are_the_mean_of_all_channels_at_every_rate(tmp_path, rate, channels):
    samples = noise(channels, rate)
    found_rate, found = hear(make_film(tmp_path / "film.mkv", samples, rate))
    assert found_rate == rate
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, samples.mean(axis=0) / 2**15, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("sound", "name"), [("aac", "film.mp4"), ("aac", "film.mkv"), ("libmp3lame", "film.mkv")])
@pytest.mark.parametrize("late_sec", [(0, 0), (0, 0.3), (0.3, 0), (0.2, 0.4)])
def test_clicks_are_heard_when_flashes_are_seen(tmp_path, name, sound, late_sec):
    path = make_talkie(tmp_path / name, sound=sound, late_sec=late_sec, flash_sec=0.8, sound_sec=1.5)
    assert click_of(path) == pytest.approx(0.8 - late_sec[0], abs=FRAME_SEC)


def test_silence_stands_where_a_sound_is_missing(tmp_path):
    samples = noise(1, 16000)
    rate, found = hear(make_film(tmp_path / "film.mkv", samples, 16000, starts=(0.25, 1.5)))
    wanted = np.zeros(round(2 * rate))
    wanted[4000:12000] = samples[0, :8000] / 2**15
    wanted[24000:] = samples[0, 8000:] / 2**15
    np.testing.assert_array_equal(found, wanted)


def test_a_film_without_sound_has_none(folder, tmp_path):
    assert hear(make_clip(folder, Clip("silent.mp4", "libx264"))) is None
    with pytest.raises(DataError, match="no video stream"):
        hear(make_song(tmp_path, "song.m4a", cover=True))


def test_damaged_sound_is_passed_over(tmp_path):
    path = make_talkie(tmp_path / "film.mkv", sound_sec=3.0, ticks=range(90))
    content = bytearray(Path(path).read_bytes())
    for place in range(len(content) // 2, len(content), 997):
        content[place] ^= 0x55
    (tmp_path / "damaged.mkv").write_bytes(content)
    rate, whole = hear(path)
    _, damaged = hear(tmp_path / "damaged.mkv")
    np.testing.assert_array_equal(damaged[: rate // 2], whole[: rate // 2])
    assert np.isfinite(damaged).all()


def test_times_that_are_a_little_wrong_leave_no_gap_and_a_film_may_begin_anew():
    clock = _SampleClock(1000)
    assert clock.place(15) == 15  # the first frame comes when it says
    clock.position = 1015
    assert clock.place(1030) == 1015  # 15 ms
    assert clock.place(None) == 1015
    assert clock.place(1100) == 1100  # a gap
    assert clock.place(900) == 900  # heard before
    clock.position = 5000
    assert clock.place(0) == 5000  # the next film
    clock.position = 6000
    assert clock.place(1010) == 6000
    assert clock.place(1500) == 6500


@pytest.mark.parametrize("kind", ["u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"])
def test_every_format_of_samples_stands_for_the_same(kind):
    levels = np.array([[-1, 0.5, 0.25, 0], [0, 0.5, -0.75, 0.5]])
    scale, offset, dtype = {
        "u8": (128, 128, np.uint8),
        "s1": (2**15, 0, np.int16),
        "s3": (2**31, 0, np.int32),
        "fl": (1, 0, np.float32),
        "db": (1, 0, np.float64),
    }[kind[:2]]
    values = (levels * scale + offset).astype(dtype)
    values = values if kind.endswith("p") else values.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), format=kind, layout="stereo")
    np.testing.assert_array_equal(to_mono(frame), [-0.5, 0.5, -0.25, 0.25])


@pytest.mark.parametrize("kind", ["s64", "s64p"])
def test_samples_of_8_bytes_stand_for_the_same(kind):
    values = (np.array([[-1, 0.5, 0.25, 0, 0.5], [0, 0.5, -0.75, 0.5, 0]]) * 2.0**63).astype(np.int64)
    frame = av.AudioFrame(format=kind, layout="stereo", samples=5)
    for plane, content in zip(frame.planes, values if kind == "s64p" else [values.T], strict=True):
        plane.update(content.tobytes().ljust(plane.buffer_size, b"\x7f"))
    np.testing.assert_array_equal(to_mono(frame), [-0.5, 0.5, -0.25, 0.25, 0.25])


def test_a_film_with_samples_of_8_bytes_is_heard(tmp_path):
    samples = noise(2, 8000)
    _, wanted = hear(make_film(tmp_path / "film.mkv", samples, 16000))
    _, found = hear(make_film(tmp_path / "film.avi", samples, 16000, codec="pcm_s64le"))
    np.testing.assert_array_equal(found, wanted)


def test_what_is_no_number_is_refused():
    values = np.array([[np.nan, 0.5]], np.float32)
    frame = av.AudioFrame.from_ndarray(values, format="fltp", layout="mono")
    with pytest.raises(DataError, match="infinite or no numbers"):
        to_mono(frame)
