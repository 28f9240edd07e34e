"""TensorFlow's tables: every block's checksum, the order of keys, and what a stranger may claim."""

import io
import struct

import pytest

from tests.tensorflow_files import MAGIC, block_of, masked_crc, varint, write_parts, write_table
from tests.tools.files.tensorflow.goldens import FIRST, SECOND
from tools.files.tensorflow.tables import MOST_ENTRIES, MOST_KEYS, read_table
from tools.files.tensorflow.wire import MalformedError, read_varint

ENTRIES = {b"": [b"first"], **{b"key %03d" % i: [bytes([i]) * i] for i in range(100)}, b"key 1": [b"\0" * 300_000]}


def read(path):
    with open(path, "rb") as file:
        return {key: bytes(value) for key, value in read_table(file)}


def error_of(path):
    with pytest.raises(MalformedError) as error:
        read(path)
    return str(error.value)


def write_blocks(path, blocks, handles=None):
    """A table of blocks as they are, (keys of the index, parts); handles: instead of where they are."""
    parts, at, places = [], 0, []
    for block in [block for _, block in blocks]:
        size = sum(map(len, block))
        places.append(varint(at) + varint(size))
        parts += [*block, b"\0", struct.pack("<I", masked_crc([*block, b"\0"]))]
        at += size + 5
    index = block_of([(key, [place]) for (key, _), place in zip(blocks, handles or places, strict=True)])
    size = sum(map(len, index))
    footer = (varint(0) + varint(0) + varint(at) + varint(size)).ljust(40, b"\0") + MAGIC
    write_parts(path, [*parts, *index, b"\0", struct.pack("<I", masked_crc([*index, b"\0"])), footer])


def test_a_table_of_several_blocks_is_read_in_the_order_of_its_keys(tmp_path):
    write_table(tmp_path / "t", ENTRIES)
    found = read(tmp_path / "t")
    assert list(found) == sorted(ENTRIES)
    assert found == {key: b"".join(value) for key, value in ENTRIES.items()}


@pytest.mark.parametrize("path", [FIRST, SECOND.with_name("second.ckpt.index")])
def test_a_bit_that_changes_anywhere_in_a_block_is_found(tmp_path, path):
    content, unread = path.read_bytes(), 0
    for at in range(0, len(content) - 48, 7):
        (tmp_path / "t").write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        if at in metaindex_of(content):  # which says nothing that is needed
            assert read(tmp_path / "t") == read(path)
            unread += 1
        else:
            assert "does not match its checksum" in error_of(tmp_path / "t")
    assert unread < 4


def metaindex_of(content):
    """The places of that block and what follows it."""
    numbers, at = [], len(content) - 48
    for _ in range(2):
        number, at = read_varint(content, at)
        numbers.append(number)
    return range(numbers[0], sum(numbers) + 5)


@pytest.mark.parametrize(("kind", "word"), [(1, "with Snappy"), (7, "in the way of number 7")])
def test_compressed_blocks_are_refused_by_name(tmp_path, kind, word):
    write_table(tmp_path / "t", ENTRIES, kind=kind)
    assert f"is compressed {word}, which those of checkpoints are not" in error_of(tmp_path / "t")


def raw(*entries, restarts=(0,)):
    """A block of entries (shared, key, value) as they are."""
    heads = (varint(shared) + varint(len(key)) + varint(len(value)) for shared, key, value in entries)
    body = b"".join(head + key + value for head, (_, key, value) in zip(heads, entries, strict=True))
    return [body, struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))]


GOOD = raw((0, b"a", b"1"), (0, b"b", b"2"))
BAD_TABLES = {  # blocks, handles, message
    "keys twice": ([(b"z", raw((0, b"a", b""), (1, b"", b"")))], None, "keys are not in order"),
    "keys backwards": ([(b"z", raw((0, b"b", b""), (0, b"a", b"")))], None, "keys are not in order"),
    "beyond the index": ([(b"a", GOOD)], None, "keys are not in order"),
    "blocks backwards": ([(b"b", raw((0, b"b", b""))), (b"c", raw((0, b"a", b"")))], None, "keys are not in order"),
    "shares what is not there": ([(b"z", raw((3, b"a", b"")))], None, "an entry of a block in it is damaged"),
    "a long key": ([(b"z", raw((0, b"a" * 20_000, b"")))], None, "an entry of a block in it is damaged"),
    "many restarts": ([(b"z", [b"", struct.pack("<I", 1 << 31)])], None, "a block in it has no end"),
    "no restarts": ([(b"z", [b"\0"])], None, "a block in it has no end"),
    "a block twice": ([(b"b", GOOD), (b"c", GOOD)], [varint(0) + varint(18)] * 2, "not in the order of its blocks"),
    "beyond the end": ([(b"b", GOOD)], [varint(0) + varint(1 << 40)], "reaches beyond its"),
    "a huge offset": ([(b"b", GOOD)], [varint((1 << 63) + 5) + varint(1)], "reaches beyond its"),
    "no handle": ([(b"b", GOOD)], [b"\xff"], "a number in it has no end"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_what_no_table_says_is_refused(tmp_path, case):
    blocks, handles, message = BAD_TABLES[case]
    write_blocks(tmp_path / "t", blocks, handles)
    assert message in error_of(tmp_path / "t")


def test_the_good_block_of_these_tests_is_read(tmp_path):
    assert sum(map(len, GOOD)) == 18
    write_blocks(tmp_path / "t", [(b"b", GOOD)])
    assert read(tmp_path / "t") == {b"a": b"1", b"b": b"2"}


def test_more_entries_than_any_checkpoint_has_are_refused(tmp_path):
    halves = [raw(*((0, b"%d%06d" % (half, i), b"") for i in range(MOST_ENTRIES // 2))) for half in range(2)]
    write_blocks(tmp_path / "t", [(b"0z", halves[0]), (b"1z", halves[1])])  # and two of the index
    assert "it has more than 100,000 entries, or " in error_of(tmp_path / "t")


def test_keys_that_are_longer_than_what_is_stored_of_them_are_counted_in_all_blocks(tmp_path):
    long, most = 16_000, MOST_KEYS // 16_004
    blocks, made = [], 0
    for number in range(4):  # a quarter of them each
        begin = bytes([97 + number])
        rest = [(long, b"%04x" % i, b"") for i in range(most // 4)]
        blocks.append((begin + b"~", raw((0, begin * long, b""), *rest)))
        made += 1 + len(rest)
    write_blocks(tmp_path / "t", blocks[:3])
    assert len(read(tmp_path / "t")) == made * 3 // 4
    write_blocks(tmp_path / "t", blocks)
    assert (tmp_path / "t").stat().st_size < 100_000
    assert "or 16,777,216 bytes of keys" in error_of(tmp_path / "t")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too short"),
        (bytes(47), "too short"),
        (bytes(48), "does not end as a table does"),
        (b"\xff" * 40 + MAGIC, "a number in it has no end"),
        (bytes(40) + MAGIC, "reaches beyond its 0"),
    ],
)
def test_a_footer_that_is_none_is_refused(tmp_path, content, message):
    (tmp_path / "t").write_bytes(content)
    assert message in error_of(tmp_path / "t")


def test_an_entry_is_a_view_of_its_block_and_no_copy(tmp_path):
    write_table(tmp_path / "t", ENTRIES)
    with open(tmp_path / "t", "rb") as file:
        values = [value for _, value in read_table(file)]
    assert all(isinstance(value, memoryview) for value in values)
    assert io.BytesIO(values[0]).getvalue() == b"first"
