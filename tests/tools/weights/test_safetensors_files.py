"""Files of the safetensors library are read to the last bit, and what is none of numbers is refused."""

import struct
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from tests.tools.expected_errors import error_of
from tests.tools.weights.golden_networks import default_network
from tests.tools.weights.test_torch_files import ARRAYS, assert_as_written
from tests.torch_files import safetensors_content
from tests.torch_resnets import resnet_arrays
from tools.weights.checkpoint_files import network_arrays
from tools.weights.files import SAFETENSORS, load_weights
from tools.weights.loading import load_into_network


def read(path, content):
    path.write_bytes(content)
    file = load_weights(str(path), None)
    return replace(file, arrays={name: np.asarray(value) for name, value in file.arrays.items()})


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


def test_what_is_told_of_arrays_is_what_they_are(tmp_path):
    (tmp_path / "w").write_bytes(safetensors_content(ARRAYS))
    for name, stored in load_weights(str(tmp_path / "w"), None).arrays.items():
        value = np.asarray(stored)
        for fact in ("shape", "dtype", "ndim", "size", "nbytes"):
            assert getattr(stored, fact) == getattr(value, fact), (name, fact)


def test_a_backbone_is_taken_of_a_file_whose_other_arrays_are_not_read(tmp_path):
    """As of a model of pictures and texts, whose texts take the most."""
    wanted = {name: value.astype(np.float16) for name, value in resnet_arrays(50).items()}
    other = ("F16", [20_000_000], b"\xff" * 40_000_000)  # none of which is a number
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors_content(wanted | {"embed.weight": other}))
    network = default_network("TSN")
    tracemalloc.start()
    try:
        file = load_weights(str(path), "TSN")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        match = load_into_network(network, file, fine_tune=True)
        own_size = sum(value.nbytes for value in network_arrays(network).values())
        assert tracemalloc.get_traced_memory()[1] < 1.5 * own_size
    finally:
        tracemalloc.stop()
    assert any("embed.weight" in line for line in match.lines())
    first = network.state_dict()[network.first_convolution].numpy()
    np.testing.assert_array_equal(first, wanted["conv1.weight"].astype(np.float32))


def test_a_network_stays_as_it_was_where_a_value_that_it_needs_is_no_number(tmp_path):
    arrays = resnet_arrays(50)
    arrays["layer4.2.bn3.bias"] = np.full_like(arrays["layer4.2.bn3.bias"], np.nan)
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors_content(arrays))
    network = default_network("TSN")
    before = network_arrays(network)
    message = error_of(load_into_network, network, load_weights(str(path), "TSN"), fine_tune=True)
    assert message == f"{path}: layer4.2.bn3.bias holds values that are not finite"
    for name, value in network_arrays(network).items():
        np.testing.assert_array_equal(value, before[name])
