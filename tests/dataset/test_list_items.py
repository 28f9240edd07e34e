"""Classes of the files that can stand in a list."""

import pickle

import numpy as np
import pytest

from dataset.list_items import read_label
from tools.errors import DataError


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("label", [0, 7, 399, 70000, -1, np.int64(3), True])
def test_the_class_of_a_pickle_is_read_from_its_beginning(tmp_path, protocol, label):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(("视频 id", label, [b"jpeg"] * 3), protocol=protocol))
    assert read_label(tmp_path / "x.pkl") == label


def test_a_file_that_is_no_pickle_or_has_no_class_is_told_apart(tmp_path):
    for name, content in {"text": ("id", "no number", []), "record": {"video": "x"}}.items():
        (tmp_path / name).write_bytes(pickle.dumps(content))
    assert [read_label(tmp_path / name) for name in ("text", "record")] == [None, None]
    (tmp_path / "broken").write_bytes(b"no pickle")
    with pytest.raises(DataError, match=r"broken is not a whole pickle: "):
        read_label(tmp_path / "broken")
