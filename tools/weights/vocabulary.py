"""YouTube-8M's vocabulary.csv, which names its classes, in the folder of the released weights.

- ``vocabulary.csv``: the file as published, complete; one that somebody put there by hand does as well;
- ``vocabulary.csv.sums.json``: sums of what was fetched, held against it whenever it is read;
- ``.vocabulary.partial/``: a download under way, or what a stopped one left to resume;
- ``.vocabulary.lock``: held by the process that downloads.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tools.errors import DataError, DownloadError, UnusableError
from tools.files.atomic import sync_folder
from tools.files.fetch import DEFAULT_RETRY, RetryPolicy, fetch, remove_link
from tools.files.sums import SumError, accept_or_renew, check_sums, sums_beside, write_sums
from tools.weights.released import FOLDER_VARIABLE, URL_VARIABLE, await_lock, cache_folder

NAME, URL = "vocabulary.csv", "https://research.google.com/youtube8m/csv/2/vocabulary.csv"
LARGEST = 50_000_000  # bytes; it should have about one million

log = logging.getLogger(__name__)


def vocabulary_path(weights_dir: str | None) -> Path:
    """Where it is kept, whether or not it is there. weights_dir: as ``find_released`` takes it."""
    return cache_folder(weights_dir) / NAME


def vocabulary_url() -> str:
    """Where it is published: below the mirror of the released weights, where the environment names one."""
    mirror = os.environ.get(URL_VARIABLE)
    return f"{mirror.rstrip('/')}/{NAME}" if mirror else URL


def find_vocabulary(
    check: Callable[[str, str], None],
    *,
    weights_dir: str | None,
    offline: bool,
    url: str,
    retry: RetryPolicy = DEFAULT_RETRY,
) -> Path:
    """The vocabulary; fetched if it is not here yet. One process fetches while others wait.

    check: raises DataError unless (a path, what messages call it) is the vocabulary. weights_dir, offline: as
    ``find_released`` takes them. Raises DownloadError, which says what to put where by hand, and DataError for a file
    here that is something else.
    """
    path = vocabulary_path(weights_dir)
    work = path.parent / ".vocabulary.partial"
    advice = (
        f"by hand: put {url} at {path}; {URL_VARIABLE} names a mirror, --url another address, --weights-dir another "
        "folder"
    )
    try:
        if not path.is_file():
            if offline:
                raise DownloadError(f"no {NAME} in {path.parent}, and --offline; {advice}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with await_lock(path.parent / ".vocabulary.lock", "vocabulary"):
                if not path.is_file():  # else another was first
                    _obtain(path, work, url, check, retry, advice)
    except OSError as error:
        raise DownloadError(
            f"{path.parent} cannot hold {NAME}: {error}; make room there, or name another folder with --weights-dir or "
            f"{FOLDER_VARIABLE}"
        ) from None
    require_unchanged(path)
    try:
        check(str(path), str(path))
    except DataError as error:
        raise DataError(f"{error}; delete it, and the next call fetches it") from None
    return path


def require_unchanged(path: Path) -> None:
    """Raise DataError for a vocabulary that is not what was fetched; one put there by hand is taken as it is."""
    try:
        with contextlib.suppress(FileNotFoundError):
            check_sums(sums_beside(path), path.parent)
    except SumError as error:
        raise DataError(f"{error}; {accept_or_renew(path)}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _obtain(
    path: Path, work: Path, url: str, check: Callable[[str, str], None], retry: RetryPolicy, advice: str
) -> None:
    fetched = work / NAME
    remove_link(work)
    work.mkdir(exist_ok=True)
    try:
        log.info(f"vocabulary: fetching {url}")
        fetch(url, fetched, retry=retry, largest=LARGEST)
        check(str(fetched), url)
        write_sums(sums_beside(fetched), work, [NAME])
        os.replace(sums_beside(fetched), sums_beside(path))
        os.replace(fetched, path)
        sync_folder(path.parent)
        shutil.rmtree(work, ignore_errors=True)
    except DataError as error:
        raise UnusableError(f"{error}; {advice}") from None
    except DownloadError as error:
        raise type(error)(f"{error}; {advice}") from None
    finally:
        fetched.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            work.rmdir()  # unless there is something to resume
