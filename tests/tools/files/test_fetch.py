"""Fetching a file from a web address."""

import pytest

from tests.released_server import Page
from tests.tools.weights.released_cache import QUICK
from tools.errors import UnusableError
from tools.files.fetch import fetch


def test_a_file_without_end_is_stopped_at_the_limit(server, root):
    server.pages["/x"] = Page(b"x" * 500_000, chunked=True)
    (root / "cache").mkdir()
    with pytest.raises(UnusableError, match="does not end after 1000 bytes"):
        fetch(f"{server.url}/x", root / "cache" / "x", retry=QUICK, largest=1000)
    assert not any(path.stat().st_size > 1000 for path in (root / "cache").iterdir())
