"""What stands before every request: whom a browser speaks for, what answers carry, and what is counted."""

import asyncio
import logging
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from tools.runtime.text import short_repr
from tools.serve.answers import encode_json
from tools.serve.refusals import ClientGoneError, RefusalError
from tools.serve.statistics import Statistics
from tools.serve.uploads import drain

log = logging.getLogger(__name__)

PATHS = ("/", "/classify", "/healthz", "/metrics")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ON_ALL = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_EMPTY_POLICY = "default-src 'none'; frame-ancestors 'none'"


class Guard:
    """An ASGI application around another. allowed_hosts: names that requests may be for, None for any."""

    def __init__(self, app: Callable, statistics: Statistics, allowed_hosts: frozenset[str] | None):
        self._app, self._statistics, self._allowed_hosts = app, statistics, allowed_hosts
        self.num_active = 0

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        began, status = time.monotonic(), 0

        async def send_more(message: dict) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _ON_ALL.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", _EMPTY_POLICY)
            await send(message)

        self.num_active += 1
        try:
            response = await self._try(scope, receive, send_more)
            if response is not None and not status:
                await response(scope, receive, send_more)
        except ClientGoneError:
            self._statistics.count_gone()
        finally:
            self.num_active -= 1
            path = scope["path"] if scope["path"] in PATHS else "other"
            if status:
                self._statistics.count_request(path, status, time.monotonic() - began)

    async def _try(self, scope: dict, receive: Callable, send: Callable) -> Response | None:
        """Answer a request; or the response that says why it is refused. Raises ClientGoneError."""
        headers, has_ended = Headers(scope=scope), False

        async def receive_more() -> dict:
            nonlocal has_ended
            message = await receive()
            has_ended |= not message.get("more_body", False)  # nor has a client more to send that has gone
            return message

        try:
            if "content-length" in headers and "transfer-encoding" in headers:
                # A proxy before this server may see another end of the request than it does (RFC 9112, section 6.1).
                raise RefusalError(400, "the request has Content-Length and Transfer-Encoding; send one of them")
            check_origin(scope["method"], headers, self._allowed_hosts)
            await self._app(scope, receive_more, send)
            return None
        except RefusalError as error:
            if not has_ended and headers.get("expect", "").lower() != "100-continue":  # which has sent nothing yet
                await drain(receive)
            return refuse(error)
        except (ClientGoneError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.info(f"{scope['method']} {short_repr(scope['path'])} failed: {type(error).__name__}: {error}")
            log.debug("", exc_info=True)
            return refuse(RefusalError(500, "the server failed to answer; its log says more"))


def refuse(error: RefusalError) -> Response:
    """The answer to a request that is refused; the connection ends with it, as more of the body may come."""
    headers = {"Connection": "close", **error.headers}
    content = encode_json({"error": error.text}) + b"\n"
    return Response(content, error.status, headers, media_type="application/json")


def check_origin(method: str, headers: Headers, allowed_hosts: frozenset[str] | None) -> None:
    """Refuse what a page of another site sends, also one whose name was made to lead here (DNS rebinding).

    Raises RefusalError.
    """
    host = headers.get("host")
    if host is not None and allowed_hosts is not None and host_name(host) not in allowed_hosts:
        raise RefusalError(403, f"the server is not called {short_repr(host)}; --allow-host NAME lets it be")
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    is_link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if site is not None:
        is_foreign = site in ("cross-site", "same-site")
    else:
        is_foreign = origin is not None and origin.partition("://")[2].lower() != (host or "").lower()
    if is_foreign and not is_link:
        raise RefusalError(403, "a page of another site may not use this server")


def host_name(host: str) -> str:
    """The name in a Host header, without its port; "" for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""
