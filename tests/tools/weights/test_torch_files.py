"""What PyTorch saves is read to the last bit in both of its forms, never obeyed, and never larger than its file."""

import collections
import hashlib
import os
import pickle
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from tests.golden_inputs import GOLDEN
from tests.tools.expected_errors import error_of
from tests.torch_files import (
    MACHINE,
    Name,
    Storage,
    Tensor,
    pickled,
    stream_content,
    tensors,
    zip_content,
)
from tools.errors import CheckpointError
from tools.weights.files import SAFETENSORS, TORCH, load_weights

FORMS = {"archive": zip_content, "stream": stream_content}
ARRAYS = {
    "whole": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8,
    "count": np.int64(7),
    "half": np.array([1.5, -2, 0.1], np.float16),
    "double": np.array([[0.1]]),
    "bytes": np.array([0, 255], np.uint8),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.fixture(params=FORMS)
def write(request):
    return FORMS[request.param]


@pytest.fixture
def read(tmp_path):
    def read(content, name="w.pth"):
        (tmp_path / name).write_bytes(content)
        return load_weights(str(tmp_path / name), None)

    return read


@pytest.fixture
def refusal(read, tmp_path):
    """The end of the one line with which a file is refused."""

    def refusal(content, name="w.pth"):
        return error_of(read, content, name).removeprefix(str(tmp_path / name))

    return refusal


def assert_as_written(arrays, expected):
    assert list(arrays) == list(expected)
    for name, value in expected.items():
        value = value.astype(np.float32) if np.asarray(value).dtype.kind == "f" else value
        np.testing.assert_array_equal(arrays[name], value)
        assert (arrays[name].dtype, arrays[name].shape) == (value.dtype, value.shape), name
        assert not np.asarray(arrays[name]).flags.writeable


# What PyTorch wrote


@pytest.mark.parametrize(
    ("name", "kind"), [("archive.pth", TORCH), ("stream.pth", TORCH), ("plain.safetensors", SAFETENSORS)]
)
def test_files_that_pytorch_itself_wrote_are_read_to_the_last_bit(name, kind):
    file = load_weights(str(GOLDEN / "torch" / name), None)
    whole = ARRAYS["whole"]
    expected = {
        "whole": whole,
        "turned": whole.reshape(4, 6).T,
        "part": whole.reshape(-1)[5:11].reshape(2, 3),  # these three share a storage
        "count": np.int64(7),
        "half": ARRAYS["half"],
        "brain": np.array([1.5, -2, 0.10009765625], np.float32),
        "double": ARRAYS["double"],
        "parameter": np.array([3, 4], np.float32),
        "bytes": ARRAYS["bytes"],
        "empty": ARRAYS["empty"],
    }
    assert file.kind == kind
    assert_as_written({key: file.arrays[key] for key in expected}, expected)
    assert len(file.arrays) == len(expected)
    assert file.notes == tuple(f"1 array of {name} became float32" for name in ("float64", "float16", "bfloat16"))


def test_what_the_tests_write_is_read_as_it_was_written(write, read):
    assert_as_written(read(write(tensors(ARRAYS))).arrays, ARRAYS)


@pytest.mark.parametrize("form", ["v1", "v2", "parameter"])
@pytest.mark.parametrize("python2", [False, True])
def test_tensors_of_pytorch_before_0_4_and_of_python_2_are_read(form, python2, read):
    assert_as_written(read(stream_content(tensors(ARRAYS, form), python2=python2)).arrays, ARRAYS)


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".safetensors", ".pdparams", ""])
def test_the_name_of_a_file_has_no_say(write, read, suffix):
    assert read(write(tensors(ARRAYS)), f"x{suffix}").kind == TORCH


def test_tensors_that_share_a_storage_share_its_memory(write, read):
    storage = Storage.of(np.arange(12, dtype=np.float32))
    parts = {"a": Tensor(storage, 0, (3, 4), (4, 1)), "b": Tensor(storage, 2, (2, 2), (1, 4)), "tied": None}
    parts["tied"] = parts["a"]
    arrays = read(write(parts)).arrays
    np.testing.assert_array_equal(arrays["b"], [[2, 6], [3, 7]])
    assert np.shares_memory(arrays["a"], arrays["b"])
    assert np.shares_memory(arrays["a"], arrays["tied"])


# Hostile files


NAMES = [
    Name("os", "system"),
    Name("posix", "system"),
    Name("builtins", "eval"),
    Name("torch", "load"),
    Name("torch._utils", "_rebuild_qtensor"),
    Name("torch.serialization", "_get_layout"),
    Name("torchvision.models.resnet", "ResNet"),
    Name("argparse", "Namespace"),
]


@pytest.mark.parametrize("value", NAMES, ids=lambda value: f"{value.module}.{value.name}")
def test_a_name_that_weights_do_not_need_is_refused_before_anything_is_called(value, write, refusal):
    assert refusal(write({"state_dict": tensors(ARRAYS), "args": value})) == (
        f" holds more than weights and was not loaded: it names {value.module}.{value.name}, which data does not need; "
        "torch.save(model.state_dict(), PATH) writes what is read here"
    )


