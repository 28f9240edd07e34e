"""Who comes to the first process: those that prove themselves are kept, and strangers cannot hold them up.

All are served at once and none is waited for. One that has not proved himself is dropped at the first wrong byte or
after five seconds, and of too many the oldest go. Does not import Paddle.
"""

import logging
import secrets
import selectors
import socket
import time
from collections.abc import Iterable

from tools.distributed.handshake import HELLO_BYTES, NONCE_BYTES, PROOF_BYTES, Transcript, begins_hello, read_hello
from tools.errors import PeerError

log = logging.getLogger(__name__)

_PENDING_SEC = 5  # for one that has come to prove who it is
_MOST_PENDING = 256  # who have not done so yet: far below the open files of a process


class _Pending:
    """One that has come and has not proved himself. transcript: once he has said hello."""

    def __init__(self, handle: socket.socket, host: str):
        self.handle, self.host = handle, host
        self.deadline = time.monotonic() + _PENDING_SEC
        self.said = b""
        self.claimed = self.rank = 0  # as said, and once proved
        self.transcript: Transcript | None = None


class Reception:
    """The first process's listening socket. A context manager: whoever is left at its end is cut off."""

    def __init__(self, server: socket.socket, world: int, key: bytes):
        self._server, self._world, self._key = server, world, key
        self._pending: dict[socket.socket, _Pending] = {}  # the oldest first
        self._came: dict[int, tuple[socket.socket, Transcript]] = {}
        self._named: set[int] = set()  # ranks that somebody claimed without knowing the secret
        self._selector = selectors.DefaultSelector()
        server.setblocking(False)
        self._selector.register(server, selectors.EVENT_READ)

    def missing(self) -> list[int]:
        return [rank for rank in range(1, self._world) if rank not in self._came]

    def serve(self, seconds: float) -> None:
        """Do what can be done at once; wait up to so long for something to do."""
        now = time.monotonic()
        for one in [one for one in self._pending.values() if one.deadline <= now]:
            self._drop(one)
        nearest = next(iter(self._pending.values())).deadline - now if self._pending else seconds
        for key, _ in self._selector.select(max(0.0, min(seconds, nearest))):
            if key.fileobj is self._server:
                self._accept()
            elif one := self._pending.get(key.fileobj):  # not dropped since
                self._hear(one)

    def leave(self) -> Iterable[tuple[int, tuple[socket.socket, Transcript]]]:
        """Tell all that everybody has come; give rank, connection and what was said there, in the order of ranks.

        Raises PeerError where one of them has gone again.
        """
        came = sorted(self._came.items())
        for rank, (handle, transcript) in came:
            handle.setblocking(True)
            try:
                handle.sendall(transcript.proof("all"))
            except OSError:
                ended = f"rank {rank} of {self._world} ended before all processes had come; its log says more"
                raise PeerError(ended) from None
        self._came = {}  # are the caller's now
        return came

    def _accept(self) -> None:
        try:
            handle, (host, *_) = self._server.accept()
        except OSError:  # he has gone
            return
        handle.setblocking(False)
        if len(self._pending) >= _MOST_PENDING:
            self._drop(next(iter(self._pending.values())))
        self._pending[handle] = _Pending(handle, host)
        self._selector.register(handle, selectors.EVENT_READ)

    def _hear(self, one: _Pending) -> None:
        wanted = PROOF_BYTES if one.transcript else HELLO_BYTES
        try:
            part = one.handle.recv(wanted - len(one.said))
        except BlockingIOError:
            return
        except OSError:
            part = b""
        one.said += part
        if not part or not (one.transcript or begins_hello(one.said)):
            self._drop(one)
        elif len(one.said) == wanted:
            answer = self._check_proof(one) if one.transcript else self._greet(one)
            try:
                is_sent = answer and one.handle.send(answer) == len(answer)
            except OSError:
                is_sent = False
            if not is_sent:
                self._drop(one)
            elif one.rank:
                self._keep(one)

    def _greet(self, one: _Pending) -> bytes:
        one.claimed = read_hello(one.said, self._world)
        if not one.claimed:
            return b""
        nonce = secrets.token_bytes(NONCE_BYTES)
        one.transcript, one.said = Transcript(self._key, one.said, nonce), b""
        return nonce

    def _check_proof(self, one: _Pending) -> bytes:
        if one.transcript.is_proof("other", one.said):
            one.rank = one.claimed
            return one.transcript.proof("first")
        if one.claimed not in self._named:
            self._named.add(one.claimed)
            log.info(f"{one.host} calls itself rank {one.claimed} of {self._world}, but has another secret")
        return b""

    def _keep(self, one: _Pending) -> None:
        """One that comes again has lost its first connection."""
        self._selector.unregister(one.handle)
        del self._pending[one.handle]
        if one.rank in self._came:
            self._came[one.rank][0].close()
        self._came[one.rank] = (one.handle, one.transcript)

    def _drop(self, one: _Pending) -> None:
        self._selector.unregister(one.handle)
        del self._pending[one.handle]
        one.handle.close()

    def __enter__(self) -> "Reception":
        return self

    def __exit__(self, *error) -> None:
        self._selector.close()
        handles = [*self._pending, *(handle for handle, _ in self._came.values()), self._server]
        for handle in handles:
            handle.close()
