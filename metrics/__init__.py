"""Scores, in NumPy alone. Importing this package makes every kind of metrics known."""

from metrics import kinetics as _kinetics  # noqa: F401  (registers itself)
from metrics import youtube8m as _youtube8m  # noqa: F401  (registers itself)
