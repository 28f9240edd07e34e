"""Batches of clips that a frozen backbone describes: what is kept, what is to be described, and when it is anew."""

import os
import shutil

import numpy as np
import pytest

from datareader.clips.dataset import ClipDataset
from datareader.loader import EvaluationLoader, TrainingLoader
from tests.datareader.clips.synthetic import encode_jpeg, make_frames, open_dataset, write_pickle
from tools.files.kept_arrays import ArrayStore

WIDTH = 4


@pytest.fixture
def store(tmp_path):
    return ArrayStore(tmp_path / "kept" / "features.sqlite", 10**8)


def freeze(path, store, *, training=False, num_views=0, seed=1, **options) -> ClipDataset:
    dataset = open_dataset(path, training=training, **options)
    dataset.freeze(store and store.open_set, num_views, seed, WIDTH)
    return dataset


def describe(frames):
    """(M, S, 3 * L, H, W) -> (M, S, WIDTH), which no two views share."""
    corners = frames[:, :, 0, :2, :2].reshape(*frames.shape[:2], WIDTH).astype(np.float32)
    return corners + frames.mean(axis=(2, 3, 4), dtype=np.float64)[..., None].astype(np.float32)


def run_epoch(dataset, epoch=0, num_workers=2):
    """The batches, whole, of an epoch, and how many clips of each had to be described."""
    if dataset.training:
        loader = TrainingLoader(dataset, 2, seed=1, num_workers=num_workers, as_float=False)
        batches = [batch for (batch,) in loader.epoch(epoch)]
    else:
        batches = [*EvaluationLoader(dataset, 4, num_workers=num_workers, as_float=False).epoch()]
    return [batch.complete(describe(*batch.inputs)) for batch in batches], [len(batch.others) for batch in batches]


def by_id(batches):
    return {name: batch.inputs[0][row] for batch in batches for row, name in enumerate(batch.ids)}


def test_each_clip_is_described_once_and_batches_stay_the_same(clips, store):
    first, new = run_epoch(freeze(clips, store))
    again, none = run_epoch(freeze(clips, store))
    assert new == [4, 2]
    assert none == [0, 0]
    for one, other in zip(first, again, strict=True):
        assert (one.ids, one.sources, one.entries) == (other.ids, other.sources, other.entries)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.inputs[0], other.inputs[0])


def test_what_is_described_is_what_a_test_sees(clips, store):
    frozen = by_id(run_epoch(freeze(clips, store, training=True))[0])
    (plain,) = EvaluationLoader(open_dataset(clips), 6, num_workers=0, as_float=False).epoch()
    for name, described in zip(plain.ids, describe(*plain.inputs), strict=True):
        np.testing.assert_array_equal(frozen[name], described)


def test_nothing_has_to_be_kept(clips):
    dataset = freeze(clips, None)
    (first, new), (again, anew) = run_epoch(dataset), run_epoch(dataset)
    assert new == anew == [4, 2]
    np.testing.assert_array_equal(by_id(first)["p0"], by_id(again)["p0"])


def test_augmented_views_take_turns(clips, store):
    dataset = freeze(clips, store, training=True, num_views=2)
    epochs = [run_epoch(dataset, epoch) for epoch in range(4)]
    assert [sum(new) for _, new in epochs] == [6, 6, 0, 0]
    seen = [by_id(batches) for batches, _ in epochs]
    for name in seen[0]:
        np.testing.assert_array_equal(seen[0][name], seen[2][name])
        np.testing.assert_array_equal(seen[1][name], seen[3][name])
    assert any((seen[0][name] != seen[1][name]).any() for name in seen[0])
    other_seed = by_id(run_epoch(freeze(clips, store, training=True, num_views=2, seed=2))[0])
    assert any((seen[0][name] != other_seed[name]).any() for name in other_seed)


def test_the_place_in_the_list_does_not_matter(clips, store):
    run_epoch(freeze(clips, store, training=True, num_views=1))
    clips.write_text("\n".join(reversed(clips.read_text().splitlines())) + "\n")
    _, new = run_epoch(freeze(clips, store, training=True, num_views=1))
    assert sum(new) == 0


