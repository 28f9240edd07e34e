"""How the processes of a run find one another, before Paddle connects them. Does not import Paddle.

Paddle's own waiting (3.3.1) takes 15 minutes and hears no signal meanwhile, so all are there before it begins.
"""

import contextlib
import logging
import os
import socket
import struct
import sys
import time
from multiprocessing.connection import Connection

from tools.distributed.handshake import NONCE_BYTES, PROOF_BYTES, Link, Transcript, make_hello
from tools.distributed.reception import Reception
from tools.errors import ConfigError, PeerError

log = logging.getLogger(__name__)

_RENDEZVOUS_SEC = 300  # for all processes to come: one may load Paddle from a slow disk
_WORD_SEC = 15  # until it is said who is waited for, again and again
_HELLO_SEC = 5  # for both ends of a connection to prove who they are
_STRANGE_SEC = 20  # until one that answers, but not as the first process, is not asked again
_MOST_PENDING = 256  # that the system keeps until they are served
_SIOCGIFADDR = 0x8915  # of Linux: the address of an interface
# Until a machine that went away without closing its connections counts as gone, whether or not something was on its
# way there: 20 seconds. Without the last, Linux goes on sending what is not confirmed for a quarter of an hour.
_SILENCE = (("TCP_KEEPIDLE", 8), ("TCP_KEEPINTVL", 4), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 20_000))


def address_of_first() -> tuple[str, int]:
    """Host and port that the launcher keeps for the first process; Paddle itself does not listen there."""
    first = os.environ.get("PADDLE_TRAINER_ENDPOINTS", "").split(",")[0]
    host, _, port = first.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(
            f"the environment has PADDLE_TRAINERS_NUM, but PADDLE_TRAINER_ENDPOINTS is {first!r}, no HOST:PORT; "
            "--nproc and python -m paddle.distributed.launch set both"
        )
    return host, int(port)


def await_others(address: tuple[str, int], world: int, key: bytes) -> dict[int, Link]:
    """The first process's connections, once all others have come and have proved that they know the key."""
    deadline = time.monotonic() + _RENDEZVOUS_SEC
    word = time.monotonic() + _WORD_SEC
    try:
        server = socket.create_server(address, backlog=_MOST_PENDING)
    except OSError as error:
        where = "{}:{}".format(*address)
        raise PeerError(f"rank 0 of {world} cannot wait for the others at {where} ({error.strerror})") from None
    with Reception(server, world, key) as reception:
        while missing := reception.missing():
            reception.serve(max(0.01, min(deadline, word) - time.monotonic()))
            names = ", ".join(map(str, missing))
            if time.monotonic() > deadline:
                raise PeerError(
                    f"of {world} processes, rank {names} did not come within {_RENDEZVOUS_SEC} s; what they or their "
                    "launchers print says why"
                )
            if time.monotonic() > word:
                word += _WORD_SEC
                log.info(f"waiting for rank {names} of {world} processes; what their launchers print may say why")
        came = reception.leave()
    return {rank: said.link(_as_connection(handle), is_first=True) for rank, (handle, said) in came}


def find_first(address: tuple[str, int], rank: int, world: int, key: bytes) -> Link:
    """This process's connection to the first, once all have come; both have proved that they know the key."""
    deadline = time.monotonic() + _RENDEZVOUS_SEC
    host, port = address
    strange_since = None  # another program, one in its place, or the first process while strangers keep it busy
    while True:
        try:
            handle = socket.create_connection(address, timeout=_HELLO_SEC)
        except OSError as error:
            strange_since = None
            if time.monotonic() > deadline:
                hint = ", which is this machine: where rank 0 is on another, its launcher needs --host"
                raise PeerError(
                    f"rank {rank} of {world} found no rank 0 at {host}:{port} within {_RENDEZVOUS_SEC} s ({error})"
                    f"{hint * host.startswith('127.')}"
                ) from None
        else:
            strange_since = strange_since or time.monotonic()
            if transcript := _prove(handle, make_hello(rank, world), key):
                return _await_all(handle, transcript, world)
            if time.monotonic() > strange_since + _STRANGE_SEC:
                raise PeerError(
                    f"rank {rank} of {world} found somebody at {host}:{port} who does not answer as rank 0 of this "
                    "run: another program, or a process with another secret"
                )
        time.sleep(0.2)


def _prove(handle: socket.socket, hello: bytes, key: bytes) -> Transcript | None:
    """What was said with one that has proved to be the first process; None, and a closed connection, for another."""
    deadline = time.monotonic() + _HELLO_SEC
    try:
        handle.sendall(hello)
        transcript = Transcript(key, hello, _read(handle, NONCE_BYTES, deadline))
        handle.sendall(transcript.proof("other"))
        if transcript.is_proof("first", _read(handle, PROOF_BYTES, deadline)):
            return transcript
    except OSError:
        pass
    handle.close()
    return None


def _await_all(handle: socket.socket, transcript: Transcript, world: int) -> Link:
    with handle:
        # By then the first has given up too, and says who is missing.
        deadline = time.monotonic() + _RENDEZVOUS_SEC + _HELLO_SEC
        try:
            is_complete = transcript.is_proof("all", _read(handle, PROOF_BYTES, deadline))
        except OSError:
            is_complete = False
        if not is_complete:
            raise PeerError(f"rank 0 of {world} ended before all processes had come; its log says more")
        return transcript.link(_as_connection(handle), is_first=False)


def _read(handle: socket.socket, count: int, deadline: float) -> bytes:
    """So many bytes, or those before the other end was closed. Raises TimeoutError once the deadline has passed."""
    data = b""
    while len(data) < count:
        handle.settimeout(max(0.001, deadline - time.monotonic()))
        part = handle.recv(count - len(data))
        if not part:
            break
        data += part
    return data


def _as_connection(handle: socket.socket) -> Connection:
    """The same connection for values, which takes the socket over."""
    handle.settimeout(None)
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE:
        if hasattr(socket, name):  # Linux has them
            handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(handle.detach())


def interface_to(host: str) -> str | None:
    """The network interface that leads to a host, as "eth0"; None where that cannot be told."""
    try:
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            handle.connect((host, 9))  # sends nothing
            own = handle.getsockname()[0]
            for _, name in socket.if_nameindex():
                with contextlib.suppress(OSError):  # one without an address
                    request = struct.pack("256s", name.encode())
                    answer = fcntl.ioctl(handle.fileno(), _SIOCGIFADDR, request)
                    if socket.inet_ntoa(answer[20:24]) == own:
                        return name
    except (ImportError, OSError):  # not Linux, or a name that nobody knows, which is said later
        pass
    if host.startswith("127."):
        return "lo0" if sys.platform == "darwin" else "lo"
    return None
