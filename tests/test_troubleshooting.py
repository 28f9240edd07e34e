"""tools/troubleshooting.md: every message on it is one that the code still gives, and every entry has its three parts.

Most are made anew here. ELSEWHERE has those that another test makes.
"""

import re

import pytest

from tests.conftest import PROJECT, run_script
from tests.mistakes import FEATURES, QUICK, make_folder
from tests.pages import BLOCK, chinese_of, headings_of, read_page
from tests.slow_mistakes import SLOW

PAGE = "tools/troubleshooting.md"
LEAST_ENTRIES = 25
# Heading -> a source and words that it has to hold: the export of an AttentionLSTM takes long.
ELSEWHERE = {  # tests/tools/export/test_export.py
    "ONNX has no operator": (
        "tools/inference/onnx_conversion.py",
        "paddle2onnx cannot convert ",
        ": it has no operator ",
    )
}
PARTS = {PAGE: ("**Why**: ", "**What to do**: "), chinese_of(PAGE): ("**原因**", "**办法**")}


def entries_of(page: str) -> dict[str, str]:
    """The text below each heading of the third level."""
    text = read_page(page)
    headings = headings_of(text)
    ends = [heading.start for heading in headings[1:]] + [len(text)]
    return {one.title: text[one.start : end] for one, end in zip(headings, ends, strict=True) if one.level == 3}


ENTRIES = entries_of(PAGE)


def message_of(heading: str) -> str:
    """What stands in the first fence of an entry, which is of no language."""
    return re.search(r"^```\n(.*?)^```", ENTRIES[heading], flags=re.MULTILINE | re.DOTALL)[1]


def simplify(text: str) -> str:
    """A text on one line, whose long fractions, as another processor has others, are all the same."""
    return re.sub(r"\d\.\d{6,}", "0.5", " ".join(text.split()))


def holds(said: str, message: str) -> bool:
    """Whether the message's lines are in what was said, in their order. "..." stands for anything."""
    pieces = [re.escape(simplify(piece)) for line in message.splitlines() for piece in line.split("...")]
    return bool(re.search(".*".join(pieces), simplify(said)))


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    make_folder(folder)
    return folder


@pytest.fixture(scope="module")
def mistaken_and_trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    make_folder(folder)
    run_script("train", *FEATURES.split(), "--epoch=1", cwd=folder, as_given=True)
    return folder


@pytest.mark.parametrize("heading", QUICK)
def test_a_message_is_given_in_a_moment(heading, mistaken, monkeypatch):
    monkeypatch.chdir(mistaken)
    assert holds(said := QUICK[heading](), message_of(heading)), said


@pytest.mark.slow
@pytest.mark.parametrize("heading", SLOW)
def test_a_message_of_a_training_or_a_server_is_given(heading, mistaken_and_trained, monkeypatch):
    monkeypatch.chdir(mistaken_and_trained)
    assert holds(said := SLOW[heading](), message_of(heading)), said


@pytest.mark.parametrize("heading", ELSEWHERE)
def test_a_message_that_another_test_makes_stands_in_the_source(heading):
    source, *words = ELSEWHERE[heading]
    text = (PROJECT / source).read_text(encoding="utf-8")
    assert all(word in text and word in message_of(heading) for word in words)


def test_every_message_of_the_page_is_checked():
    assert ENTRIES.keys() == QUICK.keys() | SLOW.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("page", PARTS)
def test_every_entry_says_what_is_seen_why_and_what_to_do(page):
    entries = entries_of(page)
    assert len(entries) >= LEAST_ENTRIES
    for heading, text in entries.items():
        seen, *said = [part.strip() for part in re.split(r"\n\n", text.split("\n", 1)[1].strip()) if part.strip()]
        assert BLOCK.fullmatch(seen), heading
        assert [part.startswith(beginning) for part, beginning in zip(said, PARTS[page], strict=True)] == [True, True]
        assert "`" in said[1], f"{heading}: no command"


def test_a_message_that_changes_is_found():
    message = "error: gone.list line 2: no file ...; looked\nfor ...\n"
    assert holds("x\nerror: gone.list line 2: no file a.mp4; looked for\nvideos/a.mp4", message)
    assert not holds("error: gone.list line 3: no file a.mp4; looked for videos/a.mp4", message)
    assert not holds("error: gone.list line 2: no such file; looked for videos", message)
