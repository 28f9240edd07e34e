"""Names of classes."""

import pytest

from datareader.class_names import load_class_names
from tools.errors import DataError


def test_class_names_come_from_lines_or_from_a_vocabulary(tmp_path):
    (tmp_path / "v.csv").write_text("Index,TrainVideoCount,Name\n1,9,Cat\n0,8,Dog\n")
    assert load_class_names(str(tmp_path / "v.csv"), 3) == ["Dog", "Cat", ""]
    with pytest.raises(DataError, match=r"v.csv line 2: Index 1 is not in 0 to 0"):
        load_class_names(str(tmp_path / "v.csv"), 1)
    (tmp_path / "w.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="needs the columns Index and Name"):
        load_class_names(str(tmp_path / "w.csv"), 1)
