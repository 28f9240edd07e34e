"""A sixth and a seventh model, added by the words of CONTRIBUTING.md alone: they train, are scored and name classes."""

import re

import pytest

from dataset.kinetics import make_demo as clips_demo
from dataset.youtube8m import make_demo as features_demo
from tests.conftest import PROJECT, run_shell

PAGE = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILE = re.compile(r"^`([\w/.]+)`\n\n```(?:python|ini)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^Add to `([\w/.]+)`:\n\n```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
HEADINGS = {"MeanColour": "### On clips", "MeanFrames": "### On frame features"}


def section_of(name: str) -> str:
    rest = PAGE[PAGE.index(HEADINGS[name]) :]
    return rest[: rest.index("\n### ", 1)]


def files_in(folder) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*.*") if "__pycache__" not in path.parts and path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("name", HEADINGS)
def test_a_model_added_by_the_page_s_words_alone_runs_in_all_three_scripts(name, project_copy, monkeypatch):
    if name == "MeanColour":
        clips_demo.make_demo(project_copy / "dataset/kinetics/demo", clips_demo.encode_h264, {"train": 2, "val": 1})
    else:
        monkeypatch.setattr(features_demo, "SPLITS", {"train": (2, 30), "val": (1, 20)})
        features_demo.make_demo(project_copy / "dataset/youtube8m/demo")
    section, before = section_of(name), files_in(project_copy)
    files, ((registry, line),) = FILE.findall(section), LINE.findall(section)
    for path, text in files:
        (project_copy / path).parent.mkdir(exist_ok=True)
        (project_copy / path).write_text(text)
    with open(project_copy / registry, "a") as file:
        file.write(line)
    added = {path for path, _ in files}
    changed = {path for path, content in files_in(project_copy).items() if before.get(path) != content}
    assert changed == added | {"models/__init__.py"}
    assert all(path.startswith(("models/", "configs/")) for path in added)

    (commands,) = COMMANDS.findall(section)
    outputs = [run_shell(command, project_copy) for command in commands.splitlines()]
    assert len(outputs) == 3
    assert "[VALID] Epoch 1 done" in outputs[0]
    assert re.search(r"^(top1_acc|gap) +\d", outputs[1], flags=re.MULTILINE)
    assert f"results in {name}_infer_result" in outputs[2]
