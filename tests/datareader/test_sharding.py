"""Which process reads what: nothing twice, nothing left out, and files opened by as few processes as possible."""

from contextlib import contextmanager
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datareader.dataset import Batch
from datareader.features.order import shuffle_files
from datareader.loader import EvaluationLoader, TrainingLoader
from datareader.sharding import Shard, check_batch_size
from tools.errors import ConfigError

WORLDS = st.integers(1, 9)


def shards_of(world):
    return [Shard(rank, world) for rank in range(world)]


class Numbers:
    """A dataset whose records are numbers, shuffled by epoch in training. broken: those that are left out."""

    name = "numbers.list"

    def __init__(self, count, training, broken=()):
        self.count, self.training, self.broken = count, training, set(broken)

    def __len__(self):
        return self.count

    def order(self, seed, epoch, count):
        return np.random.default_rng([seed, epoch]).permutation(self.count) if self.training else np.arange(self.count)

    def arrange_batches(self, order, batch_size, seed, epoch):
        return order

    @contextmanager
    def open(self, batches, seed, epoch):
        def fetch(i):
            names = [str(number) for number in batches[i].tolist() if number not in self.broken]
            return Batch(names, names, [], (np.zeros(len(names)),), None)

        yield fetch


def read_training(count, batch_size, shard, accumulate=1, start=0):
    """The numbers in each part of each step, as one process reads them."""
    options = {"accumulate": accumulate, "num_workers": 0, "as_float": False, "seed": 3, "shard": shard}
    loader = TrainingLoader(Numbers(count, training=True), batch_size, **options)
    steps = list(loader.epoch(2, start))
    assert len(steps) == len(loader) - start
    return [[list(map(int, part.ids)) for part in step] for step in steps]


def read_evaluation(dataset, batch_size, shard):
    loader = EvaluationLoader(dataset, batch_size, num_workers=2, as_float=False, shard=shard)
    batches = [batch.ids for batch in loader.epoch()]
    assert len(batches) <= len(loader)
    return batches


@given(
    world=WORLDS,
    per_process=st.integers(1, 7),
    steps=st.integers(0, 9),
    rest=st.integers(0, 62),
    seed=st.integers(0, 9),
)
def test_training_shares_are_equal_disjoint_and_hold_what_one_process_would_read(world, per_process, steps, rest, seed):
    batch_size = world * per_process
    order = np.random.default_rng(seed).permutation(steps * batch_size + rest % batch_size)
    parts = [shard.of_records(order, batch_size) for shard in shards_of(world)]
    assert [len(part) for part in parts] == [steps * per_process] * world
    np.testing.assert_array_equal(np.concatenate(parts), Shard().of_records(order, batch_size))
    np.testing.assert_array_equal(Shard().of_records(order, batch_size), order[: steps * batch_size])


@given(world=WORLDS, counts=st.lists(st.integers(0, 12), min_size=1, max_size=20), seed=st.integers(0, 9))
def test_all_but_as_many_files_as_there_are_borders_are_opened_by_one_process(world, counts, seed):
    first = np.cumsum([0, *counts])
    order = shuffle_files(np.arange(first[-1]), first, seed, epoch=0)
    openers = np.zeros(len(counts), int)
    for shard in shards_of(world):
        records = shard.of_records(order, world)
        openers[np.unique(np.searchsorted(first, records, side="right") - 1)] += 1
    assert np.maximum(openers - 1, 0).sum() <= world - 1


@given(world=WORLDS, count=st.integers(0, 40))
def test_evaluation_shares_hold_every_batch_once_in_order_and_nearly_equally_many(world, count):
    parts = [shard.of_batches(count) for shard in shards_of(world)]
    assert [number for part in parts for number in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@settings(max_examples=30)
@given(world=WORLDS, count=st.integers(1, 40), batch_size=st.integers(1, 9), data=st.data())
def test_evaluation_reads_the_same_batches_whatever_the_number_of_processes(world, count, batch_size, data):
    broken = data.draw(st.sets(st.integers(0, count - 1)))
    dataset = Numbers(count, training=False, broken=broken)
    found = [batch for shard in shards_of(world) for batch in read_evaluation(dataset, batch_size, shard)]
    assert found == read_evaluation(dataset, batch_size, Shard())
    assert [int(name) for batch in found for name in batch] == [i for i in range(count) if i not in broken]


@settings(max_examples=30)
@given(world=st.integers(1, 4), accumulate=st.integers(1, 4), size=st.integers(1, 3), count=st.integers(0, 90))
def test_accumulation_splits_a_processs_share_of_each_step_into_equal_parts(world, accumulate, size, count):
    batch_size = world * accumulate * size
    for shard in shards_of(world):
        whole = read_training(count + batch_size, batch_size, shard)
        parts = read_training(count + batch_size, batch_size, shard, accumulate)
        assert all(len(step) == accumulate and all(len(part) == size for part in step) for step in parts)
        assert [list(chain(*step)) for step in parts] == [list(chain(*step)) for step in whole]


@settings(max_examples=30)
@given(before=st.integers(1, 4), after=st.integers(1, 4), steps=st.integers(1, 6), data=st.data())
def test_an_epoch_goes_on_exactly_with_as_many_processes_and_with_as_many_records_otherwise(before, after, steps, data):
    batch_size, start = 12, data.draw(st.integers(0, steps))
    for shard in shards_of(before):
        assert read_training(12 * steps + 5, 12, shard, start=start) == read_training(12 * steps + 5, 12, shard)[start:]
    rest = [read_training(12 * steps + 5, batch_size, shard, start=start) for shard in shards_of(after)]
    numbers = [number for process in rest for step in process for part in step for number in part]
    assert len(numbers) == len(set(numbers)) == (steps - start) * batch_size


@pytest.mark.parametrize(
    ("size", "processes", "accumulate", "message"),
    [
        (8, 3, 1, "TRAIN.batch_size = 8 does not split over 3 processes; --batch-size 6 or 9 does"),
        (10, 1, 4, "does not split over 1 process with --accumulate 4; --batch-size 8 or 12 does"),
        (12, 2, 4, "does not split over 2 processes with --accumulate 4; --batch-size 8 or 16 does"),
        (1, 2, 1, "does not split over 2 processes; --batch-size 2 does"),
    ],
)
def test_a_batch_that_does_not_split_is_an_error_that_names_those_that_do(size, processes, accumulate, message):
    with pytest.raises(ConfigError) as error:
        check_batch_size(size, processes, accumulate)
    assert message in str(error.value)
    check_batch_size(24, processes, accumulate)
