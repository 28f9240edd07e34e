"""Which records each of the processes of a run reads. Every process works it out alone, from the same order."""

from dataclasses import dataclass

import numpy as np

from tools.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """One process of a run: ``rank`` of ``world``.

    A shard is a stretch of an epoch's order, which goes file by file, so all but ``world - 1`` files are opened by
    one process only.
    """

    rank: int = 0
    world: int = 1

    def of_records(self, order: np.ndarray, batch_size: int) -> np.ndarray:
        """The records of an epoch of training that this process reads: equally many for each.

        order: the numbers of all records. batch_size: of all processes, a multiple of ``world``. What does not fill
        a step is skipped, the same records for every ``world``.
        """
        count = len(order) // batch_size * (batch_size // self.world)
        return order[self.rank * count : (self.rank + 1) * count]

    def of_batches(self, count: int) -> range:
        """The batches of an evaluation that this process reads, of ``count``: as evenly as whole batches allow."""
        return range(count * self.rank // self.world, count * (self.rank + 1) // self.world)


def check_batch_size(batch_size: int, processes: int, accumulate: int) -> None:
    """Raise ConfigError, with sizes that work, unless all processes have equally many videos in equal micro-batches."""
    parts = processes * accumulate
    if batch_size % parts:
        below = batch_size // parts * parts
        sizes = " or ".join(str(size) for size in (below, below + parts) if size)
        splits = f"{processes} processes" if processes > 1 else "1 process"
        splits += f" with --accumulate {accumulate}" * (accumulate > 1)
        raise ConfigError(f"TRAIN.batch_size = {batch_size} does not split over {splits}; --batch-size {sizes} does")
