"""Pages of tests and inferences in a browser: nothing else runs, nothing is cut off, all can be read."""

import numpy as np
import pytest

from tests.browser import Browser
from tests.tools.inference.evaluated_runs import count_clips, count_features, make_answers, make_evaluated, make_scores
from tests.tools.pages.hostile import HOSTILE
from tests.tools.pages.test_in_browser import CUT_OFF, contrast
from tools.inference.answer_page import build_answer_page
from tools.inference.score_page import build_score_page
from tools.pages.page import write_page

pytestmark = pytest.mark.slow

PLAIN = [f"name {i}" for i in range(400)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def write_scores(path, num_classes, names, metric=None):
    model = "AttentionCluster" if num_classes == 3862 else "TSN"
    metric = metric or (count_features(3862) if num_classes == 3862 else count_clips(num_classes))
    run = make_evaluated(model, "TEST", names, num_classes)
    scores = make_scores(metric, names, num_classes, broken=names[:15], notices=names[:15])
    write_page(path, build_score_page(run, scores))
    return path


def write_answers(path, num_videos, **facts):
    features = facts.get("features", False)
    run = make_evaluated("AttentionCluster" if features else "TSN", "INFER", HOSTILE, 20)
    paths = [f"clips/{HOSTILE[i % len(HOSTILE)]}{i}.mp4" for i in range(num_videos)]
    write_page(path, build_answer_page(run, make_answers(paths, 20, path, **facts), lambda: None))
    return path


KINDS = {
    "2 classes": lambda path: write_scores(path, 2, HOSTILE),
    "6 classes": lambda path: write_scores(path, 6, HOSTILE),
    "400 classes": lambda path: write_scores(path, 400, HOSTILE),
    "3862 classes": lambda path: write_scores(path, 3862, HOSTILE),
    "one video": lambda path: write_answers(path, 1),
    "videos": lambda path: write_answers(path, 16),
    "a film": lambda path: write_answers(path, 1, windows=1),
    "films": lambda path: write_answers(path, 15, windows=70),
    "features": lambda path: write_answers(path, 40, features=True),
}


@pytest.fixture(scope="module", params=KINDS)
def any_page(request, tmp_path_factory):
    return KINDS[request.param](tmp_path_factory.mktemp("page") / "page.html")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 400, 1400])
def test_nothing_runs_nothing_is_asked_for_and_nothing_is_cut_off(browser, any_page, width, dark):
    browser.open(any_page, width=width, dark=dark)
    for _ in range(2):
        assert browser.problems == []
        assert [address for address in browser.requests if not address.startswith("data:")] == [any_page.as_uri()]
        assert browser.run("document.scrollingElement.scrollWidth") <= width
        assert browser.run(CUT_OFF) == []
        assert browser.run("document.querySelectorAll('script').length") == 1
        choose(browser, 1)  # and all of this once more


def choose(browser, class_id):
    """Pick a class of a matrix, where there is one."""
    browser.run(
        f"""(() => {{ const select = document.querySelector(".picker select"); if (!select) return;
        select.value = "{class_id}"; select.dispatchEvent(new Event("change")); }})()"""
    )


def tables(browser, selector):
    return browser.run(
        f"""Array.from(document.querySelectorAll("{selector} table"), (table) =>
        Array.from(table.rows, (row) => Array.from(row.cells, (cell) => cell.textContent)))"""
    )


def test_a_class_that_is_picked_shows_what_it_is_taken_for_and_what_is_taken_for_it(browser, tmp_path):
    metric = count_clips(400)
    browser.open(write_scores(tmp_path / "page.html", 400, PLAIN, metric))
    first = browser.run("document.querySelector('.part').innerHTML")
    assert browser.run("document.querySelector('.picker select').labels[0].innerText.trim()").startswith("Class")
    choose(browser, 7)
    out, into, part = tables(browser, ".part")
    called = [f"{i} {name}" for i, name in enumerate(PLAIN)]
    counts = metric.counts - np.diag(np.diagonal(metric.counts))
    for table, column in ((out, counts[7]), (into, counts[:, 7])):
        expected = {called[i]: f"{column[i]}" for i in np.flatnonzero(column)}
        assert {row[0]: row[1] for row in table[1:]} == expected
        numbers = [int(row[1]) for row in table[1:]]
        assert numbers == sorted(numbers, reverse=True)
    assert part[1][0] == called[7]
    assert part[1][1] == str(metric.counts[7, 7])
    for row in part[1:]:
        assert sum(int(text or 0) for text in row[1:-1]) == int(row[-1]) == metric.counts[called.index(row[0])].sum()
    assert f"{metric.counts[7, 7]} of 50 right" in browser.run("document.querySelector('.picker output').innerText")
    browser.run("document.querySelector('.part thead button').focus()")
    browser.press("Enter")
    assert [row[0] for row in tables(browser, ".part")[0][1:]] == sorted(
        (row[0] for row in out[1:]), key=lambda name: int(name.split()[0])
    )
    browser.run("document.querySelector('.picker button').click()")
    assert browser.run("document.querySelector('.part').innerHTML") == first
    assert browser.run("document.activeElement.tagName") == "SELECT"


