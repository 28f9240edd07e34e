"""Records that could not be read, counted over all processes of a run."""

import logging
from collections import Counter
from functools import reduce
from operator import or_

from tools.errors import DataError

log = logging.getLogger(__name__)


def report_skipped(dataset, section: str) -> None:
    """Log every record of a section's data set that is skipped, now or later, once."""
    for text in dataset.broken:
        log.info(f"[{section}] skipped: {text}")
    told = set(dataset.broken)

    def tell(text: str) -> None:
        if text not in told:
            told.add(text)
            log.info(f"[{section}] skipped: {text}")

    dataset.on_broken = tell


def gather_broken(group, dataset, skip_broken: int) -> list[str]:
    """What all processes of this run have skipped so far; complete in the first, which tells of it.

    Raises DataError there for more than ``skip_broken``, as each process only counts its own.
    """
    gathered = group.gather(list(dataset.broken)) or [dataset.broken]
    # What several processes have skipped counts once; what a list names twice counts twice.
    broken = list(reduce(or_, map(Counter, gathered)).elements())
    if group.is_first:
        for text in broken:
            dataset.on_broken(text)
    if group.is_first and len(broken) > skip_broken:
        raise DataError(
            f"{len(broken)} records of {dataset.name} are broken, in all processes together, and --skip-broken "
            f"{skip_broken} skips fewer; the last is {broken[-1]}"
        )
    return broken


def require_records(num_videos: int, dataset) -> None:
    """Raise DataError for an evaluation that nothing is left of."""
    if not num_videos:
        raise DataError(f"none of the {len(dataset)} records of {dataset.name} can be read")
