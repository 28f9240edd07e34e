"""The released weights of 2019 and 2020: where they are published, and a copy of them in a local folder.

In the folder, for ``tsn_kinetics`` as an example:

- ``tsn_kinetics/``: the variable files of 2019, complete;
- ``TSN.pdparams``: the single file of 2020, complete; serves where the folder is not there;
- ``tsn_kinetics.tar.gz``: an archive that somebody put there by hand; unpacked and left as it is;
- ``tsn_kinetics.tar.gz.sha256``: the checksum of what was taken first;
- ``.tsn_kinetics.partial/``: a download under way, or what a stopped one left to go on with;
- ``.tsn_kinetics.lock``: held by the process that downloads.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.errors import ConfigError, DownloadError, UnusableError
from tools.files.archives import extract
from tools.files.atomic import atomic_write, sync_folder
from tools.files.fetch import DEFAULT_RETRY, RetryPolicy, fetch

BASE_URL = "https://paddlemodels.bj.bcebos.com/video_classification/"
URL_VARIABLE, FOLDER_VARIABLE = "PADDLE_WEIGHTS_URL", "PADDLE_WEIGHTS_DIR"
RESNET50 = "ResNet50_pretrained"  # what TSN and STNET begin their training with
DEFAULT_FOLDER = "~/.paddle/weights"

# File -> SHA-256, compared before anything else. Empty: no checksums were published with these files.
KNOWN_SUMS: dict[str, str] = {}


@dataclass(frozen=True)
class Released:
    """One set of weights: an archive of 2019, and from 2020 a single file with the same variables."""

    name: str
    archive: str
    single: str | None = None


RELEASED = (
    Released("AttentionCluster", "attention_cluster_youtube8m.tar.gz", "AttentionCluster.pdparams"),
    Released("AttentionLSTM", "attention_lstm_youtube8m.tar.gz", "AttentionLSTM.pdparams"),
    Released("NEXTVLAD", "nextvlad_youtube8m.tar.gz", "NEXTVLAD.pdparams"),
    Released("STNET", "stnet_kinetics.tar.gz", "STNET.pdparams"),
    Released("TSN", "tsn_kinetics.tar.gz", "TSN.pdparams"),
    Released(RESNET50, "ResNet50_pretrained.tar.gz"),
)


def find_released(
    name: str,
    *,
    weights_dir: str | None = None,
    offline: bool = False,
    log: Callable[[str], None],
    retry: RetryPolicy = DEFAULT_RETRY,
) -> Path:
    """The released weights of a model, or of ``ResNet50_pretrained``; fetched if they are not here yet.

    weights_dir: where they are kept; by default ``PADDLE_WEIGHTS_DIR``, or ``~/.paddle/weights``.
    Returns a folder with one file per variable (2019) or a ``.pdparams`` file (2020). One process
    fetches while others wait. Raises DownloadError, which says what to put where by hand.
    """
    place = CacheEntry.of(name, weights_dir)
    try:
        if found := place.present():
            _remove_leftovers(place)
            return found
        if offline and not (place.by_hand.is_file() or place.fetched.is_file()):
            raise _offline_error(place)
        place.cache.mkdir(parents=True, exist_ok=True)
        with _alone(place, log):
            try:
                found = place.present() or _obtain(place, offline, log, retry)  # perhaps another was first
                shutil.rmtree(place.work, ignore_errors=True)
                return found
            finally:
                with contextlib.suppress(OSError):
                    place.work.rmdir()  # unless there is something to go on with
    except OSError as error:
        raise DownloadError(
            f"{place.cache} cannot hold the released weights of {place.item.name}: {error}; make room there, or name "
            f"another folder with --weights-dir or {FOLDER_VARIABLE}"
        ) from None


@dataclass(frozen=True)
class CacheEntry:
    """Where one set of weights comes from and where it is kept."""

    item: Released
    cache: Path
    base_url: str

    @classmethod
    def of(cls, name: str, weights_dir: str | None = None) -> "CacheEntry":
        item = next((item for item in RELEASED if item.name.lower() == name.lower()), None)
        if item is None:
            raise ConfigError(f"no released weights named {name!r}; known: {', '.join(each.name for each in RELEASED)}")
        folder = Path(weights_dir or os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER).expanduser().absolute()
        return cls(item, folder, os.environ.get(URL_VARIABLE) or BASE_URL)

    @property
    def stem(self) -> str:
        return self.item.archive.removesuffix(".tar.gz")

    @property
    def folder(self) -> Path:
        return self.cache / self.stem

    @property
    def by_hand(self) -> Path:
        return self.cache / self.item.archive

    @property
    def single(self) -> Path | None:
        return self.cache / self.item.single if self.item.single else None

    @property
    def work(self) -> Path:
        return self.cache / f".{self.stem}.partial"

    @property
    def fetched(self) -> Path:
        return self.work / self.item.archive

    def url(self, file: str) -> str:
        return f"{self.base_url.rstrip('/')}/{file}"

    def present(self) -> Path | None:
        """What is here and complete. A folder of 2019 is taken as it is: it may be from that zoo itself."""
        if self.folder.is_dir() and (found := _with_files(self.folder)):
            return found
        if self.single and self.single.is_file() and not self.by_hand.is_file():
            return self.single
        return None

    def advice(self) -> str:
        """How to do by hand what this file does."""
        text = f"by hand: put {self.url(self.item.archive)} at {self.by_hand}, or its files into {self.folder}"
        if self.single:
            text += f", or {self.url(self.item.single)} at {self.single}"
        return f"{text}; {URL_VARIABLE} names a mirror, --weights-dir another folder"


def _obtain(place: CacheEntry, offline: bool, log: Callable, retry: RetryPolicy) -> Path:
    """Make the weights present, from what is here or from the network."""
    shutil.rmtree(place.work / "unpacked", ignore_errors=True)
    if place.by_hand.is_file():
        try:
            return _unpack(place, place.by_hand, str(place.by_hand), log)
        except UnusableError as error:
            raise DownloadError(f"{error}; put a whole one in its place, or delete it") from None
    if offline and not place.fetched.is_file():
        raise _offline_error(place)
    place.work.mkdir(exist_ok=True)
    try:
        return _from_archive(place, log, retry)
    except UnusableError as error:
        if offline or not place.single:
            raise UnusableError(f"{error}; {place.advice()}") from None
        first = error
    except _ChangedError:
        raise
    except DownloadError as error:
        raise DownloadError(f"{error}; {place.advice()}") from None
    log(f"{first}; trying {place.url(place.item.single)}")
    try:
        return _from_single(place, log, retry)
    except _ChangedError:
        raise
    except DownloadError as error:
        raise type(error)(f"{first}; {error}; {place.advice()}") from None


def _from_archive(place: CacheEntry, log: Callable, retry: RetryPolicy) -> Path:
    url = place.url(place.item.archive)
    if not place.fetched.is_file():  # else a process was stopped while it unpacked
        log(f"{place.item.name}: fetching {url}")
        fetch(url, place.fetched, log=log, retry=retry)
    try:
        return _unpack(place, place.fetched, url, log)
    except DownloadError:
        place.fetched.unlink()
        raise


def _unpack(place: CacheEntry, archive: Path, source: str, log: Callable) -> Path:
    """Turn an archive into the finished folder, in one step at the end."""
    _require_start(archive, b"\x1f\x8b", "a .tar.gz archive", source)
    digest = _check_sum(place, archive, place.item.archive, source)
    unpacked = place.work / "unpacked"
    log(f"{place.item.name}: unpacking {archive.name} into {place.folder}")
    try:
        place.work.mkdir(exist_ok=True)
        extract(archive, unpacked, source)
        ready = _with_files(unpacked)
        if ready is None:
            raise UnusableError(f"{source} is an archive without files")
        _keep_sum(place, place.item.archive, digest)
        os.replace(ready, place.folder)  # an empty folder of that name gives way
        sync_folder(place.cache)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return place.folder


def _from_single(place: CacheEntry, log: Callable, retry: RetryPolicy) -> Path:
    url, fetched = place.url(place.item.single), place.work / place.item.single
    if not fetched.is_file():
        fetch(url, fetched, log=log, retry=retry)
    try:
        _require_start(fetched, b"\x80", "a .pdparams file", url)
        with open(fetched, "rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() != b".":  # how every pickle ends
                raise UnusableError(f"{url} is a .pdparams file without its end")
        digest = _check_sum(place, fetched, place.item.single, url)
    except DownloadError:
        fetched.unlink()
        raise
    _keep_sum(place, place.item.single, digest)
    os.replace(fetched, place.single)
    sync_folder(place.cache)
    return place.single


def _require_start(path: Path, start: bytes, kind: str, source: str) -> None:
    """Raise UnusableError unless a file begins as its kind does."""
    with open(path, "rb") as file:
        content = file.read(512)
    if content.startswith(start):
        return
    if not content:
        raise UnusableError(f"{source} is empty, expected {kind}")
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise UnusableError(f"{source} is a web page (HTML), expected {kind}; does a proxy or a login page answer?")
    raise UnusableError(f"{source} begins with {content[:8]!r}, expected {kind}")


class _ChangedError(DownloadError):
    """A file is not the one that it was."""


def _check_sum(place: CacheEntry, path: Path, name: str, source: str) -> str:
    """The SHA-256 of a file. Raises _ChangedError unless it is the known one, and the one of the first time."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    came = digest.hexdigest()
    if KNOWN_SUMS.get(name, came) != came:
        raise _ChangedError(f"{source} is not the released file: its SHA-256 is {came}, expected {KNOWN_SUMS[name]}")
    note = _sum_file(place, name)
    if note.exists() and not (first := note.read_text(errors="replace")).startswith(came):
        raise _ChangedError(
            f"{source} is not the file it was: its SHA-256 is {came}, and {note} holds {first[:64]!r} from the first "
            f"time; delete {note} if you trust the new one"
        )
    return came


