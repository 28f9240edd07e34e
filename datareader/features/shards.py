"""Names of YouTube-8M's shards, and of the pickles that are made of them."""

import re
from pathlib import Path

_ENDING = re.compile(r"\.tfrecord(-\d+-of-\d+)?$", re.IGNORECASE)


def is_shard(path: Path) -> bool:
    """By its name, ``x.tfrecord`` or ``x.tfrecord-00000-of-00010``; unfinished downloads are named otherwise."""
    return not path.name.startswith(".") and bool(_ENDING.search(path.name))


def pickle_name(shard: Path) -> str:
    """``x.pkl`` for ``x.tfrecord``; ``.pkl`` is appended to any other name, such as one that ends with a number."""
    stem = shard.stem if shard.suffix.lower() == ".tfrecord" else shard.name
    return f"{stem}.pkl"
