"""Connections to servers that may be slow, wrong or worse: where they may lead, and how long they are waited for."""

import contextlib
import http.client
import io
import time
import urllib.request
from collections.abc import Iterator
from functools import partial

from tools.errors import DownloadError, UnusableError


class Pace:
    """Ends the waiting for a server that keeps a connection open and sends next to nothing.

    It is asked before each reading from the connection, that of headers too; only bytes of the file count. Of each
    ``stretch_sec`` that are waited, so many have to come.
    """

    def __init__(self, url: str, least_bytes: int, stretch_sec: float):
        self._url, self._least_bytes, self._stretch_sec = url, least_bytes, stretch_sec
        self._waited = 0.0
        self._came = 0

    def count(self, size: int) -> None:
        self._came += size

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Raises DownloadError once too little has come for too long."""
        if self._waited >= self._stretch_sec:
            if self._came < self._least_bytes:
                raise DownloadError(
                    f"{self._url} sends too slowly: {self._came} bytes in {self._waited:.0f} s of waiting, where at "
                    f"least {self._least_bytes} should come; try again later"
                )
            self._waited, self._came = 0.0, 0
        began = time.monotonic()
        try:
            yield
        finally:
            self._waited += time.monotonic() - began


def build_opener(pace: Pace) -> urllib.request.OpenerDirector:
    """Opens http and https, directly or through the proxy of the environment, and nothing else.

    ``urlopen`` would also read local files and FTP, to which a redirect has no business to lead.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _HTTPHandler(pace),
        _HTTPSHandler(pace),
        urllib.request.HTTPDefaultErrorHandler(),
        _RedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """Never follows from https to http, where anybody on the way could answer; the other direction is fine."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise UnusableError(
                f"{req.full_url} cannot be fetched: it leads from https to {newurl[:200]}, which anybody on "
                "the way could forge"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req, fp, code, msg, headers):
        fp.close()  # or all that comes with it would be read first, however long
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _PacedAnswer(http.client.HTTPResponse):
    def __init__(self, sock, *arguments, pace: Pace, **options):
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_PacedReader(self.fp.detach(), pace))


class _PacedReader(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, pace: Pace):
        self._raw, self._pace = raw, pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int | None:
        with self._pace.waiting():
            return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Paced:
    """Mixed into a handler of urllib's: what its connections answer is read at the pace."""

    def __init__(self, pace: Pace):
        super().__init__()
        self._pace = pace

    def do_open(self, http_class, req, **http_conn_args):
        def connect(*arguments, **options):
            connection = http_class(*arguments, **options)
            connection.response_class = partial(_PacedAnswer, pace=self._pace)
            return connection

        return super().do_open(connect, req, **http_conn_args)


class _HTTPHandler(_Paced, urllib.request.HTTPHandler):
    pass


class _HTTPSHandler(_Paced, urllib.request.HTTPSHandler):
    pass
