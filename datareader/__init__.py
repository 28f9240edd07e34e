"""From file lists to batches. Importing this package makes every reader known; it needs no Paddle."""

from datareader.clips import dataset as _clips  # noqa: F401  (registers itself)
from datareader.features import dataset as _features  # noqa: F401
