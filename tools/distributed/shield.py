"""The ports that Paddle opens in this process: who is connected there, and how nobody else gets in.

Paddle 3.3.1 has no setting for where its store listens, which is everywhere, until the run ends, and it believes
whoever connects. So once all processes are connected to it, Linux is told to drop whatever else comes, and those that
came before are cut off. gloo listens on one interface while it connects, and takes the first that comes; what it has
got is compared afterwards. On Linux only; elsewhere nothing is known of these ports. Does not import Paddle.
"""

import contextlib
import ctypes
import logging
import os
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.errors import PeerError

log = logging.getLogger(__name__)

_SO_ATTACH_FILTER = 26
_DROP_ALL = struct.pack("HBBI", 6, 0, 0, 0)  # one instruction of a packet filter: take 0 bytes of the packet
_UNACCEPTED_AT = 24  # of struct tcp_info: tcpi_unacked, for one that listens those that wait to be accepted
_CLOSING_SEC = 10

Address = tuple[str, int]


def connections() -> set[tuple[Address, Address]]:
    """Own and other address of every TCP connection of this process."""
    return {(handle.getsockname()[:2], peer) for handle in _sockets() if (peer := _peer(handle)) is not None}


def close_door(port: int, welcome: Iterable[Address]) -> None:
    """Let nobody else connect to the port of this process, and cut off those that are none of the welcome.

    Raises PeerError where one that is welcome does not come through in ten seconds.
    """
    if sys.platform != "linux":
        return
    welcome, deadline = set(welcome), time.monotonic() + _CLOSING_SEC
    code = ctypes.create_string_buffer(_DROP_ALL)
    for handle in _at(port):
        if handle.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            try:
                handle.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(code)))
            except OSError as error:
                log.info(f"port {port}, of Paddle's store, stays open to whoever reaches it ({error.strerror})")
                return
    while True:
        num_waiting, came = 0, set()
        for handle in _at(port):
            if handle.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                info = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACCEPTED_AT + 4)
                num_waiting += struct.unpack_from("I", info, _UNACCEPTED_AT)[0]
            elif (peer := _peer(handle)) in welcome:
                came.add(peer)
            elif peer is not None:
                with contextlib.suppress(OSError):  # it went by itself
                    handle.shutdown(socket.SHUT_RDWR)
        if came == welcome and not num_waiting:
            return
        if time.monotonic() > deadline:
            raise PeerError(
                f"of {len(welcome)} processes, {len(welcome - came)} did not reach Paddle's store on port {port} under "
                "their own addresses; between the machines of a run, addresses are not to be translated"
            )
        time.sleep(0.01)


def require_mirrored(of_ranks: list[set[tuple[Address, Address]]]) -> None:
    """Raise PeerError unless both ends of every connection belong to processes of this run."""
    everybody = set().union(*of_ranks)
    for rank, found in enumerate(of_ranks):
        for own, other in found:
            if (other, own) not in everybody:
                raise PeerError(
                    f"{other[0]}:{other[1]}, no process of this run, has connected to Paddle in rank {rank}; "
                    "nobody but its processes may reach the ports of a run"
                )


def _at(port: int) -> Iterator[socket.socket]:
    return (handle for handle in _sockets() if handle.getsockname()[1] == port)


def _sockets() -> Iterator[socket.socket]:
    """Every TCP socket of this process, whoever made it; open until the next one."""
    if sys.platform != "linux":
        return
    for place in list(Path("/proc/self/fd").iterdir()):
        try:
            number = os.dup(int(place.name))
        except OSError:  # closed by now
            continue
        try:
            handle = socket.socket(fileno=number)
        except OSError:  # a file
            os.close(number)
            continue
        with handle:
            if handle.type == socket.SOCK_STREAM and handle.family in (socket.AF_INET, socket.AF_INET6):
                yield handle


def _peer(handle: socket.socket) -> Address | None:
    try:
        return handle.getpeername()[:2]
    except OSError:  # it listens, or its other end has gone
        return None
