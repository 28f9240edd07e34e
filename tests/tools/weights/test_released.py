"""Released weights from a server on this machine that misbehaves, and from archives that do."""

import gzip
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time

import pytest

import models
from tests.conftest import PROJECT
from tests.released_server import Page
from tools.errors import ConfigError, DownloadError, UnusableError
from tools.files.archives import extract
from tools.files.fetch import RetryPolicy, fetch
from tools.registry import MODELS
from tools.weights.released import KNOWN_SUMS, RELEASED, CacheEntry, find_released

SAMPLE = (PROJECT / "tests/golden/fluid_samples/persistables_dir.tar.gz").read_bytes()
ARCHIVE, SINGLE = "/tsn_kinetics.tar.gz", "/TSN.pdparams"
PICKLE = b"\x80\x02}q\x00."
QUICK = RetryPolicy(timeout_sec=5, delays_sec=(0.01, 0.01))


def content_of(archive):
    """File name without its folder -> bytes."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {item.name.split("/")[-1]: tar.extractfile(item).read() for item in tar if item.isfile()}


def archive_of(*members):
    """A .tar.gz of (name, content) pairs and TarInfo headers."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                item = tarfile.TarInfo(member[0])
                item.size = len(member[1])
                tar.addfile(item, io.BytesIO(member[1]))
    return out.getvalue()


def header(name, kind=tarfile.REGTYPE, size=0, target=""):
    item = tarfile.TarInfo(name)
    item.type, item.size, item.linkname = kind, size, target
    return item


@pytest.fixture
def root(tmp_path):
    """A folder with a cache folder, and a guard that nothing lands beside it."""
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def find(root, name="TSN", log=None, retry=QUICK, **options):
    return find_released(
        name,
        weights_dir=str(root / "cache"),
        log=(log or []).append if log is None else log.append,
        retry=retry,
        **options,
    )


def failure(root, kind=DownloadError, **options):
    """The text of the error, after which nothing counts as complete."""
    with pytest.raises(kind) as error:
        find(root, **options)
    assert CacheEntry.of("TSN", str(root / "cache")).present() is None
    assert "\n" not in str(error.value)
    return str(error.value)


def assert_complete(path, archive=SAMPLE):
    assert {file.name: file.read_bytes() for file in path.iterdir()} == content_of(archive)


def names_in(root):
    return sorted(path.name for path in (root / "cache").iterdir())


def test_an_archive_becomes_the_folder_of_its_name_bit_for_bit(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE)
    path = find(root)
    assert path == root / "cache" / "tsn_kinetics"
    assert_complete(path)
    assert len(list(path.iterdir())) == 43
    assert names_in(root) == [".tsn_kinetics.lock", "tsn_kinetics", "tsn_kinetics.tar.gz.sha256"]
    noted = (root / "cache" / "tsn_kinetics.tar.gz.sha256").read_text()
    assert noted == f"{hashlib.sha256(SAMPLE).hexdigest()}  tsn_kinetics.tar.gz\n"


def test_what_is_here_is_used_without_a_request(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE)
    assert find(root) == find(root, name="tsn") == find(root, offline=True)
    assert server.requests == [(ARCHIVE, None)]


@pytest.mark.parametrize("inner", ["", "tsn", "a/b"])
def test_a_folder_of_2019_is_used_as_it_is_however_deep_its_files_lie(root, inner):
    folder = root / "cache" / "tsn_kinetics" / inner
    folder.mkdir(parents=True)
    (folder / "fc_0.w_0").write_bytes(b"x")
    (folder / "fc_0.b_0").write_bytes(b"y")
    before = names_in(root)
    assert find(root, offline=True) == folder
    assert names_in(root) == before  # nothing is written to what may be a folder to read only


def test_an_empty_folder_does_not_count_and_gives_way(server, root):
    (root / "cache" / "tsn_kinetics").mkdir(parents=True)
    server.pages[ARCHIVE] = Page(SAMPLE)
    assert_complete(find(root))


