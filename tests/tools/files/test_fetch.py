"""Fetching a file from a web address: servers that are slow, wrong, without end or changed meanwhile, and links."""

import http.client
import os
import time

import pytest

from tests.released_server import Page
from tools.errors import DownloadError, UnusableError
from tools.files.fetch import RetryPolicy, fetch

QUICK = RetryPolicy(timeout_sec=5, delays_sec=(0.01, 0.01))
OLD, NEW = os.urandom(100_000), os.urandom(100_000)
LONG_AGO, LATER = "Wed, 01 Jan 2020 00:00:00 GMT", "Wed, 01 Jan 2020 00:00:01 GMT"


@pytest.fixture
def path(root):
    (root / "cache").mkdir()
    return root / "cache" / "x"


def names_beside(path):
    return {other.name for other in path.parent.iterdir()} - {path.name}


def test_a_file_without_end_is_stopped_at_the_limit(server, path):
    server.pages["/x"] = Page(b"x" * 500_000, chunked=True)
    with pytest.raises(UnusableError, match="does not end after 1000 bytes"):
        fetch(f"{server.url}/x", path, retry=QUICK, largest=1000)
    assert not any(other.stat().st_size > 1000 for other in path.parent.iterdir())


def test_of_what_is_sent_behind_an_announced_end_nothing_is_taken(server, path):
    server.pages["/x"] = Page(OLD, length=1000)
    fetch(f"{server.url}/x", path, retry=QUICK)
    assert path.read_bytes() == OLD[:1000]


def test_a_rest_that_goes_on_behind_the_length_of_the_whole_is_an_error(server, path):
    page = server.pages["/x"] = Page(OLD, cut=50_000)
    stop_once(server, path)
    page.content, page.chunked = OLD + b"more", True
    page.range_says = f"bytes 50000-99999/{len(OLD)}"
    with pytest.raises(UnusableError, match="does not end after 100000 bytes"):
        fetch(f"{server.url}/x", path, retry=QUICK)
    assert not path.exists()


# A file that changes on the server between two tries, and what tells its versions from each other.


def stop_once(server, path):
    """Fetch until the connection is cut."""
    with pytest.raises(DownloadError, match="ended after 50000 of 100000 bytes"):
        fetch(f"{server.url}/x", path, retry=RetryPolicy(delays_sec=()))
    assert path.with_name("x.part").read_bytes() == OLD[:50_000]


VALIDATORS = {
    "none": ({"etag": None}, {}),
    "a weak ETag": ({"etag": 'W/"1"'}, {}),
    "a weak ETag that changes": ({"etag": 'W/"1"'}, {"etag": 'W/"2"'}),
    "an ETag": ({}, {"etag": '"v2"'}),
    "an ETag that is gone": ({}, {"etag": None}),
    "a time": ({"etag": None, "modified": LONG_AGO}, {"modified": LATER}),
    "a time that is gone": ({"etag": None, "modified": LONG_AGO}, {"modified": None}),
    "a time of just now": ({"etag": None, "modified": "now"}, {}),
}


@pytest.mark.parametrize("in_one_run", [False, True])
@pytest.mark.parametrize("obeys", [True, False], ids=["obeys If-Range", "ignores If-Range"])
@pytest.mark.parametrize("validator", VALIDATORS)
def test_a_file_that_changed_meanwhile_is_never_half_old_and_half_new(server, path, validator, obeys, in_one_run):
    first, then = VALIDATORS[validator]
    page = server.pages["/x"] = Page(OLD, cut=50_000, **first)
    if page.modified == "now":
        page.modified = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    if not obeys:
        page.obeys = False

    def change():
        page.content = NEW
        vars(page).update(then)

    if in_one_run:
        page.after_cut = change
    else:
        stop_once(server, path)
        change()
    fetch(f"{server.url}/x", path, retry=QUICK)
    assert path.read_bytes() == NEW
    assert names_beside(path) == set()


@pytest.mark.parametrize("facts", [{}, {"etag": None, "modified": LONG_AGO}, {"modified": LONG_AGO}])
def test_a_file_whose_version_the_server_tells_is_continued(server, path, facts):
    server.pages["/x"] = Page(OLD, cut=50_000, **facts)
    stop_once(server, path)
    fetch(f"{server.url}/x", path, retry=QUICK)
    assert path.read_bytes() == OLD
    assert server.requests == [("/x", None), ("/x", "bytes=50000-")]


@pytest.mark.parametrize(
    "note", [b"[" * 200_000, b"{", b"[]", b'{"url": 1}', b"\xff", b'"' + b"9" * 5000, b"9" * 5000, None]
)
def test_a_part_with_a_damaged_note_is_begun_again(server, path, note):
    server.pages["/x"] = Page(OLD, cut=50_000)
    stop_once(server, path)
    beside = path.with_name("x.part.json")
    beside.write_bytes(beside.read_bytes().replace(b"100000", b'"a"') if note is None else note)
    fetch(f"{server.url}/x", path, retry=QUICK)
    assert path.read_bytes() == OLD
    assert server.requests[1] == ("/x", None)


@pytest.mark.parametrize("says", ["bytes 50000-99999/" + "9" * 5000, "bytes " + "5" * 5000 + "-99999/100000", "x", ""])
def test_a_range_that_is_none_means_beginning_again(server, path, says):
    page = server.pages["/x"] = Page(OLD, cut=50_000)
    stop_once(server, path)
    page.range_says = says or " "
    fetch(f"{server.url}/x", path, retry=QUICK)
    assert path.read_bytes() == OLD


