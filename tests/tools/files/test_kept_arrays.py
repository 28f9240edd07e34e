"""Arrays that are kept in a bounded file: found again, checked, made room for, and done without."""

import os
import random
import signal
import sqlite3
import time

import numpy as np
import pytest

from tools.files.kept_arrays import ArrayStore, Named

SHAPE = (2, 500)


def array(number):
    return np.full(SHAPE, number, np.float32)


def named(*numbers):
    return {str(number).encode(): Named(f"clip {number}\udcff", array(number)) for number in numbers}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "features.sqlite"


def open_set(path, identity=b"weights", most_bytes=10**8):
    return ArrayStore(path, most_bytes).open_set(identity, SHAPE)


def found(kept, *numbers):
    return sorted(int(key) for key in kept.find([str(number).encode() for number in numbers]))


def test_what_is_kept_is_found_by_a_later_run(path):
    open_set(path).keep(named(1, 2))
    again = open_set(path).find([b"1", b"3", b"1"])
    assert again.keys() == {b"1"}
    assert again[b"1"].name == "clip 1\udcff"
    np.testing.assert_array_equal(again[b"1"].values, array(1))


def test_another_identity_or_shape_has_arrays_of_its_own(path):
    open_set(path).keep(named(1))
    assert found(open_set(path, b"other weights"), 1) == []
    assert ArrayStore(path, 10**8).open_set(b"weights", (1, 1000)).find([b"1"]) == {}


def test_thousands_of_keys_are_looked_up_at_once(path):
    kept = open_set(path)
    kept.keep(named(*range(1200)))
    assert found(kept, *range(1500)) == [*range(1200)]


@pytest.mark.parametrize("change", ["content = zeroblob(4000)", "content = 'text'", "name = X'41'", "sum = 7"])
def test_a_changed_array_is_as_none(path, change):
    open_set(path).keep(named(1, 2))
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE arrays SET {change} WHERE key = ?", (b"1",))
    connection.close()
    assert found(open_set(path), 1, 2) == [2]


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"", b"SQLite format 3\0" + bytes(4000)])
def test_a_file_that_is_something_else_is_made_anew(path, content, log_lines):
    path.parent.mkdir()
    path.write_bytes(content)
    kept = open_set(path)
    kept.keep(named(1))
    assert found(open_set(path), 1) == [1]
    assert len(log_lines) == bool(content)
    assert all("is damaged" in line and "made anew" in line for line in log_lines)


