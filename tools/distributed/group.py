"""The processes of one run: what they tell one another, and how gradients become those of the whole batch.

Gradients go through ``paddle.distributed`` (NCCL between GPUs, gloo between CPUs). Everything else, numbers, metrics
and errors, goes to and from the first process over connections of their own, for the reasons in README.md. Imports
Paddle: tune the CPU first.
"""

import contextlib
import errno
import os
import pickle
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from paddle import nn

from tools.distributed import rendezvous
from tools.distributed.exchange import GradientExchange, buckets, meet, split, sum_over
from tools.distributed.handshake import Link
from tools.distributed.paddle_ports import connect_paddle
from tools.distributed.secret import take_key
from tools.errors import ConfigError, PeerError, ZooError

_SAY_SEC = 2  # for the others to say why, once Paddle has failed
_NORMS = (nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)
_OUT_OF_REACH = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN)


class _Failure(str):
    """Sent in place of a value: why the sender ends."""


class ProcessGroup:
    """One process of a run, and its connections: the first process has one to each other, the others one to it.

    Every method is called by all processes in the same order. Raises PeerError once another process has ended.
    A context manager: an error that leaves it is told to the others.

    overlaps: whether gradients travel while backward computes others.
    """

    def __init__(
        self, rank: int = 0, world: int = 1, links: dict[int, Link | Connection] | None = None, overlaps: bool = False
    ):
        self.rank, self.world = rank, world
        self._links = links or {}
        self._overlaps = overlaps
        self._exchange: GradientExchange | None = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def gather(self, value) -> list | None:
        """Everyone's value in the order of ranks, in the first process; None in the others."""
        if not self.is_first:
            self._send(0, value)
            return None
        return [value, *(self._receive(rank) for rank in self._links)]

    def broadcast(self, make: Callable):
        """What ``make()`` gives in the first process, for everyone. The others wait, however long it takes."""
        if not self.is_first:
            return self._receive(0)
        value = make()
        for rank in self._links:
            self._send(rank, value)
        return value

    def all_gather(self, value) -> list:
        """Everyone's value in the order of ranks, for everyone."""
        values = self.gather(value)
        return self.broadcast(lambda: values)

    def merge(self, metric) -> None:
        """Let the first process's metrics count what those of the others have counted."""
        for other in (self.gather(metric) or [metric])[1:]:
            metric.merge(other)

    def require_same(self, **facts) -> None:
        """Raise ConfigError unless all processes have the same."""
        for rank, theirs in enumerate(self.all_gather(facts)):
            if different := [name for name in facts if theirs[name] != facts[name]]:
                raise ConfigError(
                    f"rank {rank} of {self.world} and rank {self.rank} do not have the same {different[0]}; all "
                    "processes of a run need the same command, config, lists, weights and version of Paddle"
                )

    def exchange_of(self, parameters: Sequence) -> GradientExchange:
        """What sums gradients over all processes, the same for the same parameters."""
        if not (self._exchange and self._exchange.is_of(parameters)):
            self._exchange = GradientExchange(self, parameters, self._overlaps)
        return self._exchange

    def average_statistics(self, network) -> None:
        """Make the running statistics of batch normalisation the mean over all processes.

        Those of SyncBatchNorm are the same everywhere already.
        """
        if self.world == 1:
            return
        norms = [layer for layer in network.sublayers(include_self=True) if isinstance(layer, _NORMS)]
        statistics = [tensor for layer in norms for tensor in (layer._mean, layer._variance)]
        if not statistics:
            return
        meet(self)
        for bucket in buckets(statistics):
            for tensor, total in zip(bucket, split(sum_over(self, bucket), bucket), strict=True):
                tensor.set_value(total / self.world)

    def _send(self, rank: int, value) -> None:
        try:
            _send_value(self._links[rank], value)
        except OSError as error:
            if error.errno not in _OUT_OF_REACH:
                self._receive(rank)  # raises, with what that process said last
            raise self._lost(rank, error) from None

    def _receive(self, rank: int):
        try:
            value = _receive_value(self._links[rank])
        except (OSError, EOFError) as error:
            raise self._lost(rank, error) from None
        if isinstance(value, _Failure):
            raise PeerError(str(value))
        return value

    def _lost(self, rank: int, error: OSError | EOFError) -> PeerError:
        """What a broken connection tells of the process at its other end."""
        if isinstance(error, OSError) and error.errno in _OUT_OF_REACH:
            return PeerError(f"rank {rank} of {self.world} is out of reach: {error.strerror}")
        return PeerError(f"rank {rank} of {self.world} exited unexpectedly; its log says more")

    def explain(self, error: Exception) -> PeerError:
        """Why a call of Paddle failed that all make: what another process said, or else the first line of the error."""
        deadline = time.monotonic() + _SAY_SEC
        for rank, link in self._links.items():
            try:
                is_there = link.poll(max(0.0, deadline - time.monotonic()))
                if is_there and isinstance(value := _receive_value(link), _Failure):
                    return PeerError(str(value))
            except (OSError, EOFError) as lost:
                return self._lost(rank, lost)
        lines = [line for line in str(error).splitlines() if line.strip()]
        return PeerError(f"rank {self.rank} of {self.world} cannot reach the others: {lines[0] if lines else error}")

    def __enter__(self) -> "ProcessGroup":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace) -> None:
        text = str(error) if isinstance(error, ZooError) else f"{kind.__name__}: {error}" if kind else ""
        if not isinstance(error, PeerError):
            text = f"rank {self.rank} of {self.world}: {text}"
        for link in self._links.values():
            if kind:
                try:
                    _send_value(link, _Failure(text))
                except OSError:
                    continue  # that one has gone already
            link.close()


def connect(device: str) -> ProcessGroup:
    """The processes that the environment speaks of, as a launcher sets it; one alone without a launcher.

    Raises PeerError when they do not find one another within five minutes, and ConfigError without a secret.
    """
    world = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
    if world == 1:
        return ProcessGroup()
    rank = int(os.environ["PADDLE_TRAINER_ID"])
    address = rendezvous.address_of_first()
    key = take_key()
    if rank == 0:
        links = rendezvous.await_others(address, world, key)
    else:
        links = {0: rendezvous.find_first(address, rank, world, key)}
    with contextlib.ExitStack() as unless_connected:
        group = ProcessGroup(rank, world, links, overlaps=device == "cpu" and _is_spread(world))
        unless_connected.push(group)
        try:
            connect_paddle(group, address[0], device)
        except (RuntimeError, ValueError, OSError, SystemError, EOFError) as error:
            told = group.explain(error)
            hint = "Paddle could not connect the processes of this run; only they may reach its ports meanwhile"
            raise PeerError(f"{hint} ({told})") from None
        unless_connected.pop_all()
    return group


def _is_spread(world: int) -> bool:
    """Whether the processes are on several machines; on one there is no network whose time backward could use."""
    return int(os.environ.get("PADDLE_LOCAL_SIZE", "1")) < world


def _send_value(link: Link | Connection, value) -> None:
    """As bytes, which ``Connection.send`` makes a view of a BytesIO.

    Where it fails, its exception holds that view, and what collects it as garbage ends Python 3.12.1 by SIGSEGV and
    makes 3.13.0 report a BufferError.
    """
    link.send_bytes(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def _receive_value(link: Link | Connection):
    """What the other end sent, which has proved itself and signs: the one place where anything is unpickled."""
    return pickle.loads(link.recv_bytes())
