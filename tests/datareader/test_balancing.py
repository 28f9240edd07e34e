"""Epochs that hold every class equally often: how often each record comes, and that all else stays as it was."""

import pickle
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from datareader.balancing import BalancedDraws, find_rarest
from datareader.labels import pack_labels
from datareader.loader import TrainingLoader
from datareader.sharding import Shard
from tests.conftest import make_record
from tests.datareader.clips.synthetic import make_frames, open_dataset, write_pickle
from tests.datareader.features.reading import batches_of, open_list
from tools.errors import DataError


def draws_of(labels, num_classes=5):
    return BalancedDraws(pack_labels(labels), num_classes)


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_classes_come_equally_often_and_the_records_of_one_as_evenly_as_can_be(seed):
    classes = [0] * 70 + [1] * 20 + [3] * 7 + [4] * 3
    draws = draws_of([[label] for label in classes])
    sums = np.zeros(100, int)
    for epoch in range(20):
        drawn = draws.draw(100, seed, epoch)
        assert len(drawn) == 100
        assert (np.diff(drawn) >= 0).all()
        by_class = Counter(classes[record] for record in drawn)
        assert by_class == {0: 25, 1: 25, 3: 25, 4: 25}
        times = np.bincount(drawn, minlength=100)
        for label, least, most in ((0, 0, 1), (1, 1, 2), (3, 3, 4), (4, 8, 9)):
            found = times[np.array(classes) == label]
            assert found.min() >= least
            assert found.max() <= most
        sums += times
    assert sums[:70].min() >= 1  # of 20 epochs; 7.1 on average: no record of a large class is forgotten
    np.testing.assert_array_equal(draws.draw(100, seed, 3), draws.draw(100, seed, 3))
    assert (draws.draw(100, seed, 3) != draws.draw(100, seed, 4)).any()
    assert (draws.draw(100, 5, 3) != draws.draw(100, seed, 3)).any()


def test_classes_that_do_not_divide_an_epoch_differ_by_one_at_most():
    classes = [0] * 50 + [1] * 30 + [2] * 21
    draws = draws_of([[label] for label in classes], 3)
    totals = Counter()
    for epoch in range(300):
        by_class = Counter(classes[record] for record in draws.draw(101, 0, epoch))
        assert set(by_class.values()) <= {33, 34}
        totals += by_class
    assert max(totals.values()) - min(totals.values()) < 100  # each has its turn


def test_a_record_with_several_classes_goes_by_the_one_that_the_fewest_records_have():
    labels = [[0, 1], [0], [0], [0, 2, 1], [], [2, 0]]  # five have 0, two 1, two 2
    assert find_rarest(pack_labels(labels), 5).tolist() == [1, 0, 0, 1, 2]
    draws = draws_of(labels)
    times = sum(np.bincount(draws.draw(190, 0, epoch), minlength=6) for epoch in range(50)) / 50
    shares = np.array([1 / 2, 1 / 2, 1 / 2, 1 / 2, 0, 1])  # each of three classes is the rarest of some, equally often
    np.testing.assert_allclose(times, 190 * shares / shares.sum(), atol=1)
    assert draws.describe(190).endswith(
        "a record comes 32 to 63 times in an epoch, on average; 185 without a class are never drawn"
    )


def test_a_record_that_comes_again_has_a_number_of_its_own():
    draws = draws_of([[0]] * 10)
    assert draws.tell_apart(np.array([3, 1, 3, 3, 0, 1])).tolist() == [3, 1, 13, 23, 0, 11]


@pytest.fixture
def lopsided(tmp_path):
    """A list of three files whose 30 records have class 0, but for two of class 1 in the last."""
    rng = np.random.default_rng(0)
    for i in range(3):
        labels = [[1] if i == 2 and j < 2 else [0] for j in range(10)]
        (tmp_path / f"f{i}.pkl").write_bytes(
            pickle.dumps([make_record(rng, f"{i}_{j}", frames=20 + j, labels=labels[j]) for j in range(10)])
        )
    (tmp_path / "l.list").write_text("f0.pkl\nf1.pkl\nf2.pkl\n")
    return tmp_path / "l.list"


