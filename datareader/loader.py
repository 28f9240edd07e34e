"""Batches in order, read ahead by threads: the same batches whatever the number of workers."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from datareader.dataset import Batch, Dataset
from datareader.sharding import Shard
from tools.errors import DataError
from tools.runtime.workers import map_in_order


class Loader:
    """Epochs of batches from a dataset, for one of the processes of a run.

    as_float: call the dataset's ``to_float`` in the reading threads, for networks on the CPU; with a GPU the
        small uint8 batches are handed over and the network does it there.
    num_workers: reading threads; 0 reads in the calling thread. Batches wait in memory for up to
        ``num_workers + 1`` steps.
    shard: which process this is, and of how many; by default the only one.
    """

    def __init__(
        self,
        dataset: Dataset,
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

    So whatever the number of processes, the batches are the same. unit: what ``len`` counts.
    """

    unit = "batch"

    def __len__(self) -> int:
        """Batches of this process."""
        return len(self._batches())

    def epoch(self) -> Iterator[Batch]:
        """This process's batches. One without any record, as when all of them were skipped, is not given."""
        order = self.dataset.order(self.seed, 0, len(self.dataset))
        order = self.dataset.arrange_batches(order, self.batch_size, self.seed, 0)
        batches = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in self._batches()]
        return (batch for batch in self._read(batches, 0) if len(batch))

    def _batches(self) -> range:
        return self.shard.of_batches(-(-len(self.dataset) // self.batch_size))


class TrainingLoader(Loader):
    """Steps of equal size; the records that do not fill one are not read.

    batch_size: videos in a step, of all processes. Each reads its shard of them, in ``accumulate``
        micro-batches one after another.
    """

    def __init__(self, dataset: Dataset, batch_size: int, *, accumulate: int = 1, **options):
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
        order = self.dataset.order(self.seed, epoch, len(self) * self.batch_size)
        order = self.shard.of_records(order, self.batch_size)
        order = self.dataset.arrange_batches(order, self.batch_size // self.shard.world, self.seed, epoch)
        size = self.batch_size // self.shard.world // self.accumulate
        first = start * self.accumulate
        return [order[i * size : (i + 1) * size] for i in range(first, len(self) * self.accumulate)]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[list[Batch]]:
        """The batches of each step of an epoch, from number ``start`` on; nothing before it is read.

        A batch may be empty, when all of its records were skipped.
        """
        reading = self._read(self.plan(epoch, start), epoch)
        for batch in reading:
            yield [batch, *islice(reading, self.accumulate - 1)]
