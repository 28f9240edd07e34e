"""README_cn.md says what README.md says: section by section the same commands, tables, figures, names and links.

Sentences are not compared. Numbers in digits stand in digits in both; those in words, as five, are not compared.
"""

import re
from dataclasses import dataclass, fields

import pytest

from tests.conftest import PROJECT

BLOCK = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?)(?: *(million|万))?")
UNITS = {"": 1, "million": 1_000_000, "万": 10_000}


@dataclass
class Section:
    """What one heading and the text below it hold in any language."""

    level: int
    code_blocks: list[str]
    table_rows: list[list[set[float]]]  # of each row the cells, of each cell the numbers
    names: set[str]  # all that stands in backquotes: flags, keys, files
    numbers: set[float]
    links: list[str]


def numbers_in(text: str) -> set[float]:
    return {float(digits.replace(",", "")) * UNITS[unit] for digits, unit in NUMBER.findall(text)}


def read_section(text: str) -> Section:
    """A section's text, which begins with its heading."""
    prose = BLOCK.sub("", text)
    rows = re.findall(r"^\|(.*)\|$", prose, flags=re.MULTILINE)
    return Section(
        level=len(text) - len(text.lstrip("#")),
        code_blocks=BLOCK.findall(text),
        table_rows=[[numbers_in(cell) for cell in row.split("|")] for row in rows],
        names={" ".join(name.split()) for name in re.findall(r"`([^`]+)`", prose)},
        numbers=numbers_in(prose),
        links=re.findall(r"\]\(([^)]+)\)", prose),
    )


def read_sections(page: str) -> list[Section]:
    """A page's sections in order. A line in a code block that begins with # is no heading."""
    hidden = BLOCK.sub(lambda block: " " * len(block[0]), page)
    starts = [heading.start() for heading in re.finditer(r"^#+ ", hidden, flags=re.MULTILINE)]
    return [read_section(page[start:end]) for start, end in zip(starts, [*starts[1:], None], strict=True)]


def differences(english: str, chinese: str) -> list[tuple]:
    """(section's place, what is not the same, in English, in Chinese) for each difference between two pages."""
    pages = [read_sections(english), read_sections(chinese)]
    lengths = [len(page) for page in pages]
    found = [] if lengths[0] == lengths[1] else [(None, "headings", *lengths)]
    for place, sections in enumerate(zip(*pages, strict=False)):
        for field in fields(Section):
            values = [getattr(section, field.name) for section in sections]
            if values[0] != values[1]:
                found.append((place, field.name, *values))
    return found


@pytest.fixture(scope="module")
def english():
    """README.md, with its link to the other language turned round."""
    page = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert page.count("](README_cn.md)") == 1
    return page.replace("](README_cn.md)", "](README.md)")


@pytest.fixture(scope="module")
def chinese():
    return (PROJECT / "README_cn.md").read_text(encoding="utf-8")


def test_the_chinese_readme_holds_what_the_english_one_does(english, chinese):
    assert differences(english, chinese) == []


def test_every_paragraph_of_the_chinese_readme_is_in_chinese(chinese):
    paragraphs = [text for text in BLOCK.sub("", chinese).split("\n\n") if text.strip()]
    assert [text for text in paragraphs if not re.search("[\u4e00-\u9fff]", text)] == ["[English](README.md)"]


@pytest.mark.parametrize(
    ("pattern", "replacement", "kind"),
    [
        (r"^### .*\n", "", "headings"),
        (r"^### ", "#### ", "level"),
        (r"--epoch=\d", "--epoch=0", "code_blocks"),
        (r"^python train.py .*\n", "", "code_blocks"),
        (r"^(python .*\n)(python .*\n)", r"\2\1", "code_blocks"),
        (r"\| (0\.\d+) \| (0\.\d+) \|", r"| \2 | \1 |", "table_rows"),
        (r"^\| `.*\n", "", "table_rows"),
        (r"`--help`", "`--hilfe`", "names"),
        (r"(\d) 万", r"\1", "numbers"),
        (r"\(models/tsn/", "(models/stnet/", "links"),
    ],
)
def test_a_slip_in_the_translation_is_found(english, chinese, pattern, replacement, kind):
    slipped, count = re.subn(pattern, replacement, chinese, count=1, flags=re.MULTILINE)
    assert count == 1
    assert kind in {found for _, found, _, _ in differences(english, slipped)}
