"""The rules of the house, as a walk over its files: who imports whom, how large things are, what functions take.

``violations(root)`` holds the project below ``root`` against them; see CONTRIBUTING.md, "The house".
"""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_FOLDER_SHARE = 400, 60, 0.25

ENTRANCE = ("tools.errors", "tools.registry")
ROOMS_OF_THE_GROUND_FLOOR = ("tools.files", "tools.runtime", "tools.drawing")
GROUND_FLOOR = (*ENTRANCE, *ROOMS_OF_THE_GROUND_FLOOR, "tools.config", "tools.pages")
MACHINERY = ("tools.distributed", "tools.weights", "tools.inference", "tools.training", "tools.run_setup")
PROGRAMS = (
    "tools.benchmark",
    "tools.benchmark_clips",
    "tools.doctor",
    "tools.download",
    "tools.ensemble",
    "tools.export",
    "tools.extract",
    "tools.info",
    "tools.report",
    "tools.serve",
    "tools.show",
    "tools.summary",
    "tools.weights.__main__",
)
SCRIPTS = ("train", "test", "infer")
PACKAGES = ("models", "datareader", "metrics", "tools", "dataset", "tests")

# Room -> the rooms it may import, itself aside. A room is named by the longest entry that its modules begin with.
MAY_IMPORT = {
    "tools.errors": (),
    "tools.registry": ("tools.errors",),
    **dict.fromkeys(ROOMS_OF_THE_GROUND_FLOOR, ENTRANCE),
    **dict.fromkeys(("tools.config", "tools.pages"), (*ENTRANCE, *ROOMS_OF_THE_GROUND_FLOOR)),
    **dict.fromkeys(("metrics", "datareader", "models"), GROUND_FLOOR),
    "tools.distributed": GROUND_FLOOR,
    "tools.weights": (*GROUND_FLOOR, *MACHINERY[:1]),
    "tools.inference": (*GROUND_FLOOR, *MACHINERY[:2]),
    "tools.training": (*GROUND_FLOOR, *MACHINERY[:3]),
    "tools.run_setup": (*GROUND_FLOOR, *MACHINERY[:3]),
    "dataset": (*GROUND_FLOOR, "datareader", "models"),
    **dict.fromkeys(PROGRAMS, (*GROUND_FLOOR, *MACHINERY, "models", "datareader", "metrics", "dataset", "tests")),
    **dict.fromkeys(SCRIPTS, (*GROUND_FLOOR, *MACHINERY, "models", "datareader", "metrics")),
}
TESTS = "tests"  # a room that may import everything and is held to sizes alone
NO_PADDLE = ("metrics", "datareader", "dataset")  # anywhere in them
PADDLE_AT_IMPORT = {  # these modules, networks and models.layers; all others import Paddle and these inside functions
    "models.optimizers",
    "tools.distributed.exchange",
    "tools.distributed.group",
    "tools.distributed.paddle_ports",
    "tools.export.examples.clips",  # programs of their own, which are copied and never imported
    "tools.export.examples.features",
    "tools.export.program",
    "tools.inference.deployed_network",
    "tools.inference.export",
    "tools.inference.graph",
    "tools.inference.onnx_engine",
    "tools.inference.predict",
    "tools.inference.predictor",
    "tools.training.amp",
    "tools.training.ema",
    "tools.training.frozen",
    "tools.training.resume",
    "tools.training.step",
    "tools.training.trainer",
}
RUN_BY_USERS = (*PROGRAMS, *SCRIPTS, "dataset")
READERS_OF_PARSERS = {  # may take argparse's Namespace
    "read_config_source",
    "read_run_options",
    "read_engine_options",
    "read_output_options",
}
IMPORTING_BY_NAME = {"__import__", "import_module", "run_module", "run_path"}
EXCEPTIONS = {  # (module, word of ``words_of``) -> why it may be used there
    ("tools.benchmark_clips", "run_module"): "the former name of a program runs it",
    ("tools.distributed.rendezvous", "hasattr"): "some options of sockets are on Linux alone",
    ("tools.runtime.cpu", "hasattr"): "sched_setaffinity is on Linux alone",
    ("tools.weights.fluid_names", "getattr"): "a network may leave out members of PublishedNetwork",
}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, eq=False)
class Module:
    name: str
    path: Path
    tree: ast.Module
    num_lines: int

    @property
    def room(self) -> str:
        return room_of(self.name)

    @functools.cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Every node of the tree but its root -> the node above."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def functions_around(self, node: ast.AST) -> list[ast.AST]:
        """From the innermost to the outermost."""
        functions = []
        while node := self.parents.get(node):
            functions += [node] if isinstance(node, FUNCTIONS) else []
        return functions

    def name_around(self, node: ast.AST) -> str:
        """Of the innermost function; a lambda and a module have none."""
        innermost = next(iter(self.functions_around(node)), None)
        return "" if innermost is None or isinstance(innermost, ast.Lambda) else innermost.name

    @functools.cached_property
    def imports(self) -> list[tuple[str, bool]]:
        """(``package.module`` or ``package.module.what``, whether it is imported when this module is)."""
        found = []
        for node in self.parents:
            if isinstance(node, ast.Import | ast.ImportFrom):
                origin = f"{'.' * node.level}{node.module or ''}." if isinstance(node, ast.ImportFrom) else ""
                at_import = not self.functions_around(node)
                found += [(f"{origin}{alias.name}", at_import) for alias in node.names]
        return found


