"""From file lists to batches. Importing this package makes every reader known; it needs no Paddle."""

from datareader import kinetics as _kinetics  # noqa: F401  (registers itself)
from datareader import youtube8m as _youtube8m  # noqa: F401
