"""The port, and how the server begins and ends."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Callable

import uvicorn

from tools.errors import ConfigError
from tools.runtime.signals import heeded_signals
from tools.serve.connections import limited_to
from tools.serve.guard import Guard

HEAD_SEC, SEND_SEC = 10, 60  # for a request's first lines, and for an answer to be taken
_MORE_CONNECTIONS = 256  # beside those of uploads
_BACKLOG = 128


class Port:
    """Context manager: a port that is taken, and not listened to before the server is ready. Raises ConfigError."""

    def __init__(self, host: str, port: int):
        self._host, self._port = host, port
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"--host {host} is no address of this machine: {error}") from None
        family, kind, protocol, _, self._address = found[0]
        self.socket = socket.socket(family, kind, protocol)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with self._explaining():
            self.socket.bind(self._address)

    def __enter__(self) -> "Port":
        return self

    def __exit__(self, *error) -> None:
        self.socket.close()

    def listen(self) -> None:
        """Raises ConfigError."""
        with self._explaining():
            self.socket.listen(_BACKLOG)

    @property
    def is_loopback(self) -> bool:
        """Whether nobody on another machine can come here."""
        host = self.socket.getsockname()[0]
        return host == "::1" or host.startswith("127.")

    @property
    def url(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @contextlib.contextmanager
    def _explaining(self):
        try:
            yield
        except OSError as error:
            self.socket.close()
            raise ConfigError(self._explain(error)) from None

    def _explain(self, error: OSError) -> str:
        place = f"port {self._port} of {self._host}"
        if error.errno == errno.EADDRINUSE:
            return f"{place} is in use; --port 0 takes one that is free"
        if error.errno == errno.EACCES:
            return f"{place} is not open to this user; a --port from 1024 on usually is"
        if error.errno == errno.EADDRNOTAVAIL:
            return f"--host {self._host} is no address of this machine; 127.0.0.1 is, and 0.0.0.0 stands for all"
        return f"{place} cannot be listened to: {error.strerror}"


class _Server(uvicorn.Server):
    """As it is, but for signals, which ``serve`` heeds."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


async def serve(
    app: Guard,
    port: Port,
    grace_sec: float,
    most_requests: int,
    on_ready: Callable[[], None],
    on_stop: Callable[[], None],
    on_end: Callable[[], None],
) -> int:
    """Answer requests until a signal comes, and then those that are under way; how many of them had to be given up.

    on_ready: called once the server listens. on_stop: called when the first signal comes. on_end: before a second one
    ends the process.
    """
    most = most_requests + _MORE_CONNECTIONS
    config = uvicorn.Config(
        app, http=limited_to(most), ws="none", loop="asyncio", lifespan="off", interface="asgi3", log_config=None,
        log_level="critical", access_log=False, proxy_headers=False, server_header=False,
        h11_max_incomplete_event_size=16 << 10, limit_concurrency=most + 2 * _BACKLOG,  # as some are still closing
        timeout_keep_alive=5, timeout_graceful_shutdown=1, backlog=_BACKLOG,
    )  # fmt: skip
    server, stopping = _Server(config), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear(number: int) -> None:
        if stopping.is_set():
            on_end()
            with contextlib.suppress(OSError):
                os.write(2, b"stopped\n")
            os._exit(128 + number)
        on_stop()
        stopping.set()

    for number in heeded_signals():
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, hear, number)
    port.listen()
    on_ready()
    serving = asyncio.ensure_future(server.serve(sockets=[port.socket]))
    watching = asyncio.ensure_future(_close_idle(server))
    await stopping.wait()
    deadline = time.monotonic() + grace_sec
    while app.num_active and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    given_up = app.num_active
    server.should_exit = True
    await serving
    watching.cancel()
    return given_up


async def _close_idle(server: uvicorn.Server) -> None:
    """Close connections that ask nothing, or do not take their answer, for long: uvicorn itself waits for ever."""
    since: dict = {}  # a request whose answer is sent -> when that was seen first
    while True:
        await asyncio.sleep(1)
        now, before, since = time.monotonic(), since, {}
        for connection in list(server.server_state.connections):
            if connection.is_idle:
                is_late = now - connection.idle_since > HEAD_SEC
            elif connection.is_sending:
                since[connection.cycle] = before.get(connection.cycle, now)
                is_late = now - since[connection.cycle] > SEND_SEC
            else:
                is_late = False
            if is_late:
                connection.transport.abort()
