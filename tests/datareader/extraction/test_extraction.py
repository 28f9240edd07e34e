"""Features of videos by made networks: rows in order, batches across videos, damage, and the same with any threads."""

from fractions import Fraction

import numpy as np
import pytest

from datareader.clips.decoding import open_video
from datareader.clips.files import Clip as OpenClip
from datareader.clips.seconds import Pace, choose_frames
from datareader.clips.video import RestartError
from datareader.extraction.batches import Batcher
from datareader.extraction.extraction import Hearing, Sight, extract
from datareader.lists import ListEntry
from tests.datareader.clips.videos import Clip, make_clip, read_number
from tools.errors import DataError

PACE = Pace(Fraction(1, 3))


def open_named(entry):
    return OpenClip(f"id of {entry.path}", None, entry.path)


class Network:
    """Answers with what was drawn into the pictures, and remembers how many it was shown at once."""

    def __init__(self):
        self.sizes = []

    def __call__(self, batch):
        self.sizes.append(len(batch))
        return batch.astype(np.float32) * 2


def see(frames):
    return np.array([read_number(frame) for frame in frames])


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    clips = [Clip(f"{number}.mp4", "libx264", num_frames=count) for number, count in enumerate((30, 1, 95, 12))]
    return [ListEntry(make_clip(folder, clip)) for clip in clips]


def numbers_of(entry):
    return choose_frames(open_video(entry.path).times, PACE)


def hear(path):
    return None if path.endswith("1.mp4") else np.arange(3 * 2).reshape(3, 2) + len(path)


@pytest.mark.parametrize("num_workers", [0, 1, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_every_video_has_the_rows_of_its_frames_whatever_the_batches_and_threads(entries, batch_size, num_workers):
    network, told = Network(), []
    hearing = Hearing(hear, lambda batch: batch + 1, 2)
    found = [*extract(entries, open_named, Sight(PACE, see, network, batch_size), hearing, num_workers, told.append)]
    for entry, features in zip(entries, found, strict=True):
        assert features.entry is entry
        np.testing.assert_array_equal(features.pictures, 2.0 * numbers_of(entry))
        sound = hear(entry.path)
        assert features.sound is sound is None or np.array_equal(features.sound, sound + 1)
    total = sum(len(numbers_of(entry)) for entry in entries)
    assert sum(told) == total
    assert network.sizes == [batch_size] * (total // batch_size) + [total % batch_size] * (total % batch_size > 0)


def test_a_video_is_given_as_soon_as_it_is_described(entries):
    begun = []

    def open_and_tell(entry):
        begun.append(entry)
        return open_named(entry)

    found = extract(entries, open_and_tell, Sight(PACE, see, Network(), 1), None, 0)
    assert next(found).entry is entries[0]
    assert begun == entries[:1]


@pytest.mark.parametrize("num_workers", [0, 3])
def test_no_video_waits_for_more_than_16_others_though_few_have_sound(entries, num_workers):
    begun, sizes = [], []

    def open_and_tell(entry):
        begun.append(entry)
        return open_named(entry)

    def listen(batch):
        sizes.append(len(batch))
        return batch + 1

    many = [entries[place] for place in (0, *[1] * 20, 3, *[1] * 20)]  # of which entries[1] alone is silent
    found = extract(many, open_and_tell, Sight(PACE, see, Network(), 4), Hearing(hear, listen, 100), num_workers)
    for place, features in enumerate(found):
        assert features.entry is many[place]
        np.testing.assert_array_equal(features.pictures, 2.0 * numbers_of(many[place]))
        assert (features.sound is None) == (many[place] is entries[1])
        assert len(begun) <= place + 17 + num_workers
    assert sizes == [3, 3]


def test_a_broken_video_comes_as_its_error_in_its_place(entries, tmp_path):
    broken = ListEntry(str(tmp_path / "no.mp4"))
    found = [*extract([entries[1], broken, entries[0]], open_named, Sight(PACE, see, Network(), 4), None, 2)]
    assert isinstance(found[1], DataError)
    assert "no.mp4 cannot be read" in str(found[1])
    np.testing.assert_array_equal(found[2].pictures, 2.0 * numbers_of(entries[0]))


class Restarting:
    """A video that turns out to be damaged at its third frame, and is another one from then on."""

    def __init__(self, path):
        self._whole = open_video(path)
        self.path, self.times, self._restarted = path, self._whole.times, False

    def frames_once(self, numbers):
        for count, item in enumerate(self._whole.frames_once(numbers)):
            if count == 2 and not self._restarted:
                self._restarted = True
                raise RestartError
            yield item


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_what_came_before_a_restart_is_left_out(entries, batch_size):
    class Damaged(OpenClip):
        def open(self):
            return Restarting(self.path)

    def open_damaged(entry):
        return Damaged("damaged", None, entry.path)

    (features,) = extract(entries[2:3], open_damaged, Sight(PACE, see, Network(), batch_size), None, 1)
    np.testing.assert_array_equal(features.pictures, 2.0 * numbers_of(entries[2]))


def test_a_batch_forgets_the_parts_of_one_video_only():
    batches = []

    def describe(batch):
        batches.append(batch.tolist())
        return batch

    batcher = Batcher(describe, 3)
    batcher.add(0, [0], np.array([1]))
    batcher.add(1, [0, 1], np.array([2]))
    batcher.forget(0)
    assert not batcher.awaits(0)
    assert batcher.awaits(1)
    batcher.flush()
    assert batches == [[[2]]]
    assert batcher.pop(0) is None
    np.testing.assert_array_equal(batcher.pop(1), [[2], [2]])
