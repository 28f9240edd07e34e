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
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection

import paddle
from paddle import distributed, nn

from tools.distributed import rendezvous
from tools.distributed.handshake import Link
from tools.distributed.paddle_ports import connect_paddle
from tools.distributed.secret import take_key
from tools.errors import ConfigError, PeerError, ZooError

BUCKET_BYTES = 32 << 20  # of tensors that travel together: large enough for the network, small beside a model
_SAY_SEC = 2  # for the others to say why, once Paddle has failed
_NORMS = (nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)
_OUT_OF_REACH = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN)


class _Failure(str):
    """Sent in place of a value: why the sender ends."""


class ProcessGroup:
    """One process of a run, and its connections: the first process has one to each other, the others one to it.

    Every method is called by all processes in the same order. Raises PeerError once another process has ended.
    A context manager: an error that leaves it is told to the others.
    """

    def __init__(self, rank: int = 0, world: int = 1, links: dict[int, Link | Connection] | None = None):
        self.rank, self.world = rank, world
        self._links = links or {}

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

    def all_reduce_gradients(self, parameters: Iterable) -> None:
        """Make each parameter's gradient the sum over all processes.

        One that only some of them have counts as zero in the others.
        """
        if self.world == 1:
            return
        parameters = list(parameters)
        present = zip(*self.all_gather([parameter.grad is not None for parameter in parameters]), strict=True)
        used = [parameter for parameter, of_ranks in zip(parameters, present, strict=True) if any(of_ranks)]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = paddle.zeros_like(parameter)
        self._sum([parameter.grad for parameter in used])

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
        self._sum(statistics)
        for tensor in statistics:
            tensor.set_value(tensor / self.world)

    def _sum(self, tensors: list) -> None:
        # Together first, so that what gloo has to wait for is the network and not a slower processor.
        self.all_gather(None)
        try:
            with paddle.no_grad():
                for bucket in _buckets(tensors):
                    flat = paddle.concat([tensor.flatten() for tensor in bucket])
                    distributed.all_reduce(flat)
                    parts = flat.split([tensor.size for tensor in bucket])
                    for tensor, part in zip(bucket, parts, strict=True):
                        tensor.set_value(part.reshape(tensor.shape))
        except (RuntimeError, OSError, SystemError) as error:
            raise self.explain(error) from None

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
        group = ProcessGroup(rank, world, links)
        unless_connected.push(group)
        try:
            connect_paddle(group, address[0], device)
        except (RuntimeError, ValueError, OSError, SystemError, EOFError) as error:
            told = group.explain(error)
            hint = "Paddle could not connect the processes of this run; only they may reach its ports meanwhile"
            raise PeerError(f"{hint} ({told})") from None
        unless_connected.pop_all()
    return group


def _send_value(link: Link | Connection, value) -> None:
    """As bytes, which ``Connection.send`` makes a view of a BytesIO.

    Where it fails, its exception holds that view, and what collects it as garbage ends Python 3.12.1 by SIGSEGV and
    makes 3.13.0 report a BufferError.
    """
    link.send_bytes(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def _receive_value(link: Link | Connection):
    """What the other end sent, which has proved itself and signs: the one place where anything is unpickled."""
    return pickle.loads(link.recv_bytes())


def _buckets(tensors: list) -> Iterator[list]:
    """The tensors in order, in groups of one type and up to BUCKET_BYTES; a larger one is alone."""
    bucket, size = [], 0
    for tensor in tensors:
        num_bytes = tensor.size * tensor.element_size()
        if bucket and (size + num_bytes > BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += num_bytes
    if bucket:
        yield bucket
