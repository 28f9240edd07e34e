"""Parts of several wholes, described in batches, and put together again."""

from collections import Counter
from collections.abc import Callable

import numpy as np


class Batcher:
    """Rows of videos, by the videos' places: described so many at once, in the order in which they come.

    describe: (N, ...) what a network takes -> (N, D). on_rows: hears how many rows have been described.
    """

    def __init__(self, describe: Callable[[np.ndarray], np.ndarray], size: int, on_rows=lambda rows: None):
        self._describe, self._size, self._on_rows = describe, size, on_rows
        self._pending: list[tuple[int, list[int], np.ndarray]] = []
        self._awaited = Counter()  # by place: how many of its parts are pending
        self._rows: dict[int, dict[int, np.ndarray]] = {}

    def add(self, place: int, rows: list[int], part: np.ndarray) -> None:
        """One part, which stands for some rows of a video."""
        self._pending.append((place, rows, part))
        self._awaited[place] += 1
        if len(self._pending) == self._size:
            self.flush()

    def awaits(self, place: int) -> bool:
        """Whether parts of a video are still to be described."""
        return self._awaited[place] > 0

    def forget(self, place: int) -> None:
        """Leave out all that came of a video."""
        self._pending = [item for item in self._pending if item[0] != place]
        del self._awaited[place]
        self._rows.pop(place, None)

    def flush(self) -> None:
        """Describe what is pending."""
        if not self._pending:
            return
        described = self._describe(np.stack([part for *_, part in self._pending]))
        for (place, rows, _), values in zip(self._pending, described, strict=True):
            self._rows.setdefault(place, {}).update(dict.fromkeys(rows, values))
            self._on_rows(len(rows))
        self._pending = []
        self._awaited.clear()

    def pop(self, place: int) -> np.ndarray | None:
        """(rows, D) all that was described of a video, None where nothing was."""
        found = self._rows.pop(place, None)
        return None if found is None else np.stack([found[row] for row in range(len(found))])
