"""The pictures on the pages: all are made by scripts/make_pictures.sh, small, shown, and told in words."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.browser import find_browser
from tests.conftest import PROJECT, run_shell
from tests.house import PACKAGES
from tests.pages import BLOCK, MODEL_PAGES, PAGES, chinese_of, read_page, resolve_link
from tests.pictures import MOST_BYTES, PICTURES, shrink

SCRIPT = "scripts/make_pictures.sh"
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")  # its text alternative, where it is


def pictures_on(page):
    """(text alternative, path from the project's folder) of each picture on a page."""
    found = PICTURE.findall(BLOCK.sub("", read_page(page)))
    return [(text, resolve_link(page, link)[0].relative_to(PROJECT).as_posix()) for text, link in found]


def test_the_script_makes_the_pictures_that_are_there():
    there = [path for room in PACKAGES for path in (PROJECT / room).rglob("images/*")]
    assert {path.relative_to(PROJECT).as_posix() for path in there} == {*PICTURES}
    text = subprocess.run(["bash", SCRIPT, "--help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert text.startswith(f"usage: bash {SCRIPT}")
    assert sorted(re.findall(r"^  (\S+\.png) ", text, flags=re.MULTILINE)) == sorted(PICTURES)


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_small(picture):
    content = (PROJECT / picture).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) <= MOST_BYTES


@pytest.mark.parametrize("picture", PICTURES)
def test_a_picture_is_on_a_page(picture):
    for pages in (PAGES, map(chinese_of, PAGES)):
        assert picture in {path for page in pages for _, path in pictures_on(page)}


@pytest.mark.parametrize("page", [*PAGES, *MODEL_PAGES])
def test_what_a_picture_shows_is_told_in_words(page):
    english = pictures_on(page)
    assert all(path in PICTURES and re.match(r"[A-Z]", text) and len(text.split()) >= 6 for text, path in english)
    if page in PAGES:
        chinese = pictures_on(chinese_of(page))
        assert [path for _, path in chinese] == [path for _, path in english]
        assert all(len(re.findall("[\u4e00-\u9fff]", text)) >= 8 for text, _ in chinese)


def test_a_picture_that_is_too_large_gets_fewer_colours():
    content = (PROJECT / "dataset/images/clip.png").read_bytes()
    assert shrink(content, len(content)) == content
    assert len(shrink(content, len(content) - 1)) < len(content)
    with pytest.raises(ValueError, match="more than 1,000"):
        shrink(content, 1000)


PYTHON_STUB = f"""#!/bin/sh
[ "$1" = -c ] && exec {sys.executable} "$@"
[ "$3" = needs ] && [ -e lacking ] && exit 1
exit 0
"""


@pytest.fixture
def make_pictures(tmp_path):
    """Runs the script in a folder where Python does nothing: (exit code, commands, errors)."""
    shutil.copytree(PROJECT / "scripts", tmp_path / "scripts")
    (tmp_path / "python").write_text(PYTHON_STUB)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "temporary").mkdir()

    def run(*flags):
        env = {**os.environ, "PYTHON": "./python", "TMPDIR": str(tmp_path / "temporary")}
        command = ["bash", SCRIPT, "--no-install", *flags]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        shown = [line.removeprefix("$ ./python ") for line in done.stdout.splitlines() if line.startswith("$ ")]
        assert list((tmp_path / "temporary").iterdir()) == []
        return done.returncode, shown, done.stderr

    return run


def trained_in(commands):
    return [re.search(r"--model-name=(\w+)", line)[1] for line in commands if line.startswith("train.py")]


def test_only_weights_that_are_missing_are_trained(make_pictures, tmp_path):
    code, shown, _ = make_pictures()
    assert (code, trained_in(shown)) == (0, ["STNET", "TSN"])
    (tmp_path / "checkpoints/demo/STNET_best").mkdir(parents=True)
    assert trained_in(make_pictures()[1]) == ["TSN"]
    code, shown, errors = make_pictures("--weights=mine")
    assert (code, trained_in(shown)) == (1, [])
    assert errors == "error: mine has no STNET_best; leave --weights out to train it\n"
    for name in ("STNET_best", "TSN_best"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    code, shown, _ = make_pictures("--weights=mine")
    assert (code, trained_in(shown)) == (0, [])
    assert {word for line in shown for word in line.split() if "_best" in word} == {
        "--weights=mine/STNET_best", "--weights=mine/TSN_best", "mine/STNET_best",
    }  # fmt: skip


def test_nothing_is_done_where_something_is_missing(make_pictures, tmp_path):
    (tmp_path / "lacking").touch()
    assert make_pictures()[:2] == (1, [])


def error_of_needs(**variables):
    """What the check says that ends with an error. variables: of its environment."""
    command, env = [sys.executable, "-m", "tests.pictures", "needs"], {**os.environ, **variables}
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


def test_what_is_missing_is_told_in_one_line(tmp_path):
    """Without anything in the path there is no browser; without site packages there are none of the modules."""
    assert error_of_needs(PATH=str(tmp_path)) == (
        "error: none of chromium, chromium-browser, google-chrome, chrome is installed; "
        "pictures of pages need Chromium\n"
    )
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name in ('uvicorn', 'pytest') else found(name, *more)\n"
    )
    assert error_of_needs(PYTHONPATH=str(tmp_path)) == (
        "error: uvicorn, pytest cannot be imported; "
        "python -m pip install -r requirements-serve.txt -r tests/requirements.txt\n"
    )


@pytest.mark.slow
def test_all_pictures_are_made_in_place_of_those_that_are_there(project_copy):
    if find_browser() is None:
        pytest.skip("Chromium is not installed")
    run_shell("python dataset/kinetics/make_demo.py", project_copy)
    lists = project_copy / "dataset/kinetics/demo"
    for name in ("train.list", "val.list"):
        (lists / name).write_text("".join((lists / name).read_text().splitlines(keepends=True)[::6]))
    for name in ("STNET", "TSN"):
        config = f"--config=configs/demo/{name.lower()}.txt"
        run_shell(f"python train.py --model-name={name} {config} --save-dir=mine --epoch=1", project_copy)
    for picture in PICTURES:
        (project_copy / picture).write_bytes(b"another picture")
    before = {path for path in project_copy.rglob("*") if "__pycache__" not in path.parts}
    shown = run_shell(f"bash {SCRIPT} --no-install --weights mine", project_copy)
    for picture in PICTURES:
        content = (project_copy / picture).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert 10_000 < len(content) <= MOST_BYTES
        assert f"{picture}: {len(content) / 1000:.0f} kB" in shown
    made = {path for path in project_copy.rglob("*") if "__pycache__" not in path.parts} - before
    assert all("demo" in path.parts for path in made), made
