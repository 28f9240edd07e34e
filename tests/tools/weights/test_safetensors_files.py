"""Files of the safetensors library are read to the last bit, and what is none of numbers is refused."""

import struct
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save

from tests.tools.expected_errors import error_of
from tests.tools.weights.test_torch_files import ARRAYS, assert_as_written
from tests.torch_files import safetensors_content
from tools.weights.files import SAFETENSORS, load_weights


def read(path, content):
    path.write_bytes(content)
    return load_weights(str(path), None)


def test_what_the_library_and_the_tests_write_is_read_as_it_was_written(tmp_path):
    arrays = {name: np.asarray(value) for name, value in ARRAYS.items()}
    for content in (save(arrays), safetensors_content(arrays)):
        file = read(tmp_path / "w.bin", content)
        assert file.kind == SAFETENSORS
        assert_as_written({name: file.arrays[name] for name in ARRAYS}, ARRAYS)
        assert len(file.arrays) == len(ARRAYS)
        assert file.notes == ("1 array of float64 became float32", "1 array of float16 became float32")


def test_bfloat16_is_the_first_half_of_float32(tmp_path):
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    bits = values.view(np.uint32)
    content = safetensors_content({"a": ("BF16", [10, 100], (bits >> 16).astype("<u2").tobytes())})
    file = read(tmp_path / "w", content)
    expected = (bits & 0xFFFF0000).view(np.float32).reshape(10, 100)
    np.testing.assert_array_equal(file.arrays["a"], expected)
    assert file.notes == ("1 array of bfloat16 became float32",)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            safetensors_content({"a": ("F8_E4M3", [4], bytes(4))}),
            "'a' holds F8_E4M3; what is read is F32, F64, F16, BF16",
        ),
        (safetensors_content({}), "holds no array"),
        (safetensors_content(ARRAYS)[:-1], "is not a whole safetensors file: "),
        (safetensors_content(ARRAYS) + b"x", "is not a whole safetensors file: "),
        (safetensors_content({"a": ("F32", [3], bytes(8))}), "is not a whole safetensors file: "),
        (safetensors_content({"a": ("F32", [1 << 62, 1 << 62], bytes(8))}), "is not a whole safetensors file: "),
        (safetensors_content({"a": ("F32", [-1], bytes(8))}), "is not a whole safetensors file: "),
        (safetensors_content({"a": ("F32", [2], b"\0\0\x80\x7f" * 2)}), "a holds values that are not finite"),
        (
            safetensors_content({"a": ("F32", [2], bytes(8))}).replace(b"[0, 8]", b"[0, 4]"),
            "is not a whole safetensors file: ",
        ),
    ],
)
def test_what_is_no_whole_file_of_numbers_is_refused_in_one_line(content, text, tmp_path):
    message = error_of(read, tmp_path / "w.safetensors", content)
    assert text in message
    assert len(message) < 500
    assert "\n" not in message


def test_a_header_of_more_than_weights_need_takes_no_memory(tmp_path):
    header = b'{"__metadata__":{"a":"' + b"x" * 12_000_000 + b'"}}'
    (tmp_path / "w").write_bytes(struct.pack("<Q", len(header)) + header)
    tracemalloc.start()
    try:
        message = error_of(load_weights, str(tmp_path / "w"), None)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(header)
    finally:
        tracemalloc.stop()
    assert message.endswith("w is not a whole safetensors file: its header has more than 10,000,000 bytes")
