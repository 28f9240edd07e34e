"""README.md, the front page: it is short, has what a newcomer needs, and tells of the models what their cards do."""

import re
import sys

import pytest

import models  # noqa: F401  (registers the specs)
from models.card import AVX512
from tests.pages import PAGES, chinese_of, commands_of, headings_of, links_of, read_page, table_rows
from tools.info.__main__ import main as show_models
from tools.registry import MODELS
from tools.weights.released import RELEASED

FRONT = ("README.md", chinese_of("README.md"))
FIRST_WORDS = {"README.md": "| model | reads |", "README_cn.md": "| 模型 | 输入 |"}


@pytest.mark.parametrize("page", FRONT)
def test_the_front_page_is_150_to_200_lines(page):
    assert 150 <= len(read_page(page).splitlines()) <= 200


@pytest.mark.parametrize("page", FRONT)
def test_the_front_page_leads_to_every_other_page(page):
    others = [name if page == "README.md" else chinese_of(name) for name in PAGES[1:]]
    assert {*others} <= {link.partition("#")[0] for link in links_of(read_page(page))}


def test_the_first_screen_has_a_picture_then_a_video_named_and_own_videos_in_four_commands():
    text = read_page("README.md")
    picture = text.index("](dataset/images/answer.png)")
    assert picture < headings_of(text)[1].start
    programs = [command.split()[1] for command in commands_of("README.md") if command.startswith("python ")]
    assert programs[:2] == ["-m", "infer.py"]
    assert programs[-4:] == ["dataset/make_list.py", "train.py", "test.py", "infer.py"]
    answer = re.search(r"^```\n(file .*?)^```", text, flags=re.MULTILINE | re.DOTALL)[1]
    assert len(re.findall(r"\d+\.\d %$", answer, flags=re.MULTILINE)) == 5


@pytest.mark.parametrize("page", FRONT)
def test_the_table_of_the_models_says_what_their_cards_do(page, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["info"])
    show_models()
    shown = {line.split()[0]: re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()[1:6]}
    rows = {row[6].strip("`"): row for row in table_rows(read_page(page), FIRST_WORDS[page])}
    assert rows.keys() == {*MODELS.names()} == shown.keys() <= {one.name for one in RELEASED}
    for name, (title, _, parameters, multiplied, ms, reported, _, more) in rows.items():
        card = MODELS.get(name).card
        assert title.startswith(card.title)
        assert (parameters, multiplied) == (shown[name][2], shown[name][3])
        first = next(one for one in card.speeds if one.processor == AVX512 and one.what.startswith("inference"))
        assert float(ms.replace(",", "")) == first.ms
        assert reported in [f"{metric} {value}" for one in card.scores for metric, value in one.values.items()]
        assert f"](models/{MODELS.get(name).__module__.split('.')[1]}/README.md)" in more
