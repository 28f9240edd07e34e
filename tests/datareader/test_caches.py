"""Caches beside lists: whole, or made anew."""

import io
import zipfile

import numpy as np
import pytest

from datareader.caches import load_cache
from tests.mutants import mutants

ARRAYS = {"numbers": np.arange(40, dtype=np.int32), "none": np.zeros((0, 2)), "names": np.array(["a", "bc"])}


def as_lists(arrays):
    return {name: (str(value.dtype), value.tolist()) for name, value in arrays.items()}


@pytest.fixture
def cache(tmp_path):
    np.savez(tmp_path / "cache.npz", **ARRAYS)
    return tmp_path / "cache.npz"


def test_a_cache_is_read_but_for_what_is_not_asked_for(cache):
    assert as_lists(load_cache(cache, dict)) == as_lists(ARRAYS)
    assert set(load_cache(cache, dict, without=["names"])) == {"numbers", "none"}


@pytest.mark.parametrize(("number", "seed"), [(200, 0), pytest.param(20_000, 1, marks=pytest.mark.slow)])
def test_a_damaged_cache_is_not_used_and_told_once(cache, number, seed, log_lines):
    whole, used = cache.read_bytes(), 0
    for mutant in mutants(whole, number, seed):
        cache.write_bytes(mutant)
        log_lines.clear()
        found = load_cache(cache, lambda arrays: {name: arrays[name] for name in ARRAYS})
        if found is None:
            (line,) = log_lines
            assert line.startswith(f"{cache} is damaged (")
            assert line.endswith("): it is made anew")
            assert "\n" not in line
        else:
            used += 1  # a date or a mode that zip files have
            assert as_lists(found) == as_lists(ARRAYS)
    assert used < number / 2


def test_a_header_that_ends_an_array_early_is_found(cache):
    whole = cache.read_bytes()
    cache.write_bytes(whole.replace(b"(40,)", b"(39,)"))
    assert load_cache(cache, dict) is None


def test_no_cache_is_nothing_to_tell(tmp_path, log_lines):
    assert load_cache(tmp_path / "none.npz", dict) is None
    assert log_lines == []


def test_a_cache_that_was_told_of_is_not_told_of_again(cache, log_lines):
    cache.write_bytes(b"junk")
    assert load_cache(cache, dict, quiet=True) is None
    assert log_lines == []


def test_arrays_that_are_larger_than_their_cache_are_not_unpacked(tmp_path, log_lines):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, numbers=np.zeros(10_000_000))
    assert path.stat().st_size < 100_000
    assert load_cache(path, dict) is None
    assert log_lines == [
        f"{path} is damaged (its arrays are compressed, which those of caches are not): it is made anew"
    ]


def test_arrays_that_share_their_bytes_are_not_read(tmp_path, log_lines):
    """An archive of many names for one place in it."""
    path, memory = tmp_path / "many.npz", io.BytesIO()
    np.save(memory, np.zeros(1000))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", memory.getvalue())
        (item,) = archive.infolist()
        archive.filelist += [item] * 1000
    assert load_cache(path, dict) is None
    assert log_lines == [f"{path} is damaged (its arrays are larger than itself): it is made anew"]


def test_a_header_that_says_more_than_there_is_allocates_nothing(tmp_path, log_lines):
    path, memory = tmp_path / "forged.npz", io.BytesIO()
    np.save(memory, np.arange(40, dtype=np.int32))
    whole = memory.getvalue()
    forged = whole.replace(b"(40,), }" + b" " * 16, b"(40000000000000000,), } ")
    assert len(forged) == len(whole)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("numbers.npy", forged)
    assert load_cache(path, dict) is None
    assert "160 bytes follow its header, which says 40000000000000000 values of 4 bytes" in log_lines[0]
