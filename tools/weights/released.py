"""The released weights of 2019 and 2020: where they are published, and a copy of them in a local folder.

In the folder, for ``tsn_kinetics`` as an example:

- ``tsn_kinetics/``: the variable files of 2019, complete;
- ``TSN.pdparams``: the single file of 2020, complete; serves where the folder is not there;
- ``tsn_kinetics.tar.gz``: an archive that somebody put there by hand; unpacked and left as it is;
- ``tsn_kinetics.tar.gz.sha256``: the checksum of what was taken first;
- ``tsn_kinetics.sums.json``, ``TSN.pdparams.sums.json``: sums of what was unpacked or fetched, held against it whenever
  it is loaded (``files.py``); earlier versions left them out;
- ``.tsn_kinetics.partial/``: a download under way, or what a stopped one left to resume;
- ``.tsn_kinetics.lock``: held by the process that downloads.
"""

import contextlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tools.errors import ConfigError, DownloadError, UnusableError
from tools.files.archives import extract
from tools.files.atomic import atomic_write, sync_folder
from tools.files.fetch import DEFAULT_RETRY, RetryPolicy, fetch, remove_link
from tools.files.locks import HeldLock
from tools.files.recognise import HEAD_SIZE, FileKind, describe_content
from tools.files.sums import sha256_of, sums_beside, write_sums

BASE_URL = "https://paddlemodels.bj.bcebos.com/video_classification/"
URL_VARIABLE, FOLDER_VARIABLE = "PADDLE_WEIGHTS_URL", "PADDLE_WEIGHTS_DIR"
RESNET50 = "ResNet50_pretrained"  # what TSN and STNET begin their training with
DEFAULT_FOLDER = "~/.paddle/weights"
KINETICS, YOUTUBE_8M = "Kinetics-400", "YouTube-8M"  # what they were trained on

log = logging.getLogger(__name__)

# File -> SHA-256, compared before anything else. Empty: no checksums were published with these files.
KNOWN_SUMS: dict[str, str] = {}


@dataclass(frozen=True)
class Released:
    """One set of weights: an archive of 2019, and from 2020 a single file with the same variables.

    data: whose classes they tell, one of the constants of this module; None for those of a backbone. licence: as it was
    published with the files; None where none was.
    """

    name: str
    archive: str
    single: str | None = None
    data: str | None = None
    licence: str | None = None

    @property
    def files(self) -> list[str]:
        """The names of the files that hold them, that of 2019 first."""
        return [self.archive, *[self.single] * bool(self.single)]


RELEASED = (
    Released("AttentionCluster", "attention_cluster_youtube8m.tar.gz", "AttentionCluster.pdparams", YOUTUBE_8M),
    Released("AttentionLSTM", "attention_lstm_youtube8m.tar.gz", "AttentionLSTM.pdparams", YOUTUBE_8M),
    Released("NEXTVLAD", "nextvlad_youtube8m.tar.gz", "NEXTVLAD.pdparams", YOUTUBE_8M),
    Released("STNET", "stnet_kinetics.tar.gz", "STNET.pdparams", KINETICS),
    Released("TSN", "tsn_kinetics.tar.gz", "TSN.pdparams", KINETICS),
    Released(RESNET50, "ResNet50_pretrained.tar.gz"),
)


def find_released(
    name: str,
    *,
    weights_dir: str | None = None,
    offline: bool = False,
    retry: RetryPolicy = DEFAULT_RETRY,
) -> Path:
    """The released weights of a model, or of ``ResNet50_pretrained``; fetched if they are not here yet.

    weights_dir: where they are kept; by default ``PADDLE_WEIGHTS_DIR``, or ``~/.paddle/weights``.
    Returns a folder with one file per variable (2019) or a ``.pdparams`` file (2020). One process
    fetches while others wait. Raises DownloadError, which says what to put where by hand.
    """
    entry = CacheEntry.of(name, weights_dir)
    try:
        if found := entry.present():
            _remove_leftovers(entry)
            return found
        if offline and not (entry.by_hand.is_file() or entry.fetched.is_file()):
            raise _offline_error(entry)
        entry.cache.mkdir(parents=True, exist_ok=True)
        with await_lock(entry.lock, entry.item.name):
            try:
                found = entry.present() or _obtain(entry, offline, retry)  # perhaps another was first
                shutil.rmtree(entry.work, ignore_errors=True)
                return found
            finally:
                with contextlib.suppress(OSError):
                    entry.work.rmdir()  # unless there is something to resume
    except OSError as error:
        raise DownloadError(
            f"{entry.cache} cannot hold the released weights of {entry.item.name}: {error}; make room there, or name "
            f"another folder with --weights-dir or {FOLDER_VARIABLE}"
        ) from None


