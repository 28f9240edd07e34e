"""YouTube-8M's vocabulary.csv, which names its classes, in the folder of the released weights."""

from collections.abc import Callable
from pathlib import Path

from tools.files.fetch import DEFAULT_RETRY, RetryPolicy
from tools.weights.published_files import Place, PublishedFile, find_published

VOCABULARY = PublishedFile(
    "vocabulary.csv",
    "https://research.google.com/youtube8m/csv/2/vocabulary.csv",
    "vocabulary",
    largest=50_000_000,  # bytes; it should have about one million
    flags="--url another address, --weights-dir another folder",
)


def vocabulary_path(weights_dir: str | None) -> Path:
    """Where it is kept, whether or not it is there. weights_dir: as ``find_released`` takes it."""
    return Place.of(VOCABULARY, weights_dir).path


def find_vocabulary(
    check: Callable[[str, str], None],
    *,
    weights_dir: str | None,
    offline: bool,
    url: str | None = None,
    retry: RetryPolicy = DEFAULT_RETRY,
) -> Path:
    """The vocabulary; fetched if it is not here yet, as ``find_published`` does it and with its errors.

    check: raises DataError unless (a path, what messages call it) is the vocabulary.
    """

    def read(path: Path, called: str) -> None:
        check(str(path), called)

    path, _ = find_published(VOCABULARY, read, weights_dir=weights_dir, offline=offline, url=url, retry=retry)
    return path
