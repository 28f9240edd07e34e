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
from tests.house import PACKAGES, SCRIPTS, load_modules, violations


def test_the_house_keeps_its_rules():
    assert violations(PROJECT) == []


@pytest.fixture(scope="module")
def clean_copy(tmp_path_factory):
    """The project's Python files."""
    target = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, target / package, ignore=only_python)
    for script in SCRIPTS:
        shutil.copy(PROJECT / f"{script}.py", target)
    assert violations(target) == []
    return target


def only_python(folder, names):
    return [name for name in names if "." in name and not name.endswith(".py")] + ["__pycache__", "demo", "golden"]


PLANTED = {
    "errors know nobody": (
        "tools/errors.py",
        "from tools.registry import MODELS",
        "tools.errors imports tools.registry",
    ),
    "the registry knows errors alone": (
        "tools/registry.py",
        "from tools.files import atomic",
        "tools.registry imports",
    ),
    "ground floor to ground floor": (
        "tools/files/fetch.py",
        "from tools.runtime.log import start_log",
        "tools.files.fetch",
    ),
    "ground floor to config": (
        "tools/runtime/cpu.py",
        "from tools.config.load import Config",
        "tools.runtime.cpu imports",
    ),
    "ground floor to machinery": (
        "tools/drawing/fonts.py",
        "import tools.weights.files",
        "tools.drawing.fonts imports",
    ),
    "ground floor to data": (
        "tools/runtime/workers.py",
        "from datareader import lists",
        "tools.runtime.workers imports",
    ),
    "Paddle at the import of the ground floor": ("tools/runtime/device.py", "import paddle", "imports Paddle when"),
    "config to machinery": ("tools/config/flags.py", "from tools import run_setup", "tools.config.flags imports"),
    "metrics to readers": ("metrics/kinetics.py", "from datareader.dataset import Batch", "metrics.kinetics imports"),
    "metrics with Paddle": ("metrics/kinetics.py", "def f():\n    import paddle", "metrics.kinetics imports Paddle"),
    "readers to models": ("datareader/lists.py", "from models.spec import Network", "datareader.lists imports"),
    "readers to machinery": (
        "datareader/clips/files.py",
        "import tools.training.step",
        "datareader.clips.files imports",
    ),
    "readers with Paddle": ("datareader/loader.py", "from paddle import nn", "datareader.loader imports Paddle"),
    "models to readers": ("models/spec.py", "import datareader", "models.spec imports datareader"),
    "models to machinery": ("models/tsn/tsn.py", "from tools.weights import files", "models.tsn.tsn imports"),
    "Paddle at the import of a spec": ("models/tsn/spec.py", "import paddle", "models.tsn.spec imports Paddle when"),
    "machinery to models": ("tools/weights/loading.py", "import models", "tools.weights.loading imports models"),
    "machinery to readers": ("tools/run_setup.py", "from datareader import loader", "tools.run_setup imports"),
    "machinery to metrics": ("tools/training/step.py", "import metrics.metric", "tools.training.step imports"),
    "distributed to what stands on it": (
        "tools/distributed/group.py",
        "import tools.weights.files",
        "tools.distributed",
    ),
    "weights to what stands on it": (
        "tools/weights/loading.py",
        "import tools.inference.load",
        "tools.weights.loading",
    ),
    "inference to what stands on it": ("tools/inference/load.py", "import tools.training.amp", "tools.inference.load"),
    "training to its neighbour": ("tools/training/amp.py", "from tools import run_setup", "tools.training.amp imports"),
    "dataset to machinery": ("dataset/make_list.py", "import tools.weights.files", "dataset.make_list imports"),
    "dataset to models": ("dataset/make_list.py", "import models", "dataset.make_list imports models"),
    "machinery to a program": ("tools/training/trainer.py", "import tools.summary", "tools.training.trainer imports"),
    "a script to a program": ("train.py", "from tools.doctor import text", "train imports tools.doctor.text"),
    "a program to a program": (
        "tools/summary.py",
        "from tools.doctor.text import format_report",
        "tools.summary imports",
    ),
    "code to tests": ("tools/inference/load.py", "import tests.house", "tools.inference.load imports tests.house"),
    "relative imports": ("datareader/loader.py", "from .lists import load_list", "datareader.loader imports"),
    "import of everything": ("datareader/loader.py", "from datareader.lists import *", "datareader.loader imports"),
    "a circle": ("datareader/lists.py", "def f():\n    import datareader.clips.dataset", "imports datareader.lists"),
    "a long file": ("metrics/metric.py", "\n" * 400, "metrics.metric has 4"),
    "a long function": ("metrics/metric.py", "def f():\n" + "    pass\n" * 60, "metrics.metric.f has 61 lines"),
    "a large folder": ("models/spec.py", "\n" * 20_000, "the files of models hold 2"),
    "a file without a room": ("tools/helpers.py", "x = 1", "tools.helpers stands in no room"),
    "Namespace by name": ("tools/run_setup.py", "def f(args):\n    pass", "tools.run_setup.f takes argparse"),
    "Namespace by annotation": ("infer.py", "def f(x: argparse.Namespace):\n    pass", "infer.f takes argparse"),
    "Namespace given on": ("train.py", "def f():\n    args = 1\n    g(args)", "train gives argparse's Namespace to g"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_breach_is_seen(clean_copy, kind):
    name, code, expected = PLANTED[kind]
    path = clean_copy / name
    before = path.read_text() if path.exists() else None
    try:
        path.write_text(f"{before or ''}\n{code}\n")
        found = violations(clean_copy)
    finally:
        path.write_text(before) if before is not None else path.unlink()
    assert any(expected in text for text in found), found


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

LAYER = {"train", "eval", "parameters", "named_parameters", "sublayers", "state_dict", "named_buffers"}  # of Paddle
OF_2019 = {"released_names", "released_layouts", "released_buffers", "pretrained_part", "first_convolution"}
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
    for module in load_modules(PROJECT, ("tools", "datareader")):
        if module.room in ("datareader", "tools.benchmark") and module.name != "datareader.loader":
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