def test_names_of_picked_classes_stay_texts(browser, tmp_path):
    browser.open(write_scores(tmp_path / "page.html", 400, HOSTILE))
    tags = "Array.from(document.querySelectorAll('.part *'), (element) => element.tagName).sort().join()"
    for class_id in range(len(HOSTILE)):
        choose(browser, class_id)
        assert {"SCRIPT", "IMG", "H1"}.isdisjoint(browser.run(tags).split(","))
        assert browser.problems == []


def test_the_picture_of_all_classes_is_read_out_and_leads_to_a_class(browser, tmp_path):
    metric = count_clips(400)
    metric.counts[300, 100], metric.counts[20, 350] = 90, 80
    browser.open(write_scores(tmp_path / "page.html", 400, PLAIN, metric))
    browser.run("document.documentElement.style.scrollBehavior = 'auto'")  # or places change for a while
    read = "document.querySelector('.overview output').innerText"
    browser.run("document.querySelector('.overview > svg').focus()")
    browser.press("ArrowRight")
    assert browser.run(read) == f"300 name 300 taken for 100 name 100: 90 of {metric.counts[300].sum()} videos"
    browser.press("ArrowRight")
    assert browser.run(read).startswith("20 name 20 taken for 350 name 350: 80 of ")
    browser.press("Enter")
    assert browser.run("document.querySelector('.picker select').value") == "20"
    place = "(() => { const box = document.querySelector('.overview > svg').getBoundingClientRect();"
    browser.run("document.querySelector('.overview').scrollIntoView()")
    x, y = browser.run(
        f"{place} return [box.left + box.width * 146.5 / 456, box.top + box.height * 308.5 / 456]; }})()"
    )
    browser.move_to(x, y)
    assert browser.run(read).startswith("300 name 300 taken for 100 name 100: 90 of ")
    browser.move_to(1, 1)
    assert browser.run(read) == ""


def test_a_timeline_is_read_out_under_the_pointer_and_by_the_arrow_keys(browser, tmp_path):
    page = write_answers(tmp_path / "page.html", 1, windows=70)
    browser.open(page)
    read = "document.querySelector('.timeline output').innerText"
    browser.run("document.querySelector('.timeline').focus()")
    browser.press("ArrowRight")
    assert browser.run(read) == "0:00 to 0:01: <script>alert(1)</script> 90 %"
    browser.press("ArrowRight")
    assert browser.run(read).startswith("0:01 to 0:02: ")
    x, y = browser.run(
        """(() => { const box = document.querySelector('.lanes svg').getBoundingClientRect();
        return [box.left + box.width * 65.5 / 70, box.top + 5]; })()"""
    )
    browser.move_to(x, y)
    assert browser.run(read).startswith("1:05 to 1:06: ")
    assert browser.run("document.querySelector('.lanes .cursor').getAttribute('d')").startswith("M935.7")
    browser.move_to(1, 1)
    assert browser.run(read) == ""


def test_a_page_shows_the_same_without_its_script(browser, tmp_path):
    for page in (write_scores(tmp_path / "a.html", 400, HOSTILE), write_answers(tmp_path / "b.html", 3, windows=40)):
        texts = []
        for script in (True, False):
            browser.open(page, script=script)
            browser.ask("Emulation.setScriptExecutionDisabled", value=False)
            browser.run("document.querySelectorAll('.picker').forEach((one) => one.remove())")
            texts.append(browser.run("document.querySelector('main').innerText"))
        assert texts[0] == texts[1]
        assert browser.run("document.querySelectorAll('button, select').length") == 0


def test_counts_stand_out_from_their_grounds_in_the_light_and_in_the_dark(browser, tmp_path):
    """WCAG 2.1, 1.4.3: 4.5 for text."""
    page = write_scores(tmp_path / "page.html", 6, PLAIN)
    for dark in (False, True):
        browser.open(page, dark=dark)
        for ground in ("right", "wrong"):
            colours = [
                browser.run(f"getComputedStyle(document.documentElement).getPropertyValue('--{one}')")
                for one in ("ink", ground)
            ]
            assert contrast(*colours) >= 4.5, (dark, ground)


def test_arrows_stay_with_their_words_bars_behind_their_texts_and_lanes_have_a_ground(browser, tmp_path):
    browser.open(write_scores(tmp_path / "scores.html", 6, PLAIN), width=820)
    lines = "Array.from(document.querySelectorAll('#classes thead button'), (one) => [one.innerText.trim(), one])"
    lines = f"{lines}.filter(([text]) => !/[ -]/.test(text)).map(([text, one]) => [text, one.getClientRects().length])"
    assert browser.run(lines)[:3] == [["class", 1], ["name", 1], ["videos", 1]]
    browser.open(write_answers(tmp_path / "answers.html", 1))
    style = "getComputedStyle(document.querySelector('{}')).{}"
    assert browser.run(style.format(".ranking .b", "backgroundPositionY")) == "50%"
    browser.open(write_answers(tmp_path / "film.html", 1, windows=3))
    assert browser.run(style.format(".lanes svg", "overflow")) == "visible"  # or half of the line is cut off


def test_what_only_a_screen_can_do_is_not_printed(browser, tmp_path):
    browser.open(write_scores(tmp_path / "page.html", 400, PLAIN))
    browser.ask("Emulation.setEmulatedMedia", media="print")
    hidden = "Array.from(document.querySelectorAll('.picker, nav'), (one) => getComputedStyle(one).display)"
    assert set(browser.run(hidden)) == {"none"}
    assert browser.run("getComputedStyle(document.querySelector('.matrix .scroll')).maxHeight") == "none"
