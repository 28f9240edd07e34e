"""Who may import whom, and what must not need Paddle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

PARTS = {"models", "datareader", "metrics"}
FORBIDDEN = {
    "models": {"datareader", "metrics", "tests"},
    "datareader": {"models", "metrics", "tests", "paddle"},
    "metrics": {"models", "datareader", "tests", "paddle"},
    "tools": {"models", "datareader", "metrics", "tests"},
}


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert all(alias.name != "*" for alias in node.names), f"{path}: no import *"
            names.add(node.module.split(".")[0])
    return names


def is_program(path: Path) -> bool:
    """Programs in tools wire parts together, as the three scripts do; nothing imports them."""
    return '__name__ == "__main__"' in path.read_text() or path.parent.name in ("doctor", "show", "benchmark")


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_packages_import_only_what_they_may(package):
    files = sorted((PROJECT / package).rglob("*.py"))
    assert files
    for path in files:
        if package == "tools" and is_program(path):
            continue
        wrong = imported(path) & FORBIDDEN[package]
        assert not wrong, f"{path.relative_to(PROJECT)} imports {wrong}"


def test_nothing_imports_a_program():
    programs = {f"tools.{path.stem}" for path in (PROJECT / "tools").glob("*.py") if is_program(path)}
    assert programs
    for path in PROJECT.rglob("*.py"):
        if ".venv" in path.parts or "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in programs, f"{path} imports {node.module}"


def test_no_config_or_pickle_is_ever_evaluated():
    for path in PROJECT.rglob("*.py"):
        if ".venv" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), path


def test_checks_of_config_and_data_do_not_need_paddle():
    code = "import sys, train, test, infer; sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
