"""Released weights from a server on this machine that misbehaves."""

import os
import re
import time

import pytest

from tests.released_server import Page
from tests.tools.files.small_archives import SAMPLE, archive_of, assert_complete
from tests.tools.weights.released_cache import ARCHIVE, PICKLE, SINGLE, failure, find
from tools.files.fetch import RetryPolicy


def test_a_cut_connection_is_gone_on_with_where_it_was_cut(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, cut=len(SAMPLE) // 2)
    assert_complete(find(root))
    assert server.requests == [(ARCHIVE, None), (ARCHIVE, f"bytes={len(SAMPLE) // 2}-")]


def test_a_later_run_goes_on_with_what_an_earlier_one_left(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, cut=200, cuts=3)
    assert "ended after 600 of" in failure(root)
    assert_complete(find(root))
    assert server.requests[-1] == (ARCHIVE, "bytes=600-")


@pytest.mark.parametrize(
    "page",
    [
        {"ranges": False},
        {"changes": True},
        {"etag": None, "ranges": False},
        {"etag": 'W/"v1"', "modified": "Thu, 28 Feb 2019 00:00:00 GMT", "ranges": False},
    ],
)
def test_a_server_that_cannot_go_on_begins_again(server, root, page):
    server.pages[ARCHIVE] = Page(SAMPLE, cut=700, **page)
    assert_complete(find(root))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("modified", "then"), [(None, [None, None]), ("Thu, 28 Feb 2019 00:00:00 GMT", ["bytes=700-"])]
)
def test_without_a_strong_etag_the_date_tells_versions_apart_and_without_either_nothing(server, root, modified, then):
    server.pages[ARCHIVE] = Page(SAMPLE, cut=700, cuts=len(then), etag=None, modified=modified)
    find(root)
    assert server.requests == [(ARCHIVE, None), *((ARCHIVE, part) for part in then)]


def test_a_part_of_another_version_is_not_gone_on_with(server, root):
    other = archive_of(("fc_0.w_0", os.urandom(3000)))
    server.pages[ARCHIVE] = Page(other, cut=500, cuts=9, etag=None, ranges=False)
    failure(root)
    server.pages[ARCHIVE] = Page(SAMPLE, etag=None)
    assert_complete(find(root))


def test_three_cuts_without_getting_further_are_enough(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, cut=700, cuts=99, ranges=False)
    text = failure(root)
    assert f"{server.url}{ARCHIVE} ended after 700 of {len(SAMPLE)} bytes; by hand: put" in text
    assert len(server.requests) == 3


def test_a_connection_that_keeps_being_cut_ends_well_as_long_as_it_gets_further(server, root):
    archive = archive_of(("fc_0.w_0", os.urandom(800_000)))
    server.pages[ARCHIVE] = Page(archive, cut=100_000, cuts=99)
    assert_complete(find(root), archive)


@pytest.mark.parametrize(("length", "message"), [(len(SAMPLE) + 9, "ended after"), (len(SAMPLE) - 9, "damaged")])
def test_a_wrong_length_is_an_error(server, root, length, message):
    server.pages[ARCHIVE] = Page(SAMPLE, length=length, ranges=False)
    assert message in failure(root)


def test_an_absurd_length_is_refused_before_anything_is_read(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, length=10**12)
    assert "is 1000000000000 bytes long, which it should not be" in failure(root)


def test_a_length_need_not_be_known(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, chunked=True)
    assert_complete(find(root))


def test_errors_of_a_server_are_tried_again(server, root, log_lines):
    server.pages[ARCHIVE] = Page(SAMPLE, statuses=[500, 503])
    assert_complete(find(root))
    assert "HTTP Error 500: Internal Server Error; trying again in 0.01 s" in log_lines[1]


def test_a_server_that_keeps_failing_is_an_error_and_not_asked_for_the_single_file(server, root):
    server.pages |= {ARCHIVE: Page(statuses=[500]), SINGLE: Page(PICKLE)}
    assert "HTTP Error 500" in failure(root)
    assert server.requests == [(ARCHIVE, None)] * 3


def test_redirects_are_followed(server, root):
    server.pages |= {ARCHIVE: Page(location=f"{server.url}/there"), "/there": Page(SAMPLE)}
    assert_complete(find(root))


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", ARCHIVE])
def test_redirects_lead_nowhere_but_to_web_addresses(server, root, target):
    server.pages[ARCHIVE] = Page(location=target)
    text = failure(root)
    assert "cannot be fetched" in text
    assert not (root / "cache" / "tsn_kinetics").exists()


def test_a_slow_server_is_waited_for_as_long_as_it_sends(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, drip=100, rest_sec=0.04)  # 0.56 s in all
    assert_complete(find(root, retry=RetryPolicy(timeout_sec=0.5, delays_sec=())))
    assert len(server.requests) == 1


def test_a_server_that_stops_sending_is_not_waited_for(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, drip=700, rest_sec=0.6)
    text = failure(root, retry=RetryPolicy(timeout_sec=0.2, delays_sec=()))
    assert "stopped sending: timed out" in text


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html><p>log in", "a web page (HTML)"),
        (b"\xef\xbb\xbf\n <html>", "a web page (HTML)"),
        (b"<?xml version='1.0'?><Error>", "an XML text"),
    ],
)
def test_a_web_page_is_named_as_such(server, root, content, kind):
    server.pages[ARCHIVE] = Page(content)
    message = failure(root)
    assert f"{ARCHIVE} is {kind}, expected a .tar.gz archive; does a proxy or a login page answer?" in message


def test_no_network_ends_within_seconds_with_address_and_place(root, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("PADDLE_WEIGHTS_URL", "http://name.invalid/weights/")
    started = time.monotonic()
    text = failure(root, retry=RetryPolicy(delays_sec=(0.01, 0.01)))
    assert time.monotonic() - started < 60
    assert re.match(r"http://name.invalid/weights/tsn_kinetics.tar.gz cannot be fetched: .+; by hand: put http", text)