def test_a_database_of_other_tables_is_made_anew(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sets (x)")
    connection.close()
    open_set(path).keep(named(1))
    assert found(open_set(path), 1) == [1]


def test_the_sets_that_were_used_longest_ago_make_room(path, log_lines):
    most_bytes = 200_000  # 40 arrays and their table
    for name in (b"first", b"second", b"first"):
        kept = open_set(path, name, most_bytes)
        if not found(kept, 0):
            kept.keep(named(*range(15)))
    kept = open_set(path, b"third", most_bytes)
    kept.keep(named(*range(15)))
    assert [len(found(open_set(path, name, most_bytes), *range(15))) for name in (b"first", b"second", b"third")] == [
        15,
        0,
        15,
    ]
    assert path.stat().st_size <= most_bytes
    assert log_lines == []


def test_a_run_keeps_its_own_and_says_once_when_the_file_is_full(path, log_lines):
    kept = open_set(path, most_bytes=200_000)
    for number in range(60):
        kept.keep(named(number))
    there = found(kept, *range(60))
    assert 30 <= len(there) < 60
    assert there == [*range(len(there))]
    assert path.stat().st_size <= 200_000
    (line,) = log_lines
    assert "is full with 0.0002 GB" in line
    assert "computed again" in line


def test_a_smaller_limit_makes_the_file_smaller(path):
    open_set(path, b"old").keep(named(*range(30)))
    open_set(path, b"new", most_bytes=60_000).keep(named(1))
    assert path.stat().st_size <= 60_000


def test_a_file_that_others_can_write_is_not_used(path, log_lines):
    open_set(path).keep(named(1))
    path.chmod(0o666)
    kept = open_set(path)
    kept.keep(named(2))
    assert found(kept, 1, 2) == []
    assert "can be written by others" in log_lines[0]
    assert "is computed again" in log_lines[0]


def test_only_the_owner_can_write_a_new_file(path):
    before = os.umask(0)
    try:
        open_set(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o077 == 0


def test_where_no_file_can_be_made_nothing_is_kept(tmp_path, log_lines):
    (tmp_path / "file").write_text("")
    kept = open_set(tmp_path / "file" / "features.sqlite")
    kept.keep(named(1))
    assert found(kept, 1) == []
    assert len(log_lines) == 1


def test_what_can_be_read_is_read_where_nothing_can_be_written(path, log_lines):
    """As on a full disk."""
    kept = open_set(path)
    kept.keep(named(1))
    kept._store._connection.execute("PRAGMA query_only = ON")
    kept.keep(named(2))
    kept.keep(named(3))
    assert found(kept, 1, 2, 3) == [1]
    assert len(log_lines) == 1


def test_a_process_that_is_killed_at_any_moment_leaves_whole_arrays(path):
    rng = random.Random(0)
    for _ in range(12):
        child = os.fork()
        if not child:
            kept = open_set(path)
            for number in range(100_000):
                kept.keep(named(number % 3000))
            os._exit(0)
        time.sleep(rng.uniform(0.01, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kept = open_set(path)
        for key, value in kept.find([str(number).encode() for number in range(3000)]).items():
            np.testing.assert_array_equal(value.values, array(int(key)))
    assert found(kept, *range(3000))


def test_two_processes_write_at_the_same_time(path):
    children = []
    for start in (0, 1000):
        child = os.fork()
        if not child:
            kept = open_set(path)
            for number in range(start, start + 40):
                kept.keep(named(number))
            os._exit(int(bool(kept._store.problem)))
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    assert len(found(open_set(path), *range(2000))) == 80


def damage_pages(path, offset, size):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("part", [4, 8])
def test_a_file_that_is_damaged_inside_is_made_anew_at_once(path, part, log_lines):
    open_set(path).keep(named(*range(300)))
    size = path.stat().st_size
    damage_pages(path, size // part, size // 2)
    kept = open_set(path)
    there = found(kept, *range(300))
    kept.keep(named(1000))
    assert found(kept, 1000) == [1000]
    assert found(open_set(path), 1000) == [1000]  # of the next run too
    assert len(there) < 300
    (line,) = log_lines
    assert "is damaged" in line
    assert "made anew" in line


def test_of_two_processes_that_find_a_damaged_file_the_second_takes_the_new_one(path):
    open_set(path).keep(named(*range(300)))
    runs = [open_set(path), open_set(path)]
    size = path.stat().st_size
    damage_pages(path, 4096, size - 4096)
    for number, kept in enumerate(runs):
        found(kept, *range(300))
        kept.keep(named(number))
    assert [found(kept, 0, 1) for kept in runs] == [[0, 1], [0, 1]]


def test_text_in_place_of_an_array_is_as_none(path):
    open_set(path).keep(named(1, 2))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE arrays SET content = CAST(x'ff00fe' AS TEXT) WHERE key = ?", (b"1",))
    connection.close()
    kept = open_set(path)
    assert found(kept, 1, 2) == [2]
    kept.keep(named(1))
    assert found(kept, 1, 2) == [1, 2]


def test_what_a_run_keeps_after_another_has_removed_its_set_is_found_and_later_makes_room(path):
    most_bytes = 180_000
    first, second = open_set(path, b"first", most_bytes), open_set(path, b"second", most_bytes)
    first.keep(named(*range(15)))
    time.sleep(0.01)
    second.keep(named(*range(18)))
    second.keep(named(*range(18, 28)))
    assert found(first, *range(15)) == []
    first.keep(named(*range(15, 20)))
    assert found(first, *range(20)) == [*range(15, 20)]
    assert found(open_set(path, b"first", most_bytes), *range(20)) == [*range(15, 20)]
    for name in (b"third", b"fourth"):
        kept = open_set(path, name, most_bytes)
        kept.keep(named(*range(30)))
        assert len(found(kept, *range(30))) == 30


def test_arrays_without_a_set_make_room(path):
    open_set(path).keep(named(*range(30)))
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM sets")
    connection.close()
    kept = open_set(path, b"new", most_bytes=180_000)
    kept.keep(named(*range(30)))
    assert len(found(kept, *range(30))) == 30


def test_a_set_that_is_used_stays_and_one_that_is_not_goes(path):
    most_bytes = 200_000
    first, second = open_set(path, b"first", most_bytes), open_set(path, b"second", most_bytes)
    second.keep(named(*range(15)))
    time.sleep(0.01)
    first.keep(named(*range(15)))  # opened before the other, and used after it
    open_set(path, b"third", most_bytes).keep(named(*range(15)))
    assert len(found(first, *range(15))) == 15
    assert found(second, *range(15)) == []


def test_room_is_made_in_small_transactions(path, monkeypatch):
    """Between them other processes write; the journal of each stays small."""
    monkeypatch.setattr("tools.files.kept_arrays._SLICE_BYTES", 10 * array(0).nbytes)
    open_set(path, b"old").keep(named(*range(200)))
    statements = []
    kept = open_set(path, b"new", most_bytes=100_000)
    kept._store._connection.set_trace_callback(statements.append)
    before = path.stat().st_size
    kept.keep(named(1))
    removals = sum(statement.startswith("DELETE FROM arrays") for statement in statements)
    assert removals == sum(statement == "COMMIT" for statement in statements) - 1 >= 10
    assert 0 < path.stat().st_size <= 100_000 < before
    assert found(kept, 1) == [1]


def test_a_file_that_is_locked_for_long_is_used_again_when_it_is_free(path, monkeypatch, log_lines):
    monkeypatch.setattr("tools.files.kept_arrays._WAIT_SEC", 0.05)
    monkeypatch.setattr("tools.files.kept_arrays._WAIT_AGAIN_SEC", 2)
    kept = open_set(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    late = open_set(path)  # a run that begins while it is locked
    kept.keep(named(1))
    late.keep(named(2))
    other.execute("COMMIT")
    other.close()
    kept.keep(named(3))
    late.keep(named(4))
    assert found(kept, 1, 2, 3, 4) == found(late, 1, 2, 3, 4) == [3, 4]
    assert len(log_lines) == 2  # one of each
    for run in (kept, late):
        (wait_ms,) = run._store._connection.execute("PRAGMA busy_timeout").fetchone()
        assert wait_ms == 2000  # or else a run would wait for long in every step for one that stands still
    assert all("in use by another process" in line for line in log_lines)
