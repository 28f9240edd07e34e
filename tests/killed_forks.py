"""Kill a piece of work at each of its steps with files, in forks of a process that has no threads.

python -m tests.killed_forks FOLDER MODULE NAME

MODULE.JOBS[NAME] is (prepare, run, check): what makes a folder as it is before the work, the work, and what has to hold
when the work has been killed or has ended. Each is called with a folder. Prints how often the work was killed.
"""

import importlib
import os
import sys
from pathlib import Path


def kill_everywhere(root: Path, job: tuple) -> int:
    """Kill a job in forks of this process, each one file operation later than the one before; how many were killed."""
    prepare, run, check = job
    for moment in range(1, 1000):
        folder = root / str(moment)
        prepare(folder)
        child = os.fork()
        if not child:
            die_at(moment, folder)
            run(folder)
            os._exit(0)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        check(folder)
        if not killed:
            return moment - 1
    raise AssertionError("it does not end")


def die_at(moment: int, folder: Path) -> None:
    """Kill this process before its moment-th operation on files in a folder; syncs count too."""
    seen = 0

    def step():
        nonlocal seen
        seen += 1
        if seen == moment:
            os.kill(os.getpid(), 9)

    def hook(event, arguments):
        if arguments and isinstance(arguments[0], str | os.PathLike) and str(arguments[0]).startswith(str(folder)):
            step()

    fsync = os.fsync
    os.fsync = lambda handle: (step(), fsync(handle))
    sys.addaudithook(hook)


if __name__ == "__main__":
    print(kill_everywhere(Path(sys.argv[1]), importlib.import_module(sys.argv[2]).JOBS[sys.argv[3]]))
