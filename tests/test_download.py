"""Fetching the eigenvalues, from a server on this machine that does right and wrong."""

import functools
import http.server
import io
import subprocess
import sys
import tarfile
import threading

import numpy as np
import pytest

from tests.conftest import PROJECT

VALUES = np.linspace(2, 0.1, 2048, dtype=np.float32)[:, None]


def archive_of(name, content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        item = tarfile.TarInfo(name)
        item.size = len(content)
        tar.addfile(item, io.BytesIO(content))
    return out.getvalue()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


GOOD = archive_of("yt8m_pca/eigenvals.npy", npy(VALUES))


PAGES = {
    "/good": (GOOD, None),
    "/cut": (GOOD[:500], len(GOOD)),
    "/broken": (GOOD[:500], None),
    "/html": (b"<html>not here</html>", None),
    "/other": (archive_of("mean.npy", npy(VALUES)), None),
    "/short": (archive_of("eigenvals.npy", npy(VALUES[:10])), None),
    "/objects": (archive_of("eigenvals.npy", npy(np.array([object()]))), None),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path not in PAGES:
            self.send_error(404)
            return
        content, length = PAGES[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=functools.partial(running.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def download(url, output):
    command = [sys.executable, "-m", "tools.download", "eigenvals", f"--url={url}", f"--output={output}"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_the_eigenvalues_come_out_of_the_archive(server, tmp_path):
    result = download(f"{server}/good", tmp_path / "new" / "eigenvals.npy")
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "eigenvals.npy"), VALUES)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("gone", "cannot be fetched: HTTP Error 404"),
        ("cut", "ended after 500 of"),
        ("broken", "is not the archive that was expected"),
        ("html", "is not the archive that was expected"),
        ("other", "holds no eigenvals.npy"),
        ("short", "is a (10, 1) float32 array, expected (2048, 1) float32"),
        ("objects", "is not the archive that was expected"),
    ],
)
def test_anything_else_is_one_line_and_leaves_no_file(server, tmp_path, page, message):
    result = download(f"{server}/{page}", tmp_path / "eigenvals.npy")
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.startswith(f"error: {'eigenvals.npy of ' * (page == 'short')}{server}/{page}")
    assert not list(tmp_path.iterdir())


def test_no_network_is_one_line(tmp_path):
    result = download("http://127.0.0.1:9/x", tmp_path / "eigenvals.npy")
    assert result.returncode == 1
    assert result.stderr.startswith("error: http://127.0.0.1:9/x cannot be fetched: ")
