"""Every command that a page shows, run in its order in a fresh copy of the project; and where its links lead."""

import re
import shutil

import pytest

from dataset.youtube8m import make_demo
from tests.conftest import PROJECT, run_shell
from tests.extractor_files import write_published_files
from tests.pages import MODEL_PAGES, PAGES, chinese_of, commands_of, headings_of, links_of, read_page, resolve_link
from tests.torch_files import tensors, zip_content
from tests.torch_resnets import resnet_arrays

# What cannot be run as it stands: a command's beginning -> what is run in its place.
STAND_INS = {
    "bash scripts/quickstart.sh": "bash scripts/quickstart.sh --help",  # test_quickstart.py runs it
    "bash scripts/own_videos.sh": "bash scripts/own_videos.sh --help",  # so does it this
    "bash scripts/run_tests.sh": "bash scripts/run_tests.sh --help",  # this is them
    "python3 -m venv .venv && source .venv/bin/activate": "python3 -m venv --help",
    "python -m pip install -r": "test -f",  # the tests need no network
    "python -m tools.benchmark_clips": "python -m tools.benchmark_clips --help",
    "python train.py --config my_videos_lists/tsn.txt": "python train.py --config my_videos_lists/tsn.txt --epoch 1 "
    "--set TRAIN.pretrain_base=None --set TRAIN.short_size=72 --set TRAIN.target_size=64 --set VALID.short_size=72 "
    "--set VALID.target_size=64",
    # test_quickstart.py runs it, after what makes the weights.
    "python infer.py --weights=checkpoints/demo/STNET_best": "python infer.py --help",
    # Of made networks; tests/tools/extract has one that classifies too.
    "python -m tools.extract": "python -m tools.extract --weights-dir published --offline",
    "python infer.py --model-name=NEXTVLAD --video": "python infer.py --help",
    # Of a server that stays; tests/tools/serve/test_listening.py starts it and asks it.
    "python -m tools.serve": "python -m tools.serve --help;:",
    "curl": ":",
    "python -m tools.benchmark": "python -m tools.benchmark --help",  # tools/benchmark/test_benchmark.py runs them
}
LONG_COMMANDS = re.compile(  # run with those of the models' pages
    r"TSN|STNET|kinetics|my_videos|extract|doctor|scripts/(train|test|infer)/|--nproc"
)


def run_pages(pages, folder, chosen=lambda command: True, done=frozenset()):
    """done: commands that were run in this folder before."""
    commands = dict.fromkeys(command for page in pages for command in commands_of(page) if chosen(command))  # each once
    for command in [command for command in commands if command not in done]:
        beginning = next((text for text in STAND_INS if command.startswith(text)), "")
        run_shell(STAND_INS.get(beginning, "") + command.removeprefix(beginning), folder)
    return done | commands.keys()


def test_every_command_that_is_not_long_runs(project_copy, monkeypatch):
    monkeypatch.setattr(make_demo, "SPLITS", {"train": (2, 50), "val": (1, 20)})  # for 1,300 videos of the quickstart
    make_demo.make_demo(project_copy / "dataset/youtube8m/demo")
    run_pages(PAGES, project_copy, lambda command: not LONG_COMMANDS.search(command))


@pytest.fixture(scope="module")
def clone_with_data(project_copy):
    """What the longer commands need: the demo data, fewer clips of it in its lists, and what people bring along."""
    shutil.rmtree(project_copy / "dataset/youtube8m/demo", ignore_errors=True)
    for data in ("youtube8m", "kinetics"):
        run_shell(f"python dataset/{data}/make_demo.py", project_copy)
    clips = project_copy / "dataset/kinetics/demo"
    for name in ("train.list", "val.list"):
        (clips / name).write_text("".join((clips / name).read_text().splitlines(keepends=True)[::4]))
    (make_folder,) = (line for line in commands_of("dataset/own_videos.md") if line.startswith("for clip in"))
    run_shell(make_folder, project_copy)
    shutil.copy(clips / "val/growing_00.mp4", project_copy / "clip.mp4")
    (project_copy / "resnet50.pth").write_bytes(zip_content(tensors(resnet_arrays(50))))  # in place of torchvision's
    write_published_files(project_copy / "published")
    return project_copy


@pytest.fixture(scope="module")
def run_already():
    """Where the commands are remembered that have been run in the clone, as pages show some of them again."""
    return set()


# One page after another: the commands of one may need what those of the pages before it have left.


@pytest.mark.slow
@pytest.mark.parametrize("page", [*PAGES, *MODEL_PAGES])
def test_every_longer_command_runs(page, clone_with_data, run_already):
    run_already |= run_pages([page], clone_with_data, LONG_COMMANDS.search, frozenset(run_already))


@pytest.mark.parametrize("room", ["datareader", "tools/distributed", "tools/pages", "tools/training", "tools/weights"])
def test_page_at_a_door_names_every_file_of_the_room(room):
    page = read_page(f"{room}/README.md")
    named = set(re.findall(r"`([a-z_]+\.py)`", page))
    there = {path.name for path in (PROJECT / room).rglob("*.py")}
    own = {path.name for path in (PROJECT / room).glob("*.py")} - {"__init__.py"}
    assert own <= named <= there


def test_links_lead_to_a_file_and_to_a_heading_of_it():
    pages = [path.relative_to(PROJECT).as_posix() for path in PROJECT.rglob("*.md") if ".venv" not in path.parts]
    assert {*PAGES, *map(chinese_of, PAGES), *MODEL_PAGES} <= {*pages}
    wrong = []
    for page in pages:
        for link in links_of(read_page(page)):
            if link.startswith(("https://", "http://")):
                continue
            target, anchor = resolve_link(page, link)
            if not target.exists() or (
                anchor and anchor not in {heading.anchor for heading in headings_of(target.read_text(encoding="utf-8"))}
            ):
                wrong.append(f"{page}: {link}")
    assert not wrong


@pytest.mark.parametrize("page", PAGES[1:])
def test_a_page_begins_with_its_one_job_and_a_table_of_contents(page):
    for name in (page, chinese_of(page)):
        text = read_page(name)
        title, *headings = headings_of(text)
        assert title.level == 1
        chapters = [heading for heading in headings if heading.level == 2]
        opening = text[: chapters[0].start]
        assert [link for link in links_of(opening) if link.startswith("#")] == [f"#{one.anchor}" for one in chapters]
