"""The rules of the house, as a walk over its files: who imports whom, how large things are, what functions take.

``violations(root)`` holds the project below ``root`` against them; see CONTRIBUTING.md, "The house".
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_FOLDER_SHARE = 400, 60, 0.25

ENTRANCE = ("tools.errors", "tools.registry")
ROOMS_OF_THE_GROUND_FLOOR = ("tools.files", "tools.runtime", "tools.drawing")
GROUND_FLOOR = (*ENTRANCE, *ROOMS_OF_THE_GROUND_FLOOR, "tools.config")
MACHINERY = ("tools.distributed", "tools.weights", "tools.inference", "tools.training", "tools.run_setup")
PROGRAMS = (
    "tools.benchmark",
    "tools.benchmark_clips",
    "tools.doctor",
    "tools.download",
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
    "tools.config": (*ENTRANCE, *ROOMS_OF_THE_GROUND_FLOOR),
    **dict.fromkeys(("metrics", "datareader", "models"), GROUND_FLOOR),
    "tools.distributed": GROUND_FLOOR,
    "tools.weights": (*GROUND_FLOOR, *MACHINERY[:1]),
    "tools.inference": (*GROUND_FLOOR, *MACHINERY[:2]),
    "tools.training": (*GROUND_FLOOR, *MACHINERY[:3]),
    "tools.run_setup": (*GROUND_FLOOR, *MACHINERY[:3]),
    "dataset": (*GROUND_FLOOR, "datareader"),
    **dict.fromkeys(PROGRAMS, (*GROUND_FLOOR, *MACHINERY, "models", "datareader", "metrics", "dataset", "tests")),
    **dict.fromkeys(SCRIPTS, (*GROUND_FLOOR, *MACHINERY, "models", "datareader", "metrics")),
}
NO_PADDLE = ("metrics", "datareader", "dataset")  # anywhere in them
PADDLE_AT_IMPORT = ("models.layers", "models.optimizers", *MACHINERY)  # and the networks; elsewhere inside functions
# What may take argparse's Namespace: what makes or reads a parser.
READERS_OF_PARSERS = {"parse_args", "read_config_source", "read_run_options", "read_engine_options", "__call__"}


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module
    num_lines: int

    @property
    def room(self) -> str:
        """The entry of MAY_IMPORT that holds for it."""
        return room_of(self.name)


def load_modules(root: Path, folders: tuple[str, ...] = PACKAGES) -> list[Module]:
    """The project's files, but for tests unless they are asked for."""
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    paths += [root / f"{name}.py" for name in SCRIPTS]
    modules = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        modules.append(Module(name, path, ast.parse(text), len(text.splitlines())))
    return modules


def room_of(name: str) -> str:
    parts = name.split(".")
    places = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((place for place in places if place in MAY_IMPORT), name)


def imports_of(module: Module, known: set[str]) -> Iterator[tuple[str, bool]]:
    """(module, whether it is imported when this one is) of everything imported anywhere in a file.

    known: names of the project's modules, so that ``from package import module`` names the module.
    """
    inside = {
        id(node)
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(module.tree):
        at_import = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or any(alias.name == "*" for alias in node.names):
                yield f"{'.' * node.level}{node.module or ''}.*", at_import
                continue
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module, at_import


def violations(root: Path) -> list[str]:
    """What in the project below ``root`` is against the rules, a sentence each."""
    modules = load_modules(root, PACKAGES[:-1])
    return [
        *check_imports(modules),
        *find_circles(modules),
        *check_sizes(modules, load_modules(root)),
        *check_namespaces(modules),
    ]


def check_imports(modules: list[Module]) -> Iterator[str]:
    known = {module.name for module in modules}
    for module in modules:
        room = module.room
        if room not in MAY_IMPORT:
            if module.name != "tools":
                yield f"{module.name} stands in no room"
            continue
        for name, at_import in imports_of(module, known):
            if name.endswith(".*"):
                yield f"{module.name} imports {name}; imports are absolute and name what they take"
            if name.split(".")[0] == "paddle":
                if module.name.split(".")[0] in NO_PADDLE:
                    yield f"{module.name} imports Paddle, which its room does without"
                elif at_import and not may_load_paddle(module):
                    yield f"{module.name} imports Paddle when it is imported; import it inside functions"
            elif name.split(".")[0] in (*PACKAGES, *SCRIPTS):
                there = room_of(name)
                if there != room and there not in MAY_IMPORT[room] and name.split(".")[0] not in MAY_IMPORT[room]:
                    yield f"{module.name} imports {name}; {room} may import {', '.join(MAY_IMPORT[room]) or 'nobody'}"


def may_load_paddle(module: Module) -> bool:
    """Machinery, layers, optimizers, and networks: files of a model's folder that are called as the folder."""
    parts = module.name.split(".")
    is_network = parts[0] == "models" and len(parts) == 3 and parts[1] == parts[2]
    return is_network or module.name.startswith(PADDLE_AT_IMPORT)


def find_circles(modules: list[Module]) -> Iterator[str]:
    """Files that import one another, on whatever way."""
    known = {module.name for module in modules}
    graph = {module.name: {name for name, _ in imports_of(module, known)} & known for module in modules}
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


def check_sizes(modules: list[Module], with_tests: list[Module]) -> Iterator[str]:
    """The share of a folder is of the lines without tests; the other limits hold in tests too."""
    total, folders = sum(module.num_lines for module in modules), {}
    for module in modules:
        folders[module.path.parent] = folders.get(module.path.parent, 0) + module.num_lines
    for folder, num_lines in folders.items():
        if num_lines > MAX_FOLDER_SHARE * total:
            yield f"the files of {folder.name} hold {num_lines} of {total} lines"
    for module in with_tests:
        if module.num_lines > MAX_FILE_LINES:
            yield f"{module.name} has {module.num_lines} lines, more than {MAX_FILE_LINES}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                num_lines = node.end_lineno - node.lineno + 1
                if num_lines > MAX_FUNCTION_LINES:
                    yield f"{module.name}.{node.name} has {num_lines} lines, more than {MAX_FUNCTION_LINES}"


def check_namespaces(modules: list[Module]) -> Iterator[str]:
    """Functions that take what argparse parsed, by the annotation or the name of a parameter, or that are given it."""
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef) and node.name not in READERS_OF_PARSERS:
                parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                for parameter in parameters:
                    annotation = ast.unparse(parameter.annotation) if parameter.annotation else ""
                    if parameter.arg == "args" or "Namespace" in annotation:
                        yield f"{module.name}.{node.name} takes argparse's Namespace; give it plain values"
            if isinstance(node, ast.Call) and any(
                isinstance(value, ast.Name) and value.id == "args"
                for value in [*node.args, *(keyword.value for keyword in node.keywords)]
            ):
                called = ast.unparse(node.func)
                if called not in READERS_OF_PARSERS | {"vars", "getattr"}:
                    yield f"{module.name} gives argparse's Namespace to {called}; give it plain values"
