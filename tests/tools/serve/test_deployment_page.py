"""What tools/deployment.md says of the server: its flags, errors and metrics are those that there are."""

import re

import pytest

from tests.conftest import PROJECT
from tests.pages import chinese_of, headings_of, read_page, table_rows
from tools.serve.__main__ import parse_args

PAGE = "tools/deployment.md"
ERROR = re.compile(r"RefusalError\(\s*(\d{3})(?: if .* else (\d{3}))?")


def section(title):
    text = read_page(PAGE)
    starts = [(heading.title, heading.start) for heading in headings_of(text)] + [("", len(text))]
    place = [name for name, _ in starts].index(title)
    return text[starts[place][1] : starts[place + 1][1]]


def help_text(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["serve", "--help"])
    with pytest.raises(SystemExit):
        parse_args()
    return " ".join(capsys.readouterr().out.split())


def test_the_page_has_every_flag(monkeypatch, capsys):
    """tests/test_page_tables.py compares their defaults."""
    rows = table_rows(section("Flags of the server"), "| flag of tools.serve |")
    told = {flag for row in rows for flag in re.findall(r"`(--[a-z-]+)", row[0])}
    usage = help_text(monkeypatch, capsys).partition("options:")[0]
    assert told == set(re.findall(r"\[(--[a-z-]+)", usage)) - {"--version"}


def test_the_page_has_every_status_of_an_error():
    sources = [path.read_text(encoding="utf-8") for path in (PROJECT / "tools/serve").glob("*.py")]
    raised = {int(status) for text in sources for found in ERROR.findall(text) for status in found if status}
    rows = table_rows(section("The server"), "| status |")
    assert {int(status) for row in rows for status in re.findall(r"\d{3}", row[0])} == raised


@pytest.mark.slow
def test_the_page_has_every_metric_and_its_kind(server):
    text = server.ask("GET", "/metrics").body.decode()
    rows = table_rows(section("Metrics of the server"), "| name |")
    assert [(row[0].strip("`"), row[1]) for row in rows] == re.findall(
        r"^# TYPE (\w+) (\w+)$", text, flags=re.MULTILINE
    )


def test_the_sample_of_metrics_names_those_of_the_table_in_both_languages():
    names = {row[0].strip("`") for row in table_rows(section("Metrics of the server"), "| name |")}
    for page in (PAGE, chinese_of(PAGE)):
        (sample,) = re.findall(r"^```\n(video_.*?)^```", read_page(page), flags=re.MULTILINE | re.DOTALL)
        assert {
            re.sub(r"_(bucket|sum|count)$", "", line.split("{")[0].split()[0]) for line in sample.splitlines()
        } == names
