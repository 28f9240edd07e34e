"""Bring a file from an address to the disk, through what networks do: cuts, stalls, errors, redirects.

A download under way is two files, ``NAME.part`` and ``NAME.part.json``; ``NAME`` appears when it is
complete and on the disk. The next call resumes what a stopped one left.
"""

import http.client
import json
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from tools.errors import DownloadError, UnusableError
from tools.files.atomic import atomic_write, sync_folder

log = logging.getLogger(__name__)

CHUNK = 1 << 16
LARGEST = 2_000_000_000  # bytes; the largest released file has a few hundred million


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server, and how often to retry.

    timeout_sec: for a connection, and for each next piece of a file, however small. delays_sec: before each
    retry; the count starts again after a try that got further. reach_sec: a connection that fails after
    longer than this means that there is no network, and is not retried.
    """

    timeout_sec: float = 30.0
    delays_sec: tuple[float, ...] = (0.5, 2.0)
    reach_sec: float = 3.0


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


@dataclass(frozen=True)
class _Version:
    """What tells one version of a file at an address from another."""

    url: str
    total: int | None  # bytes, where the server says so
    etag: str | None
    modified: str | None

    @property
    def condition(self) -> str | None:
        """For ``If-Range``, which takes no weak ETag."""
        return self.modified if not self.etag or self.etag.startswith("W/") else self.etag

    @property
    def recognisable(self) -> bool:
        return bool(self.condition or self.total)


class _Part:
    """A file under way, and beside it which version of it that is."""

    def __init__(self, path: Path):
        self.done = path
        self.path = path.with_name(f"{path.name}.part")
        self.note = path.with_name(f"{path.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> _Version | None:
        """The version that the part belongs to, if it can be resumed from this address."""
        try:
            version = _Version(**json.loads(self.note.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        fits = version.url == url and version.recognisable and 0 < self.size <= (version.total or self.size)
        return version if fits else None

    def begin(self, version: _Version) -> None:
        self.path.unlink(missing_ok=True)  # first: a part never lies beside another version's note
        with atomic_write(self.note) as file:
            file.write(json.dumps(asdict(version)).encode())

    def finish(self) -> None:
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self.path, self.done)
        self.note.unlink(missing_ok=True)
        sync_folder(self.done.parent)


def _receive(url: str, part: _Part, retry: RetryPolicy, largest: int) -> None:
    """One try. Raises _TransientError when a retry is worth it; what came until then stays."""
    version = part.version(url)
    if version and version.total == part.size:
        return  # stopped between the last byte and the new name
    with _open(url, version, part, retry) as answer:
        if answer.status == 206 and version:
            if not _goes_on(answer, version, part.size):
                part.path.unlink()
                raise _TransientError("has another version now than the part that is here")
        else:
            version = _Version(url, _length(answer), answer.headers["ETag"], answer.headers["Last-Modified"])
            part.begin(version)
        if (version.total or 0) > largest:
            raise UnusableError(f"{url} is {version.total} bytes long, which it should not be; the limit is {largest}")
        _write(url, answer, part, version.total, largest)


def _write(url: str, answer: http.client.HTTPResponse, part: _Part, total: int | None, largest: int) -> None:
    """Append the body of an answer to a part."""
    have = part.size
    name = part.done.name
    with (
        open(part.path, "ab") as file,
        tqdm(total=total, initial=have, desc=name, unit="B", unit_scale=True, disable=None) as bar,
    ):
        for piece in _pieces(answer, None if total is None else total - have):
            file.write(piece)
            file.flush()
            bar.update(len(piece))
            have += len(piece)
            if have > largest:
                break
    if have > largest:
        part.path.unlink()
        raise UnusableError(f"{url} does not end after {largest} bytes, which it should")
    if total is not None and have != total:
        raise _TransientError(f"ended after {have} of {total} bytes")


def _pieces(answer: http.client.HTTPResponse, left: int | None) -> Iterator[bytes]:
    """What arrives, as it arrives: a slow connection is waited for piece by piece, not chunk by chunk."""
    while left is None or left > 0:
        try:
            piece = answer.read1(CHUNK if left is None else min(CHUNK, left))
        except (OSError, http.client.HTTPException) as error:
            raise _TransientError(f"stopped sending: {error or type(error).__name__}") from None
        if not piece:
            return
        if left is not None:
            left -= len(piece)
        yield piece


def _open(url: str, version: _Version | None, part: _Part, retry: RetryPolicy) -> http.client.HTTPResponse:
    """Ask for a file, or for the rest of it."""
    headers = {"User-Agent": "paddle-video-zoo", "Accept-Encoding": "identity"}
    if version:
        headers["Range"] = f"bytes={part.size}-"
        if version.condition:
            headers["If-Range"] = version.condition
    started = time.monotonic()
    try:
        request = urllib.request.Request(url, headers=headers)
        return _opener().open(request, timeout=retry.timeout_sec)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            part.path.unlink(missing_ok=True)
        if error.code >= 500 or error.code in (408, 416, 429):
            raise _TransientError(f"cannot be fetched: {error}") from None
        reason = str(error).splitlines()[0]  # what goes round in circles is told in three
        raise UnusableError(f"{url} cannot be fetched: {reason}") from None
    except urllib.error.URLError as error:  # nothing was asked yet
        if time.monotonic() - started > retry.reach_sec:
            raise DownloadError(f"{url} cannot be fetched: {error.reason}") from None
        raise _TransientError(f"cannot be fetched: {error.reason}") from None
    except (ValueError, http.client.InvalidURL) as error:
        raise DownloadError(f"{url} is no address to fetch from: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"does not answer: {error or type(error).__name__}") from None


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https, directly or through the proxy of the environment, and nothing else.

    ``urlopen`` would also read local files and FTP, to which a redirect has no business to lead.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _length(answer: http.client.HTTPResponse) -> int | None:
    """The length that an answer announces for its body."""
    text = answer.headers["Content-Length"] or ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) and not answer.chunked else None


def _goes_on(answer: http.client.HTTPResponse, version: _Version, have: int) -> bool:
    """Whether an answer of 206 is the rest of the version that we have the beginning of."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers["Content-Range"] or "")
    if not match or int(match[1]) != have:
        return False
    then_and_now = [
        (version.total, int(match[2]) if match[2] != "*" else None),
        (version.etag, answer.headers["ETag"]),
        (version.modified, answer.headers["Last-Modified"]),
    ]
    return all(then == now for then, now in then_and_now if then and now)
