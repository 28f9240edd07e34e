"""Released weights in archives that do harm or are damaged: refused as a whole."""

import gzip
import re
import tarfile

import pytest

from tests.released_server import Page
from tests.tools.files.small_archives import SAMPLE, archive_of, header
from tests.tools.weights.released_cache import ARCHIVE, failure, names_in

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
