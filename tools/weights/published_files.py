"""Files that others publish, in the folder of the released weights: fetched once, and used as they are found there.

For ``vocabulary.csv`` and ``yt8m_pca.tgz`` as examples:

- ``vocabulary.csv``: a file as published, complete; one that somebody put there by hand does as well;
- ``yt8m_pca/``: what was in an archive, complete; the files that are needed of it do as well, there or beside it;
- ``yt8m_pca.tgz``: an archive that somebody put there by hand; unpacked and left as it is;
- ``vocabulary.csv.sums.json``, ``yt8m_pca.sums.json``: sums of what was fetched or unpacked, held against it whenever
  it is read;
- ``.vocabulary.partial/``: a download under way, or what a stopped one left to resume;
- ``.vocabulary.lock``: held by the process that downloads.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tools.errors import DataError, DownloadError, UnusableError
from tools.files.archives import extract
from tools.files.atomic import sync_folder
from tools.files.fetch import DEFAULT_RETRY, RetryPolicy, fetch, remove_link
from tools.files.sums import SumError, accept_or_renew, check_sums, digests_of, sums_beside, write_sums
from tools.weights.released import FOLDER_VARIABLE, URL_VARIABLE, await_lock, cache_folder

Content = TypeVar("Content")
Reader = Callable[[Path, str], Content]
UNPACKED = "unpacked"  # in the folder of a download under way

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedFile:
    """A file that others publish, and what is known of it.

    called: in the log. largest: bytes that it may have, packed and unpacked. size: for people, "" where it was never
    told. members: files that are needed of an archive; none for a file that is no archive. sums: file -> algorithm of
    hashlib -> what others have told that it gives, which is held against it and decides nothing. flags: of the program
    that fetches it, for advice.
    """

    name: str
    url: str
    called: str
    largest: int
    size: str = ""
    members: tuple[str, ...] = ()
    sums: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    flags: str = "--weights-dir another folder"


@dataclass(frozen=True)
class Place:
    """Where a published file comes from and where it is kept."""

    item: PublishedFile
    cache: Path
    url: str

    @classmethod
    def of(cls, item: PublishedFile, weights_dir: str | None = None, url: str | None = None) -> "Place":
        """weights_dir: as ``find_released`` takes it. url: instead of its address, or that below a mirror."""
        mirror = os.environ.get(URL_VARIABLE)
        address = f"{mirror.rstrip('/')}/{item.name}" if mirror else item.url
        return cls(item, cache_folder(weights_dir), url or address)

    @property
    def path(self) -> Path:
        """The file, or the folder for what is in an archive, whether or not it is there."""
        return self.cache / (self._stem if self.item.members else self.item.name)

    @property
    def by_hand(self) -> Path:
        """The file as published."""
        return self.cache / self.item.name

    @property
    def work(self) -> Path:
        return self.cache / f".{self._stem}.partial"

    @property
    def fetched(self) -> Path:
        return self.work / self.item.name

    @property
    def lock(self) -> Path:
        return self.cache / f".{self._stem}.lock"

    def present(self) -> Path | None:
        """What is here, complete: the file, or the folder that holds the members. Raises OSError."""
        if not self.item.members:
            return self.path if self.path.is_file() else None
        return self.find_members(self.path) or (self.cache if self._holds_members(self.cache) else None)

    def find_members(self, folder: Path) -> Path | None:
        """The folder, or one in it, that holds all members. Raises OSError."""
        inner = sorted(folder.iterdir()) if folder.is_dir() else []
        return next((each for each in [folder, *inner] if self._holds_members(each)), None)

    def advice(self) -> str:
        """How to do by hand what this file does."""
        size = f" ({self.item.size})" if self.item.size else ""
        text = f"by hand: put {self.url}{size} at {self.by_hand}"
        if self.item.members:
            text += f", or of what it holds {', '.join(self.item.members)} into {self.path}"
        return f"{text}; {URL_VARIABLE} names a mirror, {self.item.flags}"

    @property
    def _stem(self) -> str:
        return Path(self.item.name).stem

    def _holds_members(self, folder: Path) -> bool:
        return all((folder / member).is_file() for member in self.item.members)


def find_published(
    item: PublishedFile,
    read: Reader,
    *,
    weights_dir: str | None = None,
    offline: bool = False,
    url: str | None = None,
    retry: RetryPolicy = DEFAULT_RETRY,
) -> tuple[Path, Content]:
    """A published file, or the folder with its members, and what ``read`` gives; fetched if it is not here yet.

    read: of (what lies here, what messages call it), raises DataError unless it is the right file. weights_dir,
    offline: as ``find_released`` takes them. url: instead of its address. One process fetches while others wait. Raises
    DownloadError, which says what to put where by hand, and DataError for a file here that is something else.
    """
    place = Place.of(item, weights_dir, url)
    try:
        found = place.present()
        if found is None:
            if offline and not place.by_hand.is_file():
                raise DownloadError(f"no {item.name} in {place.cache}, and --offline; {place.advice()}")
            place.cache.mkdir(parents=True, exist_ok=True)
            with await_lock(place.lock, item.called):
                found = place.present()  # perhaps another was first
                if found is None:
                    content = _obtain(place, read, retry)
                    _tell_other_sums(item, place.path)
                    return place.path, content
    except OSError as error:
        raise DownloadError(
            f"{place.cache} cannot hold {item.name}: {error}; make room there, or name another folder with "
            f"--weights-dir or {FOLDER_VARIABLE}"
        ) from None
    if found != place.path or not require_unchanged(found):
        _tell_other_sums(item, found)
    try:
        return found, read(found, str(found))
    except DataError as error:
        thing = f"the folder {found}" if item.members and found == place.path else "it"
        raise DataError(f"{error}; delete {thing}, and the next call fetches it") from None


def require_unchanged(path: Path) -> bool:
    """Whether there are sums of a file or folder, and it is as they say; one put there by hand is taken as it is.

    Raises DataError for one that is not what was fetched.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            check_sums(sums_beside(path), path if path.is_dir() else path.parent)
            return True
    except SumError as error:
        raise DataError(f"{error}; {accept_or_renew(path)}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return False


def _tell_other_sums(item: PublishedFile, found: Path) -> None:
    """A line in the log for each file that has not the checksum that others have told. It is used all the same."""
    for name, told in item.sums.items():
        path = found / name if found.is_dir() else found
        try:
            came = digests_of(path, told)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error}") from None
        for algorithm, digest in told.items():
            if came[algorithm] != digest:
                log.info(
                    f"{path} may not be the file that was published: its {algorithm.upper()} is {came[algorithm]}, and "
                    f"others have told {digest}; it is used all the same"
                )


