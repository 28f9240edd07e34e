"""Arrays that took long to compute, kept in one file of SQLite, of bounded size, for this run and later ones.

It saves time, and nothing else depends on it: what is damaged is made anew, and where nothing can be kept all goes on
without, with a line in the log. Every array has its checksum beside it. Many threads and processes may use one file.
"""

import contextlib
import hashlib
import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tools.files.ownership import describe_other_writers

_FORMAT = 1
_WAIT_SEC = 60  # for another process that is writing
_SUM_SIZE = 16
_AT_ONCE = 500  # keys in a statement; SQLite before 3.32 takes 999
_TABLES = """
CREATE TABLE sets (id INTEGER PRIMARY KEY, identity BLOB UNIQUE NOT NULL, used REAL NOT NULL);
CREATE TABLE arrays (
    of_set INTEGER NOT NULL, key BLOB NOT NULL, name BLOB NOT NULL, content BLOB NOT NULL, sum BLOB NOT NULL,
    PRIMARY KEY (of_set, key)
);
"""

log = logging.getLogger(__name__)


class Named(NamedTuple):
    """An array, and a name that is kept beside it."""

    name: str
    values: np.ndarray


class ArrayStore:
    """A file of sets of arrays. Where there is no room, the sets that no run has used for longest are removed.

    path: made if needed, with its folder. most_bytes: what the arrays may take. ``problem`` says why nothing is kept
    any more, "" while all is well. It is closed when nobody needs it any more.
    """

    def __init__(self, path: Path, most_bytes: int):
        self.path, self.most_bytes, self.problem = path, most_bytes, ""
        self._lock = threading.Lock()
        self._own: list[int] = []  # sets of this run, which stay
        self._connection: sqlite3.Connection | None = None
        with self._telling():
            self._connection = self._open()
            weakref.finalize(self, self._connection.close)

    def open_set(self, identity: bytes, shape: tuple[int, ...]) -> "ArraySet":
        """The arrays of one identity, which says all that is the same for them: float32 of this shape."""
        number = -1
        with self._telling() as connection:
            if connection:
                connection.execute("INSERT OR IGNORE INTO sets (identity, used) VALUES (?, 0)", (identity,))
                connection.execute("UPDATE sets SET used = ? WHERE identity = ?", (time.time(), identity))
                ((number,),) = connection.execute("SELECT id FROM sets WHERE identity = ?", (identity,)).fetchall()
                self._own.append(number)
        return ArraySet(self, number, identity, shape)

    def find(self, number: int, keys: Collection[bytes]) -> list[tuple[bytes, ...]]:
        """(key, name, content, sum) of those keys of a set that there are."""
        with self._telling() as connection:
            if connection:
                marks = ", ".join("?" * len(keys))
                query = f"SELECT key, name, content, sum FROM arrays WHERE of_set = ? AND key IN ({marks})"
                return connection.execute(query, (number, *keys)).fetchall()
        return []

    def keep(self, number: int, rows: list[tuple[bytes, ...]]) -> None:
        """Add to a set, or replace; as ``find`` gives them."""
        with self._telling() as connection:
            if not connection:
                return
            connection.execute("BEGIN IMMEDIATE")
            if not self._make_room(connection, sum(len(content) for _, _, content, _ in rows)):
                self.problem = f"{self.path} is full with {self.most_bytes / 1e9:g} GB"
            connection.executemany(
                "INSERT OR REPLACE INTO arrays VALUES (?, ?, ?, ?, ?)",
                [(number, *row) for row in rows if not self.problem],
            )
            connection.execute("COMMIT")
            # execute() would take one step of it, which gives one page back.
            connection.executescript("PRAGMA incremental_vacuum;")

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        for place in (self.path.parent, self.path):
            if place.exists() and (others := describe_other_writers(place)):
                raise OSError(others)
        self.path.touch(mode=0o600)
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, no rights, no room: not a damaged file
                raise
            log.info(f"{self.path} is damaged ({error}): it is made anew")
            self.path.unlink()
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_WAIT_SEC, isolation_level=None, check_same_thread=False)
        try:
            # Safe in a process that is killed; a machine that loses power may leave a damaged file, which is seen.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("BEGIN IMMEDIATE")
            ((version,),) = connection.execute("PRAGMA user_version").fetchall()
            if version != _FORMAT:
                for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    connection.execute(f'DROP TABLE "{name}"')
                for statement in _TABLES.split(";")[:-1]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_FORMAT}")
            connection.execute("COMMIT")
            connection.execute("SELECT id, identity, used FROM sets LIMIT 1")
            connection.execute("SELECT of_set, key, name, content, sum FROM arrays LIMIT 1")
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_room(self, connection: sqlite3.Connection, num_bytes: int) -> bool:
        """Remove what has to go for so many bytes more; whether there is room now."""
        while self._used(connection) + num_bytes > self.most_bytes:
            others = ", ".join("?" * len(self._own))
            query = f"SELECT id FROM sets WHERE id NOT IN ({others}) ORDER BY used LIMIT 1"
            found = connection.execute(query, self._own).fetchone()
            if found is None:
                return False
            connection.execute("DELETE FROM arrays WHERE of_set = ?", found)
            connection.execute("DELETE FROM sets WHERE id = ?", found)
        return True

    @staticmethod
    def _used(connection: sqlite3.Connection) -> int:
        """Bytes of the file that hold something."""
        ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
        ((free,),) = connection.execute("PRAGMA freelist_count").fetchall()
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
        return (pages - free) * size

    @contextlib.contextmanager
    def _telling(self) -> Iterator[sqlite3.Connection | None]:
        """Alone with the file; None once nothing can be kept, of which the log hears once."""
        with self._lock:
            before = self.problem
            try:
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                self.problem = f"{self.path}: {error}"
                self._recover(error)
            if self.problem != before:
                log.info(f"{self.problem}: what else is computed is not kept, and is computed again when it is needed")

    def _recover(self, error: Exception) -> None:
        """Go on reading where nothing can be written, as on a full disk, and not at all where the file is damaged."""
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                return
        self._connection.close()
        self._connection = None


class ArraySet:
    """Arrays of one shape, by key."""

    def __init__(self, store: ArrayStore, number: int, identity: bytes, shape: tuple[int, ...]):
        self._store, self._number, self._identity, self._shape = store, number, identity, shape

    def find(self, keys: Collection[bytes]) -> dict[bytes, Named]:
        """What is kept of these keys. A damaged array is as one that is not there."""
        keys, found = list(dict.fromkeys(keys)), {}
        for at in range(0, len(keys), _AT_ONCE):
            for row in self._store.find(self._number, keys[at : at + _AT_ONCE]):
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
            self._store.keep(self._number, rows)

    def _sum(self, key: bytes, name: bytes, content: bytes) -> bytes:
        total = hashlib.blake2b(self._identity, digest_size=_SUM_SIZE)
        for part in (repr(self._shape).encode(), key, name, content):
            total.update(len(part).to_bytes(8, "little"))
            total.update(part)
        return total.digest()
