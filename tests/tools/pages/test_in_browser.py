"""Pages in a browser: nothing runs but their own script, nothing is asked for, nothing is cut off."""

import pytest

import metrics  # noqa: F401  (registers them)
import models  # noqa: F401
from tests.browser import Browser
from tests.tools.pages.hostile import HOSTILE
from tests.tools.pages.sample import make_sample
from tests.tools.training.recorded_runs import START, events_of, make_validation, write_run
from tools.pages.page import write_page
from tools.report.comparison import build_comparison
from tools.training.run_files import load_run
from tools.training.run_page import build_run_page

pytestmark = pytest.mark.slow

# What is wider than the window, or holds more than it shows, and does not scroll.
CUT_OFF = """Array.from(document.querySelectorAll("body *")).filter((element) => {
    if (element.closest("svg, .skip")) return false;
    const out = element.getBoundingClientRect().right > innerWidth + 1 && !element.closest(".scroll");
    const style = getComputedStyle(element);
    const holdsMore = style.display !== "inline" && element.scrollWidth > element.clientWidth + 1;
    return out || (holdsMore && style.overflowX !== "auto");
}).map((element) => element.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(path, make_sample(HOSTILE))
    return path


@pytest.fixture(scope="module", params=["sample", "2", "6", "400", "3862", "several"])
def any_page(request, page, tmp_path_factory):
    """The page of a run of so many classes, whatever they are called, one of several runs, and the sample."""
    if request.param == "sample":
        return page
    folder = tmp_path_factory.mktemp(request.param)
    several = request.param == "several"
    num_classes = 6 if several else int(request.param)
    names = [folder / f"run {i} {'x' * 150}" for i in range(9)] if several else [folder]
    validation = make_validation(999, HOSTILE, num_classes)
    files = [write_run(name, [START, *events_of(range(1000))], validation) for name in names]
    runs = [load_run(one) for one in files]
    write_page(folder / "page.html", build_comparison(runs) if several else build_run_page(runs[0]))
    return folder / "page.html"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 400, 1400])
def test_nothing_runs_nothing_is_asked_for_and_nothing_is_cut_off(browser, any_page, width, dark):
    browser.open(any_page, width=width, dark=dark)
    assert browser.problems == []
    assert [address for address in browser.requests if not address.startswith("data:")] == [any_page.as_uri()]
    assert browser.run("document.scrollingElement.scrollWidth") <= width
    assert browser.run(CUT_OFF) == []
    assert browser.run("document.querySelectorAll('script').length") == 1


def test_the_policy_of_a_page_refuses_what_escaping_might_have_let_through(browser, page):
    browser.open(page)
    browser.run(
        """(() => { window.ran = 0; const holder = document.createElement("div"); document.body.append(holder);
        holder.innerHTML = "<img src='data:,x' onerror='window.ran = 1'><img src='https://127.0.0.1:9/x.png'>";
        const script = document.createElement("script"); script.textContent = "window.ran = 2"; holder.append(script);
        })()"""
    )
    assert browser.run("new Promise((done) => setTimeout(() => done(window.ran), 200))") == 0
    assert all("Content Security Policy" in problem for problem in browser.problems)
    assert len(browser.problems) >= 3


def heads(browser):
    return browser.run(
        "Array.from(document.querySelectorAll('.sortable thead th'), (head) => head.getAttribute('aria-sort'))"
    )


def column(browser, number):
    return browser.run(
        f"Array.from(document.querySelectorAll('.sortable tbody tr'), (row) => row.cells[{number}].innerText)"
    )


def test_a_table_is_sorted_by_keyboard_and_says_by_what(browser, page):
    browser.open(page)
    assert heads(browser) == ["none"] * 4
    browser.run("document.querySelectorAll('thead button')[2].focus()")
    browser.press("Enter")
    assert heads(browser) == ["none", "none", "ascending", "none"]
    counts = [int(text.replace(",", "")) for text in column(browser, 2)]
    assert counts == sorted(counts)
    browser.press("Enter")
    assert heads(browser) == ["none", "none", "descending", "none"]
    assert [int(text.replace(",", "")) for text in column(browser, 2)] == counts[::-1]


def test_a_chart_is_read_out_under_the_pointer_and_by_the_arrow_keys(browser, page):
    browser.open(page)
    read = "document.querySelector('.chart output').innerText"
    browser.run("document.querySelector('.chart svg').focus()")
    browser.press("ArrowRight")
    first = make_sample(HOSTILE).sections[0].blocks[0].charts[0].series[0].y[0]
    assert browser.run(read).startswith(f"epoch 0: <script>alert(1)</script> {first:.6g} <script>alert(1)</script>; ")
    browser.press("ArrowRight")
    assert browser.run(read).startswith("epoch 1: <script>")
    box = "document.querySelector('.chart svg').getBoundingClientRect()"
    x, y = browser.run(f"(({{ right, top }}) => [right - 12, top + 30])({box})")
    browser.move_to(x, y)
    assert browser.run(read).startswith("epoch 29: <script>")
    browser.move_to(1, 1)
    assert browser.run(read) == ""


def test_without_its_script_a_page_shows_the_same(browser, page):
    texts = []
    for script in (True, False):
        browser.open(page, script=script)
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)
        browser.run("document.querySelectorAll('.picker').forEach((one) => one.remove())")  # it shows other parts
        texts.append(browser.run("document.querySelector('main').innerText"))
    assert texts[0] == texts[1]
    assert browser.run("document.querySelectorAll('button').length") == 0


def test_letters_and_lines_stand_out_in_the_light_and_in_the_dark(browser, page):
    """WCAG 2.1, 1.4.3 and 1.4.11: 4.5 for text, 3 for lines of charts."""
    for dark in (False, True):
        browser.open(page, dark=dark)
        for name, least in {"ink": 4.5, "quiet": 4.5, "link": 4.5, **{f"c{i}": 3 for i in range(7)}}.items():
            for ground in ("paper", "raised"):
                colours = [
                    browser.run(f"getComputedStyle(document.documentElement).getPropertyValue('--{one}')")
                    for one in (name, ground)
                ]
                assert contrast(*colours) >= least, (dark, name, ground)


def contrast(one: str, other: str) -> float:
    light = sorted(map(luminance, (one, other)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(colour: str) -> float:
    digits = colour.strip().lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
