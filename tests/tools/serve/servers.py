"""The real server in a process of its own, on a port that is free, and requests to it."""

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PROJECT, SCRIPTS, clean_env
from tests.script_server import ScriptProcess

START_SEC, LIMIT_SEC = 120, 30
BOUNDARY = "a-boundary-of-tests"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """A server that is ready. lines: what it has printed so far. folder: its TMPDIR."""

    def __init__(self, *flags: str, cwd: Path, folder: Path):
        self.folder, self.lines = folder, []
        reading, self._writing = os.pipe()
        self._output = open(reading, "rb", buffering=0)  # noqa: SIM115
        command = [str(PROJECT / "tools/serve/__main__.py"), "--port=0", *flags]
        environment = clean_env() | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
        pid = SCRIPTS.start(command, cwd, environment, self._writing, self._writing)
        os.close(self._writing)
        self._process = ScriptProcess(SCRIPTS, pid)
        self.pid = pid
        self.port = 0
        self.wait_for(" answers at ")
        self.port = int(re.search(r"http://[^ ]*:(\d+) ", self.lines[-1])[1])

    def wait_for(self, text: str) -> None:
        """Read lines up to one with a text."""
        deadline = time.monotonic() + START_SEC
        rest = b""
        while not (self.lines and text in self.lines[-1] and not rest):
            left = deadline - time.monotonic()
            assert left > 0, f"no line with {text!r} in {self.lines}"
            if not select.select([self._output], [], [], left)[0]:
                continue
            data = self._output.read(1)
            assert data, f"it has ended: {self.lines} {rest}"
            if data == b"\n":
                self.lines.append(rest.decode())
                rest = b""
            else:
                rest += data

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_SEC)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def send(self, content: bytes, query: str = "", name: str | None = None) -> Answer:
        """Send a file, raw or with a name in a form."""
        path = f"/classify?{query}"
        if name is None:
            return self.ask("POST", path, content)
        return self.ask("POST", path, form_of(content, name), {"Content-Type": FORM})

    def metric(self, name: str) -> float:
        text = self.ask("GET", "/metrics").body.decode()
        return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[-1])

    def rss_kb(self) -> int:
        """The memory that it has in use."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def uploads(self) -> list[Path]:
        """The files that lie in its folder."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".lock"]

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_SEC)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self._process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Wait until it has ended; its exit code."""
        deadline = time.monotonic() + LIMIT_SEC
        rest = b""
        while (left := deadline - time.monotonic()) > 0 and select.select([self._output], [], [], left)[0]:
            data = self._output.read(1 << 16)
            if not data:
                break
            rest += data
        else:
            self._process.kill()
        self._output.close()
        self.lines += rest.decode().splitlines()
        return self._process.wait()

    def close(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        if not self._output.closed:
            self._output.close()


FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form_of(content: bytes, name: str, field: str = "file") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


@contextlib.contextmanager
def running(*flags: str, cwd: Path, folder: Path):
    for package in ("starlette", "uvicorn", "python_multipart"):
        pytest.importorskip(package, reason=f"{package}, of requirements-serve.txt, is not installed")
    server = Server(*flags, cwd=cwd, folder=folder)
    try:
        yield server
    finally:
        server.close()


def wait_until(is_so, limit_sec: float = LIMIT_SEC) -> None:
    deadline = time.monotonic() + limit_sec
    while not is_so():
        assert time.monotonic() < deadline, "it does not come to be"
        time.sleep(0.02)
