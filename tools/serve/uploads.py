"""The file of a request, from the network to the disk: raw, or as the field ``file`` of a form."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from tools.runtime.text import format_bytes, short_repr, some_of
from tools.serve.options import Limits
from tools.serve.refusals import ClientGoneError, RefusalError, explain_write_error
from tools.serve.spool import Spool

FIELD = "file"
LEAST_RATE = 32_000  # bytes a second, of an upload on average
_ENVELOPE = 64 << 10  # bytes of a form besides its file
_MOST_PARTS, _MOST_NAME = 20, 255  # of a form; characters of a file's name
_AT_ONCE = 1 << 20  # bytes that are written together
_DRAIN_SEC, _DRAIN_BYTES = 1.0, 64 << 20


@dataclass(frozen=True)
class Upload:
    """name: of the client's file, None where it did not say."""

    path: Path
    name: str | None


class RawBody:
    """A body that is the file itself."""

    name = None
    has_file = True

    def feed(self, data: bytes) -> bytes:
        """Take some of the body; give what of it belongs to the file."""
        return data

    def end(self) -> None:
        """The body has ended. Raises RefusalError where something is missing."""


class FormBody:
    """A body of multipart/form-data (RFC 7578). Raises RefusalError for what is no such form, or lacks the file."""

    def __init__(self, boundary: bytes):
        self.name: str | None = None
        self.has_file = False
        self._fields: list[str] = []
        self._found: list[bytes] = []
        self._header, self._value, self._is_file, self._other_bytes = b"", b"", False, 0
        self._disposition = b""
        self._ended = False
        try:
            self._parser = MultipartParser(boundary, {
                "on_part_begin": self._begin, "on_part_data": self._take, "on_header_field": self._take_header,
                "on_header_value": self._take_value, "on_header_end": self._end_header,
                "on_headers_finished": self._open, "on_end": self._finish,
            })  # fmt: skip
        except FormParserError as error:
            raise RefusalError(400, f"the form's boundary cannot be used: {error}") from None

    def feed(self, data: bytes) -> bytes:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise RefusalError(400, f"the form cannot be read: {error}") from None
        found, self._found = self._found, []
        return b"".join(found)

    def end(self) -> None:
        if not self._ended:
            raise RefusalError(400, "the form is cut short")
        if not self.has_file:
            others = f"; its fields are {some_of(self._fields, 5)}" if self._fields else ""
            raise RefusalError(400, f"the form has no field {FIELD} with a video{others}")

    def _begin(self) -> None:
        self._disposition, self._is_file = b"", False
        if len(self._fields) >= _MOST_PARTS:
            raise RefusalError(400, f"the form has more than {_MOST_PARTS} fields; one, {FIELD}, is enough")

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._found.append(data[start:end])
        else:
            self._count_others(end - start)

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._count_others(end - start)
        self._header += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._count_others(end - start)
        self._value += data[start:end]

    def _count_others(self, count: int) -> None:
        self._other_bytes += count
        if self._other_bytes > _ENVELOPE:
            raise RefusalError(400, f"the form has more than {_ENVELOPE:,} bytes besides its file")

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        field = options.get(b"name", b"").decode(errors="replace")
        self._fields.append(short_repr(field))
        self._is_file = field == FIELD
        if self._is_file and self.has_file:
            raise RefusalError(400, f"the form has the field {FIELD} twice; send one video a request")
        if self._is_file:
            self.has_file = True
            name = options.get(b"filename", b"").decode(errors="replace")
            self.name = name[:_MOST_NAME] or None

    def _finish(self) -> None:
        self._ended = True


def open_body(content_type: str) -> RawBody | FormBody:
    """What reads a body of such a type. Raises RefusalError."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return RawBody()
    if not options.get(b"boundary"):
        raise RefusalError(400, "the form names no boundary in its Content-Type")
    return FormBody(options[b"boundary"])


Receive = Callable[[], Awaitable[dict]]


async def receive_upload(
    receive: Receive, content_type: str, length: str | None, spool: Spool, limits: Limits
) -> Upload:
    """Write the file of a request to the disk; whoever asks removes it. receive: of ASGI. length: as the request says.

    Raises RefusalError and ClientGoneError, and then there is no file.
    """
    body = open_body(content_type)
    if length is not None and int(length) > _most_bytes(body, limits):
        raise _too_large(limits)
    path = spool.new_path()
    try:
        await _write_body(receive, body, path, limits)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Upload(path, body.name)


def _most_bytes(body: RawBody | FormBody, limits: Limits) -> int:
    return limits.upload_bytes + (_ENVELOPE if isinstance(body, FormBody) else 0)


async def _write_body(receive: Receive, body: RawBody | FormBody, path: Path, limits: Limits) -> None:
    began, received, size, pending = time.monotonic(), 0, 0, bytearray()
    most = _most_bytes(body, limits)
    with open(path, "xb", buffering=0) as file:
        more = True
        while more:
            left = began + limits.slow_sec + received / LEAST_RATE - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(left, 0))
            except asyncio.TimeoutError:
                raise _too_slow(limits) from None
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            chunk, more = message.get("body", b""), message.get("more_body", False)
            received += len(chunk)
            found = body.feed(chunk) if chunk else b""
            size += len(found)
            if size > limits.upload_bytes or received > most:  # also behind the end of a form
                raise _too_large(limits)
            pending += found
            if len(pending) >= _AT_ONCE or not more:
                await asyncio.to_thread(_write_all, file, bytes(pending))
                pending.clear()
    body.end()
    if not size:
        raise RefusalError(400, "no file came: the body is empty; send it as curl --data-binary @clip.mp4 does")


def _write_all(file, data: bytes) -> None:
    """Raises RefusalError where the disk is full."""
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise explain_write_error(error) or error from None


def _too_large(limits: Limits) -> RefusalError:
    return RefusalError(413, f"the upload is larger than {format_bytes(limits.upload_bytes)} (--max-upload-mb)")


def _too_slow(limits: Limits) -> RefusalError:
    return RefusalError(
        408, f"the upload fell {limits.slow_sec:g} s behind {LEAST_RATE // 1000} kB a second; send it faster"
    )


async def drain(receive: Receive) -> None:
    """Let a client that is still sending come to the answer: it may not read one while it writes."""
    deadline, size = time.monotonic() + _DRAIN_SEC, 0
    with contextlib.suppress(asyncio.TimeoutError):
        while size < _DRAIN_BYTES and (left := deadline - time.monotonic()) > 0:
            message = await asyncio.wait_for(receive(), left)
            size += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return
