"""Several processes of a group, each played by a thread."""

from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe

from tools.distributed.group import ProcessGroup


def together(world, act):
    """Run ``act(group)`` as so many processes would, each in a thread; give what each returns or raises."""
    pipes = {rank: Pipe() for rank in range(1, world)}
    group = [ProcessGroup(0, world, {rank: ends[0] for rank, ends in pipes.items()})]
    group += [ProcessGroup(rank, world, {0: ends[1]}) for rank, ends in pipes.items()]

    def run(one):
        try:
            with one:
                return act(one)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (whatever it is, the test looks at it)
            # Without the frames it went through: they hold buffers of a connection that Python 3.13 cannot collect with
            # the cycle they are in, which pytest takes for an error of whatever test runs then.
            error.__context__ = None
            return error.with_traceback(None)

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(run, group))
