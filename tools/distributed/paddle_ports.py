"""Paddle's own connections between the processes of a run, made behind those of ``rendezvous``. Imports Paddle.

What Paddle (3.3.1) opens believes whoever comes: a store through which its processes meet, and on CPUs a port of gloo
for every other process. See ``shield`` for how they are kept from strangers.
"""

import contextlib
import io
import os
import socket
import sys
import threading
from collections.abc import Iterator

import paddle
from paddle import distributed
from paddle.base import core

from tools.distributed import rendezvous, shield
from tools.errors import PeerError
from tools.runtime.entry import ERROR

_REACH_SEC = 10  # for one connection, by processes that are all there
_CONNECT_SEC = {"cpu": 15, "gpu": 120}  # for Paddle to connect processes that are all there; GPUs have to start


def connect_paddle(group, host: str, device: str) -> None:
    """Let Paddle connect all processes, of which the first is on ``host``.

    Raises PeerError, or whatever Paddle raises, where it cannot; ends the process with a message where Paddle waits.
    """
    for name in ("MASTER_ADDR", "MASTER_PORT"):  # of another library; Paddle 3.3.1 follows them before its own
        os.environ.pop(name, None)
    if device == "cpu":
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"
    # Left alone, gloo takes the interface that this machine's name stands for, and NCCL the fastest it can find.
    if interface := rendezvous.interface_to(host):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", f"={interface}")
    host = socket.gethostbyname(host)
    port = group.broadcast(lambda: _start_store(host))
    if not group.is_first:
        _join_store(group, host, port)
    clients = group.all_gather({own for own, other in shield.connections() if other == (host, port)})
    if group.is_first:
        shield.close_door(port, set().union(*clients))
    group.all_gather(None)  # nobody says anything to the store before
    before = shield.connections()
    waiting = f"Paddle did not connect rank {group.rank} of {group.world} with the others within"
    with _limit(_CONNECT_SEC[device], waiting):
        with contextlib.redirect_stderr(io.StringIO()):  # for the table of the flags that it has set itself
            distributed.init_parallel_env()
        if device == "cpu":
            found = group.gather(shield.connections() - before)
            group.broadcast(lambda: shield.require_mirrored(found))
            _try_gloo(group)


def _try_gloo(group) -> None:
    """Add numbers of all processes: somebody who called on gloo while it connected can leave it deaf, and does so here.

    Later it would be half a minute until gloo ends the process by SIGABRT.
    """
    total = paddle.ones([64 * group.world])
    distributed.all_reduce(total)
    if not bool((total == group.world).all()):
        raise PeerError("what the processes of this run add up through Paddle is not their sum")


def _start_store(host: str) -> int:
    """The port of the store, which is new: whoever knows those that the launcher chose does not know this one."""
    with socket.socket() as handle:
        handle.bind((host, 0))
        port = handle.getsockname()[1]
    _open_store(host, port)
    return port


def _join_store(group, host: str, port: int) -> None:
    try:  # as Paddle would try without end, and hear no signal
        socket.create_connection((host, port), timeout=_REACH_SEC).close()
    except OSError as error:
        raise PeerError(
            f"rank {group.rank} of {group.world} cannot reach Paddle's store at {host}:{port} ({error}); every machine "
            "has to reach all ports above 1023 of every other"
        ) from None
    _open_store(host, port)


def _open_store(host: str, port: int) -> None:
    """The store that ``init_parallel_env`` will find. It does not count who comes, as strangers would count too."""
    os.environ["PADDLE_MASTER"] = f"{host}:{port}"
    world = os.environ["PADDLE_TRAINERS_NUM"]
    os.environ["PADDLE_TRAINERS_NUM"] = "0"
    try:
        core.create_or_get_global_tcp_store()
    finally:
        os.environ["PADDLE_TRAINERS_NUM"] = world


@contextlib.contextmanager
def _limit(seconds: float, text: str) -> Iterator[None]:
    """End the process, with a message, where what follows takes longer: Paddle cannot be interrupted."""

    def end() -> None:
        print(f"{ERROR}{text} {seconds:g} s", file=sys.__stderr__, flush=True)
        os._exit(PeerError.exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