def cache_folder(weights_dir: str | None) -> Path:
    """Where all of them are kept. weights_dir: as ``find_released`` takes it."""
    return Path(weights_dir or os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER).expanduser().absolute()


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
        return cls(item, cache_folder(weights_dir), os.environ.get(URL_VARIABLE) or BASE_URL)

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

    @property
    def lock(self) -> Path:
        return self.cache / f".{self.stem}.lock"

    def url(self, file: str) -> str:
        return f"{self.base_url.rstrip('/')}/{file}"

    def noted_sum(self, file: str) -> str | None:
        """The SHA-256 that was kept of a file when it came; None where none was."""
        note = _sum_file(self, file)
        return note.read_text(errors="replace")[:64] if note.is_file() else None

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


def _obtain(entry: CacheEntry, offline: bool, retry: RetryPolicy) -> Path:
    """Make the weights present, from what is here or from the network."""
    remove_link(entry.work)
    shutil.rmtree(entry.work / "unpacked", ignore_errors=True)
    if entry.by_hand.is_file():
        try:
            return _unpack(entry, entry.by_hand, str(entry.by_hand))
        except UnusableError as error:
            raise DownloadError(f"{error}; put a whole one in its place, or delete it") from None
    if offline and not entry.fetched.is_file():
        raise _offline_error(entry)
    entry.work.mkdir(exist_ok=True)
    try:
        return _from_archive(entry, retry)
    except UnusableError as error:
        if offline or not entry.single:
            raise UnusableError(f"{error}; {entry.advice()}") from None
        first = str(error)
    except _ChangedError:
        raise
    except DownloadError as error:
        raise DownloadError(f"{error}; {entry.advice()}") from None
    log.info(f"{first}; trying {entry.url(entry.item.single)}")
    try:
        return _from_single(entry, retry)
    except _ChangedError:
        raise
    except DownloadError as error:
        raise type(error)(f"{first}; {error}; {entry.advice()}") from None


def _from_archive(entry: CacheEntry, retry: RetryPolicy) -> Path:
    url = entry.url(entry.item.archive)
    if not entry.fetched.is_file():  # else a process was stopped while it unpacked
        log.info(f"{entry.item.name}: fetching {url}")
        fetch(url, entry.fetched, retry=retry)
    try:
        return _unpack(entry, entry.fetched, url)
    except DownloadError:
        entry.fetched.unlink()
        raise


def _unpack(entry: CacheEntry, archive: Path, source: str) -> Path:
    """Turn an archive into the finished folder, in one step at the end."""
    _require_start(archive, b"\x1f\x8b", "a .tar.gz archive", source)
    digest = _check_sum(entry, archive, entry.item.archive, source)
    unpacked = entry.work / "unpacked"
    log.info(f"{entry.item.name}: unpacking {archive.name} into {entry.folder}")
    try:
        entry.work.mkdir(exist_ok=True)
        extract(archive, unpacked, source)
        ready = _with_files(unpacked)
        if ready is None:
            raise UnusableError(f"{source} is an archive without files")
        _keep_sum(entry, entry.item.archive, digest)
        _keep_sums(entry, ready, sums_beside(entry.folder))
        os.replace(ready, entry.folder)  # an empty folder of that name gives way
        sync_folder(entry.cache)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return entry.folder


