"""A page in Chinese holds what the English one does: section by section the same commands, tables, figures and links.

Sentences are not compared. Numbers in digits stand in digits in both; those in words, as five, are not compared.
"""

import re
from dataclasses import dataclass, fields

import pytest

from tests.conftest import PROJECT
from tests.pages import BLOCK, PAGES, chinese_of, headings_of, links_of, read_page, resolve_link

NUMBER = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?)(?: *(million|万))?")
UNITS = {"": 1, "million": 1_000_000, "万": 10_000}
every_page = pytest.mark.parametrize("page", PAGES)


@dataclass
class Section:
    """What one heading and the text below it hold in any language."""

    level: int
    code_blocks: list[str]
    table_rows: list[list[set[float]]]  # of each row the cells, of each cell the numbers
    names: set[str]  # all that stands in backquotes: flags, keys, files
    numbers: set[float]
    links: list[str]  # to one page whatever its language, and to one section of it


def numbers_in(text: str) -> set[float]:
    return {float(digits.replace(",", "")) * UNITS[unit] for digits, unit in NUMBER.findall(text)}


def without_language(page: str, link: str) -> str:
    """A link on a page: the English page that it leads to, and the number of the heading there."""
    if link.startswith(("https://", "http://")):
        return link
    target, anchor = resolve_link(page, link)
    name = target.relative_to(PROJECT).as_posix()
    english = name.replace("_cn.md", ".md")
    if not anchor:
        return english
    places = [heading.anchor for heading in headings_of(read_page(name))]
    return f"{english}#{places.index(anchor) if anchor in places else anchor}"


def read_section(text: str, page: str) -> Section:
    """A section's text, which begins with its heading."""
    prose = BLOCK.sub("", text)
    rows = re.findall(r"^\|(.*)\|$", prose, flags=re.MULTILINE)
    said = re.sub(r"\]\([^)]*\)", "]", prose)  # an anchor may have numbers
    return Section(
        level=len(text) - len(text.lstrip("#")),
        code_blocks=BLOCK.findall(text),
        table_rows=[[numbers_in(re.sub(r"\]\([^)]*\)", "]", cell)) for cell in row.split("|")] for row in rows],
        names={" ".join(name.split()) for name in re.findall(r"`([^`]+)`", prose)},
        numbers=numbers_in(said),
        links=[without_language(page, link) for link in links_of(text)],
    )


def read_sections(text: str, page: str) -> list[Section]:
    """A page's sections in order."""
    starts = [heading.start for heading in headings_of(text)]
    return [read_section(text[start:end], page) for start, end in zip(starts, [*starts[1:], None], strict=True)]


def differences(page: str, english: str, chinese: str) -> list[tuple]:
    """(section's place, what is not the same, in English, in Chinese) for each difference between a page's texts."""
    pages = [read_sections(english, page), read_sections(chinese, chinese_of(page))]
    lengths = [len(sections) for sections in pages]
    found = [] if lengths[0] == lengths[1] else [(None, "headings", *lengths)]
    for place, sections in enumerate(zip(*pages, strict=False)):
        for field in fields(Section):
            values = [getattr(section, field.name) for section in sections]
            if values[0] != values[1]:
                found.append((place, field.name, *values))
    return found


@every_page
def test_a_page_in_chinese_holds_what_the_english_one_does(page):
    assert differences(page, read_page(page), read_page(chinese_of(page))) == []


@every_page
def test_a_page_leads_to_itself_in_the_other_language_and_stays_in_its_own(page):
    name, chinese = page.rpartition("/")[2], chinese_of(page).rpartition("/")[2]
    assert read_page(page).split("\n")[2] == f"[中文]({chinese})"
    assert read_page(chinese_of(page)).split("\n")[2] == f"[English]({name})"
    leads_away = [link for link in links_of(read_page(page)) if "_cn.md" in link]
    assert leads_away == [chinese]
    translated = {PROJECT / other for other in PAGES}
    links = links_of(read_page(chinese_of(page)))
    found = [link for link in links if resolve_link(chinese_of(page), link)[0] in translated]
    assert found == [name]


@every_page
def test_every_paragraph_of_a_page_in_chinese_is_in_chinese(page):
    paragraphs = [text for text in BLOCK.sub("", read_page(chinese_of(page))).split("\n\n") if text.strip()]
    foreign = [text for text in paragraphs if not re.search("[\u4e00-\u9fff]", text)]
    assert foreign == [f"[English]({page.rpartition('/')[2]})"]


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
def test_a_slip_in_the_translation_is_found(pattern, replacement, kind):
    """Of the first page that has what slips."""
    for page in PAGES:
        slipped, count = re.subn(pattern, replacement, read_page(chinese_of(page)), count=1, flags=re.MULTILINE)
        if count:
            break
    assert count == 1
    assert kind in {found for _, found, _, _ in differences(page, read_page(page), slipped)}