@pytest.mark.parametrize("by_length", [False, True])
def test_features_are_read_file_by_file_and_a_record_that_comes_again_with_other_frames(lopsided, by_length):
    dataset = open_list(lopsided, training=True, balanced=True, sort_by_length=by_length)
    assert len(dataset) == 30
    batches = batches_of(dataset, batch_size=5)
    labels = np.concatenate([batch.labels for batch in batches])
    assert labels.sum(axis=0).tolist() == [15, 15, *[0] * 10]
    order = dataset.order(0, 0, 30)
    files = [int(file) for file in dataset._file_numbers(order)]
    assert sum(a != b for a, b in pairwise(files)) == 2  # each file is opened once
    seen = {}
    for batch in batches:
        for name, frames in zip(batch.ids, batch.inputs[0], strict=True):
            seen.setdefault(name, []).append(frames.tobytes())
    assert sorted(map(len, seen.values()))[-2:] == [7, 8]
    assert all(len(set(frames)) > 1 for frames in seen.values() if len(frames) > 3)


def test_a_balanced_epoch_is_the_same_from_its_middle_on_and_for_any_number_of_processes(lopsided):
    dataset = open_list(lopsided, training=True, balanced=True)
    whole, rest = batches_of(dataset, 6, epoch=2), batches_of(dataset, 6, epoch=2, start=3)
    assert [batch.sources for batch in rest] == [batch.sources for batch in whole[3:]]
    assert [(batch.inputs[0]).tobytes() for batch in rest] == [batch.inputs[0].tobytes() for batch in whole[3:]]
    records = []
    for world in (1, 2, 3):
        loaders = [
            TrainingLoader(dataset, 6, num_workers=0, as_float=False, shard=Shard(rank, world)) for rank in range(world)
        ]
        records.append(sorted(np.concatenate([part for loader in loaders for part in loader.plan(1)]).tolist()))
    assert records[0] == records[1] == records[2]


def test_the_checksum_tells_balanced_epochs_from_others_and_from_those_of_other_labels(lopsided):
    plain, balanced = open_list(lopsided, training=True), open_list(lopsided, training=True, balanced=True)
    rng = np.random.default_rng(1)
    frames = [int(count) for count in plain.num_frames[:10]]
    records = [make_record(rng, f"0_{j}", frames=frames[j], labels=[2]) for j in range(10)]
    (lopsided.parent / "f0.pkl").write_bytes(pickle.dumps(records))
    changed = open_list(lopsided, training=True, balanced=True)
    assert open_list(lopsided, training=True).checksum() == plain.checksum()
    assert len({plain.checksum(), balanced.checksum(), changed.checksum()}) == 3


def test_clips_come_class_by_class_as_often_with_other_crops_and_a_broken_one_is_skipped_once(tmp_path):
    for i in range(9):
        write_pickle(tmp_path / f"p{i}.pkl", make_frames(20, seed=i), label=int(i == 4))
    (tmp_path / "c.list").write_text("".join(f"p{i}.pkl\n" for i in range(9)))
    dataset = open_dataset(tmp_path / "c.list", training=True, balanced=True, skip_broken=1)
    assert dataset.notices[-1].startswith('sampling = "balanced": all classes come as often, of a record with')
    (batch,) = next(TrainingLoader(dataset, 9, num_workers=0, as_float=False).epoch(0))
    assert Counter(batch.labels.tolist())[1] in (4, 5)
    frames = [part.tobytes() for part, label in zip(batch.inputs[0], batch.labels, strict=True) if label == 1]
    assert len(set(frames)) > 1
    assert dataset.checksum() != open_dataset(tmp_path / "c.list", training=True).checksum()
    assert dataset.files_of(dataset.order(0, 0, 9)).max() < 9

    (tmp_path / "p4.pkl").write_bytes(b"\x80broken")
    (batch,) = next(TrainingLoader(dataset, 9, num_workers=0, as_float=False).epoch(0))
    assert set(batch.labels.tolist()) == {0}
    assert len(dataset.broken) == 1


def test_balanced_epochs_need_a_class(tmp_path):
    write_pickle(tmp_path / "p.pkl", make_frames(5), label=-1)
    (tmp_path / "c.list").write_text("p.pkl\n")
    with pytest.raises(DataError, match=r"c\.list: no record has a class"):
        open_dataset(tmp_path / "c.list", training=True, balanced=True)


def test_what_fills_the_batches_is_balanced_and_nothing_else_is_drawn(lopsided):
    dataset = open_list(lopsided, training=True, balanced=True)
    for epoch in range(3):
        batches = batches_of(dataset, batch_size=14, epoch=epoch)  # 28 of 30 records
        assert sum(batch.labels.sum(axis=0) for batch in batches)[:2].tolist() == [14, 14]