def load_modules(root: Path) -> list[Module]:
    """Every Python file below ``root`` that is in no hidden folder and in no virtual environment."""
    tops = [path for path in sorted(root.iterdir()) if not path.name.startswith(".")]
    tops = [path for path in tops if not (path / "pyvenv.cfg").exists()]
    paths = [path for top in tops for path in ([top] if top.suffix == ".py" else sorted(top.rglob("*.py")))]
    return [
        parse_module(root, path, path.read_text(encoding="utf-8"))
        for path in paths
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]


@functools.cache
def parse_module(root: Path, path: Path, text: str) -> Module:
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    return Module(name, path, ast.parse(text), text.count("\n"))


def room_of(name: str) -> str:
    """The entry of MAY_IMPORT that holds for a module, TESTS, or the module's own name if there is none."""
    parts = name.split(".")
    places = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((place for place in places if place in MAY_IMPORT or place == TESTS), name)


def violations(root: Path) -> list[str]:
    """What in the project below ``root`` is against the rules, a sentence each."""
    modules = load_modules(root)
    code = [module for module in modules if module.room != TESTS]
    return [*(text for module in modules for text in check_module(module)), *find_circles(code), *check_folders(code)]


@functools.cache
def check_module(module: Module) -> list[str]:
    """What can be told from a file alone."""
    of_code = (check_room, check_imports, check_program, check_namespaces, check_words)
    checks = (check_sizes, *(() if module.room == TESTS else of_code))
    return [f"{module.name} {text}" for check in checks for text in check(module)]


def check_room(module: Module) -> Iterator[str]:
    """Every file stands in a room; the ``__init__.py`` above rooms holds at most a docstring."""
    if module.room not in MAY_IMPORT:
        above_rooms = any(room.startswith(f"{module.name}.") for room in MAY_IMPORT)
        if not above_rooms or module.path.name != "__init__.py":
            yield "stands in no room"
        elif len(module.tree.body) > (ast.get_docstring(module.tree) is not None):
            yield "stands above rooms and holds more than a docstring"


def check_imports(module: Module) -> Iterator[str]:
    allowed = MAY_IMPORT.get(module.room, ())
    for name, at_import in module.imports:
        package = name.split(".")[0]
        if not package or name.endswith(".*"):
            yield f"imports {name}; imports are absolute and name what they take"
        elif package in (*PACKAGES, *SCRIPTS) and room_of(name) not in (module.room, *allowed):
            yield f"imports {name}; {module.room} may import {', '.join(allowed) or 'nobody'}"
        if package == "paddle" and module.room in NO_PADDLE:
            yield "imports Paddle, which its room does without"
        elif at_import and imports_paddle(name) and not imports_paddle(module.name):
            yield f"imports Paddle when it is imported, by {name}; import that inside functions"


def imports_paddle(name: str) -> bool:
    """Whether to import this module, or something of it, may import Paddle: networks are called as their folder."""
    parts = name.split(".")
    is_network = parts[0] == "models" and parts[1:2] == parts[2:3] != []
    is_layer = parts[:2] == ["models", "layers"]
    return parts[0] == "paddle" or is_network or is_layer or not PADDLE_AT_IMPORT.isdisjoint({name, parent_of(name)})


def parent_of(name: str) -> str:
    return name.rpartition(".")[0]


def find_circles(modules: list[Module]) -> Iterator[str]:
    """Files that import one another, on whatever way."""
    known = {module.name for module in modules}
    graph = {
        module.name: {name if name in known else parent_of(name) for name, _ in module.imports} & known
        for module in modules
    }
    done = set()

    def visit(name: str, above: list[str]) -> Iterator[str]:
        if name in above:
            yield " imports ".join([*above[above.index(name) :], name])
        elif name not in done:
            for other in sorted(graph[name]):
                yield from visit(other, [*above, name])
            done.add(name)

    for name in sorted(graph):
        yield from visit(name, [])


