"""From file lists to batches. Importing this package makes every reader known; it needs no Paddle."""

from datareader.clips import dataset as _kinetics  # noqa: F401  (registers itself)
from datareader.features import dataset as _youtube8m  # noqa: F401
