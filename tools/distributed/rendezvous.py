"""How the processes of a run find one another, before Paddle connects them. Does not import Paddle.

Paddle's own waiting (3.3.1) takes 15 minutes and hears no signal meanwhile, so all are there before it begins.
"""

import contextlib
import hmac
import logging
import os
import socket
import struct
import time
from multiprocessing.connection import Connection

from tools.errors import ConfigError, PeerError

log = logging.getLogger(__name__)

_RENDEZVOUS_SEC = 300  # for all processes to come: one may load Paddle from a slow disk
_WORD_SEC = 15  # until it is said who is waited for, again and again
_HELLO_SEC = 10  # for one that has come to say who it is
_HELLO = b"paddle video zoo 1\n"
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


def await_others(address: tuple[str, int], world: int) -> dict[int, Connection]:
    """The first process's connections, once all others have come; each sends its rank and is told to go on."""
    deadline = time.monotonic() + _RENDEZVOUS_SEC
    came = {}
    with socket.create_server(address, backlog=world) as server, contextlib.ExitStack() as unless_complete:
        while len(came) < world - 1:
            left_sec = deadline - time.monotonic()
            server.settimeout(max(0.01, min(left_sec, _WORD_SEC)))
            try:
                handle = unless_complete.enter_context(server.accept()[0])
            except TimeoutError:
                missing = ", ".join(str(rank) for rank in range(1, world) if rank not in came)
                if left_sec > _WORD_SEC:
                    log.info(f"waiting for rank {missing} of {world} processes; what their launchers print may say why")
                    continue
                raise PeerError(
                    f"of {world} processes, rank {missing} did not come within {_RENDEZVOUS_SEC} s; what they or their "
                    "launchers print says why"
                ) from None
            if 0 < (rank := _read_rank(handle)) < world:
                came[rank] = handle
        for handle in came.values():
            handle.sendall(_HELLO)
        return {rank: _as_connection(came[rank]) for rank in sorted(came)}


def _read_rank(handle: socket.socket) -> int:
    """The rank of one that has come; 0 for a stranger."""
    handle.settimeout(_HELLO_SEC)
    try:
        hello = _read(handle, len(_HELLO) + 4)
    except OSError:
        return 0
    return int.from_bytes(hello[len(_HELLO) :], "big") if hello.startswith(_HELLO) else 0


def _read(handle: socket.socket, count: int) -> bytes:
    """So many bytes, or those before the other end was closed."""
    data = b""
    while len(data) < count and (part := handle.recv(count - len(data))):
        data += part
    return data


def find_first(address: tuple[str, int], rank: int, world: int) -> Connection:
    """This process's connection to the first, once all have come."""
    deadline = time.monotonic() + _RENDEZVOUS_SEC
    while True:
        try:
            handle = socket.create_connection(address, timeout=_HELLO_SEC)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                host, port = address
                hint = ", which is this machine: where rank 0 is on another, its launcher needs --host"
                raise PeerError(
                    f"rank {rank} of {world} found no rank 0 at {host}:{port} within {_RENDEZVOUS_SEC} s ({error})"
                    f"{hint * host.startswith('127.')}"
                ) from None
            time.sleep(0.2)
    with handle:
        handle.settimeout(_RENDEZVOUS_SEC + _HELLO_SEC)  # by then the first has given up too, and says who is missing
        handle.sendall(_HELLO + rank.to_bytes(4, "big"))
        if _read(handle, len(_HELLO)) != _HELLO:
            raise PeerError(f"rank 0 of {world} ended before all processes had come; its log says more")
        return _as_connection(handle)


def _as_connection(handle: socket.socket) -> Connection:
    """The same connection for values, which takes the socket over."""
    handle.settimeout(None)
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE:
        if hasattr(socket, name):  # Linux has them
            handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(handle.detach())


def recognise(links: dict[int, Connection], rank: int, key: bytes) -> None:
    """Make sure that both ends of each connection know the key: what comes from there is unpickled."""
    for other, link in links.items():
        link.send_bytes(hmac.digest(key, b"%d to %d" % (rank, other), "sha256"))
    for other, link in links.items():
        expected = hmac.digest(key, b"%d to %d" % (other, rank), "sha256")
        if not link.poll(_RENDEZVOUS_SEC) or not hmac.compare_digest(link.recv_bytes(64), expected):
            raise PeerError(f"what is connected in place of rank {other} is no process of this run")


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
    return "lo" if host.startswith("127.") else None