@pytest.mark.parametrize("top", ["", "./", "some/other name/"])
def test_files_may_lie_in_any_folder_of_the_archive_or_in_none(server, root, top):
    archive = archive_of((f"{top}a", b"1"), (f"{top}b", b"22"))
    server.pages[ARCHIVE] = Page(archive)
    path = find(root)
    assert path == root / "cache" / "tsn_kinetics"
    assert_complete(path, archive)


def test_the_folder_and_the_address_come_from_the_environment(server, root, monkeypatch):
    monkeypatch.setenv("PADDLE_WEIGHTS_DIR", str(root / "cache" / "deep"))
    monkeypatch.setenv("PADDLE_WEIGHTS_URL", f"{server.url}/mirror/")
    server.pages["/mirror/TSN.pdparams"] = Page(PICKLE)
    assert find_released("TSN", log=print, retry=QUICK) == root / "cache" / "deep" / "TSN.pdparams"


def test_the_default_folder_is_the_one_of_2019(monkeypatch, tmp_path):
    monkeypatch.delenv("PADDLE_WEIGHTS_DIR", raising=False)
    monkeypatch.delenv("PADDLE_WEIGHTS_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    place = CacheEntry.of("nextvlad")
    assert place.folder == tmp_path / ".paddle/weights/nextvlad_youtube8m"
    base = "https://paddlemodels.bj.bcebos.com/video_classification"
    assert place.url(place.item.archive) == f"{base}/nextvlad_youtube8m.tar.gz"


def test_every_model_has_released_weights():
    assert models.__name__ == "models"  # registers them
    assert {item.name for item in RELEASED} == {*MODELS.names(), "ResNet50_pretrained"}
    with pytest.raises(ConfigError, match="no released weights named 'TSM'; known: AttentionCluster"):
        find_released("TSM", log=print)


# What a network does.


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


@pytest.mark.parametrize("modified", [None, "Thu, 28 Feb 2019 00:00:00 GMT"])
def test_without_a_strong_etag_the_date_or_the_length_tells_versions_apart(server, root, modified):
    server.pages[ARCHIVE] = Page(SAMPLE, cut=700, cuts=3, etag=None, modified=modified)
    find(root)
    assert server.requests == [(ARCHIVE, None), (ARCHIVE, "bytes=700-")]


def test_a_part_of_another_version_is_not_gone_on_with(server, root):
    other = archive_of(("fc_0.w_0", os.urandom(3000)))
    server.pages[ARCHIVE] = Page(other, cut=500, cuts=9, etag=None, ranges=False)
    failure(root)
    server.pages[ARCHIVE] = Page(SAMPLE, etag=None)  # answers 206, of a file of another length
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


def test_a_file_without_end_is_stopped_at_the_limit(server, root):
    server.pages["/x"] = Page(b"x" * 500_000, chunked=True)
    (root / "cache").mkdir()
    with pytest.raises(UnusableError, match="does not end after 1000 bytes"):
        fetch(f"{server.url}/x", root / "cache" / "x", log=print, retry=QUICK, largest=1000)
    assert not any(path.stat().st_size > 1000 for path in (root / "cache").iterdir())


def test_a_length_need_not_be_known(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, chunked=True)
    assert_complete(find(root))


@pytest.mark.parametrize("status", [404, 403])
def test_where_the_archive_is_gone_the_single_file_serves(server, root, status):
    server.pages |= {ARCHIVE: Page(statuses=[status]), SINGLE: Page(PICKLE)}
    log = []
    path = find(root, log=log)
    assert path.read_bytes() == PICKLE
    assert names_in(root) == [".tsn_kinetics.lock", "TSN.pdparams", "TSN.pdparams.sha256"]
    assert [request[0] for request in server.requests] == [ARCHIVE, SINGLE]  # 404 is not tried again
    assert f"HTTP Error {status}" in log[-1]
    assert log[-1].endswith(f"trying {server.url}{SINGLE}")
    assert find(root, offline=True) == path


def test_a_single_file_of_another_kind_or_without_its_end_is_an_error(server, root):
    for content, message in ((b"<html>", "is a web page"), (PICKLE[:-1], "without its end"), (b"", "is empty")):
        server.pages[SINGLE] = Page(content)
        assert message in failure(root)


def test_both_sources_gone_is_one_error_with_both_and_the_way_out(server, root):
    text = failure(root, kind=UnusableError)
    cache = root / "cache"
    assert text == (
        f"{server.url}/tsn_kinetics.tar.gz cannot be fetched: HTTP Error 404: Not Found; "
        f"{server.url}/TSN.pdparams cannot be fetched: HTTP Error 404: Not Found; "
        f"by hand: put {server.url}/tsn_kinetics.tar.gz at {cache}/tsn_kinetics.tar.gz, or its files into "
        f"{cache}/tsn_kinetics, or {server.url}/TSN.pdparams at {cache}/TSN.pdparams; "
        "PADDLE_WEIGHTS_URL names a mirror, --weights-dir another folder"
    )


def test_resnet_has_one_source(server, root):
    text = failure(root, name="ResNet50_pretrained")
    assert "ResNet50_pretrained.tar.gz" in text
    assert "pdparams" not in text
    assert len(server.requests) == 1


def test_errors_of_a_server_are_tried_again(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, statuses=[500, 503])
    log = []
    assert_complete(find(root, log=log))
    assert "HTTP Error 500: Internal Server Error; trying again in 0.01 s" in log[1]


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


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><p>log in", b"\xef\xbb\xbf\n <html>", b"<?xml version='1.0'?>"])
def test_a_web_page_is_named_as_such(server, root, content):
    server.pages[ARCHIVE] = Page(content)
    assert f"{ARCHIVE} is a web page (HTML), expected a .tar.gz archive" in failure(root)


def test_no_network_ends_within_seconds_with_address_and_place(root, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("PADDLE_WEIGHTS_URL", "http://name.invalid/weights/")
    started = time.monotonic()
    text = failure(root, retry=RetryPolicy(delays_sec=(0.01, 0.01)))
    assert time.monotonic() - started < 12
    assert re.match(r"http://name.invalid/weights/tsn_kinetics.tar.gz cannot be fetched: .+; by hand: put http", text)


def test_offline_says_what_to_fetch_from_where_and_where_to_put_it(server, root):
    text = failure(root, offline=True)
    assert text.startswith(f"TSN: no released weights in {root}/cache, and --offline; by hand: put {server.url}")
    for part in ("cache/tsn_kinetics.tar.gz", "cache/tsn_kinetics,", "PADDLE_WEIGHTS_URL", "--weights-dir"):
        assert part in text
    assert not (root / "cache").exists()
    assert server.requests == []


@pytest.mark.parametrize(
    "base", ["file:///etc", "ftp://127.0.0.1", "here", "http://a b/", "http://[", "http://127.0.0.1:x"]
)
def test_a_mirror_that_is_no_web_address_is_an_error(root, monkeypatch, base):
    monkeypatch.setenv("PADDLE_WEIGHTS_URL", base)
    assert base in failure(root)


# What an archive holds.

DEEP = [("/".join(["d" * 50] * 30), b"x")]
BAD_ARCHIVES = {
    "leads out": ([("tsn/a", b"1"), ("tsn/../../evil", b"2")], "'tsn/../../evil', which leads out of its folder"),
    "at the top": ([("../evil", b"2")], "leads out of its folder"),
    "absolute": ([("/etc/evil", b"2")], "'/etc/evil', which leads out of its folder"),
    "link out": ([header("tsn/x", tarfile.SYMTYPE, target="../.."), ("tsn/x/evil", b"2")], "'tsn/x', which is a link"),
    "hard link": ([header("tsn/x", tarfile.LNKTYPE, target="/etc/passwd")], "which is a link"),
    "device": ([header("tsn/x", tarfile.CHRTYPE)], "which is neither a file nor a folder"),
    "pipe": ([header("tsn/x", tarfile.FIFOTYPE)], "which is neither a file nor a folder"),
    "twice": ([("tsn/a", b"1"), ("tsn/a", b"2")], "'tsn/a' twice"),
    "file and folder": ([("tsn/a", b"1"), ("tsn/a/b", b"2")], "'tsn/a/b' twice"),
    "long name": ([("tsn/" + "x" * 300, b"1")], "a name too long"),
    "deep": (DEEP, "a name too long"),
    "empty": ([], "archive without files"),
    "folders only": ([header("tsn", tarfile.DIRTYPE)], "archive without files"),
    "hidden only": ([(".x", b"1")], "archive without files"),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_an_archive_that_does_harm_is_refused_as_a_whole(server, root, case):
    members, message = BAD_ARCHIVES[case]
    server.pages[ARCHIVE] = Page(archive_of(*members))
    assert message in failure(root)
    assert names_in(root) == [".tsn_kinetics.lock"]


def gzipped(*blocks):
    return gzip.compress(b"".join(blocks), compresslevel=1)


TAR = gzip.decompress(SAMPLE)
SIZE_AT = slice(124, 136)


def with_size(item, field):
    """A header block with another size field and the checksum that goes with it."""
    block = bytearray(item.tobuf()[:512])
    block[SIZE_AT] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


DAMAGED = {
    "cut": SAMPLE[: len(SAMPLE) // 2],
    "cut before its checksum": SAMPLE[:-8],
    "one bit": SAMPLE[:700] + bytes([SAMPLE[700] ^ 1]) + SAMPLE[701:],
    "checksum": SAMPLE[:-8] + bytes([SAMPLE[-8] ^ 1]) + SAMPLE[-7:],
    "something after it": SAMPLE + b"more",
    "no tar": gzipped(b"not a tar archive" * 100),
    "header in the middle": gzipped(TAR[:1536], b"x" + TAR[1537:]),
    "cut tar": gzipped(TAR[:1540]),
    "cut content": gzipped(TAR[:1100]),
    "no end mark": gzipped(TAR[:1536]),
    "goes on after its end": gzipped(TAR, b"x" * 512),
    "endless padding": gzipped(TAR, bytes(5_000_000)),
    "bomb": gzipped(with_size(header("x"), b"%011o\0" % (8**11 - 1))),
    "negative size": gzipped(with_size(header("x"), b"\xff" * 12), bytes(1024)),
    "endless name": gzipped(with_size(header("x", b"L"), b"%011o\0" % 10**9), bytes(10_000_000)),
    "negative name": gzipped(with_size(header("x", b"L"), b"\xff" * 12), bytes(10_000)),
    "headers for headers": gzipped(*[with_size(header("x", b"g"), b"%011o\0" % 0)] * 3000),
    "sparse": gzipped(with_size(header("x", b"S"), b"%011o\0" % 5), bytes(2048)),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_archive_is_refused_as_a_whole(server, root, case):
    server.pages[ARCHIVE] = Page(DAMAGED[case])
    text = failure(root)
    assert re.search("is damaged or no .tar.gz|unpacks to more than|gives 'x' a size|which is neither", text), text
    assert names_in(root) == [".tsn_kinetics.lock"]


def test_an_archive_may_unpack_to_so_much_and_so_many(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(archive_of(("a", b"1" * 600), ("b", b"2" * 600)))
    extract(tmp_path / "a.tar.gz", tmp_path / "fits", "a", largest=1200, most_files=2)
    for name, bounds in (("size", {"largest": 1199}), ("number", {"most_files": 1})):
        with pytest.raises(UnusableError, match="a unpacks to more than"):
            extract(tmp_path / "a.tar.gz", tmp_path / name, "a", **bounds)


def test_damage_to_any_byte_is_found_or_changes_nothing(tmp_path):
    for place in range(0, len(SAMPLE), 53):
        content = bytearray(SAMPLE)
        content[place] ^= 1 << place % 8
        (tmp_path / "a.tar.gz").write_bytes(content)
        out = tmp_path / str(place)
        try:
            extract(tmp_path / "a.tar.gz", out, "a")
        except UnusableError:
            continue
        assert_complete(out / "persistables_dir")  # a bit of gzip's header or padding


@pytest.mark.parametrize("offline", [True, False])
def test_an_archive_put_there_by_hand_is_unpacked_and_left(server, root, offline):
    (root / "cache").mkdir()
    (root / "cache" / "tsn_kinetics.tar.gz").write_bytes(SAMPLE)
    assert_complete(find(root, offline=offline))
    assert (root / "cache" / "tsn_kinetics.tar.gz").read_bytes() == SAMPLE
    assert server.requests == []


def test_a_bad_archive_put_there_by_hand_is_named_and_left(server, root):
    (root / "cache").mkdir()
    (root / "cache" / "tsn_kinetics.tar.gz").write_bytes(SAMPLE[:500])
    text = failure(root)
    assert text.startswith(f"{root}/cache/tsn_kinetics.tar.gz is damaged or no .tar.gz archive")
    assert text.endswith("put a whole one in its place, or delete it")
    assert names_in(root) == [".tsn_kinetics.lock", "tsn_kinetics.tar.gz"]


# Checksums.


def test_a_file_that_changes_is_refused_until_its_checksum_is_deleted(server, root):
    server.pages[ARCHIVE] = Page(archive_of(("a", b"1"), ("b", b"2")))
    first = find(root)
    for file in first.iterdir():
        file.unlink()
    server.pages |= {ARCHIVE: Page(SAMPLE), SINGLE: Page(PICKLE)}
    text = failure(root)
    note = root / "cache" / "tsn_kinetics.tar.gz.sha256"
    assert text.startswith(f"{server.url}{ARCHIVE} is not the file it was: its SHA-256 is ")
    assert text.endswith(f"delete {note} if you trust the new one")
    note.unlink()
    assert_complete(find(root))


def test_a_known_checksum_is_held_against_the_file(server, root, monkeypatch):
    monkeypatch.setitem(KNOWN_SUMS, "tsn_kinetics.tar.gz", "0" * 64)
    server.pages |= {ARCHIVE: Page(SAMPLE), SINGLE: Page(PICKLE)}
    assert "is not the released file: its SHA-256 is" in failure(root)
    monkeypatch.setitem(KNOWN_SUMS, "tsn_kinetics.tar.gz", hashlib.sha256(SAMPLE).hexdigest())
    assert_complete(find(root))


# Disks.


def test_a_folder_that_cannot_be_written_is_one_error_that_names_it(server, root):
    (root / "cache").write_text("a file")
    with pytest.raises(DownloadError) as error:
        find(root)
    assert str(error.value).startswith(f"{root}/cache cannot hold the released weights of TSN: ")
    assert "--weights-dir or PADDLE_WEIGHTS_DIR" in str(error.value)


LIMITED = """
import resource, sys
from tools.files.fetch import RetryPolicy
from tools.weights.released import find_released
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    find_released("TSN", weights_dir=sys.argv[1], log=print, retry=RetryPolicy(delays_sec=()))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize("limit", [1000, 2000])
def test_a_disk_that_fills_up_is_one_error_and_a_later_run_succeeds(server, root, limit):
    archive = archive_of(("a", bytes(3000)), ("b", os.urandom(1500)))  # the limit hits the download or the unpacking
    server.pages[ARCHIVE] = Page(archive)
    command = [sys.executable, "-c", LIMITED, str(root / "cache"), str(limit)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.stderr.startswith(f"DownloadError: {root}/cache cannot hold the released weights of TSN: [Errno 27]")
    assert result.stderr.count("\n") == 1
    assert not (root / "cache" / "tsn_kinetics").exists()
    assert not (root / "cache" / ".tsn_kinetics.partial" / "unpacked").exists()
    assert_complete(find(root), archive)


# Processes.

# Runs find_released in child processes, each killed one file operation later than the one before, until one
# is not; after each a whole run has to succeed. Prints how many were killed.
KILLED_EVERYWHERE = """
import os, shutil, signal, sys
from pathlib import Path
from tools.files.fetch import RetryPolicy
from tools.weights.released import CacheEntry, find_released

root, by_hand = Path(sys.argv[1]), sys.argv[2]
quick = RetryPolicy(delays_sec=(0.01, 0.01))

def run(cache):
    return find_released("TSN", weights_dir=str(cache), log=lambda line: None, retry=quick)

def die_at(moment, cache):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if arguments and isinstance(arguments[0], (str, os.PathLike)) and str(arguments[0]).startswith(str(cache)):
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

for moment in range(1, 1000):
    cache = root / "cache" / str(moment)
    if by_hand:
        cache.mkdir(parents=True)
        shutil.copyfile(by_hand, cache / "tsn_kinetics.tar.gz")
    child = os.fork()
    if not child:
        die_at(moment, cache)
        run(cache)
        os._exit(0)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    found = CacheEntry.of("TSN", str(cache)).present()
    for path in (found, run(cache)):
        content = {file.name: file.read_bytes() for file in path.iterdir()} if path else None
        assert content in ({"a": b"1" * 500, "b": b"2" * 500}, None), (moment, content)
        assert path or path is found, moment
    names = {path.name for path in cache.iterdir()} - {"tsn_kinetics.tar.gz"}
    assert names == {"tsn_kinetics", "tsn_kinetics.tar.gz.sha256", ".tsn_kinetics.lock"}, (moment, names)
    shutil.rmtree(cache)
    if not killed:
        break
print(moment)
"""


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_process_killed_at_any_file_operation_leaves_nothing_that_counts(server, root, by_hand):
    archive = archive_of(("tsn/a", b"1" * 500), ("tsn/b", b"2" * 500))
    server.pages[ARCHIVE] = Page(archive)
    (root / "cache").mkdir()
    (root / "cache" / "mine").write_bytes(archive)
    arguments = [str(root), str(root / "cache" / "mine") if by_hand else ""]
    command = [sys.executable, "-c", KILLED_EVERYWHERE, *arguments]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 15


def start_download(root, *arguments):
    command = [sys.executable, "-m", "tools.download", "TSN", f"--weights-dir={root}/cache", *arguments]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_part(root, process, size):
    part = root / "cache" / ".tsn_kinetics.partial" / "tsn_kinetics.tar.gz.part"
    for _ in range(1000):
        if part.exists() and part.stat().st_size >= size:
            return part
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    raise AssertionError("no part came")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_download_that_is_stopped_goes_on_later(server, root, number):
    server.pages[ARCHIVE] = Page(SAMPLE, hold=threading.Event())
    half = len(SAMPLE) // 2
    with start_download(root) as process:
        part = wait_for_part(root, process, half)
        process.send_signal(number)
        _, errors = process.communicate()
    server.pages[ARCHIVE].hold.set()
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in errors
    assert part.read_bytes() == SAMPLE[:half]
    assert not (root / "cache" / "tsn_kinetics").exists()
    assert_complete(find(root))
    assert server.requests == [(ARCHIVE, None), (ARCHIVE, f"bytes={half}-")]
    assert names_in(root) == [".tsn_kinetics.lock", "tsn_kinetics", "tsn_kinetics.tar.gz.sha256"]


def test_of_several_processes_one_downloads_and_the_others_wait(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE, hold=threading.Event())
    waiting = f"TSN: waiting for another process that is fetching it into {root}/cache"
    with start_download(root) as first:
        wait_for_part(root, first, 1)
        with start_download(root) as second, start_download(root) as third:
            others = [second, third]
            assert [process.stdout.readline() for process in others] == [f"{waiting}\n"] * 2
            server.pages[ARCHIVE].hold.set()
            rest = [process.communicate() for process in others]
            first.communicate()
    assert [process.returncode for process in (first, second, third)] == [0, 0, 0]
    assert rest == [(f"TSN: {root}/cache/tsn_kinetics\n", "")] * 2
    assert server.requests == [(ARCHIVE, None)]
    assert_complete(root / "cache" / "tsn_kinetics")


def test_a_note_that_is_not_ours_means_beginning_again(server, root):
    work = root / "cache" / ".tsn_kinetics.partial"
    for note in (b"", b"[1]", b'{"url": 1}', json.dumps({"url": "http://other/"}).encode()):
        work.mkdir(parents=True, exist_ok=True)
        (work / "tsn_kinetics.tar.gz.part").write_bytes(b"rubbish")
        (work / "tsn_kinetics.tar.gz.part.json").write_bytes(note)
        server.pages[ARCHIVE] = Page(SAMPLE)
        assert_complete(find(root))
        for file in (root / "cache" / "tsn_kinetics").iterdir():
            file.unlink()
