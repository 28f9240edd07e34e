"""Caches beside lists: whole, or made anew."""

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
