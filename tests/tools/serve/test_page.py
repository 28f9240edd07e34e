"""The server's page in a browser: a chosen or dropped video, its classes, timeline and frames; names stay text."""

import shutil

import pytest

from tests.browser import Browser
from tests.tools.pages.test_in_browser import CUT_OFF
from tests.tools.serve.servers import wait_until

HOSTILE = "<img src=x onerror=alert(1)> 打太极.mp4"
DONE = "document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def address(server):
    return f"http://127.0.0.1:{server.port}/"


def test_the_page_asks_for_nothing_else_and_says_so(server):
    answer = server.ask("GET", "/")
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert b"http://" not in answer.body.replace(b"http://www.w3.org/2000/svg", b"").replace(
        b"http://THIS_ADDRESS", b""
    )
    assert server.ask("HEAD", "/").body == b""


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1200])
def test_a_chosen_video_has_classes_frames_and_a_timeline(server, browser, films, tmp_path, width):
    path = tmp_path / HOSTILE.replace("/", "")
    shutil.copy(films / "three.mp4", path)
    browser.open(address(server), width=width, height=1000)
    assert browser.run(CUT_OFF) == []
    browser.choose_file("#file", path)
    wait_until(lambda: browser.run("document.querySelectorAll('.timeline, .bad').length") == 1)
    assert browser.run("document.querySelectorAll('.bad').length") == 0
    wait_until(lambda: browser.run(f"{DONE}.endsWith(' s')"))
    assert browser.run("document.querySelector('h2').textContent") == path.name
    assert browser.run("document.querySelectorAll('.ranking li').length") == 5
    assert "<b>swimming</b>" in browser.run("document.querySelector('.ranking').textContent")
    images = "Array.from(document.querySelectorAll('#answers img'))"
    assert browser.run(f"{images}.length") == 2 + 2  # segments, and windows of two seconds
    assert browser.run(f"{images}.every((image) => image.complete && image.naturalWidth > 0)")
    assert browser.run("getComputedStyle(document.querySelector('.timeline')).marginTop") == "0px"  # first in its card
    assert browser.run(CUT_OFF) == []
    assert browser.problems == []
    assert all(request.startswith((address(server), "data:")) for request in browser.requests)
    browser.picture(tmp_path / f"page_{width}.png")


@pytest.mark.slow
def test_a_dropped_file_that_is_no_video_is_told_in_chinese_to_who_reads_it(server, browser):
    browser.ask("Emulation.setUserAgentOverride", userAgent="x", acceptLanguage="zh-CN")
    try:
        browser.open(address(server))
        assert browser.run("document.querySelector('h1').textContent").startswith("这段视频是什么内容")
        assert browser.run("document.documentElement.lang") == "zh-CN"
        browser.run("""(() => {
            const files = new DataTransfer();
            files.items.add(new File(["no video"], "a.txt"));
            document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true}));
        })()""")
        wait_until(lambda: browser.run("document.querySelectorAll('.bad').length") == 1)
        assert "a.txt is not a video" in browser.run(DONE)
        browser.run("""(() => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(5000000)], "b.mp4"));
            document.getElementById("drop").dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true}));
        })()""")
        assert browser.run(DONE) == "b.mp4 有 5 MB，最多接受 4 MB"  # noqa: RUF001
    finally:
        browser.ask("Emulation.setUserAgentOverride", userAgent="x", acceptLanguage="en")
