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


def test_class_names_come_in_the_encodings_that_lists_come_in(tmp_path):
    (tmp_path / "a.txt").write_bytes("猫\r\n狗\r\n".encode("utf-16"))
    assert load_class_names(str(tmp_path / "a.txt"), 2) == ["猫", "狗"]
    (tmp_path / "a.txt").write_bytes("cat\n狗\n".encode("gbk"))
    with pytest.raises(DataError) as error:
        load_class_names(str(tmp_path / "a.txt"), 2)
    assert str(error.value) == (
        f"class names {tmp_path}/a.txt is not UTF-8 in line 2 (it looks like GBK); save it as UTF-8"
    )
