"""Sums beside files: damage to these or to the sums themselves is told, and never taken."""

import json

import pytest

from tests.mutants import mutants
from tools.files.sums import SumError, check_sums, is_intact, seal, write_sums


@pytest.fixture
def noted(tmp_path):
    (tmp_path / "in").mkdir()
    for name, content in (("a", b"first"), ("in/b", b""), ("b\udcff", b"third")):
        (tmp_path / name).write_bytes(content)
    write_sums(tmp_path / "sums.json", tmp_path, ["a", "in/b", "b\udcff"], made="for a test")
    return tmp_path


def test_what_is_as_it_was_passes_and_no_note_is_another_error(noted):
    check_sums(noted / "sums.json", noted, made="for a test")
    with pytest.raises(FileNotFoundError):
        check_sums(noted / "gone.json", noted)


@pytest.mark.parametrize("name", ["a", "in/b", "b\udcff"])
def test_a_file_that_is_changed_or_gone_is_named(noted, name):
    for content in (b"First", b"first ", None):
        (noted / name).unlink() if content is None else (noted / name).write_bytes(content)
        with pytest.raises(SumError, match="has not the size or checksum that") as error:
            check_sums(noted / "sums.json", noted)
        assert str(error.value).startswith(str(noted / name))


def test_files_of_something_else_are_refused(noted):
    with pytest.raises(SumError, match=r"sums\.json is of another made"):
        check_sums(noted / "sums.json", noted, made="for another")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"files": 3}', '{"files": {}}', '{"files": {"a": 1}}', "[" * 100_000, '{"files": ' * 500],
)
def test_a_note_that_nobody_wrote_is_refused(noted, content):
    (noted / "sums.json").write_text(content)
    with pytest.raises(SumError, match=r"sums\.json is damaged"):
        check_sums(noted / "sums.json", noted)


@pytest.mark.parametrize(("number", "seed"), [(60, 0), pytest.param(3000, 1, marks=pytest.mark.slow)])
def test_a_damaged_note_is_refused_or_says_the_same(noted, number, seed):
    whole = (noted / "sums.json").read_bytes()
    refused = 0
    for mutant in mutants(whole, number, seed):
        (noted / "sums.json").write_bytes(mutant)
        try:
            check_sums(noted / "sums.json", noted, made="for a test")
        except SumError:
            refused += 1
            continue
        assert json.loads(mutant) == json.loads(whole)  # of its spaces
    assert refused > number / 2


def test_a_sealed_object_says_what_it_said_and_sealing_it_again_changes_nothing():
    content = {"numbers": [1, 2.5, float("nan"), 1e300, None], "text": "é\ud800", "files": {"x": {"size": 1}}}
    once = seal(content, "own.json")
    again = seal(json.loads(once), "own.json")
    assert once == again
    assert is_intact(json.loads(once), "own.json")
    assert json.loads(once)["files"]["x"] == {"size": 1}
    assert is_intact(content, "own.json")  # without a sum, as those of earlier versions
