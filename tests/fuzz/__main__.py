"""Read damaged copies of files, and fail where one ends otherwise than read rightly or refused in one line.

python -m tests.fuzz COUNT SEED FORMAT [FORMAT ...]

A damaged copy is read in a fork of this process, which may take 20 seconds a copy and 1 GB more than it has, starts no
program, connects to nothing and writes nowhere but in its own folder. Prints how many copies of each format were read
and refused.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections import Counter
from itertools import chain, islice
from pathlib import Path

from tests.fuzz.formats import FORMATS, Format
from tests.mutants import mutants
from tools.errors import ZooError

LIMIT_SEC, LIMIT_BYTES = 20, 1 << 30
AT_ONCE = 200  # copies that one fork reads
RUNS = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "socket.connect"}


def fuzz(name: str, count: int, seed: int) -> Counter:
    """How many of the seeds and ``count`` copies were "read" and "refused".

    Raises AssertionError for one that ended otherwise.
    """
    kind = FORMATS[name]()
    share = -(-count // len(kind.seeds))
    copies = chain.from_iterable(mutants(content, share, seed + i) for i, content in enumerate(kind.seeds))
    copies = islice(chain(kind.seeds, copies), count + len(kind.seeds))
    found = Counter()
    with tempfile.TemporaryDirectory() as folder:
        while batch := list(islice(copies, AT_ONCE)):
            found += read_batch(kind, batch, Path(folder))
    return found


def read_batch(kind: Format, batch: list[bytes], folder: Path) -> Counter:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            limit(folder)
            for content in batch:
                os.write(writing, json.dumps(read_one(kind, content, folder)).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        said = [json.loads(line) for line in file]
    _, status = os.waitpid(child, 0)
    for content, text in zip(batch, said, strict=False):
        assert text in ("read", "refused"), f"{text}\n{keep(kind, content)}"
    assert len(said) == len(batch), (
        f"it ended with status {status} (signal {status & 127})\n{keep(kind, batch[len(said)])}"
    )
    return Counter(said)


def read_one(kind: Format, content: bytes, folder: Path) -> str:
    """ "read" or "refused", or else what went wrong."""
    path = folder / f"x{kind.suffix}"
    path.write_bytes(content)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SEC)  # which ends this process
    try:
        value = kind.read(path)
        right = kind.is_right(value, content)
    except (ZooError, *kind.refusals) as error:
        text = str(error)
        return "refused" if text and "\n" not in text and len(text) < 2000 else f"{len(text)} characters: {text[:2000]}"
    except BaseException:  # noqa: BLE001 (a reader may raise whatever there is)
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "read" if right else f"it was read wrongly, as {str(value)[:2000]}"


def limit(folder: Path) -> None:
    """Bound what this process may take, and end it where it runs, connects or writes something."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + LIMIT_BYTES,) * 2)

    def hook(event: str, arguments: tuple) -> None:
        if event in RUNS or (event == "open" and writes(*arguments) and not str(arguments[0]).startswith(str(folder))):
            os.write(2, f"{event} {arguments}\n".encode())
            os._exit(99)

    sys.addaudithook(hook)


def writes(path, mode: str | None, flags: int | None) -> bool:
    return bool((flags or 0) & (os.O_WRONLY | os.O_RDWR)) and path != os.devnull


def keep(kind: Format, content: bytes) -> str:
    """Where a copy is kept that did harm."""
    handle, path = tempfile.mkstemp(suffix=kind.suffix)
    os.write(handle, content)
    os.close(handle)
    return f"the copy is {path}"


if __name__ == "__main__":
    count, seed, *names = sys.argv[1:]
    print(json.dumps({name: fuzz(name, int(count), int(seed)) for name in names}))
