"""Sums of files, in a JSON object that has a sum of its own content too, so that no damage to either goes unnoticed.

Such an object has ``files``: name -> ``{"size": bytes, "crc32": CRC-32}``, and under the name that it has itself
``{"sha256": ...}`` of all else in it. They tell damage, not malice: whoever can write the files can write their sums.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path

from tools.files.atomic import atomic_write

OWN = "sha256"  # of an object's other content: JSON with sorted keys and no spaces


class SumError(Exception):
    """A file is not what its sums say, or these are damaged; the text says which."""


def sum_of(path: Path) -> dict[str, int]:
    """Size in bytes and CRC-32 of a file. Raises OSError."""
    size = checksum = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            size += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
    return {"size": size, "crc32": checksum}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError."""
    return digests_of(path, ["sha256"])["sha256"]


def digests_of(path: Path, algorithms: Iterable[str]) -> dict[str, str]:
    """Sums of a file in hexadecimal, by the names that hashlib gives to how they are made. Raises OSError."""
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def fits_sum(path: Path, facts: dict) -> bool:
    """Whether a file has the size and the CRC-32 that facts give; False where it is gone. Raises OSError."""
    if not path.is_file() or path.stat().st_size != facts.get("size"):
        return False
    return sum_of(path)["crc32"] == facts.get("crc32")


def seal(content: dict, name: str) -> bytes:
    """An object as JSON, with the sum of its own content under ``name`` in its ``files``."""
    content = json.loads(json.dumps(content))  # as it will be read
    files = content.get("files")
    files = {key: facts for key, facts in files.items() if key != name} if isinstance(files, dict) else {}
    content["files"] = files | {name: {OWN: _own_sum(content | {"files": files})}}
    return (json.dumps(content, indent=1) + "\n").encode()


def is_intact(content: dict, name: str) -> bool:
    """Whether an object is what ``seal`` made, or has no sum of its own, as those of earlier versions."""
    files = content.get("files")
    if not isinstance(files, dict) or name not in files:
        return True
    others = {key: facts for key, facts in files.items() if key != name}
    try:
        return files[name] == {OWN: _own_sum(content | {"files": others})}
    except RecursionError:
        return False


def _own_sum(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sums_beside(path: Path) -> Path:
    """Where the sums of a file or folder that was fetched or unpacked are noted, if they are."""
    return path.with_name(f"{path.name}.sums.json")


def accept_or_renew(path: Path) -> str:
    """What can be done about a file or folder that is not as the note beside it says."""
    name, note = path.name, sums_beside(path).name
    return f"delete {name} and {note} to have it fetched anew, or {note} alone if you trust {name} as it is"


def write_sums(note: Path, folder: Path, names: Iterable[str], **facts) -> None:
    """Write the sums of files of a folder, and facts besides. names: of the files, as seen from there."""
    files = {name: sum_of(folder / name) for name in names}
    with atomic_write(note) as file:
        file.write(seal({**facts, "files": files}, note.name))


def check_sums(note: Path, folder: Path, **facts) -> None:
    """Raise SumError unless all files and facts are as in a note of ``write_sums``. FileNotFoundError: there is none.

    Raises OSError for what cannot be read. What else is in the folder is not asked for.
    """
    try:
        content = json.loads(note.read_bytes())
    except (ValueError, RecursionError):
        raise SumError(f"{note} is damaged") from None
    files = content.get("files") if isinstance(content, dict) else None
    whole = isinstance(files, dict) and note.name in files and is_intact(content, note.name)
    if not whole or not all(isinstance(sums, dict) for sums in files.values()):
        raise SumError(f"{note} is damaged")
    if wrong := [name for name, value in facts.items() if content.get(name) != value]:
        raise SumError(f"{note} is of another {wrong[0]}")
    for name, sums in files.items():
        if name != note.name and not fits_sum(folder / name, sums):
            raise SumError(f"{folder / name} has not the size or checksum that {note.name} says")
