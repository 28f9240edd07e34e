"""Bars on terminals of every width: what stays, what goes first, and that nothing wraps."""

import io

import pytest
from tqdm.utils import disp_len

from tools.runtime.bars import ProgressBar


def line_of(columns, title="epoch 3 of 10", facts=("2:13:05 left", "loss 0.1234"), **values):
    options = {"total": 60, "initial": 27, "ncols": columns, "file": io.StringIO(), "ascii": False} | values
    with ProgressBar(desc=title, **options) as bar:
        bar.facts, bar.details = facts, ("12.3 videos/s", "waiting for data 3%")
        return str(bar)


@pytest.mark.parametrize("columns", [*range(5, 90), 120, 200])
@pytest.mark.parametrize("title", ["epoch 3 of 10", f"indexing 数据/训练/{'very/' * 20}long.list", "{n} of {braces}"])
def test_no_line_is_as_wide_as_its_terminal(columns, title):
    assert disp_len(line_of(columns, title)) < columns


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (30, "2:13:05 left, loss 0.1234"),
        (40, " 45% 27/60, 2:13:05 left, loss 0.1234"),
        (60, "epoch 3 of 10:  45% 27/60, 2:13:05 left, loss 0.1234"),
        (80, "epoch 3 of 10:  45% |████     | 27/60, 2:13:05 left, loss 0.1234, 12.3 videos/s"),
        (
            120,
            "epoch 3 of 10:  45% |████████████▌               | 27/60, 2:13:05 left, loss 0.1234, 12.3 videos/s, "
            "waiting for data 3%",
        ),
    ],
)
def test_what_matters_least_goes_first(columns, line):
    assert line_of(columns) == line


def test_a_long_title_loses_its_middle_and_leaves_half_of_the_line():
    line = line_of(60, "indexing a/folder/with/quite/a/long/path/to/train.list", facts=("00:13 left",))
    assert line == "indexing a/fo...to/train.list:  45% 27/60, 00:13 left"


def test_a_bar_without_facts_of_its_own_shows_the_time_left_and_at_its_end_the_time_taken():
    with ProgressBar(total=4, desc="testing", ncols=80, file=io.StringIO()) as bar:
        assert "left" in str(bar)
        bar.update(4)
        assert "4/4, in 00:0" in str(bar)
    with ProgressBar(total=2 * 10**9, unit_scale=True, desc="converting", ncols=80, file=io.StringIO()) as bar:
        bar.update(10**9)
        assert " 1.00G/2.00G, " in str(bar)
    with ProgressBar(total=0, desc="testing", ncols=80, file=io.StringIO()) as bar:
        assert "0/0" in str(bar)


def test_a_terminal_without_letters_for_bars_gets_plain_ones():
    assert "|#" in line_of(80, ascii=True)
