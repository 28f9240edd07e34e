"""Arrays in parts: what np.load reads of them, any rows of them, and archives that are not what they should be."""

import io
import zipfile

import numpy as np
import pytest

from tools.files.arrays import NoArrayError
from tools.files.row_files import Blocks, RowSpool, list_arrays, load_arrays, open_rows, text_blocks, write_npz

ROWS = np.random.default_rng(0).random((50, 7)).astype(np.float32)
PAIRS = np.array([(i, i / 7) for i in range(9)], np.dtype([("n", np.int32), ("p", np.float32)]))


def ignore(start, part):
    pass


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "a.npz"
    with open(path, "wb") as file:
        parts = (ROWS[start : start + 8] for start in range(0, 50, 8))
        write_npz(file, {"one": np.array(3), "texts": text_blocks(["é", "\udcff#t=0,1", ""], 2),
                         "rows": Blocks(np.dtype(np.float32), (50, 7), parts)})  # fmt: skip
    return path


def test_numpy_reads_what_was_written_in_parts(archive):
    with np.load(archive) as arrays:
        np.testing.assert_array_equal(arrays["rows"], ROWS)
        assert arrays["texts"].tolist() == ["é", "\udcff#t=0,1", ""]
        assert int(arrays["one"]) == 3


def test_the_same_arrays_give_the_same_bytes():
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        write_npz(file, {"a": ROWS})
    assert files[0].getvalue() == files[1].getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_any_rows_are_read_in_any_order(tmp_path, save):
    save(tmp_path / "a.npz", other=np.arange(3), rows=ROWS)
    seen = []
    rows = open_rows(tmp_path / "a.npz", "rows", lambda start, part: seen.append((start, part.copy())))
    np.testing.assert_array_equal(np.concatenate([part for _, part in seen]), ROWS)
    places = np.random.default_rng(1).permutation(50)[:20]
    np.testing.assert_array_equal(rows.take(places), ROWS[places])
    np.testing.assert_array_equal(rows.take(np.array([7, 7, 8, 9, 3])), ROWS[[7, 7, 8, 9, 3]])
    assert rows.take(np.array([], np.int64)).shape == (0, 7)
    rows.close()


@pytest.mark.parametrize("rows", [ROWS, PAIRS], ids=["numbers", "records"])
def test_a_spool_gives_its_rows_back_and_leaves_nothing(tmp_path, rows):
    folder = tmp_path / "new"
    spool = RowSpool(folder, rows.dtype, rows.shape[1:])
    spool.append(rows[:5])
    spool.append(rows[:4])
    spool.cut(5)
    spool.append(rows[5:])
    assert len(spool) == len(rows)
    np.testing.assert_array_equal(np.concatenate([*spool.blocks(np.arange(len(rows))[::-1])]), rows[::-1])
    assert list(folder.iterdir()) == []
    spool.close()


def with_member(path, content, name="rows.npy", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)
    return path


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


BAD = {
    "columns": (npy(np.asfortranarray(ROWS)), "is stored by columns"),
    "objects": (npy(np.array([{}], object)), "not rows of numbers"),
    "one value": (npy(np.array(1.0)), "not rows of numbers"),
    "cut": (npy(ROWS)[:-4], "has not the size"),
    "longer": (npy(ROWS) + b"1234", "has not the size"),
    "no array": (b"hello", "begins with"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_array_of_rows_is_refused(tmp_path, kind):
    content, message = BAD[kind]
    with pytest.raises(NoArrayError, match=message):
        open_rows(with_member(tmp_path / "a.npz", content), "rows", ignore)


def test_a_changed_byte_a_cut_file_and_another_file_are_refused(archive, tmp_path):
    content = archive.read_bytes()
    at = content.index(ROWS.tobytes()) + 10
    archive.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(NoArrayError, match="Bad CRC-32"):
        open_rows(archive, "rows", ignore)
    archive.write_bytes(content[:-100])
    with pytest.raises(NoArrayError, match="not a zip file"):
        list_arrays(archive)
    with pytest.raises(NoArrayError, match="compressed in a way"):
        load_arrays(with_member(tmp_path / "b.npz", npy(ROWS), compression=zipfile.ZIP_BZIP2), ["rows"])
    with pytest.raises(NoArrayError, match="holds no array other"):
        open_rows(with_member(tmp_path / "c.npz", npy(ROWS)), "other", ignore)


def test_arrays_that_are_not_there_are_left_out(archive):
    assert list_arrays(archive) == ["one", "texts", "rows"]
    assert load_arrays(archive, ["one", "other"]) == {"one": np.array(3)}
