"""Bring a file from an address to the disk, through what networks do: cuts, stalls, errors, redirects.

A download under way is two files, ``NAME.part`` and ``NAME.part.json``; ``NAME`` appears when it is
complete and on the disk. The next call resumes what a stopped one left, where the server says which version of the
file it sends: halves of two versions would be no file at all.
"""

import http.client
import json
import logging
import os
import re
import stat
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from tools.errors import DownloadError, UnusableError
from tools.files.atomic import O_NOFOLLOW, atomic_write, open_new, sync_folder
from tools.files.connections import Pace, build_opener
from tools.files.texts import NO_JSON

log = logging.getLogger(__name__)

CHUNK = 1 << 16
LARGEST = 2_000_000_000  # bytes; the largest released file has a few hundred million


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server, and how often to retry.

    timeout_sec: for a connection, and for each next piece of a file, however small. delays_sec: before each
    retry; the count starts again after a try that got further. reach_sec: a connection that fails after
    longer than this means that there is no network, and is not retried. least_bytes, stretch_sec: so much of a file
    has to come in each stretch of waiting for it; a server that sends less is not retried, but what came is kept.
    """

    timeout_sec: float = 30.0
    delays_sec: tuple[float, ...] = (0.5, 2.0)
    reach_sec: float = 3.0
    least_bytes: int = 60_000
    stretch_sec: float = 60.0


DEFAULT_RETRY = RetryPolicy()


class _TransientError(Exception):
    """A failure that a retry may get over; does not leave this file."""


def fetch(url: str, path: Path, *, retry: RetryPolicy = DEFAULT_RETRY, largest: int = LARGEST) -> None:
    """Bring an address to ``path``, whose folder is there and in nobody else's hands.

    Raises UnusableError where the server answers but not with the file, DownloadError where it cannot be
    had now, and OSError where it cannot be written.
    """
    if not re.match("https?://", url, re.IGNORECASE):
        raise DownloadError(f"{url} is no address to fetch from; it has to begin with http:// or https://")
    part = _Part(path)
    furthest, failures = part.size, 0
    while True:
        try:
            _receive(url, part, retry, largest)
            break
        except _TransientError as error:
            if part.size > furthest + CHUNK:
                furthest, failures = part.size, 0
            if failures == len(retry.delays_sec):
                raise DownloadError(f"{url} {error}") from None
            delay = retry.delays_sec[failures]
            log.info(f"{url} {error}; trying again in {delay:g} s")
            time.sleep(delay)
            failures += 1
    part.finish()


def remove_link(folder: Path) -> None:
    """Remove a link of others in the place of a folder to fetch into. What it leads to stays as it is."""
    if folder.is_symlink():
        folder.unlink()


@dataclass(frozen=True)
class _Version:
    """What tells one version of a file at an address from another."""

    url: str
    total: int | None  # bytes, where the server says so
    etag: str | None
    modified: str | None

    @property
    def condition(self) -> str | None:
        """For ``If-Range``, which takes no weak ETag; None where nothing tells this version from another."""
        return self.modified if not self.etag or self.etag.startswith("W/") else self.etag


class _Part:
    """A file under way, and beside it which version of it that is."""

    def __init__(self, path: Path):
        self.done = path
        self.path = path.with_name(f"{path.name}.part")
        self.note = path.with_name(f"{path.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that are here. What is no plain file with this one name, such as a link, is not ours to go on with."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0

    def version(self, url: str) -> _Version | None:
        """The version that the part belongs to, if it can be resumed from this address."""
        try:
            version = _Version(**json.loads(self.note.read_bytes()))
            fits = version.url == url and version.condition and 0 < self.size <= (version.total or self.size)
        except (FileNotFoundError, *NO_JSON, TypeError, AttributeError):
            return None
        return version if fits and isinstance(version.condition, str) else None

    def begin(self, version: _Version) -> None:
        self.path.unlink(missing_ok=True)  # first: a part never lies beside another version's note
        with atomic_write(self.note) as file:
            file.write(json.dumps(asdict(version)).encode())
        open(self.path, "xb", opener=open_new).close()

    def open(self) -> BinaryIO:
        """For appending, once it was begun."""
        return open(self.path, "ab", opener=lambda path, flags: os.open(path, flags & ~os.O_CREAT | O_NOFOLLOW))

    def finish(self) -> None:
        with self.open() as file:
            os.fsync(file.fileno())
        os.replace(self.path, self.done)
        self.note.unlink(missing_ok=True)
        sync_folder(self.done.parent)


def _receive(url: str, part: _Part, retry: RetryPolicy, largest: int) -> None:
    """One try. Raises _TransientError when a retry is worth it; what came until then stays."""
    version = part.version(url)
    if version and version.total == part.size:
        return  # stopped between the last byte and the new name
    pace = Pace(url, retry.least_bytes, retry.stretch_sec)
    with _open(url, version, part, retry, pace) as answer:
        length = _length(answer)
        if answer.status == 206 and version:
            if not _goes_on(answer, length, version, part.size):
                part.path.unlink()
                raise _TransientError("has another version now than the part that is here")
        else:
            version = _Version(url, length, answer.headers["ETag"], _modified(answer))
            part.begin(version)
        if (version.total or 0) > largest:
            raise UnusableError(f"{url} is {version.total} bytes long, which it should not be; the limit is {largest}")
        _write(url, answer, part, version.total, largest, pace)


def _write(
    url: str, answer: http.client.HTTPResponse, part: _Part, total: int | None, largest: int, pace: Pace
) -> None:
    """Append the body of an answer to a part."""
    have = part.size
    name = part.done.name
    end = largest if total is None else total
    with (
        part.open() as file,
        tqdm(total=total, initial=have, desc=name, unit="B", unit_scale=True, disable=None) as bar,
    ):
        while have <= end and (piece := _receive_piece(answer, min(CHUNK, end + 1 - have))):
            pace.count(len(piece))
            file.write(piece)
            file.flush()
            bar.update(len(piece))
            have += len(piece)
    if have > end:
        part.path.unlink()
        raise UnusableError(f"{url} does not end after {end} bytes, which it should")
    if total is not None and have != total:
        raise _TransientError(f"ended after {have} of {total} bytes")


def _receive_piece(answer: http.client.HTTPResponse, most: int) -> bytes:
    """What arrives, as it arrives: a slow connection is waited for piece by piece, not chunk by chunk."""
    try:
        return answer.read1(most)
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"stopped sending: {_describe(error)}") from None


def _open(url: str, version: _Version | None, part: _Part, retry: RetryPolicy, pace: Pace) -> http.client.HTTPResponse:
    """Ask for a file, or for the rest of it."""
    headers = {"User-Agent": "paddle-video-zoo", "Accept-Encoding": "identity"}
    if version:
        headers["Range"] = f"bytes={part.size}-"
        if version.condition:
            headers["If-Range"] = version.condition
    started = time.monotonic()
    try:
        request = urllib.request.Request(url, headers=headers)
        return build_opener(pace).open(request, timeout=retry.timeout_sec)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            part.path.unlink(missing_ok=True)
        if error.code >= 500 or error.code in (408, 416, 429):
            raise _TransientError(f"cannot be fetched: {_describe(error)}") from None
        raise UnusableError(f"{url} cannot be fetched: {_describe(error)}") from None
    except urllib.error.URLError as error:  # nothing was asked yet
        if time.monotonic() - started > retry.reach_sec:
            raise DownloadError(f"{url} cannot be fetched: {_describe(error.reason)}") from None
        raise _TransientError(f"cannot be fetched: {_describe(error.reason)}") from None
    except (ValueError, http.client.InvalidURL) as error:
        raise DownloadError(f"{url} is no address to fetch from: {_describe(error)}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"does not answer: {_describe(error)}") from None


def _describe(error: Exception | str) -> str:
    """One line of it, in which a server may have put as much as it likes; what goes in circles is told in three."""
    return str(error).split("\n")[0][:200] or type(error).__name__


def _length(answer: http.client.HTTPResponse) -> int | None:
    """The length that an answer announces for its body."""
    text = answer.headers["Content-Length"] or ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) and not answer.chunked else None


def _modified(answer: http.client.HTTPResponse) -> str | None:
    """When the file was last changed, unless that is so recent that it may change again within that second.

    RFC 9110, section 8.8.2.2: a time is no strong validator before it is a minute old, by the server's own clock.
    """
    text = answer.headers["Last-Modified"]
    try:
        age = parsedate_to_datetime(answer.headers["Date"]) - parsedate_to_datetime(text)
        return text if age >= timedelta(minutes=1) else None
    except (TypeError, ValueError, OverflowError):  # one of them is not there, or no time
        return None


def _goes_on(answer: http.client.HTTPResponse, length: int | None, version: _Version, have: int) -> bool:
    """Whether an answer of 206 is the rest of the version that we have the beginning of, and says so.

    length: of its body. What it has to repeat is what was asked for: a server that ignores the question answers the
    same way, with the rest of another version.
    """
    number = "([0-9]{1,18})"
    match = re.fullmatch(rf"bytes {number}-{number}/(?:{number}|\*)", answer.headers["Content-Range"] or "")
    if not match or int(match[1]) != have:
        return False
    end, total = int(match[2]) + 1, int(match[3]) if match[3] else None
    then_and_now = [(version.total, total), (version.etag, answer.headers["ETag"])]
    then_and_now += [(version.modified, answer.headers["Last-Modified"]), (end - have, length)]
    repeated = answer.headers["ETag" if version.condition == version.etag else "Last-Modified"] == version.condition
    return repeated and all(then == now for then, now in then_and_now if then and now)
