"""The rules of the house hold, and the test that says so sees each kind of breach."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
from typing import get_type_hints

import pytest

from datareader.dataset import Dataset
from metrics.metric import Metric
from models.spec import ModelSpec, Network
from tests.conftest import PROJECT
from tests.house import EXCEPTIONS, PACKAGES, PADDLE_AT_IMPORT, SCRIPTS, load_modules, violations, words_of
from tests.planted_breaches import PLANTED

AT_THE_TOP = re.compile(
    r"\..*|LICENSE|(README|README_cn|CONTRIBUTING|CHANGELOG|SECURITY)\.md|requirements(-\w+)?\.txt|(train|test|infer)\.py"
    r"|configs|models|datareader|metrics|scripts|dataset|tools|tests"
)


def test_the_house_keeps_its_rules():
    assert violations(PROJECT) == []


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="no checkout of git")
def test_nothing_else_stands_at_the_top():
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
    tops = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert "README.md" in tops
    assert {top for top in tops if not AT_THE_TOP.fullmatch(top)} == set()


@pytest.fixture(scope="module")
def clean_copy(tmp_path_factory):
    """The project's Python files, and what is against the rules in them already."""
    target = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, target / package, ignore=only_python)
    for script in SCRIPTS:
        shutil.copy(PROJECT / f"{script}.py", target)
    return target, {*violations(target)}


def only_python(folder, names):
    return [name for name in names if "." in name and not name.endswith(".py")] + ["__pycache__", "demo", "golden"]


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_breach_is_seen(clean_copy, kind):
    root, known = clean_copy
    name, code, expected = PLANTED[kind]
    path = root / name
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_text(f"{before or ''}\n{code}\n")
        found = {*violations(root)} - known
    finally:
        path.write_text(before) if before is not None else path.unlink()
    assert any(expected in text for text in found), found


@pytest.mark.parametrize(
    "code",
    [
        "def main():\n    args = parser.parse_args()\n    f(args.weights, read_engine_options(args))",
        "def parse_args():\n    return Options(**vars(parser.parse_args()))",
        "def main():\n    def f():\n        import paddle",
    ],
)
def test_what_the_rules_allow_is_no_breach(clean_copy, code):
    root, known = clean_copy
    path = root / "tools" / "doctor" / "planted.py"
    try:
        path.write_text(f"{code}\n")
        assert {*violations(root)} == known
    finally:
        path.unlink()


def test_lines_are_what_editors_count(clean_copy):
    root, known = clean_copy
    path = root / "tools" / "doctor" / "planted.py"
    try:
        path.write_text("x = '" + "\x0c\u2028" * 400 + "'\n", encoding="utf-8")
        assert {*violations(root)} == known
    finally:
        path.unlink()


def test_hidden_folders_are_not_the_project(clean_copy):
    root, known = clean_copy
    for folder in (".venv/lib", "tools/.cache"):
        (root / folder).mkdir(parents=True)
        (root / folder / "a.py").write_text("not Python")
    assert {*violations(root)} == known


def test_every_exception_is_needed():
    modules = load_modules(PROJECT)
    assert EXCEPTIONS.keys() <= {(module.name, word) for module in modules for word, _ in words_of(module)}
    importing = {
        module.name
        for module in modules
        if any(at_import and name.split(".")[0] == "paddle" for name, at_import in module.imports)
    }
    assert importing >= PADDLE_AT_IMPORT


def test_no_config_or_pickle_is_ever_evaluated():
    for module in load_modules(PROJECT):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), module.path


@pytest.mark.parametrize(
    "code",
    [
        "import train, test, infer",
        "import models, datareader, metrics",
        "import tools.config.flags, tools.runtime.log, tools.runtime.device, tools.files.fetch, tools.drawing.fonts",
        "import dataset.make_list, dataset.youtube8m.tf2pkl, dataset.kinetics.video2pkl",
    ],
)
def test_checks_of_config_and_data_do_not_need_paddle(code):
    code = f"import sys; {code}; sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


# The written contracts

LAYER = {"train", "eval", "parameters", "named_parameters", "sublayers", "named_children", "state_dict"}  # of Paddle
LAYER |= {"named_buffers", "named_sublayers"}
OF_2019 = {"released_names", "released_layouts", "released_buffers", "pretrained_part", "first_convolution", "backbone"}
OF_2019 |= {"backbone_parts", "describe_segments", "classify_segments", "infer_by_onednn"}
CONTRACTS = {  # a contract -> what variables that hold such an object are called, and what else may be asked of them
    Dataset: (("dataset", "train_set", "valid_set"), set()),
    Metric: (("metric", "of_batch"), set()),
    Network: (("network",), LAYER | OF_2019 | {"__name__"}),
    ModelSpec: (("spec",), set()),
}


def members(contract) -> set[str]:
    return {*get_type_hints(contract), *(name for name, _ in inspect.getmembers(contract, inspect.isfunction))}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_contract_holds_every_member_that_callers_use(contract):
    names, others = CONTRACTS[contract]
    used = set()
    for module in load_modules(PROJECT):
        makes_datasets = module.room in ("datareader", "tools.benchmark") and module.name != "datareader.loader"
        if makes_datasets or not module.name.startswith(("tools.", "datareader.")):
            continue  # what makes data sets may ask more of its own
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute):
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
                used |= {node.attr} if owner in names else set()
    assert used
    assert used <= members(contract) | others


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_member_of_a_contract_says_what_it_is(contract):
    text = inspect.getdoc(contract)
    for name in members(contract):
        function = getattr(contract, name, None)
        documented = callable(function) and (function.__doc__ or name.startswith("__"))
        assert documented or re.search(rf"\b{name}\b", text), name