# Servers that keep a connection open and send next to nothing.

IMPATIENT = RetryPolicy(timeout_sec=5, delays_sec=(0.01, 0.01), least_bytes=10_000, stretch_sec=0.3)


@pytest.mark.parametrize(
    "page",
    [
        Page(OLD, drip=10),
        Page(OLD, drip=10, chunked=True),
        Page(OLD, drip=10, chunked=True, chunk=1),
        Page(OLD, drip_head=True),
        Page(OLD, drip_head=True, rest_sec=0),
    ],
    ids=["body", "chunk", "many chunks", "head", "head without end"],
)
def test_a_server_that_drips_is_left_with_an_error_that_says_so(server, path, page):
    server.pages["/x"] = page
    with pytest.raises(DownloadError, match=r"/x sends too slowly: \d+ bytes in \d+ s of waiting, where"):
        fetch(f"{server.url}/x", path, retry=IMPATIENT)
    assert len(server.requests) == 1  # it is not asked again


def test_what_a_server_dripped_is_kept_and_continued(server, path):
    page = server.pages["/x"] = Page(OLD, drip=10)
    with pytest.raises(DownloadError, match="sends too slowly"):
        fetch(f"{server.url}/x", path, retry=IMPATIENT)
    have = path.with_name("x.part").stat().st_size
    assert 0 < have < 10_000
    page.drip = None
    fetch(f"{server.url}/x", path, retry=IMPATIENT)
    assert path.read_bytes() == OLD
    assert server.requests[1:] == [("/x", f"bytes={have}-")]


def test_a_slow_server_that_sends_enough_is_waited_for(server, path):
    server.pages["/x"] = Page(OLD, drip=2500)  # in pieces, with 40 rests of 10 ms
    fetch(f"{server.url}/x", path, retry=RetryPolicy(least_bytes=1, stretch_sec=0.1))
    assert path.read_bytes() == OLD


# Redirects.


@pytest.fixture
def https(monkeypatch):
    """Addresses that begin with https, on a server that has no certificate: all but the encryption."""

    class Plain(http.client.HTTPConnection):
        def __init__(self, *arguments, context=None, check_hostname=None, **options):
            super().__init__(*arguments, **options)

    monkeypatch.setattr("http.client.HTTPSConnection", Plain)


@pytest.mark.parametrize(
    ("steps", "followed"),
    [
        (["http", "http"], True),
        (["http", "https"], True),
        (["https", "https"], True),
        (["https", "http"], False),
        (["https", "HTTP"], False),
        (["http", "https", "http"], False),
        (["https", "https", "https", "http"], False),
        (["https", "file"], False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("https")
def test_no_way_leads_from_https_to_anything_else(server, path, steps, followed):
    addresses = [f"{step}{server.url.removeprefix('http')}/{number}" for number, step in enumerate(steps)]
    for number, address in enumerate(addresses[1:]):
        server.pages[f"/{number}"] = Page(location=address)
    server.pages[f"/{len(steps) - 1}"] = Page(OLD)
    if followed:
        fetch(addresses[0], path, retry=QUICK)
        assert path.read_bytes() == OLD
    else:
        with pytest.raises(UnusableError, match=r"it leads from https to (http|HTTP)://127|file://\S+ is not allowed"):
            fetch(addresses[0], path, retry=QUICK)
        assert len(server.requests) == len(steps) - 1
        assert names_beside(path) == set()
        assert not path.exists()


@pytest.mark.usefixtures("https")
def test_a_continued_download_is_not_led_to_http_either(server, path):
    url = f"https{server.url.removeprefix('http')}/x"
    server.pages["/x"] = Page(OLD, cut=50_000)
    with pytest.raises(DownloadError, match="ended after 50000"):
        fetch(url, path, retry=RetryPolicy(delays_sec=()))
    server.pages["/x"] = Page(location=f"{server.url}/y")
    server.pages["/y"] = Page(OLD)
    with pytest.raises(UnusableError, match="leads from https to http"):
        fetch(url, path, retry=QUICK)
    assert [address for address, _ in server.requests] == ["/x", "/x"]


def test_what_comes_with_a_redirect_is_not_read(server, path):
    server.pages["/x"] = Page(location="/y", length=1 << 40)
    server.pages["/y"] = Page(OLD)
    fetch(f"{server.url}/x", path, retry=QUICK)
    assert path.read_bytes() == OLD


def test_what_a_server_says_of_itself_is_one_short_line(server, path):
    server.pages["/x"] = Page(location="gopher://" + "x" * 50_000)
    with pytest.raises(UnusableError) as error:
        fetch(f"{server.url}/x", path, retry=QUICK)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


# Links of others in the place of a part.


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
@pytest.mark.parametrize("with_note", [False, True])
def test_a_part_that_is_a_link_is_not_written_through(server, path, make, with_note):
    page = server.pages["/x"] = Page(OLD, cut=50_000)
    if with_note:
        stop_once(server, path)
        path.with_name("x.part").unlink()
    page.cut = None
    precious = path.with_name("precious")
    precious.write_bytes(b"precious")
    getattr(path.with_name("x.part"), make)(precious)
    fetch(f"{server.url}/x", path, retry=QUICK)
    assert precious.read_bytes() == b"precious"
    assert path.read_bytes() == OLD
    assert not path.is_symlink()
    assert names_beside(path) == {"precious"}
