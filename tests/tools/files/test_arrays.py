"""NumPy's files: whole, or one line."""

import io
import resource

import numpy as np
import pytest

from tests.mutants import mutants
from tools.files.arrays import NoArrayError, load_npy, read_npy

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
