"""Gradients become their sums over all processes, those that are complete while backward still computes others.

Imports Paddle: tune the CPU first.
"""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import paddle
from paddle import distributed

BUCKET_BYTES = 32 << 20  # of tensors that travel together: large enough for the network, small beside a model


class GradientExchange:
    """Makes each parameter's gradient the sum over all processes of a group.

    One that only some of them have counts as zero in the others; one that nobody has stays None. The sums are the same
    to the bit whether they are made during backward or behind it: the buckets are, and travel from the last layers to
    the first.

    overlaps: whether anything travels during backward, the same in all processes; may be changed between steps.
    """

    def __init__(self, group, parameters: Sequence, overlaps: bool):
        self._group, self._parameters, self.overlaps = group, list(parameters), overlaps
        self._buckets = [*buckets(self._parameters)][::-1]
        self._pool: ThreadPoolExecutor | None = None  # one thread, while gradients travel during backward
        self._sums: list[Future] = []  # of the first so many buckets
        self._awaited = [0] * len(self._buckets)  # gradients of each bucket that backward has not completed
        for place, bucket in enumerate(self._buckets if group.world > 1 else ()):
            for parameter in bucket:  # never to be taken off again, for which Paddle (3.3.1) has no way
                parameter._register_backward_hook(partial(self._complete, place))

    def is_of(self, parameters: Sequence) -> bool:
        """Whether these are its parameters."""
        return [*map(id, parameters)] == [*map(id, self._parameters)]

    @contextlib.contextmanager
    def during_backward(self) -> Iterator[None]:
        """Around the last backward of a step, in all processes: afterwards all gradients are sums.

        Nobody else may speak to the group meanwhile. Raises PeerError behind backward.
        """
        if not self.overlaps:
            yield
            self.behind_backward()
            return
        self._sums, self._awaited = [], [*map(len, self._buckets)]
        self._pool = ThreadPoolExecutor(1)
        try:
            yield
            self._awaited = [0] * len(self._buckets)  # the others have no gradient here
            self._send_complete()
            self._take(sums.result() for sums in self._sums)
        finally:  # after an error what is under way arrives, as it does in the others
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def behind_backward(self) -> None:
        """The same at once, where gradients are complete."""
        if self._group.world > 1:
            meet(self._group)
            self._take(self._sum(bucket) for bucket in self._buckets)

    def _complete(self, place: int) -> None:
        """Called by backward after each gradient."""
        if self._pool:
            self._awaited[place] -= 1
            self._send_complete()

    def _send_complete(self) -> None:
        """Let all complete buckets travel, each after those before it, which is one order for all processes."""
        while len(self._sums) < len(self._buckets) and self._awaited[len(self._sums)] == 0:
            before = self._sums[-1] if self._sums else None
            self._sums.append(self._pool.submit(self._meet_and_sum, self._buckets[len(self._sums)], before))

    def _meet_and_sum(self, bucket: list, before: Future | None):
        if before:
            before.result()  # raises what has made that one fail
        meet(self._group)
        return self._sum(bucket)

    def _sum(self, bucket: list):
        return sum_over(self._group, [_gradient(parameter) for parameter in bucket])

    def _take(self, sums: Iterator) -> None:
        """Each bucket's sums in place of its gradients, which backward may still read until it ends."""
        absent = {}
        for bucket, flat in zip(self._buckets, sums, strict=True):
            for parameter, part in zip(bucket, split(flat, bucket), strict=True):
                if parameter.grad is None:
                    absent[parameter.name] = part
                else:
                    parameter.grad.set_value(part)
        present = zip(
            *self._group.all_gather([parameter.grad is not None for parameter in self._parameters]), strict=True
        )
        for parameter, of_ranks in zip(self._parameters, present, strict=True):
            if parameter.grad is None and any(of_ranks):
                parameter.grad = absent[parameter.name]


def _gradient(parameter):
    return paddle.zeros_like(parameter) if parameter.grad is None else parameter.grad


def meet(group) -> None:
    """Wait until all processes are about to sum, so that gloo has to wait for the network and not for a processor."""
    group.all_gather(None)


def sum_over(group, tensors: list):
    """The sums over all processes, which have met, of tensors of one type, end to end in one of one dimension.

    Raises PeerError.
    """
    try:
        with paddle.no_grad():
            flat = paddle.concat([tensor.flatten() for tensor in tensors])
            distributed.all_reduce(flat)
    except (RuntimeError, OSError, SystemError) as error:
        raise group.explain(error) from None
    return flat


def split(flat, tensors: list) -> list:
    """Parts of ``flat`` with the shapes of the tensors, in their order."""
    parts, end = [], 0
    with paddle.no_grad():
        for tensor in tensors:
            begin, end = end, end + tensor.size
            parts.append(flat[begin:end].reshape(tensor.shape))
    return parts


def buckets(tensors: list) -> Iterator[list]:
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