def check_folders(modules: list[Module]) -> Iterator[str]:
    """The share that a folder's own files have in all lines without tests."""
    total, folders = sum(module.num_lines for module in modules), {}
    for module in modules:
        folders[module.path.parent] = folders.get(module.path.parent, 0) + module.num_lines
    for folder, num_lines in folders.items():
        if num_lines > MAX_FOLDER_SHARE * total:
            yield f"the files of {folder.name} hold {num_lines} of {total} lines"


def check_sizes(module: Module) -> Iterator[str]:
    if module.num_lines > MAX_FILE_LINES:
        yield f"has {module.num_lines} lines, more than {MAX_FILE_LINES}"
    for node in module.parents:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min(part.lineno for part in [node, *node.decorator_list])
            if (num_lines := node.end_lineno - first + 1) > MAX_FUNCTION_LINES:
                yield f"has {num_lines} lines in {node.name}, more than {MAX_FUNCTION_LINES}"


def check_program(module: Module) -> Iterator[str]:
    """What users run stands where they look for it: a main guard and ``__main__.py`` say that a file is run."""
    guards = [node for node in module.parents if isinstance(node, ast.Compare)]
    guarded = any(isinstance(part, ast.Name) and part.id == "__name__" for node in guards for part in ast.walk(node))
    if (guarded or module.path.name == "__main__.py") and module.room not in RUN_BY_USERS:
        yield "is written to be run, and is no program"


def check_namespaces(module: Module) -> Iterator[str]:
    """What argparse parsed stays in the function that parsed it and in READERS_OF_PARSERS."""
    for node in module.parents:
        if isinstance(node, ast.Attribute) and node.attr.startswith("parse_") and node.attr.endswith("args"):
            call, around = module.parents[node], module.name_around(node)
            if around not in ("parse_args", "main"):
                yield f"parses arguments in {around or 'no function'}; do that in parse_args or main"
            elif not all(is_read(module, use) for use in uses_of_parsed(module, call)):
                yield f"lets argparse's Namespace out of {around}; give plain values on"
        elif isinstance(node, ast.arg) and takes_namespace(node):
            around = module.name_around(node)
            if around not in READERS_OF_PARSERS and (around, node.arg) != ("__call__", "namespace"):
                yield f"takes argparse's Namespace in {around or 'a lambda'}; take plain values"
            elif around in READERS_OF_PARSERS:
                uses = names_in(module.functions_around(node)[0], node.arg)
                if not all(is_read(module, use) for use in uses):
                    yield f"lets argparse's Namespace out of {around}; give plain values on"


def takes_namespace(parameter: ast.arg) -> bool:
    annotation = ast.unparse(parameter.annotation) if parameter.annotation else ""
    return parameter.arg in ("args", "namespace") or "Namespace" in annotation


def uses_of_parsed(module: Module, call: ast.AST) -> list[ast.AST]:
    """Where the result of a call stands: every use of the name it is bound to, or the call itself."""
    match module.parents[call]:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return names_in(module.functions_around(call)[0], name)
    return [call]


def names_in(function: ast.AST, name: str) -> list[ast.AST]:
    """The uses of a variable in a function, and its declarations as global."""
    return [
        node
        for node in ast.walk(function)
        if (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load))
        or (isinstance(node, ast.Global) and name in node.names)
    ]


def is_read(module: Module, use: ast.AST) -> bool:
    """Whether a Namespace stands as ``args.flag``, is given to a reader, or to ``vars`` in parse_args."""
    match module.parents[use]:
        case ast.Attribute(ctx=ast.Load()):
            return True
        case ast.Call(func=ast.Name(id=called), args=[first, *_]) if first is use:
            return called in READERS_OF_PARSERS or (called == "vars" and module.name_around(use) == "parse_args")
    return False


def check_words(module: Module) -> Iterator[str]:
    for word, instead in words_of(module):
        if (module.name, word) not in EXCEPTIONS:
            yield f"uses {word}; {instead}"


def words_of(module: Module) -> Iterator[tuple[str, str]]:
    """(word, what to write instead) for each use of a word that code does without."""
    for node in module.parents:
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[_, _, _]):
                yield "getattr", "what an object has is written in its class, with the default"
            case ast.Name(id="hasattr"):
                yield "hasattr", "what an object has is written in its class"
            case ast.arg(arg="log"):
                yield "log", "log by logging.getLogger(__name__)"
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.alias(name=word) if word in IMPORTING_BY_NAME:
                yield word, "import by an import statement, which can be checked"
