"""Unpacked and fetched weights, whose sums are compared whenever they are loaded."""

import json
import pickle

import numpy as np
import pytest

from tests.mutants import mutants, refusal_of
from tests.released_server import Page
from tests.tools.files.small_archives import SAMPLE, content_of
from tests.tools.weights.released_cache import ARCHIVE, SINGLE, find
from tools.weights.files import load_weights

ARRAYS = {"fc_0.w_0": np.arange(4, dtype=np.float32)}
PARAMS = pickle.dumps(ARRAYS, protocol=2)


def load(path):
    return load_weights(str(path), None)


def refusal(path):
    return refusal_of(load, path)


@pytest.fixture
def unpacked(server, root):
    server.pages[ARCHIVE] = Page(SAMPLE)
    return find(root)


@pytest.fixture
def fetched(server, root):
    server.pages[SINGLE] = Page(PARAMS)
    return find(root)


def test_all_files_of_an_archive_have_sums(unpacked):
    note = unpacked.with_name("tsn_kinetics.sums.json")
    assert set(json.loads(note.read_text())["files"]) == {*content_of(SAMPLE), note.name}


@pytest.mark.parametrize(("number", "seed"), [(40, 0), pytest.param(2000, 1, marks=pytest.mark.slow)])
def test_damage_to_an_unpacked_variable_or_its_sums_is_refused(unpacked, number, seed):
    expected = load(unpacked).arrays
    variable = max(unpacked.iterdir(), key=lambda path: path.stat().st_size)
    for path in (variable, unpacked.with_name("tsn_kinetics.sums.json")):
        whole = path.read_bytes()
        for mutant in mutants(whole, number, seed):
            path.write_bytes(mutant)
            if refusal(unpacked) is None:
                assert path != variable
                assert json.loads(mutant) == json.loads(whole)  # a space is another
        path.write_bytes(whole)
    found = load(unpacked).arrays
    assert all((found[name] == expected[name]).all() for name in expected)


@pytest.mark.parametrize(("number", "seed"), [(40, 0), pytest.param(2000, 1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("old", [False, True], ids=["", "of_earlier_versions"])
def test_damage_to_a_single_file_is_refused(fetched, old, number, seed):
    note = fetched.with_name("TSN.pdparams.sums.json")
    if old:  # which has a SHA-256 alone
        note.unlink()
    np.testing.assert_array_equal(load(fetched).arrays["fc_0.w_0"], ARRAYS["fc_0.w_0"])
    for mutant in mutants(PARAMS, number, seed):
        fetched.write_bytes(mutant)
        assert refusal(fetched)


def test_a_refusal_names_the_file_and_both_ways_on(unpacked, server, root):
    first = sorted(unpacked.iterdir())[0]
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    assert refusal(unpacked) == (
        f"{first} has not the size or checksum that tsn_kinetics.sums.json says; delete tsn_kinetics and "
        "tsn_kinetics.sums.json to have it fetched anew, or tsn_kinetics.sums.json alone if you trust tsn_kinetics as "
        "it is"
    )
    unpacked.with_name("tsn_kinetics.sums.json").unlink()
    load(unpacked)
    first.unlink()
    load(unpacked)  # as in the cache of an earlier version


def test_a_variable_that_is_gone_is_refused(unpacked):
    first = sorted(unpacked.iterdir())[0]
    first.unlink()
    assert refusal(unpacked).startswith(f"{first} has not the size")


def test_weights_that_somebody_put_there_are_taken_as_they_are(root):
    path = root / "cache" / "TSN.pdparams"
    path.parent.mkdir()
    path.write_bytes(PARAMS)
    path.with_name("TSN.pdparams.sha256").write_text("SHA-256 of it: not known\n")
    np.testing.assert_array_equal(load(find(root, offline=True)).arrays["fc_0.w_0"], ARRAYS["fc_0.w_0"])


def test_a_path_of_dots_and_links_leads_to_the_same_sums(fetched):
    link = fetched.with_name("link.pdparams")
    link.symlink_to(fetched)
    load(link)
    fetched.write_bytes(pickle.dumps({"fc_0.w_0": np.ones(4, np.float32)}, protocol=2))
    assert refusal(link).startswith(f"{fetched} has not the size")


def test_the_folder_that_one_stands_in_has_its_sums_too(unpacked, monkeypatch):
    monkeypatch.chdir(unpacked)
    load(".")
    next(unpacked.iterdir()).unlink()
    assert " has not the size " in refusal(".")
