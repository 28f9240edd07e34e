"""What every program says of itself: --help, --version, and its line on the page of all programs."""

import ast
import functools
import json
import platform
import re
import subprocess
import sys
from importlib import metadata

import pytest

from tests.conftest import PROJECT, clean_env
from tests.pages import chinese_of, read_page
from tests.test_programs import COMMANDS
from tools.config.parser import Group
from tools.runtime.packages import NAME, VERSION
from tools.training.options import TrainingOptions

PAGE = "tools/README.md"
PROGRAMS = [path.relative_to(PROJECT).as_posix() for path in COMMANDS]
SCRIPTS = sorted(
    path.relative_to(PROJECT).as_posix()
    for path in (PROJECT / "scripts").rglob("*.sh")
    if path.name != "environment.sh"  # which the others read
)
FLAGS_OF_3_1_0 = PROJECT / "tests/golden/flags_of_3.1.0.json"
FORMER = "tools/benchmark_clips.py"  # has the parser of the program that it is now
POSITIONAL = {"positional arguments"}
NOT_SAID = ("None", "False", "[]", "()", "==SUPPRESS==", "1/1")  # nothing, and the whole of --part
every_program = pytest.mark.parametrize("program", PROGRAMS)


@functools.cache
def run_programs() -> subprocess.CompletedProcess:
    """All in one process."""
    command = [sys.executable, "tests/program_flags.py", *PROGRAMS]
    return subprocess.run(command, cwd=PROJECT, env=clean_env(), capture_output=True, text=True, check=False)


def describe_programs() -> dict:
    """What ``tests/program_flags.py`` says of all programs."""
    result = run_programs()
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def parsers_of(program: str) -> dict[str, dict]:
    """By command, "" without one."""
    return describe_programs()["programs"][program]


def flags_of(program: str) -> dict[str, dict]:
    """Command and name -> flag or argument."""
    return {
        " ".join([command, flag["names"][-1] if flag["names"] else flag["dest"]]).strip(): flag
        for command, parser in parsers_of(program).items()
        for flag in parser["flags"]
    }


def docstring(program: str) -> str:
    path = PROJECT / program
    file = path / "__main__.py" if path.is_dir() else path
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")), clean=False)


def first_sentence(text: str) -> str:
    return re.match(r".+?\.(?=\s|$)", " ".join(text.replace("`", "").split()))[0]


@every_program
def test_help_begins_with_a_sentence_and_shows_the_description_as_it_is_written(program):
    assert re.match(r"[A-Z][^\n]*\.( [^\n]*\.)?(\n\n|$)", docstring(program))
    if program != FORMER:
        shown = parsers_of(program)[""]
        assert shown["description"] == docstring(program)
        assert f"\n\n{docstring(program).strip()}\n\n" in shown["--help"]


@every_program
def test_every_flag_stands_in_a_group(program):
    for name, flag in flags_of(program).items():
        is_general = flag["group"] == "options"
        assert is_general == (flag["dest"] == "help" or "--version" in flag["names"] or is_obsolete(flag)), name
        assert is_general or flag["group"] in ({group.value for group in Group} if flag["names"] else POSITIONAL), name


def is_obsolete(flag: dict) -> bool:
    return flag["help"] == "==SUPPRESS=="


def test_groups_are_shown_in_one_order_and_only_where_they_have_flags():
    shown = parsers_of("train.py")[""]["--help"]
    titles = re.findall(r"^([a-z].*):$", shown, flags=re.MULTILINE)
    there = {flag["group"] for flag in flags_of("train.py").values()}
    assert titles == ["options", *(group.value for group in Group if group.value in there)]


@every_program
def test_defaults_are_said_in_words_and_once(program):
    for name, flag in flags_of(program).items():
        is_said = flag["default"] not in NOT_SAID and flag["nargs"] != 0 and flag["help"] != "==SUPPRESS=="
        assert flag["help"].count("default") == 1 if is_said else flag["help"].count("default") <= 1, name
        assert not re.search(r"default: ?(None|False|True|\[|\(|<|=|\d+\.0$|;|$)", flag["help"]), name


def test_defaults_that_are_numbers_are_those_of_the_parser():
    """Where --help takes them from the parser, and where a flag says them in words of its own."""
    told = {name: flag["help"].rpartition("default: ")[2] for name, flag in flags_of("train.py").items()}
    assert [told[name] for name in ("--log-interval", "--grad-clip", "--save-dir")] == ["10", "0", "checkpoints"]
    usual = TrainingOptions()
    assert [told["--cache-views"], told["--cache-size"]] == [f"{usual.cache_views}", f"{usual.cache_size:g}"]
    assert flags_of("infer.py")["--infer-topk"]["help"].endswith("default: 20, and 5 in the table of --video")


