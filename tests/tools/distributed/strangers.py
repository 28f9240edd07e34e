"""Strangers on every port of a run: what each kind of them says, and a program that finds the ports and says it.

``python strangers.py KIND PID FOLDER [HOST]`` connects to every port that the process or one of its descendants listens
on, again and again, until it is ended. What it sends in pickles makes a folder below FOLDER in whoever unpickles it.
"""

import contextlib
import os
import pickle
import random
import secrets
import socket
import struct
import sys
import threading
import time
from pathlib import Path

GREETING = b"paddle video zoo 2\n"  # public; on purpose not imported
AT_ONCE = 60  # connections that are kept


class Canary:
    """Whoever unpickles one makes a folder."""

    def __init__(self, folder):
        self.path = f"{folder}/canary-{secrets.token_hex(4)}"

    def __reduce__(self):
        return os.mkdir, (self.path,)


def garbage(handle, folder):
    handle.sendall(random.randbytes(4096))


def silent(handle, folder):
    """Half-open: it never says a word."""


def slow(handle, folder):
    for byte in hello(1):
        handle.sendall(bytes([byte]))
        time.sleep(0.5)


def pickled(handle, folder):
    data = pickle.dumps(Canary(folder))
    handle.sendall(struct.pack("!i", len(data)) + data)


def impostor(handle, folder):
    """Knows what is public, and goes on whatever the answer is."""
    handle.sendall(hello(1))
    handle.recv(32)
    handle.sendall(secrets.token_bytes(32))
    pickled(handle, folder)


def in_store(handle, folder):
    """Speaks the language of Paddle's store: counts as come, and claims addresses."""
    for key in (b"init/", b"/init/", b"init/init"):
        handle.sendall(struct.pack("=iQ", 0, len(key)) + key + struct.pack("=q", 1))
    for key in (b"0", b"1", b"rank_0", b"gloo/0/0", b"gloo/0/1"):
        value = b"\x02\x00" + struct.pack("!H4s", handle.getsockname()[1], socket.inet_aton("127.0.0.1")) + bytes(120)
        handle.sendall(struct.pack("=iQ", 3, len(key)) + key + struct.pack("=Q", len(value)) + value)
    handle.sendall(struct.pack("=iQ", 3, 1 << 40))


KINDS = {act.__name__: act for act in (garbage, silent, slow, pickled, impostor, in_store)}


def hello(rank, world=2):
    return GREETING + rank.to_bytes(4, "big") + world.to_bytes(4, "big") + secrets.token_bytes(32)


def call_on(address, kind, folder):
    """Connect and act; gives the open connection, or None where nobody is."""
    try:
        handle = socket.create_connection(address, timeout=0.5)
    except OSError:
        return None

    def act():
        with contextlib.suppress(OSError):
            KINDS[kind](handle, folder)

    threading.Thread(target=act, daemon=True).start()
    return handle


def family(pid):
    """A process and all its descendants."""
    found = [pid]
    for number in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{number}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def ports_of(pid):
    """The ports that the process and its descendants listen on."""
    inodes = set()
    for number in family(pid):
        with contextlib.suppress(OSError):
            for place in Path(f"/proc/{number}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(place.readlink()))
    with contextlib.suppress(OSError):
        lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
        return {int(line[1].split(":")[1], 16) for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in inodes}
    return set()


def main():
    kind, pid, folder, host = sys.argv[1], int(sys.argv[2]), sys.argv[3], [*sys.argv, "127.0.0.1"][4]
    connections, calls = [], {}
    while Path(f"/proc/{pid}").exists():
        for port in ports_of(pid):
            handle = call_on((host, port), kind, folder)
            if handle:
                connections.append(handle)
                calls[port] = calls.get(port, 0) + 1
                Path(folder, f"called-{host}-{port}").write_text(str(calls[port]))
        while len(connections) > AT_ONCE:
            connections.pop(0).close()
        time.sleep(0.001)


if __name__ == "__main__":
    main()
