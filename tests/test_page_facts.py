"""What the pages on weights, on 2019 and on platforms say of the code is what the code does."""

import re
from pathlib import Path

import pytest

import models  # noqa: F401  (registers the specs)
from models.spec import OBSOLETE_KEYS
from tests.conftest import PROJECT
from tests.pages import BLOCK, read_page, table_rows
from tools.config.load import load_config
from tools.doctor.checks import PYTHONS
from tools.errors import CheckpointError, DownloadError
from tools.registry import MODELS
from tools.weights.extractors import EXTRACTORS
from tools.weights.files import recognise
from tools.weights.released import BASE_URL, RELEASED, find_released

WEIGHTS, DIFFERENCES, PLATFORMS = "models/weights.md", "models/differences_from_2019.md", "tools/platforms.md"
SPECS = {name: MODELS.get(name) for name in MODELS.names()}


def outputs_of(page):
    """The lines in a page's blocks of output."""
    blocks = [block.split("\n") for block in BLOCK.findall(read_page(page))]
    return [line for first, *lines in blocks if first == "```" for line in lines]


def names_in(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_released_files_are_those_that_are_fetched():
    rows = table_rows(read_page(WEIGHTS), "| what | first source")
    assert [[*map(names_in, row)] for row in rows] == [
        [[item.name], [item.archive], [item.single] if item.single else []] for item in RELEASED
    ]
    assert f"All of them are under `{BASE_URL}`" in read_page(WEIGHTS)


def test_files_that_make_features_are_those_that_are_fetched():
    rows = table_rows(read_page(WEIGHTS), "| file of `yt8m-features`")
    told = {names_in(file)[0]: (names_in(source)[0], size) for file, _, size, source in rows}
    items = [item for item, _ in EXTRACTORS.values()]
    assert told == {item.name: (item.url.removesuffix(item.name), item.size.removeprefix("about ")) for item in items}
    for file, content, _, _ in rows:
        (item,) = (item for item in items if item.name in file)
        assert {*item.members} == {*names_in(content)}


def test_error_without_a_network_is_the_one_shown(monkeypatch):
    for variable in ("PADDLE_WEIGHTS_URL", "PADDLE_WEIGHTS_DIR"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(DownloadError) as error:
        find_released("TSN", weights_dir="/data/weights", offline=True)
    assert f"error: {error.value}" in outputs_of(WEIGHTS)


def test_error_of_a_web_page_is_the_one_shown(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("page.pdparams").write_text("<!DOCTYPE html><html><body>login</body></html>")
    with pytest.raises(CheckpointError) as error:
        recognise("page.pdparams")
    assert f"error: {error.value}" in outputs_of(WEIGHTS)


def test_all_keys_and_flags_without_effect_are_told():
    rows = table_rows(read_page(DIFFERENCES), "| what | where | in 2019 |")
    told = {name for row in rows for name in names_in(row[0])}
    (obsolete,) = re.findall(r"add_obsolete\((.*)\)", (PROJECT / "train.py").read_text())
    flags = set(re.findall(r'"(--[a-z-]+)"', obsolete))
    assert flags
    idle = {
        name
        for spec in SPECS.values()
        for section in spec.schema.sections
        for name, key in spec.schema.keys(section).items()
        if key.meaning.startswith("without effect")
    }
    assert told == OBSOLETE_KEYS | flags | idle


def test_notice_of_keys_without_effect_is_the_one_shown(monkeypatch):
    monkeypatch.chdir(PROJECT)
    config = load_config("configs/attention_lstm.txt", SPECS["AttentionLSTM"].schema, ["MODEL"], "AttentionLSTM")
    (notice,) = config.notices
    assert f"note   config     {notice}" in outputs_of(DIFFERENCES)


def test_batch_of_inference_is_told():
    told = re.search(r"on features, `INFER.batch_size` is (\d+) \| (\d+) \|", read_page(DIFFERENCES))
    of_features, in_2019 = map(int, told.groups())
    for name, spec in SPECS.items():
        config = load_config(str(PROJECT / spec.default_config), spec.schema, ["INFER"], name, check=False)
        assert config.INFER.batch_size == (of_features if spec.data == "features" else in_2019)


def test_pythons_and_packages_are_those_of_the_project():
    page = read_page(PLATFORMS)
    first, last = (".".join(map(str, version)) for version in PYTHONS)
    assert f"This project needs Python {first} to {last}." in page
    optional = {path.name for path in PROJECT.glob("requirements-*.txt")}
    assert optional == {name for row in table_rows(page, "| file | for |") for name in names_in(row[0])}
    required = (PROJECT / "requirements.txt").read_text()
    (paddle,) = re.findall(r"^paddlepaddle>=(\S+)", required, flags=re.M)
    for row in table_rows(page, "| system | Paddle's documentation"):
        newest, _, rest = row[2].partition(", ")
        old = tuple(map(int, newest.split("."))) < tuple(map(int, paddle.split(".")))
        assert rest == (f"below the {paddle} that is needed" if old else "")
    (command,) = re.findall(r"python -m pip install \"paddlepaddle-gpu.*", page)
    assert command in required


def test_variables_that_leave_settings_alone_exist():
    code = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "tools").rglob("*.py"))
    for page in (WEIGHTS, PLATFORMS):
        for name in re.findall(r"\b(?:PADDLE|MKL|GLOO|NCCL|CUDA)_[A-Z_]+", read_page(page)):
            assert name in code, name
