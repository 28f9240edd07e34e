"""Unpack an archive that a stranger may have made.

Only files and folders come out, only below the folder they are meant for, no more of them than
expected, and an archive that is cut or damaged anywhere is an error. Owners, modes and times in it
are ignored.
"""

import gzip
import os
import struct
import tarfile
import zlib
from pathlib import Path

from tools.errors import UnusableError
from tools.files.atomic import sync_folder

LARGEST = 2_000_000_000  # bytes, unpacked; the largest released archive has a few hundred million
MOST_FILES = 10_000  # the largest has a few hundred
_CHUNK = 1 << 20
_DAMAGED = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    struct.error,
    ValueError,
    OverflowError,
    RecursionError,  # headers about headers about headers
)


def extract(archive: Path, folder: Path, source: str, largest: int = LARGEST, most_files: int = MOST_FILES) -> None:
    """Unpack a .tar.gz into a new folder and bring it to the disk.

    source: what errors call the archive. Raises UnusableError, which leaves what has come out so far in
    the folder, and OSError where that cannot be written.
    """
    folder.mkdir()
    folders = {folder}
    total = files = 0
    try:
        with _Stream(archive, largest) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for count, item in enumerate(tar, start=1):
                parts = _safe_parts(item, source)
                total += item.size
                if total > largest or count > most_files:
                    raise UnusableError(f"{source} unpacks to more than {largest} bytes or {most_files} files")
                if parts and item.isfile():
                    _write(tar, item, folder.joinpath(*parts), source)
                    folders.update(folder.joinpath(*parts[:depth]) for depth in range(1, len(parts)))
                    files += 1
            stream.require_end()
    except _DAMAGED as error:
        reason = str(error) or type(error).__name__
        raise UnusableError(f"{source} is damaged or no .tar.gz archive: {reason}") from None
    if not files:
        raise UnusableError(f"{source} is an archive without files")
    for path in folders:
        sync_folder(path)


def _safe_parts(item: tarfile.TarInfo, source: str) -> list[str]:
    """The steps of a member's path, once it is known to be a plain file or folder in its place."""
    shown = repr(item.name[:100])
    if item.issparse() or not (item.isdir() or item.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        kind = "a link" if item.issym() or item.islnk() else "neither a file nor a folder"
        raise UnusableError(f"{source} holds {shown}, which is {kind}; nothing of it was kept")
    parts = [part for part in item.name.split("/") if part not in ("", ".")]
    if item.name.startswith("/") or ".." in parts:
        raise UnusableError(f"{source} holds {shown}, which leads out of its folder; nothing of it was kept")
    if len(item.name) > 1000 or any(len(os.fsencode(part)) > 255 for part in parts):
        raise UnusableError(f"{source} holds {shown}..., a name too long for a file")
    if item.size < 0:
        raise UnusableError(f"{source} gives {shown} a size of {item.size} bytes")
    return parts


def _write(tar: tarfile.TarFile, item: tarfile.TarInfo, path: Path, source: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "xb")  # noqa: SIM115
    except (FileExistsError, NotADirectoryError):
        raise UnusableError(f"{source} holds {item.name[:100]!r} twice") from None
    with file, tar.extractfile(item) as content:
        while chunk := content.read(_CHUNK):
            file.write(chunk)
        if file.tell() != item.size:
            raise EOFError(f"{item.name!r} ends after {file.tell()} of {item.size} bytes")
        file.flush()
        os.fsync(file.fileno())


class _Stream(gzip.GzipFile):
    """A .gz file that is read once, in order, and in bounded pieces.

    ``tarfile`` reads a header's long name or attributes at once, however long they claim to be.
    """

    def __init__(self, path: Path, largest: int):
        super().__init__(path, "rb")
        self._left = largest + (64 << 20)  # headers and padding come on top of the files
        self._last = b""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _CHUNK:
            raise ValueError(f"a header claims {size} bytes for itself")
        self._last = super().read(size)
        self._left -= len(self._last)
        if self._left < 0:
            raise ValueError("it does not end")
        return self._last

    def require_end(self) -> None:
        """Raise ValueError unless the last header was the end mark; read on to the checksum.

        ``tarfile`` takes a damaged header for the end of the archive.
        """
        if self._last != bytes(512):
            raise ValueError("it ends without an end mark")
        padding = 0
        while chunk := self.read(_CHUNK):
            padding += len(chunk)
            if chunk.strip(b"\0") or padding > _CHUNK:
                raise ValueError("it goes on after its end mark")
