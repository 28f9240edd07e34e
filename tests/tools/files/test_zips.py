"""Archives whose list of files would take much memory are not opened."""

import io
import struct
import tracemalloc
import zipfile

import pytest

from tools.files.recognise import FileKind, recognise_file
from tools.files.zips import MOST_LISTED, open_zip


def make_archive(entries):
    """An archive of one file, which its list has so many times."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", b"x" * 100)
    content = file.getvalue()
    at, begin = content.rindex(b"PK\5\6"), content.rindex(b"PK\1\2")
    listed = content[begin:at] * entries
    count = min(entries, 0xFFFF)
    return content[:begin] + listed + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(listed), begin, 0)


def test_files_of_an_archive_are_read_whatever_their_size(tmp_path):
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("a", bytes(2 * MOST_LISTED))
    with open(tmp_path / "x", "rb") as file, open_zip(file) as archive:
        assert archive.read("a") == bytes(2 * MOST_LISTED)


def test_a_vast_list_of_files_takes_no_memory(tmp_path):
    (tmp_path / "x").write_bytes(make_archive(MOST_LISTED // 40))
    tracemalloc.start()
    try:
        with open(tmp_path / "x", "rb") as file, pytest.raises(zipfile.BadZipFile, match=r"its list of files has 4,7"):
            open_zip(file)
        assert recognise_file(tmp_path / "x") is FileKind.ZIP
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    with open_zip(io.BytesIO(make_archive(3))) as archive:
        assert archive.namelist() == ["a"] * 3
