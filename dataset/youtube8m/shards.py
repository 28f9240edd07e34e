"""What the shards of YouTube-8M are called, and the pickles that are made of them."""

import re
from pathlib import Path

_ENDING = re.compile(r"\.tfrecord(-\d+-of-\d+)?$", re.IGNORECASE)


def is_shard(path: Path) -> bool:
    """By its name, ``x.tfrecord`` or ``x.tfrecord-00000-of-00010``: what is still downloading has another."""
    return not path.name.startswith(".") and bool(_ENDING.search(path.name))


def pickle_name(shard: Path) -> str:
    """``x.pkl`` of ``x.tfrecord``; any other name, also one with a number behind it, stays whole before ``.pkl``."""
    stem = shard.stem if shard.suffix.lower() == ".tfrecord" else shard.name
    return f"{stem}.pkl"
