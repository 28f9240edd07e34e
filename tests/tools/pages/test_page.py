"""Pages as bytes: what is in them, whatever stands in names."""

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import PROJECT
from tests.tools.pages.hostile import HOSTILE
from tests.tools.pages.sample import make_sample
from tools.errors import ConfigError, DataError
from tools.pages.blocks import Cell, Column, Facts, Items, Page, Paragraph, Section, Table
from tools.pages.page import choose_place, is_page, render_page, try_to_write, write_page
from tools.pages.pictures import MOST_BYTES, encode_picture
from tools.pages.texts import address_of, foreign, linked, show_text


class Elements(HTMLParser):
    """(tag, attributes, text inside it) of everything on a page."""

    VOID = ("meta", "link", "img", "br", "path", "rect")

    def __init__(self, data: bytes):
        super().__init__()
        self.found, self._open = [], []
        self.feed(data.decode())
        self.close()

    def handle_starttag(self, tag, attributes):
        element = [tag, dict(attributes), ""]
        self.found.append(element)
        if tag not in self.VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if self._open:
            self._open[-1][2] += data

    def all(self, *tags):
        return [(attributes, text.strip()) for tag, attributes, text in self.found if tag in tags]


@pytest.fixture(scope="module")
def hostile():
    return render_page(make_sample(HOSTILE))


def test_names_make_no_element_and_no_attribute(hostile):
    plain = Elements(render_page(make_sample([f"name {i}" for i in range(len(HOSTILE))])))
    found = Elements(hostile)
    assert [(tag, sorted(attributes)) for tag, attributes, _ in found.found] == [
        (tag, sorted(attributes)) for tag, attributes, _ in plain.found
    ]
    assert not [name for _, attributes, _ in found.found for name in attributes if name.startswith("on")]


def test_every_name_is_there_to_its_last_character(hostile):
    facts = [text for _, text in Elements(hostile).all("dd")]
    assert [text for text in facts if text][-len(HOSTILE) + 1 :] == [show_text(name).strip() for name in HOSTILE][:-1]


def test_characters_without_a_picture_show_and_change_no_others():
    assert show_text("a\nb\0c\x7f\x85\ud800\udcff") == "a␊b␀c␡\ufffd\ufffd\ufffd"
    assert show_text("\u202egpj.exe") == "[U+202E]gpj.exe"
    assert show_text("👩\u200d👧 é שלום 打") == "👩\u200d👧 é שלום 打"
    assert str(foreign("<b>\n")) == "<bdi>&lt;b&gt;␊</bdi>"
    data = render_page(Page("t", [Section("s", "s", [Paragraph(foreign("<i>") + " & more")])]))
    assert b"<p><bdi>&lt;i&gt;</bdi> &amp; more</p>" in data


def test_links_lead_to_the_page_itself_or_to_files_beside_it():
    assert linked("<b>", "#a") == '<a href="#a"><bdi>&lt;b&gt;</bdi></a>'
    for address in ("javascript:alert(1)", "https://example.org", "//example.org", "data:text/html,x", "/etc", ""):
        with pytest.raises(ValueError, match="does not lead to a place beside the page"):
            linked("x", address)
    page = Path("out/page.html")
    assert address_of("out/javascript:alert(1)", page) == "./javascript%3Aalert%281%29"
    assert address_of('clips/a b#?%".mp4', page, "t=1.5") == "../clips/a%20b%23%3F%25%22.mp4#t=1.5"
    assert address_of(os.fsdecode(b"out/\xff"), page) == "./%FF"
    assert address_of("out/..x", page) == "./..x"
    assert address_of("out/half \ud800", page) is None


def test_a_page_that_fails_is_one_line_in_the_log_and_no_error(tmp_path, log_lines):
    def fail():
        raise RuntimeError("two\nlines")

    assert not try_to_write(tmp_path / "a.html", fail)
    assert log_lines == [f"warning: the page {tmp_path}/a.html could not be made (RuntimeError: two lines)"]
    assert try_to_write(tmp_path / "a.html", lambda: Page("t", []))
    assert is_page(tmp_path / "a.html")


def test_the_place_of_a_page_is_looked_at_before_the_work(tmp_path):
    usual = tmp_path / "made" / "later.html"
    assert choose_place(True, usual) == usual
    write_page(tmp_path / "mine.html", Page("t", []))
    assert choose_place(str(tmp_path / "mine.html"), usual) == tmp_path / "mine.html"
    (tmp_path / "other.html").write_text("<p>of somebody else")
    (tmp_path / "folder.html").mkdir()
    for name, error, text in (
        ("other.html", ConfigError, r"other\.html is there already and is no page of this project; --report FILE"),
        ("scores.json", ConfigError, r"--report .*scores\.json: the name of a page ends in \.html"),
        ("folder.html", DataError, r"--report .*folder\.html cannot be written"),
        ("other.html/x.html", DataError, "cannot be written"),
    ):
        with pytest.raises(error, match=text):
            choose_place(str(tmp_path / name), usual)
    assert not usual.parent.exists()


