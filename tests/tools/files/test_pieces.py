"""Files read in pieces: every place of one, lines and bytes longer than a piece, and files that change."""

import io
import pickle
import random

import numpy as np
import pytest

from tools.files.pickles import load_data_pickle, load_pickle
from tools.files.pieces import Pieces

CONTENT = random.Random(0).randbytes(3 << 20)


class Shrinking(io.BytesIO):
    """A file that another program cuts when it has been measured."""

    def seek(self, place, whence=io.SEEK_SET):
        if whence == io.SEEK_END:
            super().seek(0, whence)
            size = self.tell()
            self.truncate(size // 2)
            return size
        return super().seek(place, whence)


class Stream(io.BytesIO):
    def seekable(self):
        return False


@pytest.mark.parametrize("seed", range(5))
def test_what_is_taken_is_what_the_file_holds(seed):
    rng = random.Random(seed)
    pieces = Pieces(io.BytesIO(CONTENT))
    taken = b""
    while len(taken) < len(CONTENT):
        if pieces.at >= pieces.renew_at:
            pieces.renew()
        left = len(CONTENT) - len(taken)
        taken += pieces.take(min(left, rng.choice([0, 1, 7, 100, 5_000, 70_000, 600_000])))
        assert pieces.place() == len(taken)
    assert taken == CONTENT


def test_lines_longer_than_a_piece_are_read():
    lines = [b"a" * size for size in (0, 10, 5_000, 4_095, 700_000, 3)]
    pieces = Pieces(io.BytesIO(b"".join(line + b"\n" for line in lines)))
    assert [pieces.take_line() for _ in lines] == lines


def test_a_file_is_read_from_where_it_stands():
    file = io.BytesIO(b"head" + pickle.dumps([1, 2]))
    file.seek(4)
    assert load_pickle(file) == [1, 2]


def test_what_cannot_go_back_is_read_too():
    assert load_pickle(Stream(pickle.dumps([CONTENT]))) == [CONTENT]


@pytest.mark.parametrize("protocol", [0, 4])
@pytest.mark.parametrize("size", [100, 100_000, 3_000_000])
def test_a_file_that_is_cut_while_it_is_read_is_refused(size, protocol):
    with pytest.raises(pickle.UnpicklingError, match=r"cut short|became shorter|has no end"):
        load_pickle(Shrinking(pickle.dumps([CONTENT[:size], "a" * size, 1], protocol)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_all_sizes_are_read_wherever_they_stand(protocol, tmp_path):
    rng = np.random.default_rng(0)
    sizes = [(rows, width) for rows in (1, 3, 4, 20, 60, 300) for width in (1, 128, 1023, 1024, 1025)] * 3
    rng.shuffle(sizes)
    records = [{"video": f"v{i}", "feature": rng.integers(0, 256, size, np.uint8)} for i, size in enumerate(sizes)]
    path = tmp_path / "records.pkl"
    path.write_bytes(pickle.dumps(records, protocol))
    for read, record in zip(load_data_pickle(str(path)), records, strict=True):
        assert read["video"] == record["video"]
        np.testing.assert_array_equal(read["feature"], record["feature"])