def test_augmented_views_are_the_same_wherever_the_files_lie_and_whatever_their_age(clips, tmp_path, store):
    first = by_id(run_epoch(freeze(clips, None, training=True, num_views=1))[0])
    copy = shutil.copytree(clips.parent, tmp_path / "another machine", ignore=shutil.ignore_patterns("another*"))
    for path in copy.iterdir():
        os.utime(path, ns=(1, 1))
    again = by_id(run_epoch(freeze(copy / clips.name, store, training=True, num_views=1))[0])
    assert first.keys() == again.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


def test_two_clips_of_the_same_frames_are_seen_in_views_of_their_own(clips):
    shutil.copy2(clips.parent / "p0.pkl", clips.parent / "q0.pkl")
    clips.write_text("p0.pkl\nq0.pkl\n")
    ((batch,), _) = run_epoch(freeze(clips, None, training=True, num_views=1))
    one, other = batch.inputs[0]
    assert (one != other).any()


def test_a_view_that_is_chosen_by_a_path_is_found_by_this_path_alone(clips, store):
    """Or else it would depend on what was kept before."""
    run_epoch(freeze(clips, store, training=True, num_views=1))
    clips.write_text("".join(f"./{line}\n" for line in clips.read_text().splitlines()[1:] if line))
    found = by_id(run_epoch(freeze(clips, store, training=True, num_views=1))[0])
    anew = by_id(run_epoch(freeze(clips, None, training=True, num_views=1))[0])
    for name in found:
        np.testing.assert_array_equal(found[name], anew[name])


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [("datareader.clips.frozen_views", "name_decoder", lambda: "PyAV 0"), ("cv2", "__version__", "0")],
)
def test_another_decoder_describes_anew(clips, store, monkeypatch, module, name, value):
    run_epoch(freeze(clips, store))
    monkeypatch.setattr(f"{module}.{name}", value)
    assert run_epoch(freeze(clips, store))[1] == [4, 2]


@pytest.mark.parametrize("settings", [{"short_size": 44}, {"image_mean": (0.1, 0.2, 0.3)}, {"keep_aspect": True}])
def test_other_settings_describe_anew(clips, store, settings):
    run_epoch(freeze(clips, store))
    _, new = run_epoch(freeze(clips, store, **settings))
    assert new == [4, 2]


def test_a_changed_file_is_described_anew(clips, store):
    run_epoch(freeze(clips, store))
    path = clips.parent / "p1.pkl"
    status = path.stat()
    write_pickle(path, make_frames(7, seed=77), label=2)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    batches, new = run_epoch(freeze(clips, store))
    assert sum(new) == 1
    assert {name: label for batch in batches for name, label in zip(batch.ids, batch.labels, strict=True)}["p1"] == 2


def test_a_frame_written_over_in_its_folder_is_seen(clips, store):
    folder = clips.parent / "frames"
    folder.mkdir()
    for number, frame in enumerate(make_frames(4)):
        (folder / f"{number}.jpg").write_bytes(encode_jpeg(frame))
    clips.write_text("frames 4 1\n")
    assert run_epoch(freeze(clips, store))[1] == [1]
    assert run_epoch(freeze(clips, store))[1] == [0]
    (folder / "2.jpg").write_bytes(encode_jpeg(make_frames(1, seed=9)[0]))
    assert run_epoch(freeze(clips, store))[1] == [1]


def test_a_clip_that_breaks_is_skipped_and_the_others_keep_their_rows(clips, store):
    dataset = freeze(clips, store, skip_broken=1)
    before = by_id(run_epoch(dataset)[0])
    (clips.parent / "p0.pkl").write_bytes(b"\x80 broken")
    batches, _ = run_epoch(dataset)
    after = by_id(batches)
    assert after.keys() == before.keys() - {"p0"}
    for name in after:
        np.testing.assert_array_equal(after[name], before[name])
    assert len(dataset.broken) == 1
    assert run_epoch(dataset)[0][0].ids == batches[0].ids


def test_it_sees_frames_again_when_nothing_is_frozen(clips, store):
    dataset = freeze(clips, store)
    dataset.unfreeze()
    (batch, _) = EvaluationLoader(dataset, 4, num_workers=0, as_float=False).epoch()
    assert batch.inputs[0].ndim == 5
