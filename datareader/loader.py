"""Batches in order, read ahead by threads: the same batches whatever the number of workers."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from datareader.sharding import Shard
from tools.errors import DataError


@dataclass(frozen=True)
class Batch:
    """What the networks, metrics and results need of N records.

    ids: the videos' names. sources: file and record of each, for messages.
    inputs: arrays for the network's ``forward``, N first where they are not ragged.
    labels: (N, num_classes) float32 multi-hot or (N,) int64; None when the data has none.
    views: how often each record is in the inputs, one after another, for a result averaged over them.
    """

    ids: list[str]
    sources: list[str]
    inputs: tuple[np.ndarray, ...]
    labels: np.ndarray | None
    views: int = 1

    def __len__(self) -> int:
        return len(self.ids)


class Loader:
    """Epochs of batches from a dataset, for one of the processes of a run.

    dataset: has ``order(seed, epoch)``, the numbers of the records of that epoch in order,
        ``arrange_batches(order, batch_size, seed, epoch)``, which may reorder a process's share of them,
        ``open(batches, seed, epoch)``, a context manager that gives ``fetch(i) -> Batch``, and
        ``to_float(batch)``, which makes of the stored uint8 what a network computes with. A fetch may
        leave out records, and then calls the dataset's ``on_broken(text)``.
    as_float: do that in the reading threads, for networks on the CPU; with a GPU the small uint8
        batches are handed over and the network does it there.
    num_workers: reading threads; 0 reads in the calling thread. Batches wait in memory for up to
        ``num_workers + 1`` steps.
    shard: which process this is, and of how many; by default the only one.
    """

    def __init__(
        self,
        dataset,
        batch_size: int,
        *,
        num_workers: int,
        as_float: bool,
        seed: int = 0,
        shard: Shard | None = None,
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.as_float = as_float
        self.seed = seed
        self.shard = shard or Shard()

    def _read(self, batches: list[np.ndarray], epoch: int) -> Iterator[Batch]:
        with self.dataset.open(batches, self.seed, epoch) as fetch:

            def make(i: int) -> Batch:
                return self.dataset.to_float(fetch(i)) if self.as_float else fetch(i)

            yield from map_in_order(make, range(len(batches)), self.num_workers)


class EvaluationLoader(Loader):
    """Every record once: a batch is read by one process, and none is filled up.

    So whatever the number of processes, the batches are the same.
    """

    def __len__(self) -> int:
        """Batches of this process."""
        return len(self._batches())

    def epoch(self) -> Iterator[Batch]:
        """This process's batches. One without any record, as when all of them were left out, is passed over."""
        order = self.dataset.order(self.seed, 0)
        batches = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in self._batches()]
        return (batch for batch in self._read(batches, 0) if len(batch))

    def _batches(self) -> range:
        return self.shard.of_batches(-(-len(self.dataset) // self.batch_size))


class TrainingLoader(Loader):
    """Steps of equal size; the records that do not fill one are left out.

    batch_size: videos in a step, of all processes. Each reads its share of them, in ``accumulate`` batches one
        after another.
    """

    def __init__(self, dataset, batch_size: int, *, accumulate: int = 1, **options):
        super().__init__(dataset, batch_size, **options)
        self.accumulate = accumulate
        if len(dataset) < batch_size:
            raise DataError(
                f"{dataset.name} has {len(dataset)} records, which do not fill one training batch of "
                f"{batch_size}; a batch size of {len(dataset)} or less works (--batch-size)"
            )

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self.dataset) // self.batch_size

    def plan(self, epoch: int, start: int = 0) -> list[np.ndarray]:
        """The numbers of the records in each batch of an epoch that this process reads, from step ``start`` on."""
        order = self.shard.of_records(self.dataset.order(self.seed, epoch), self.batch_size)
        order = self.dataset.arrange_batches(order, self.batch_size // self.shard.world, self.seed, epoch)
        size = self.batch_size // self.shard.world // self.accumulate
        first = start * self.accumulate
        return [order[i * size : (i + 1) * size] for i in range(first, len(self) * self.accumulate)]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[list[Batch]]:
        """The batches of each step of an epoch, from number ``start`` on; nothing before it is read.

        A batch may be empty, when all of its records were left out.
        """
        reading = self._read(self.plan(epoch, start), epoch)
        for batch in reading:
            yield [batch, *islice(reading, self.accumulate - 1)]


def map_in_order(function: Callable, items: Iterable, num_workers: int) -> Iterator:
    """``map`` with ``num_workers`` threads that stay ``num_workers + 1`` results ahead.

    Results come in the order of the items, and an exception comes in its item's place with its own
    type and text. With 0 workers it is ``map``.
    """
    if num_workers == 0:
        yield from map(function, items)
        return
    items = iter(items)
    pending = deque()
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="reader")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > num_workers + 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
