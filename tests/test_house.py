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


def test_the_house_keeps_its_rules():
    assert violations(PROJECT) == []


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
    "metrics with Paddle": ("metrics/kinetics.py", "def f():\n    import paddle", "metrics.kinetics imports Paddle,"),
    "readers to models": ("datareader/lists.py", "from models.spec import Network", "datareader.lists imports"),
    "readers to machinery": (
        "datareader/clips/files.py",
        "import tools.training.step",
        "datareader.clips.files imports",
    ),
    "readers with Paddle": ("datareader/loader.py", "from paddle import nn", "datareader.loader imports Paddle,"),
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
    "a long function": ("metrics/metric.py", "def f():\n" + "    pass\n" * 60, "metrics.metric has 61 lines in f"),
    "a large folder": ("models/spec.py", "\n" * 20_000, "the files of models hold 2"),
    "a file without a room": ("tools/helpers.py", "x = 1", "tools.helpers stands in no room"),
    "training from run_setup": ("tools/run_setup.py", "import tools.training.options", "tools.run_setup imports"),
    "models to metrics": ("models/spec.py", "from metrics.metric import Metric", "models.spec imports metrics.metric"),
    "machinery to the weights command": (
        "tools/inference/load.py",
        "def f():\n    from tools.weights import __main__",
        "tools.inference.load imports tools.weights.__main__",
    ),
    "the weights command to a program": (
        "tools/weights/__main__.py",
        "from tools import download",
        "tools.weights.__main__ imports tools.download",
    ),
    "dataset with Paddle": ("dataset/make_list.py", "def f():\n    import paddle", "dataset.make_list imports Paddle,"),
    "Paddle at the import of config": ("tools/config/load.py", "import paddle.nn", "tools.config.load imports Paddle"),
    "Paddle at the import of run_setup": ("tools/run_setup.py", "import paddle", "tools.run_setup imports Paddle when"),
    "Paddle at the import of weights": (
        "tools/weights/loading.py",
        "import paddle",
        "tools.weights.loading imports Pa",
    ),
    "Paddle at the import of options": (
        "tools/training/options.py",
        "class A:\n    import paddle",
        "tools.training.options imports Paddle when",
    ),
    "a network at the import of its spec": (
        "models/tsn/spec.py",
        "from models.tsn.tsn import TSN",
        "models.tsn.spec imports Paddle when it is imported, by models.tsn.tsn.TSN",
    ),
    "a network at the import of its package": (
        "models/tsn/__init__.py",
        "from models.tsn import tsn",
        "models.tsn imports Paddle when it is imported",
    ),
    "a layer at the import of the contract": (
        "models/spec.py",
        "from models.layers import resnet",
        "models.spec imports Paddle when it is imported, by models.layers.resnet",
    ),
    "Paddle by another module": ("train.py", "from tools.training.step import f", "train imports Paddle when"),
    "an import for types alone": (
        "tools/training/step.py",
        "if TYPE_CHECKING:\n    import models.spec",
        "tools.training.step imports models.spec",
    ),
    "ground floor to dataset": (
        "tools/files/locks.py",
        "import dataset.make_list",
        "tools.files.locks imports dataset",
    ),
    "Paddle in what is called as its folder and no network": (
        "tools/weights/weights.py",
        "import paddle",
        "tools.weights.weights imports Paddle when",
    ),
    "a module called as the package above rooms": ("tools.py", "", "tools stands in no room"),
    "a module at the top": ("export.py", "import tools.doctor", "export stands in no room"),
    "a module beside shell scripts": ("scripts/a.py", "x = 1", "scripts.a stands in no room"),
    "a folder without a room": ("newroom/parts/a.py", "import tools.doctor", "newroom.parts.a stands in no room"),
    "a package without a room": ("newroom/__init__.py", "", "newroom stands in no room"),
    "code above rooms": ("tools/__init__.py", "from tools.doctor import text", "tools stands above rooms and holds"),
    "import_module": (
        "tools/runtime/cpu.py",
        "def f():\n    importlib.import_module('tools.doctor')",
        "tools.runtime.cpu uses import_module",
    ),
    "import_module under another name": (
        "models/spec.py",
        "from importlib import import_module as load",
        "models.spec uses import_module",
    ),
    "__import__": ("metrics/metric.py", "__import__('tools.doctor')", "metrics.metric uses __import__"),
    "run_module": ("tools/summary.py", "runpy.run_module('tools.doctor')", "tools.summary uses run_module"),
    "run_path": ("train.py", "from runpy import run_path", "train uses run_path"),
    "a main guard in machinery": (
        "tools/training/step.py",
        "if __name__ == '__main__':\n    pass",
        "tools.training.step is written to be run",
    ),
    "a main guard the other way round": (
        "datareader/lists.py",
        "if '__main__' == __name__:\n    pass",
        "datareader.lists is written to be run",
    ),
    "__main__ of machinery": ("tools/training/__main__.py", "x = 1", "tools.training.__main__ is written to be run"),
    "a long async function": (
        "metrics/metric.py",
        "async def f():\n" + "    pass\n" * 60,
        "metrics.metric has 61 lines in f",
    ),
    "a long list of decorators": (
        "metrics/metric.py",
        "@f(\n" + "    1,\n" * 60 + ")\ndef g():\n    pass",
        "metrics.metric has 64 lines in g",
    ),
    "a long function of tests": ("tests/house.py", "def f():\n" + "    pass\n" * 60, "tests.house has 61 lines in f"),
    "Namespace by name": ("tools/run_setup.py", "def f(args):\n    pass", "tools.run_setup takes argparse"),
    "Namespace by annotation": ("infer.py", "def f(x: argparse.Namespace):\n    pass", "infer takes argparse"),
    "Namespace by keyword": ("infer.py", "def f(*, namespace=None):\n    pass", "infer takes argparse"),
    "Namespace in quotes": ("test.py", "async def f(x: 'Namespace | None'):\n    pass", "test takes argparse"),
    "Namespace in pieces": ("test.py", "def f(*args):\n    pass", "test takes argparse's Namespace in f"),
    "Namespace in a lambda": (
        "test.py",
        "f = lambda args: args.weights",
        "test takes argparse's Namespace in a lambda",
    ),
    "Namespace out of a reader": (
        "tools/config/flags.py",
        "def read_run_options(args):\n    return args",
        "tools.config.flags lets argparse's Namespace out of read_run_options",
    ),
    "parsing elsewhere": (
        "train.py",
        "def f(parser):\n    return parser.parse_args().x",
        "train parses arguments in f",
    ),
    "parsing nowhere": ("train.py", "x = parser.parse_args().x", "train parses arguments in no function"),
    "parsing in parts": (
        "train.py",
        "def f(parser):\n    parser.parse_known_args()[0].x",
        "train parses arguments in f",
    ),
}
LEAVING = [  # ways for a Namespace to get out of the function that parsed it
    "return args",
    "return parser.parse_args()",
    "self.args = args",
    "args.weights = 1",
    "other = args",
    "f(args)",
    "f(args.weights, args)",
    "f(name=args)",
    "f((args, 1))",
    "f(*[args])",
    "f(**{'x': args})",
    "f(**vars(args))",
    "f(lambda: args)",
    "f(parser.parse_args())",
    "f(parser.parse_args)",
    "f(x := parser.parse_args())",
    "a = b = parser.parse_args()",
    "getattr(args, 'weights')",
    "global args",
]
WORDS = {  # a word that code does without -> a use of it
    "getattr": "getattr(network, 'probs', None)",
    "hasattr": "map(hasattr, [network], ['probs'])",
    "log": "def f(x, *, log=print):\n    pass",
}
PLANTED |= {
    f"Namespace by {code}": (
        "tools/summary.py",
        f"def main():\n    {code}\n    args = parser.parse_args()",
        "tools.summary lets argparse's Namespace out of main",
    )
    for code in LEAVING
}
PLANTED |= {word: ("tools/training/ema.py", use, f"tools.training.ema uses {word}") for word, use in WORDS.items()}


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