def _obtain(place: Place, read: Reader, retry: RetryPolicy) -> Content:
    """Make a file present, from an archive that is here or from the network, and give what ``read`` does."""
    item = place.item
    if place.path.is_dir() and any(place.path.iterdir()):
        members = " and ".join(item.members)
        raise DownloadError(f"the folder {place.path} does not hold {members}; delete it, or {place.advice()}")
    remove_link(place.work)
    place.work.mkdir(exist_ok=True)
    try:
        content = _unpack_by_hand(place, read) if place.by_hand.is_file() else _fetch(place, read, retry)
        shutil.rmtree(place.work, ignore_errors=True)
        return content
    finally:
        shutil.rmtree(place.work / UNPACKED, ignore_errors=True)
        with contextlib.suppress(OSError):
            place.work.rmdir()  # unless there is something to resume


def _unpack_by_hand(place: Place, read: Reader) -> Content:
    try:
        return _unpack(place, place.by_hand, read, str(place.by_hand))
    except (DataError, UnusableError) as error:
        raise DownloadError(f"{error}; put a whole one in its place, or delete it") from None


def _fetch(place: Place, read: Reader, retry: RetryPolicy) -> Content:
    try:
        if not place.fetched.is_file():  # else a process was stopped while it looked at what had come
            log.info(f"{place.item.called}: fetching {place.url}")
            fetch(place.url, place.fetched, retry=retry, largest=place.item.largest)
        if place.item.members:
            return _unpack(place, place.fetched, read, place.url)
        content = read(place.fetched, place.url)
        _keep(place, place.fetched, [place.item.name])
        return content
    except DataError as error:
        place.fetched.unlink(missing_ok=True)
        raise UnusableError(f"{error}; {place.advice()}") from None
    except DownloadError as error:
        place.fetched.unlink(missing_ok=True)  # what can be resumed has another name
        raise type(error)(f"{error}; {place.advice()}") from None


def _unpack(place: Place, archive: Path, read: Reader, called: str) -> Content:
    """Turn an archive into the finished folder, in one step at the end."""
    unpacked = place.work / UNPACKED
    shutil.rmtree(unpacked, ignore_errors=True)
    log.info(f"{place.item.called}: unpacking {archive.name} into {place.path}")
    extract(archive, unpacked, called, largest=place.item.largest)
    ready = place.find_members(unpacked)
    if ready is None:
        raise UnusableError(f"{called} does not hold {' and '.join(place.item.members)}")
    content = read(ready, called)
    _keep(place, ready, [each.relative_to(ready).as_posix() for each in sorted(ready.rglob("*")) if each.is_file()])
    return content


def _keep(place: Place, ready: Path, names: list[str]) -> None:
    """Give a file or folder its name, and before that its sums. names: of the files in it."""
    note = sums_beside(place.path)
    draft = place.work / note.name
    write_sums(draft, ready if ready.is_dir() else ready.parent, names)
    os.replace(draft, note)
    os.replace(ready, place.path)  # an empty folder of that name gives way
    sync_folder(place.cache)