def _from_single(entry: CacheEntry, retry: RetryPolicy) -> Path:
    url, fetched = entry.url(entry.item.single), entry.work / entry.item.single
    if not fetched.is_file():
        fetch(url, fetched, retry=retry)
    try:
        _require_start(fetched, b"\x80", "a .pdparams file", url)
        with open(fetched, "rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() != b".":  # how every pickle ends
                raise UnusableError(f"{url} is a .pdparams file without its end")
        digest = _check_sum(entry, fetched, entry.item.single, url)
    except DownloadError:
        fetched.unlink()
        raise
    _keep_sum(entry, entry.item.single, digest)
    _keep_sums(entry, fetched, sums_beside(entry.single))
    os.replace(fetched, entry.single)
    sync_folder(entry.cache)
    return entry.single


def _require_start(path: Path, start: bytes, kind: str, source: str) -> None:
    """Raise UnusableError unless a file begins as its kind does."""
    with open(path, "rb") as file:
        content = file.read(HEAD_SIZE)
    if content.startswith(start):
        return
    came = describe_content(content)
    what = f"is {came}" if came else f"begins with {content[:8]!r}"
    hint = "; does a proxy or a login page answer?" if came in (FileKind.HTML, FileKind.XML) else ""
    raise UnusableError(f"{source} {what}, expected {kind}{hint}")


class _ChangedError(DownloadError):
    """A file is not the one that it was."""


def _check_sum(entry: CacheEntry, path: Path, name: str, source: str) -> str:
    """The SHA-256 of a file. Raises _ChangedError unless it is the known one, and the one of the first time."""
    came = sha256_of(path)
    if KNOWN_SUMS.get(name, came) != came:
        raise _ChangedError(f"{source} is not the released file: its SHA-256 is {came}, expected {KNOWN_SUMS[name]}")
    note = _sum_file(entry, name)
    if note.exists() and not (first := note.read_text(errors="replace")).startswith(came):
        raise _ChangedError(
            f"{source} is not the file it was: its SHA-256 is {came}, and {note} holds {first[:64]!r} from the first "
            f"time; delete {note} if you trust the new one"
        )
    return came


def _keep_sum(entry: CacheEntry, name: str, digest: str) -> None:
    """Note a file's SHA-256 as ``sha256sum`` writes it."""
    draft = entry.work / f"{name}.sha256"  # in there, what a killed process leaves is cleared away
    with atomic_write(draft) as file:
        file.write(f"{digest}  {name}\n".encode())
    os.replace(draft, _sum_file(entry, name))


def _keep_sums(entry: CacheEntry, ready: Path, note: Path) -> None:
    """Note the sums of a file, or of all files in a folder, that is ready to be given its name."""
    folder = ready if ready.is_dir() else ready.parent
    files = [path for path in sorted(ready.rglob("*")) if path.is_file()] if ready.is_dir() else [ready]
    draft = entry.work / note.name
    write_sums(draft, folder, [path.relative_to(folder).as_posix() for path in files])
    os.replace(draft, note)


def _sum_file(entry: CacheEntry, name: str) -> Path:
    return entry.cache / f"{name}.sha256"


def _with_files(folder: Path) -> Path | None:
    """The folder, or the one inside it when it holds nothing else, as some archives are packed; None if empty."""
    while True:
        shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
        if not shown:
            return None
        if len(shown) > 1 or not shown[0].is_dir():
            return folder
        folder = shown[0]


def await_lock(path: Path, name: str) -> HeldLock:
    """The lock on a download; who has to wait for it hears of that first. name: of what is fetched."""
    try:
        return HeldLock(path)
    except BlockingIOError:
        log.info(f"{name}: waiting for another process that is fetching it into {path.parent}")
        return HeldLock(path, wait=True)


def _remove_leftovers(entry: CacheEntry) -> None:
    """Remove what a process left that was stopped after it had finished; a folder to read only may keep it."""
    if entry.work.exists():
        with contextlib.suppress(OSError), HeldLock(entry.lock):
            shutil.rmtree(entry.work, ignore_errors=True)


def _offline_error(entry: CacheEntry) -> DownloadError:
    return DownloadError(f"{entry.item.name}: no released weights in {entry.cache}, and --offline; {entry.advice()}")