def _keep_sum(place: CacheEntry, name: str, digest: str) -> None:
    """Note a file's SHA-256 as ``sha256sum`` writes it."""
    draft = place.work / f"{name}.sha256"  # in there, what a killed process leaves is cleared away
    with atomic_write(draft) as file:
        file.write(f"{digest}  {name}\n".encode())
    os.replace(draft, _sum_file(place, name))


def _sum_file(place: CacheEntry, name: str) -> Path:
    return place.cache / f"{name}.sha256"


def _with_files(folder: Path) -> Path | None:
    """The folder, or the one inside it when it holds nothing else, as some archives are packed; None if empty."""
    while True:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        if not entries:
            return None
        if len(entries) > 1 or not entries[0].is_dir():
            return folder
        folder = entries[0]


@contextlib.contextmanager
def _alone(place: CacheEntry, log: Callable) -> Iterator[None]:
    """Hold the lock on one set of weights; the system lets go of it when a process ends, however it ends."""
    with open(_lock(place), "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"{place.item.name}: waiting for another process that is fetching it into {place.cache}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock(place: CacheEntry) -> Path:
    return place.cache / f".{place.stem}.lock"


def _remove_leftovers(place: CacheEntry) -> None:
    """Remove what a process left that was stopped after it had finished; a folder to read only may keep it."""
    if place.work.exists():
        with contextlib.suppress(OSError), open(_lock(place), "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place.work, ignore_errors=True)


def _offline_error(place: CacheEntry) -> DownloadError:
    return DownloadError(f"{place.item.name}: no released weights in {place.cache}, and --offline; {place.advice()}")
