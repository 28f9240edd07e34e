"""Unpacking: within bounds, and never what is damaged."""

import pytest

from tests.tools.files.small_archives import SAMPLE, archive_of, assert_complete
from tools.errors import UnusableError
from tools.files.archives import extract


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