def test_flags_of_2019_without_effect_are_one_line():
    shown = parsers_of("train.py")[""]["--help"]
    obsolete = [name for name, flag in flags_of("train.py").items() if is_obsolete(flag)]
    assert obsolete == ["--no-use-pyreader", "--no-memory-optimize"]
    assert shown.endswith(f"\n\naccepted without effect, as in 2019: {', '.join(obsolete)}\n")
    assert all(shown.count(flag) == 1 for flag in obsolete)


@every_program
def test_flags_are_those_of_3_1_0_or_more(program):
    """Names, and what comes of them. A flag or a choice that is added stands there with the next version."""
    known = json.loads(FLAGS_OF_3_1_0.read_text())[program]
    flags = flags_of(program)
    assert known
    for name, of_then in known.items():
        choices = of_then.pop("choices")
        assert {key: flags[name][key] for key in of_then} == of_then, name
        assert set(choices or ()) <= set(flags[name]["choices"] or ()), name
        assert (choices is None) == (flags[name]["choices"] is None), name


@every_program
def test_version_is_one_line_for_which_nothing_more_is_imported_than_for_help(program):
    paddle = next(f"{name} {version}" for name, version in installed_paddles())
    for parser in parsers_of(program).values():
        assert parser["--version"] == f"{NAME} {VERSION} (Python {platform.python_version()}, {paddle})\n"
        assert parser["imported"] == []


def installed_paddles():
    for name in ("paddlepaddle-gpu", "paddlepaddle"):
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def test_version_is_told_without_paddle_too(monkeypatch):
    from tools.config import parser

    monkeypatch.setattr(parser, "find_installed", lambda name: None)
    assert parser.describe_version() == f"{NAME} {VERSION} (Python {platform.python_version()}, no Paddle)"


def test_no_program_imports_paddle_to_say_something_of_itself():
    assert describe_programs()["heavy"] == []


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_a_process_of_its_own_says_the_same(flag):
    command = [sys.executable, "-X", "importtime", PROJECT / "train.py", flag]
    env = clean_env() | {"COLUMNS": "80"}
    result = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=True)
    assert result.stdout.startswith({"--help": "usage: train.py [-h] [--version] ", "--version": f"{NAME} "}[flag])
    assert "paddle" not in result.stderr


def test_the_newest_version_of_the_changelog_is_the_one_of_the_code():
    versions = re.findall(r"^## \[(.*?)\]", (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[:2] == ["Unreleased", VERSION]
    released = [tuple(map(int, version.split("."))) for version in versions[1:]]
    assert released == sorted({*released}, reverse=True)


def table_of_programs(page: str) -> dict[str, str]:
    """Command without its arguments -> the line that says what it does."""
    rows = re.findall(r"^\| `((?:python|bash) [^`]*)` \| (.*?) \|", read_page(page), flags=re.MULTILINE)
    return {" ".join(command.split()[: 3 if " -m " in command else 2]): line for command, line in rows}


def command_of(program: str) -> str:
    if program.startswith("tools/"):
        return f"python -m {program.removesuffix('.py').replace('/', '.')}"
    return f"{'bash' if program.endswith('.sh') else 'python'} {program}"


def test_the_page_of_all_programs_has_every_one_once():
    expected = sorted(map(command_of, [*PROGRAMS, *SCRIPTS]))
    for page in (PAGE, chinese_of(PAGE)):
        assert sorted(table_of_programs(page)) == expected
        assert len(re.findall(r"^\| `(?:python|bash) ", read_page(page), flags=re.MULTILINE)) == len(expected)


@every_program
def test_the_page_of_all_programs_says_what_the_help_of_each_says(program):
    assert table_of_programs(PAGE)[command_of(program)].replace("`", "") == first_sentence(docstring(program))


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_page_of_all_programs_says_what_the_help_of_each_script_says(script):
    """Those of 2019 have the help of the program that they run; what they are for is their first comment."""
    text = (PROJECT / script).read_text(encoding="utf-8")
    if "<<'TEXT'" in text:
        command = ["bash", script, "--help"]
        shown = subprocess.run(command, cwd=PROJECT, env=clean_env(), capture_output=True, text=True, check=True).stdout
        said = shown.split("\n\n")[1]
    else:
        said = text.splitlines()[1].removeprefix("# ")
    assert table_of_programs(PAGE)[f"bash {script}"] == first_sentence(said)
