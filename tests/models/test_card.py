"""What stands in a model's card is the same wherever a page repeats it: the project's pages and those of the models."""

import re

import pytest

import models  # noqa: F401  (registers the specs)
from models.card import AVX2, AVX512, TWO_CORES, TWO_CORES_AVX2
from tests.conftest import PROJECT
from tests.pages import read_page
from tools.registry import MODELS

README = (PROJECT / "README.md").read_text(encoding="utf-8")
SPEED = (PROJECT / "tools/speed.md").read_text(encoding="utf-8")
TITLES = {MODELS.get(name).card.title: name for name in MODELS.names()}
every_model = pytest.mark.parametrize("name", MODELS.names())


def page_of(name):
    """The page of a model, each of its paragraphs in one line."""
    folder = MODELS.get(name).__module__.split(".")[1]
    return " ".join((PROJECT / "models" / folder / "README.md").read_text(encoding="utf-8").split())


def tables(page, heading):
    """The rows of each table of a section, cell by cell, without its head."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)^## ", page, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"((?:^\|.*\n)+)", section, flags=re.MULTILINE)
    return [[[cell.strip() for cell in row[1:-1].split("|")] for row in table.splitlines()[2:]] for table in found]


@every_model
def test_the_page_of_a_model_cites_its_papers(name):
    page = page_of(name)
    for paper in MODELS.get(name).card.papers:
        assert f'"{paper.title},"' in page or f'"{paper.title}"' in page
        for author in paper.authors:
            assert author in page
        venue, _, part = paper.venue.partition(" ")  # as in ECCV 2018 workshops, and JMLR 3, 2002
        assert re.search(rf"{venue}( \d+,)? {paper.year} ?{part}", page)
        if paper.arxiv:
            assert f"[arXiv:{paper.arxiv}]({paper.address})" in page


@every_model
def test_papers_have_an_address_unless_it_is_not_known(name):
    addresses = [paper.address for paper in MODELS.get(name).card.papers]
    assert all(address is None or re.fullmatch(r"https://(arxiv|doi)\.org/\S+", address) for address in addresses)
    assert any(addresses)


@every_model
def test_a_card_says_what_the_model_does_in_one_sentence(name):
    assert re.fullmatch(r"[A-Z][^.]+\.", MODELS.get(name).card.sentence)


def test_the_scores_of_2019_on_the_page_of_results_are_those_of_the_cards():
    features, clips = tables(read_page("tools/results.md"), "Scores")[:2]
    shown = {
        (TITLES[title], data, "", *zip(("Hit@1", "PERR", "GAP"), scores, strict=True))
        for title, data, *scores, origin in features
        if origin.startswith("reported in 2019, not measured here")
    }
    for title, data, score, origin in clips:
        if origin.startswith("reported in 2019, not measured here"):
            where, _, protocol = data.partition(", ")
            shown.add((TITLES[title], where, protocol, ("top-1", score)))
    cards = {
        (name, one.data, one.protocol, *one.values.items())
        for name in MODELS.names()
        for one in MODELS.get(name).card.scores
        if not one.measured_here
    }
    assert shown == cards


@every_model
def test_the_scores_on_the_page_of_a_model_and_in_its_config_are_those_of_the_card(name):
    spec = MODELS.get(name)
    page, config = page_of(name), (PROJECT / spec.default_config).read_text(encoding="utf-8")
    said = re.search(r"Reported in 2019 on (.*?)\. Not measured here", page)[1]
    for one in spec.card.scores:
        assert one.data.replace(" v", "'s v") in said
        for metric, value in one.values.items():
            assert metric in said
            assert value in said
            assert value in config
    numbers = {value for one in spec.card.scores for value in one.values.values()}
    assert set(re.findall(r"\b0\.\d+", said)) == numbers


def numbers_of(cell):
    return [float(number.replace(",", "")) for number in cell.split(" / ") if number]


def shown_speeds():
    """(model, what, ms, processor) of every row of the two tables of models."""
    with_plain, beside_others = (
        tables(SPEED, f"Against {what}")[0] for what in ("the plain formulation", "PyTorch and ONNX Runtime")
    )
    for title, what, ms, _ in with_plain:
        processor = TWO_CORES_AVX2 if "with AVX2 alone" in what else TWO_CORES
        what = what.removesuffix(", with AVX2 alone").replace("JPEG pickle of the same", "10 s JPEG pickle of 340x256")
        whats = [what]
        if " / " in what:
            first, second = what.split(" / ")
            whats = [first, f"{first.rpartition(', ')[0]}, {second}"]
        for one, number in zip(whats, numbers_of(ms), strict=True):
            yield TITLES[title], one, number, processor
    for row in beside_others:
        for ms, processor in ((row[2], AVX512), (row[6], AVX2)):
            for number in numbers_of(ms):
                yield TITLES[row[0]], row[1].replace("`", ""), number, processor


def test_the_speeds_on_their_page_are_those_of_the_cards():
    cards = [(name, one.what, one.ms, one.processor) for name in MODELS.names() for one in MODELS.get(name).card.speeds]
    assert sorted(shown_speeds()) == sorted(cards)
    text = " ".join(SPEED.split())
    assert "Two cores of an AMD EPYC with AVX-512, default configs" in text
    assert "On one core of an Intel Xeon with AVX-512 and AMX, and of an AMD EPYC with AVX2 alone" in text


@every_model
def test_every_key_of_every_section_has_a_meaning_on_one_line(name):
    schema = MODELS.get(name).schema
    for section in schema.sections:
        for key, rule in schema.keys(section).items():
            assert rule.meaning.strip(), f"{section}.{key}"
            assert rule.meaning.isprintable()
            assert not rule.meaning.endswith(".")


@every_model
def test_the_defaults_on_the_page_of_a_model_are_those_of_its_keys(name):
    """Of keys that stand alone in a row of the page's table and have a plain value there."""
    spec, page = MODELS.get(name), page_of(name)
    from tools.config.flags import ConfigSource, read_config

    config = read_config(ConfigSource(None), spec(), name, ["MODEL"], check=False)
    rows = re.findall(r"\| `(\w+)`(?: \(new\))? \| ([\w.\-\"]+) \|", page)
    assert rows
    for key, value in rows:
        section = next(section for section in spec.schema.sections if key in spec.schema.keys(section))
        found = vars(config[section])[key]
        assert value.strip('"') in (str(found), repr(found)) or float(value) == found, key
