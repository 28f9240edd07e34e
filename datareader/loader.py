"""Batches in order, read ahead by threads: the same batches whatever the number of workers."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tools.errors import DataError


@dataclass(frozen=True)
class Batch:
    """What the networks, metrics and results need of N records.

    ids: the videos' names. wheres: file and record of each, for messages.
    inputs: arrays for the network's ``forward``, N first where they are not ragged.
    labels: (N, num_classes) float32 multi-hot or (N,) int64; None when the data has none.
    views: how often each record is in the inputs, one after another, for a result averaged over them.
    """

    ids: list[str]
    wheres: list[str]
    inputs: tuple[np.ndarray, ...]
    labels: np.ndarray | None
    views: int = 1

    def __len__(self) -> int:
        return len(self.ids)


class Loader:
    """Epochs of batches from a dataset.

    dataset: has ``order(seed, epoch, batch_size)``, the numbers of the records of that epoch in order,
        ``open(batches, seed, epoch)``, a context manager that gives ``fetch(i) -> Batch``, and
        ``to_float(batch)``, which makes of the stored uint8 what a network computes with. A fetch may
        leave out records, and then calls the dataset's ``on_broken(text)``.
    as_float: do that in the reading threads, for networks on the CPU; with a GPU the small uint8
        batches are handed over and the network does it there.
    drop_last: training leaves out the records that do not fill a batch; evaluation uses them all.
    num_workers: reading threads; 0 reads in the calling thread. Batches wait in memory for up to
        ``num_workers + 1`` steps.
    """

    def __init__(self, dataset, batch_size: int, *, drop_last: bool, num_workers: int, as_float: bool, seed: int = 0):
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.as_float = as_float
        self.seed = seed
        if drop_last and len(dataset) < batch_size:
            raise DataError(
                f"{dataset.name} has {len(dataset)} records, which do not fill one training batch of "
                f"{batch_size}; a batch size of {len(dataset)} or less works (--batch-size)"
            )

    def __len__(self) -> int:
        """Batches in an epoch."""
        count = len(self.dataset)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number ``start`` on; nothing before it is read.

        A batch without any record, as when all of them were left out, is passed over. Raises DataError
        when nothing is left at all.
        """
        order = self.dataset.order(self.seed, epoch, self.batch_size)
        batches = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(start, len(self))]
        with self.dataset.open(batches, self.seed, epoch) as fetch:

            def make(i: int) -> Batch:
                return self.dataset.to_float(fetch(i)) if self.as_float else fetch(i)

            found = False
            for batch in map_in_order(make, range(len(batches)), self.num_workers):
                if len(batch):
                    found = True
                    yield batch
        if batches and not found:
            raise DataError(f"none of the {len(order)} records of {self.dataset.name} can be read")


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
