"""Arrays that took long to compute, kept in one file of SQLite, of bounded size, for this run and later ones.

It saves time, and nothing else depends on it: what is damaged is made anew, and where nothing can be kept all goes on
without, with a line in the log. Every array has its checksum beside it. Many threads and processes may use one file.
"""

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from tools.files.ownership import describe_other_writers

_FORMAT = 1
_WAIT_SEC = 60  # for another process that is writing
_WAIT_AGAIN_SEC = 1  # once that was not enough: it may stand still
_SUM_SIZE = 16
_AT_ONCE = 500  # keys in a statement; SQLite before 3.32 takes 999
_SLICE_BYTES = 16 * 2**20  # are removed in one transaction, between which other processes have their turn
_TABLES = """
CREATE TABLE sets (id INTEGER PRIMARY KEY, identity BLOB UNIQUE NOT NULL, used REAL NOT NULL);
CREATE TABLE arrays (
    of_set INTEGER NOT NULL, key BLOB NOT NULL, name BLOB NOT NULL, content BLOB NOT NULL, sum BLOB NOT NULL,
    PRIMARY KEY (of_set, key)
);
"""

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Named(NamedTuple):
    """An array, and a name that is kept beside it."""

    name: str
    values: np.ndarray


class ArrayStore:
    """A file of sets of arrays. Where there is no room, those of the sets that no run has used for longest are removed.

    path: made if needed, with its folder. most_bytes: what the arrays may take. ``problem`` says why nothing is kept
    any more, "" while all is well. It is closed when nobody needs it any more.
    """

    def __init__(self, path: Path, most_bytes: int):
        self.path, self.most_bytes, self.problem = path, most_bytes, ""
        self._lock = threading.Lock()
        self._own: set[bytes] = set()  # identities of the sets of this run, which stay
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None  # what was opened last
        self._made_anew = self._told_lock = False

    def open_set(self, identity: bytes, shape: tuple[int, ...]) -> "ArraySet":
        """The arrays of one identity, which says all that is the same for them: float32 of this shape."""
        self._own.add(identity)
        self._try(lambda connection: _find_number(connection, identity), None)
        return ArraySet(self, identity, shape)

    def find(self, identity: bytes, keys: Collection[bytes]) -> list[tuple[bytes, ...]]:
        """(key, name, content, sum) of those keys of a set that there are."""
        marks = ", ".join("?" * len(keys))
        of_set = "of_set = (SELECT id FROM sets WHERE identity = ?)"
        query = f"SELECT key, name, content, sum FROM arrays WHERE {of_set} AND key IN ({marks})"
        return self._try(lambda connection: connection.execute(query, (identity, *keys)).fetchall(), [])

    def keep(self, identity: bytes, rows: list[tuple[bytes, ...]]) -> None:
        """Add to a set, or replace; as ``find`` gives them."""
        self._try(lambda connection: self._keep(connection, identity, rows), None)

    def _keep(self, connection: sqlite3.Connection, identity: bytes, rows: list[tuple[bytes, ...]]) -> None:
        num_bytes, has_room = sum(len(content) for _, _, content, _ in rows), False
        while not has_room:
            connection.execute("BEGIN IMMEDIATE")
            if has_room := _used_bytes(connection) + num_bytes <= self.most_bytes:
                number = _find_number(connection, identity)  # another run may have removed the set
                values = [(number, *row) for row in rows]
                connection.executemany("INSERT OR REPLACE INTO arrays VALUES (?, ?, ?, ?, ?)", values)
            is_full = not has_room and not self._remove_slice(connection)
            connection.execute("COMMIT")
            if is_full:
                self._give_up(f"{self.path} is full with {self.most_bytes / 1e9:g} GB")
                return
            if not has_room:
                # execute() would take one step of it, which gives one page back.
                connection.executescript("PRAGMA incremental_vacuum;")

    def _remove_slice(self, connection: sqlite3.Connection) -> bool:
        """Remove some arrays of the set that goes first, and with its last ones the set; False where none may go."""
        others = ", ".join("?" * len(self._own))
        query = f"SELECT id FROM sets WHERE identity NOT IN ({others}) ORDER BY used LIMIT 1"
        lost = "SELECT of_set FROM arrays WHERE of_set NOT IN (SELECT id FROM sets) LIMIT 1"  # as damage leaves them
        number = connection.execute(query, [*self._own]).fetchone() or connection.execute(lost).fetchone()
        if number is None:
            return False
        size = connection.execute("SELECT LENGTH(content) FROM arrays WHERE of_set = ? LIMIT 1", number).fetchone()
        if size:
            count = max(1, _SLICE_BYTES // max(1, size[0]))
            some = "SELECT rowid FROM arrays WHERE of_set = ? LIMIT ?"
            if not connection.execute(f"DELETE FROM arrays WHERE rowid IN ({some})", (*number, count)).rowcount:
                raise sqlite3.DatabaseError("its index names arrays that are not there")
        (is_left,) = connection.execute("SELECT EXISTS (SELECT 1 FROM arrays WHERE of_set = ?)", number).fetchone()
        if not is_left:
            connection.execute("DELETE FROM sets WHERE id = ?", number)
        return True

    def _try(self, work: Callable[[sqlite3.Connection], Result], otherwise: Result) -> Result:
        """What ``work`` gives, alone with the file; ``otherwise`` where it cannot be done."""
        with self._lock:
            while self._connection or not self.problem:
                try:
                    self._connection = self._connection or self._open()
                    return work(self._connection)
                except (sqlite3.Error, OSError) as error:
                    if not self._mend(error):
                        break
        return otherwise

    def _mend(self, error: Exception) -> bool:
        """Whether it can be tried again, in a new file. The log hears of what cannot be kept, once.

        What another process has locked is left for the next time. Where nothing can be written, as on a full disk, what
        is there is still read.
        """
        if self._connection:
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            if not self._told_lock:
                log.info(f"{self.path} is in use by another process for long: some of what is computed is not kept")
            self._told_lock = True
            if self._connection:
                self._connection.execute(f"PRAGMA busy_timeout = {1000 * _WAIT_AGAIN_SEC}")
            return False
        if isinstance(error, sqlite3.OperationalError) and self._connection:
            self._give_up(f"{self.path}: {error}")
            return False
        is_damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        if is_damaged and not self._made_anew:
            self._made_anew = True
            log.info(f"{self.path} is damaged ({error}): it is made anew")
            with contextlib.suppress(OSError):
                if self._file and os.path.samestat(self._file, self.path.stat()):  # or else another process has done it
                    self.path.unlink()
        else:
            self._give_up(f"{self.path}: {error}")
        if self._connection:
            self._connection.close()
        self._connection = None
        return not self.problem

    def _give_up(self, problem: str) -> None:
        if not self.problem:
            self.problem = problem
            log.info(f"{problem}: what else is computed is not kept, and is computed again when it is needed")

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        for place in (self.path.parent, self.path):
            if place.exists() and (others := describe_other_writers(place)):
                raise OSError(others)
        self.path.touch(mode=0o600)
        self._file = self.path.stat()
        wait_sec = _WAIT_AGAIN_SEC if self._told_lock else _WAIT_SEC
        connection = sqlite3.connect(self.path, timeout=wait_sec, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        weakref.finalize(self, connection.close)
        return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, unless they are there."""
    connection.text_factory = bytes  # damage makes text of an array too, which need not be UTF-8
    # Safe in a process that is killed; a machine that loses power may leave a damaged file, which is seen.
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    if version != _FORMAT:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'DROP TABLE "{name.decode()}"')
        for statement in _TABLES.split(";")[:-1]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
    connection.execute("COMMIT")
    connection.execute("SELECT id, identity, used FROM sets LIMIT 1")
    connection.execute("SELECT of_set, key, name, content, sum FROM arrays LIMIT 1")


def _find_number(connection: sqlite3.Connection, identity: bytes) -> int:
    """The number of a set that is used now, and made if needed; no arrays have its number before it."""
    last = "MAX((SELECT COALESCE(MAX(id), 0) FROM sets), (SELECT COALESCE(MAX(of_set), 0) FROM arrays))"
    connection.execute(f"INSERT OR IGNORE INTO sets VALUES ({last} + 1, ?, 0)", (identity,))
    connection.execute("UPDATE sets SET used = ? WHERE identity = ?", (time.time(), identity))
    ((number,),) = connection.execute("SELECT id FROM sets WHERE identity = ?", (identity,)).fetchall()
    return number


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    ((free,),) = connection.execute("PRAGMA freelist_count").fetchall()
    ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    return (pages - free) * size


class ArraySet:
    """Arrays of one shape, by key."""

    def __init__(self, store: ArrayStore, identity: bytes, shape: tuple[int, ...]):
        self._store, self._identity, self._shape = store, identity, shape

    def find(self, keys: Collection[bytes]) -> dict[bytes, Named]:
        """What is kept of these keys. A damaged array is as one that is not there."""
        keys, found = list(dict.fromkeys(keys)), {}
        for at in range(0, len(keys), _AT_ONCE):
            for row in self._store.find(self._identity, keys[at : at + _AT_ONCE]):
                key, name, content, total = row
                # What is damaged may be of another type too.
                if all(isinstance(part, bytes) for part in row) and total == self._sum(key, name, content):
                    values = np.frombuffer(content, np.float32).reshape(self._shape)
                    found[key] = Named(name.decode("utf-8", "surrogateescape"), values)
        return found

    def keep(self, arrays: Mapping[bytes, Named]) -> None:
        """Keep these too, as far as there is room."""
        if self._store.problem:
            return
        rows = []
        for key, named in arrays.items():
            came = named.values.dtype, named.values.shape
            assert came == (np.float32, self._shape), f"float32 {self._shape} is kept here, not {came}"
            name, content = named.name.encode("utf-8", "surrogateescape"), named.values.tobytes()
            rows.append((key, name, content, self._sum(key, name, content)))
        if rows:
            self._store.keep(self._identity, rows)

    def _sum(self, key: bytes, name: bytes, content: bytes) -> bytes:
        total = hashlib.blake2b(self._identity, digest_size=_SUM_SIZE)
        for part in (repr(self._shape).encode(), key, name, content):
            total.update(len(part).to_bytes(8, "little"))
            total.update(part)
        return total.digest()
