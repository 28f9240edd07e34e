"""Class names out of a CSV."""

import pytest

from datareader.class_names import load_class_names
from dataset.kinetics import generate_label
from dataset.kinetics.annotations import load_class_list
from tests.dataset.kinetics.annotated_videos import IN_ORDER
from tests.dataset.programs import run, start
from tools.errors import DataError


def test_class_names_are_sorted_and_serve_infer_py(kinetics, monkeypatch, tmp_path, capsys):
    start(monkeypatch, generate_label, kinetics / "train.csv", tmp_path / "names.txt")
    assert load_class_names(str(tmp_path / "names.txt"), 4) == IN_ORDER
    assert "4 class names" in capsys.readouterr().out
    start(monkeypatch, generate_label, kinetics / "train.csv", tmp_path / "names.txt")  # nothing is lost by it


def test_class_names_replace_no_other_file_unless_told_to(kinetics, monkeypatch, tmp_path):
    csv = kinetics / "train.csv"
    before = csv.read_bytes()
    with pytest.raises(DataError, match="is there already and holds something else; --force replaces it"):
        start(monkeypatch, generate_label, csv, csv)
    assert csv.read_bytes() == before
    (tmp_path / "names.txt").write_text("other\n")
    start(monkeypatch, generate_label, csv, tmp_path / "names.txt", "--force")
    assert load_class_names(str(tmp_path / "names.txt"), 4) == IN_ORDER


def test_names_with_their_ids_as_in_2019_are_read_too(kinetics, monkeypatch, tmp_path):
    start(monkeypatch, generate_label, kinetics / "train.csv", tmp_path / "label.txt", "--ids")
    lines = (tmp_path / "label.txt").read_text().splitlines()
    assert lines == [f"{name} {class_id}" for class_id, name in enumerate(IN_ORDER)]
    assert load_class_list(str(tmp_path / "label.txt")) == IN_ORDER
    assert load_class_names(str(tmp_path / "label.txt"), 4) == IN_ORDER


def test_an_error_ends_a_program_with_one_line(tmp_path):
    result = run("kinetics/generate_label.py", tmp_path / "none.csv", tmp_path / "out")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f"error: {tmp_path / 'none.csv'} cannot be read: No such file or directory; ")
