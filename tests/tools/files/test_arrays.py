"""NumPy's files: whole, or one line."""

import io
import resource
import struct
import zipfile

import numpy as np
import pytest

from tests.mutants import mutants
from tools.files.arrays import NoArrayError, load_npy, load_npz, read_npy

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def make_npy(header, version=(1, 0), content=b""):
    """A .npy with any text as its header."""
    text = header.encode("latin1")
    width = 2 if version == (1, 0) else 4
    return b"\x93NUMPY" + bytes(version) + len(text).to_bytes(width, "little") + text + content


def describe(dtype="'<f4'", shape="(2, 3)", order="False"):
    return f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


def error_of(content):
    with pytest.raises(NoArrayError) as error:
        read_npy(io.BytesIO(content), len(content))
    assert "\n" not in str(error.value)
    assert 0 < len(str(error.value)) < 300
    return str(error.value)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), ",
        "'" * 3,
        "(" * 5000,
        "[" * 200 + "]" * 200,
        "-" * 9000 + "1",
        "{'descr': '<f4'",
        "{1: 2}",
        "1e999999",
        "9" * 5000,
        "\t{'descr'\n\t  :\n 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\0",
        "x" * 20_000,
        describe(dtype="'<q9'"),
        describe(dtype="[('a', '<f4')]"),
        describe(dtype="('<f4', (1000000000,))"),
        describe(dtype="'O'"),
        describe(dtype="'V0'", shape="(1000000000000000000,)"),
        describe(dtype="'|S0'", shape="(1000000000000000000,)"),
        describe(dtype="'<U999999999'"),
        describe(shape="(-2, -3)"),
        describe(shape="(-1,)"),
        describe(shape="(1 << 70,)"),
        describe(shape="(" + "9" * 4000 + ",)"),
        describe(shape="(" + "9" * 60 + ",)"),
        describe(shape="(99999999, 99999)"),
        describe(shape="(1,) * 99"),
        describe(shape="None"),
        describe(order="7"),
    ],
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0), (0, 0), (255, 255)])
def test_a_damaged_header_is_one_line_and_takes_no_memory(header, version):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error_of(make_npy(header, version, VALUES.tobytes()))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_values_must_be_as_many_as_the_header_says():
    whole = make_npy(describe(), content=VALUES.tobytes())
    np.testing.assert_array_equal(read_npy(io.BytesIO(whole), len(whole)), VALUES)
    assert error_of(whole[:-1]) == "23 bytes follow its header, which says 6 values of 4 bytes"
    assert error_of(whole + b"x") == "25 bytes follow its header, which says 6 values of 4 bytes"
    with pytest.raises(NoArrayError, match="it ends after 23 of 24 bytes of values"):
        read_npy(io.BytesIO(whole[:-1]), len(whole))
    with pytest.raises(NoArrayError, match="something stands behind its values"):
        read_npy(io.BytesIO(whole + b"x"), len(whole))


@pytest.mark.parametrize(
    "array",
    [
        VALUES,
        np.asfortranarray(VALUES),
        np.zeros((0, 2)),
        np.array(5),
        np.array(["a", "bc\u00e9"]),
        np.array([b"a", b"bc"]),
        np.arange(4, dtype=">i8"),
        np.array([True, False]),
    ],
)
def test_an_array_is_read_as_numpy_reads_it(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    found = load_npy(tmp_path / "a.npy")
    expected = np.load(tmp_path / "a.npy")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    assert found.flags.writeable


@pytest.mark.parametrize(("number", "seed"), [(500, 0), pytest.param(20_000, 1, marks=pytest.mark.slow)])
def test_a_damaged_file_is_refused_or_read_as_numpy_reads_it(number, seed):
    memory = io.BytesIO()
    np.save(memory, VALUES)
    refused = 0
    for mutant in mutants(memory.getvalue(), number, seed):
        try:
            found = read_npy(io.BytesIO(mutant), len(mutant))
        except NoArrayError:
            refused += 1
            continue
        expected = np.load(io.BytesIO(mutant))
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)
    assert refused > number / 4


ARRAYS = {"values": VALUES, "other": np.arange(5)}


def npz_error(path, wanted=("values",), largest=10_000):
    with pytest.raises(NoArrayError) as error:
        load_npz(path, wanted, largest)
    assert "\n" not in str(error.value)
    assert 0 < len(str(error.value)) < 300
    return str(error.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_an_archive_are_read_by_name(tmp_path, save):
    save(tmp_path / "a.npz", **ARRAYS)
    found = load_npz(tmp_path / "a.npz", ["values"], 10_000)
    assert found.keys() == {"values"}
    np.testing.assert_array_equal(found["values"], VALUES)
    assert load_npz(tmp_path / "a.npz", ARRAYS, 10_000).keys() == ARRAYS.keys()


def test_an_archive_says_what_it_does_not_hold(tmp_path):
    path = tmp_path / "a.npz"
    assert "No such file" in npz_error(path)
    np.savez(path, values=np.array([None]), other=VALUES)
    assert npz_error(path, ["more"]) == "it holds no array more"
    assert npz_error(path).startswith("its array values is damaged: its values are of type object")
    assert npz_error(path, ["other"], 100) == f"it has {path.stat().st_size:,} bytes, more than 100"
    path.write_bytes(b"PK\x03\x04 and more")
    assert npz_error(path) == "File is not a zip file"


def test_an_array_that_unpacks_to_more_than_it_may_is_refused_before_there_is_memory_for_it(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", values=np.zeros(10_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert npz_error(tmp_path / "a.npz", largest=1_000_000) == (
        "its array values has 80,000,128 bytes, more than 1,000,000"
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_numpy_does_not_write_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    content = io.BytesIO()
    np.save(content, VALUES)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("values.npy", content.getvalue(), zipfile.ZIP_BZIP2)
    assert npz_error(path) == "its array values is compressed in a way that NumPy does not use"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("values.npy", content.getvalue())
        archive.writestr("values.npy", content.getvalue())
    assert npz_error(path) == "it holds several arrays values"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("values.npy", content.getvalue())
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 8 : at + 10] = struct.pack("<H", 1)  # it says that it is encrypted
    path.write_bytes(raw)
    assert "is encrypted" in npz_error(path)


def test_a_damaged_archive_is_refused_or_read_as_it_was(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    refused = 0
    for mutant in mutants((tmp_path / "a.npz").read_bytes(), 300, seed=0):
        (tmp_path / "b.npz").write_bytes(mutant)
        try:
            found = load_npz(tmp_path / "b.npz", ARRAYS, 10_000)
        except NoArrayError:
            refused += 1
            continue
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
    assert refused > 150
