"""Opens .zip archives of strangers, whose list of files can be made to take many times the memory of the archive."""

import zipfile
from typing import BinaryIO

MOST_LISTED = 4_000_000  # bytes of the list of files, enough for 50,000 of them


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """An archive, for reading. Raises as ``zipfile.ZipFile`` does, and BadZipFile where its list of files is vast."""
    bounded = _Bounded(file)
    archive = zipfile.ZipFile(bounded)
    bounded.most = None
    return archive


class _Bounded:
    """A file of which at most ``most`` bytes are read at once, while there is such a number."""

    def __init__(self, file: BinaryIO):
        self._read, self.most = file.read, MOST_LISTED
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if self.most is not None and size > self.most:
            raise zipfile.BadZipFile(f"its list of files has {size:,} bytes, more than {self.most:,}")
        return self._read(size)