def test_a_page_allows_its_own_style_and_script_and_pictures_in_it_and_nothing_else(hostile):
    elements = Elements(hostile)
    (policy,) = (a["content"] for a, _ in elements.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed.pop("default-src") == "'none'"
    assert allowed.pop("img-src") == "data:"
    for directive, tag in (("style-src", "style"), ("script-src", "script")):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>".encode(), hostile, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        assert allowed.pop(directive) == f"'sha256-{digest}'"
    assert set(allowed.values()) == {"'none'"}
    assert not [a for _, a, _ in elements.found if "style" in a]
    addresses = [a[name] for _, a, _ in elements.found for name in ("src", "href", "action", "data") if name in a]
    assert all(address.startswith(("#", "data:", "../films/")) for address in addresses)
    loaded = [a[name] for tag, a, _ in elements.found if tag != "a" for name in ("src", "href") if name in a]
    assert all(address.startswith("data:") for address in loaded)
    assert not re.findall(rb"url\(|@import|https?://", hostile)


def test_what_a_screen_reader_needs_is_there(hostile):
    elements = Elements(hostile)
    assert elements.all("html")[0][0]["lang"] == "en"
    assert len(elements.all("h1")) == 1
    assert [tag for tag, *_ in elements.found if tag in ("h1", "h2", "h3")][:2] == ["h1", "h2"]
    identities = [a["id"] for _, a, _ in elements.found if "id" in a]
    assert len(identities) == len(set(identities))
    named = [name for _, a, _ in elements.found for name in a.get("aria-labelledby", "").split()]
    assert set(named) <= set(identities)
    links = {a["href"][1:] for a, _ in elements.all("a") if a["href"].startswith("#")}
    assert links <= set(identities)
    for attributes, _ in elements.all("svg"):
        assert attributes.get("aria-hidden") == "true" or attributes["role"] == "img"
    drawings = [a for a, _ in elements.all("svg") if "role" in a]
    assert len(drawings) == len(elements.all("desc")) == 4
    (film,) = (a for a, _ in elements.all("figure") if a.get("role") == "group")
    assert film["aria-labelledby"] in identities
    assert all(text for _, text in elements.all("desc"))
    assert all(a["alt"] for a, _ in elements.all("img"))
    assert len(elements.all("caption")) == len(elements.all("table")) == 2
    assert {a["scope"] for a, _ in elements.all("th")} == {"col", "row"}


def test_cells_that_do_not_fit_the_columns_are_an_error_and_not_a_shorter_table():
    table = Table("t", [Column("a"), Column("b")], [["1"]])
    with pytest.raises(ValueError, match="zip"):
        render_page(Page("t", [Section("s", "s", [table])]))


def test_a_bar_lies_between_nothing_and_the_whole_cell():
    assert [Cell("", share=share).bar for share in (-1, 0, 0.004, 0.5, 1, 7, None)] == [0, 0, 0, 50, 100, 100, None]


def test_a_picture_keeps_its_bound_even_where_it_is_noise():
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    kind, data = encode_picture(noise).split(",")
    data = base64.b64decode(data)
    assert kind == "data:image/jpeg;base64"
    assert len(data) <= MOST_BYTES
    with Image.open(io.BytesIO(data)) as image:
        assert image.width / image.height == pytest.approx(1280 / 720, rel=0.02)
    kind, data = encode_picture(np.full((3, 900, 3), 200, np.uint8)).split(",")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (200, 1)
        assert np.abs(np.asarray(image).astype(int) - 200).max() <= 2


def test_a_page_that_cannot_be_written_is_one_line_and_leaves_the_one_before(tmp_path):
    page = Page("t", [Section("s", "s", [Facts([("a", "b")])])])
    path = tmp_path / "made" / "page.html"
    write_page(path, page)
    assert is_page(path)
    path.with_name("notes.html").write_text("<html>of somebody else</html>")
    assert not is_page(path.with_name("notes.html"))
    with pytest.raises(DataError, match="could not be written") as error:
        write_page(path / "below.html", page)
    assert "\n" not in str(error.value)
    assert [other.name for other in path.parent.iterdir()] == ["page.html", "notes.html"] or len(
        list(path.parent.iterdir())
    ) == 2


def test_jinja_is_imported_only_where_a_page_is_made():
    code = "import sys, train, test, infer, tools.pages.page, tools.pages.charts; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


def test_a_list_of_very_many_says_how_many_it_leaves_out():
    page = Page("many", [Section("skipped", "Skipped", [Items([f"file {i}" for i in range(1200)])])])
    text = render_page(page).decode()
    assert "file 999<" in text
    assert "file 1000<" not in text
    assert "and 200 more" in text