class Runs:
    """What a pickle runs when Python reads it."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.system, (f"touch {self.place}",)


def test_a_pickle_that_would_run_a_program_runs_none(write, refusal, tmp_path):
    assert "it names posix.system, which data" in refusal(write({"a": Runs(tmp_path / "ran"), **tensors(ARRAYS)}))
    assert not (tmp_path / "ran").exists()


def numbers(count):
    return Storage.of(np.arange(count, dtype=np.float32))


BAD_TENSORS = {
    "beyond its storage": (Tensor(numbers(6), 0, (7,), (1,)), "of 7 numbers that reaches beyond its storage of 6"),
    "beyond it by its beginning": (Tensor(numbers(6), 1, (6,), (1,)), "of 6 numbers that reaches beyond its storage"),
    "beyond it by its strides": (Tensor(numbers(6), 0, (2, 3), (4, 1)), "of 6 numbers that reaches beyond its storage"),
    "much of one number": (Tensor(numbers(1), 0, (1 << 40,), (0,)), "of 1,099,511,627,776 numbers that reaches beyond"),
    "before it": (Tensor(numbers(6), -1, (2,), (1,)), "whose shape is none"),
    "backwards": (Tensor(numbers(6), 5, (6,), (-1,)), "whose shape is none"),
    "of a negative size": (Tensor(numbers(6), 0, (-2, -3), (3, 1)), "whose shape is none"),
    "of a vast size": (Tensor(numbers(6), 0, (1 << 2000, 0), (0, 0)), "whose shape is none"),
    "of too few strides": (Tensor(numbers(6), 0, (2, 3), (1,)), "whose shape is none"),
    "of many axes": (Tensor(numbers(6), 0, (1,) * 9, (1,) * 9), "whose shape is none"),
    "of a text": (Tensor(numbers(6), 0, ("2", 3), (3, 1)), "whose shape is none"),
    "without a storage": (Tensor([1.0], 0, (1,), (1,)), "it has a tensor without a storage"),
    "of complex numbers": (Tensor(Storage(bytes(8), "ComplexFloatStorage", 1), 0, (1,), (1,)), "names torch.ComplexFl"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_a_tensor_that_is_not_inside_of_its_storage_is_refused(name, write, refusal):
    tensor, text = BAD_TENSORS[name]
    assert text in refusal(write({"a": tensor}))


def test_tensors_that_make_a_small_file_large_are_refused(write, refusal):
    storage = numbers(1000)
    views = {str(i): Tensor(storage, 0, (1000,), (1,)) for i in range(5)}
    assert "its tensors take 5,000 numbers of a storage of 1,000; torch.save(" in refusal(write(views))


def test_a_storage_has_the_size_that_the_pickle_says(write, refusal):
    for size in (5, 7):
        wrong = Storage(np.zeros(size, np.float32).tobytes(), "FloatStorage", 6)
        message = refusal(write({"a": Tensor(wrong, 0, (2, 3), (3, 1))}))
        assert message.startswith(" is not a whole file of PyTorch: ")
        archive = f"'archive/data/0' has {4 * size} bytes, expected 24"
        assert message.endswith((archive, "it is cut short", "it goes on behind its last storage"))


def test_what_a_pickle_says_of_a_storage_it_cannot_say_otherwise(write, refusal):
    one, other = numbers(4), Storage(bytes(32), "DoubleStorage", 4)
    one.key = other.key = "0"
    tree = {"a": Tensor(one, 0, (4,), (1,)), "b": Tensor(other, 0, (4,), (1,))}
    assert "it says of a storage what it has said otherwise before" in refusal(write(tree))


def test_packed_archives_and_those_whose_files_share_their_bytes_take_no_memory(refusal):
    vast = {"a": Tensor.of(np.zeros(30_000_000, np.float32))}
    packed = zip_content(vast, compression=zipfile.ZIP_DEFLATED)
    del vast
    shared = many_names_of_one_storage()
    for content in (packed, shared):
        tracemalloc.start()
        try:
            assert "its files have more bytes than it has" in refusal(content)
            assert tracemalloc.get_traced_memory()[1] < 5 << 20
        finally:
            tracemalloc.stop()
    small = zip_content(
        tensors(ARRAYS) | {"long": Tensor.of(np.zeros(10, np.float32))}, compression=zipfile.ZIP_DEFLATED
    )
    assert "is packed, which PyTorch does not do" in refusal(small)


def many_names_of_one_storage():
    """An archive whose list of files has one file of a megabyte a hundred times."""
    content = zip_content({"a": Tensor.of(np.zeros(250_000, np.float32))})
    at = content.rindex(b"PK\5\6")
    size, begin = struct.unpack_from("<2I", content, at + 12)
    entries, found = content[begin:at], b""
    for piece in entries.split(b"PK\1\2")[1:]:
        if b"archive/data/0" in piece:
            found = b"PK\1\2" + piece
    more = b"".join(found.replace(b"data/0", b"dat%03d" % i) for i in range(100))
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 106, 106, size + len(more), begin, 0)
    return content[:at] + more + end


def test_damage_to_the_numbers_of_an_archive_is_told_by_its_checksum(refusal):
    content = bytearray(zip_content(tensors(ARRAYS)))
    at = bytes(content).index(ARRAYS["whole"].tobytes())
    content[at + 5] ^= 1
    assert refusal(bytes(content)) == " is not a whole file of PyTorch: Bad CRC-32 for file 'archive/data/0'"


def test_archives_that_are_no_files_of_weights_are_refused(refusal):
    assert "it was written on a machine with another order of bytes" in refusal(zip_content({}, byteorder="big"))
    twice = zip_content({}, files={"deeper/data.pkl": b""}.items())
    assert "it holds 2 files data.pkl, expected one" in refusal(twice)
    lost = zip_content(tensors(ARRAYS)).replace(b"archive/data/0", b"archive/date/0")
    assert "it holds no 'archive/data/0'" in refusal(lost)


def test_streams_that_are_no_files_of_weights_are_refused(refusal):
    big = {**MACHINE, "little_endian": False}
    assert "another order of bytes" in refusal(stream_content(tensors(ARRAYS), machine=big))
    good = stream_content(tensors(ARRAYS))
    assert "it goes on behind its last storage" in refusal(good + b"x")
    for cut in (20, 60, 300, len(good) - 1):
        assert refusal(good[:cut]).startswith(" is not a whole file of PyTorch: "), cut
    keys, _ = pickled(["94000000"], legacy=True)
    begin = good.index(pickled([str(94_000_000 + i) for i in range(6)], legacy=True)[0])
    assert "its storages are not those of its tensors" in refusal(good[:begin] + keys + good[begin:])
    for other in (None, [1], {}, 3):
        assert "it does not say which storages it has" in refusal(good[:begin] + pickle.dumps(other, 2) + good[begin:])
    assert "it does not begin as a file of PyTorch" in refusal(
        good.replace(pickle.dumps(1001, 2), pickle.dumps(1002, 2))
    )


def test_a_part_of_a_storage_and_other_things_outside_of_a_pickle_are_refused(refusal):
    data, _ = pickled({"a": Tensor(numbers(4), 0, (4,), (1,))}, legacy=True)
    part = data.replace(b"K\x04Nt", b"K\x04X\x01\x00\x00\x00aK\x00K\x02\x87t")
    assert part != data
    good = stream_content({"a": Tensor(numbers(4), 0, (4,), (1,))})
    assert "it has a storage that is a part of another" in refusal(good.replace(data, part))
    module = data.replace(b"\x07\x00\x00\x00storage", b"\x06\x00\x00\x00module")
    assert module != data
    assert "it asks for something outside of it that is no storage" in refusal(good.replace(data, module))


@pytest.mark.parametrize("size", [10_000, 200_000])
def test_more_objects_than_weights_have_are_refused_in_time(size, write, refusal):
    began = time.process_time()
    message = refusal(write([collections.OrderedDict() for _ in range(size)]))
    text = "it has more than 100,000 tensors, storages and dicts" if size > 100_000 else "it holds no dict by names"
    assert text in message
    assert time.process_time() - began < 20


def test_a_number_that_is_not_finite_is_named_as_a_float32(write, refusal):
    for value, dtype in ((np.nan, np.float32), (1e300, np.float64)):
        message = refusal(write({"a": Tensor.of(np.ones(3)), "b\n": Tensor.of(np.array([value], dtype))}))
        assert message == ": 'b\\n' holds values that are not finite"


# The SHA-256 in a name


def test_a_file_is_what_the_sum_in_its_name_says(write, read, refusal, tmp_path):
    content = write(tensors(ARRAYS))
    digest = hashlib.sha256(content).hexdigest()
    right = next(digest[:size] for size in range(8, 65) if not digest[:size].isdecimal())
    assert read(content, f"resnet50-{right}.pth").arrays.keys() == ARRAYS.keys()
    wrong = "0676ba6f"
    assert refusal(content, f"resnet50-{wrong}.pth") == (
        f" is not the file that its name says: its SHA-256 begins with {digest[:8]}; fetch it again, or give it "
        "another name if you trust it as it is"
    )
    for name in ("resnet50-20230101.pth", "resnet50-best.pth", "resnet50.pth"):
        assert read(content, name).arrays.keys() == ARRAYS.keys()
    (tmp_path / "run-deadbeef.pdparams").write_bytes(pickle.dumps({"a": np.ones(3, np.float32)}))
    with pytest.raises(CheckpointError):
        load_weights(str(tmp_path / "resnet50-0676ba6f.pth"), None)
    assert load_weights(str(tmp_path / "run-deadbeef.pdparams"), None).arrays.keys() == {"a"}
