"""This project's name and version, and the packages of requirements.txt: which are installed, and which are too old.

Imports nothing of weight.
"""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from tools.errors import PackageError

NAME, VERSION = "paddle-video-zoo", "3.1.0"  # of this project; the newest in CHANGELOG.md
REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
# What brings the same modules; the first that is installed counts.
OTHER_BUILDS = {
    "paddlepaddle": ("paddlepaddle-gpu",),
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
}
MODULES = {  # where a package's module has another name
    "opencv-python-headless": "cv2",
    "paddlepaddle": "paddle",
    "Pillow": "PIL",
    "PyYAML": "yaml",
    "google-crc32c": "google_crc32c",
    "protobuf": "google",
    "Jinja2": "jinja2",
    "MarkupSafe": "markupsafe",
}
_LINE = re.compile(r"([\w-]+)>=([\d.]+)$")
_NO_LIBRARY = re.compile(r"(\S+): cannot open shared object file")  # words of glibc's loader


class Requirement(NamedTuple):
    """A line of requirements.txt. least: a version."""

    name: str
    least: str


def load_requirements(name: str = REQUIREMENTS.name) -> list[Requirement]:
    """The lines of requirements.txt or one beside it, each ``name>=version``; none where there is no such file."""
    try:
        lines = REQUIREMENTS.with_name(name).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [Requirement(*found.groups()) for line in lines if (found := _LINE.match(line))]


def find_installed(name: str) -> tuple[str, str] | None:
    """(name, version) of a required package, or of another build of it; None where there is none."""
    for build in (*OTHER_BUILDS.get(name, ()), name):
        try:
            version = metadata.version(build)
        except metadata.PackageNotFoundError:
            continue
        if version:  # None where the folder that says so is damaged
            return build, version
    return None


def check_versions(*name: str) -> None:
    """Raise PackageError for installed packages that are older than requirements.txt, or one beside it, asks for."""
    if old := list(_find_old(load_requirements(*name))):
        found = ", ".join(f"{name} {version} is installed, {least} or newer needed" for name, version, least in old)
        upgrades = " ".join(f'"{name}>={least}"' for name, _, least in old)
        raise PackageError(f"{found}; python -m pip install {upgrades}{_origin(name for name, _, _ in old)}")


def explain_import(error: ImportError) -> PackageError | None:
    """The error for a required package that is missing or too old, or a library of the system that one needs.

    None where the fault lies elsewhere.
    """
    if isinstance(error, ModuleNotFoundError) and (missing := missing_package(error.name or "")):
        return missing
    if library := _NO_LIBRARY.match(str(error)):
        return PackageError(
            f"{library[1]} is not installed, a library of the system that a Python package needs; install it, or, "
            "where OpenCV needs it, opencv-python-headless in place of opencv-python, which does without"
        )
    try:
        check_versions()
    except PackageError as old:
        return old
    return None


def missing_package(module: str) -> PackageError | None:
    """The error for a required package's module that cannot be imported; None for any other module."""
    package = module.partition(".")[0]
    for name, least in load_requirements():
        if package == MODULES.get(name, name):
            return PackageError(f'{name} is not installed; python -m pip install "{name}>={least}"')
    return None


def _find_old(requirements: list[Requirement]) -> Iterator[tuple[str, str, str]]:
    """(name, version, least version) of each."""
    for name, least in requirements:
        installed = find_installed(name)
        if installed and any(_numbers(installed[1])) and _numbers(installed[1]) < _numbers(least):
            yield *installed, least  # Paddle built from source may be 0.0.0


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.match(r"[\d.]*", version)[0].split(".") if part]


def _origin(names) -> str:
    return " (requirements.txt says from where)" if "paddlepaddle-gpu" in names else ""
