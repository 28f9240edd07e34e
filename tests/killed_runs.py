"""Kill a program at every N-th of its steps with files, and run it again: does that end as an undisturbed run does?

python tests/killed_runs.py FOLDER N < JOBS

JOBS: a JSON list of [module, argument, ...]; {} in an argument stands for a folder to work in. Prints, for each
job, at how many steps it was killed and a list of those after which it ended otherwise. A step is what Python's
audit hooks report of files in that folder: opening, renaming, removing, changing times. Programs run in forks of
this process, which has no threads, without processes of their own.
"""

import importlib
import json
import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd  # noqa: F401  (or every run would load it)

from tools.runtime import workers as processes

STEPS = {"open", "os.rename", "os.remove", "os.utime", "os.mkdir"}
KILLED = 9


def run_until(program, arguments: list[str], folder: Path, steps: int | None) -> bool:
    """Run ``program.main`` in a fork; whether it came to its end before so many steps in the folder."""
    process = os.fork()
    if process:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert code in (0, KILLED), f"{program.__name__} failed"
        return code == 0
    left = steps

    def hear(event: str, details: tuple) -> None:
        nonlocal left
        if left is not None and event in STEPS and str(details[0]).startswith(str(folder)):
            left -= 1
            if left < 0:
                os._exit(KILLED)  # without closing files or anything else

    code = 1
    try:
        sys.argv = [program.__file__, *arguments]
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.addaudithook(hear)
        program.main()
        code = 0
    finally:
        os._exit(code)


def read_all(place: Path) -> dict[str, bytes]:
    """Path -> bytes of everything below a folder."""
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def try_all(program, arguments: list[str], folder: Path, every: int) -> tuple[int, list[int]]:
    def run_in(place: Path, steps: int | None = None) -> bool:
        place.mkdir(exist_ok=True)
        return run_until(program, [text.replace("{}", str(place)) for text in arguments], place, steps)

    run_in(folder / "whole")
    expected, different = read_all(folder / "whole"), []
    assert expected
    steps = 0
    while not run_in(folder / f"{steps}", steps):
        run_in(folder / f"{steps}")
        if read_all(folder / f"{steps}") != expected:
            different.append(steps)
        steps += every
    return steps // every, different


def main() -> None:
    processes.map_in_processes = lambda function, items, *_: ((item, function(item)) for item in items)
    found = []
    for number, (module, *arguments) in enumerate(json.load(sys.stdin)):
        folder = Path(sys.argv[1], str(number))
        folder.mkdir(parents=True)
        found.append(try_all(importlib.import_module(module), arguments, folder, int(sys.argv[2])))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
