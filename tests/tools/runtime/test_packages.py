"""Packages that are too old or missing are one line at the start of every program; requirements.txt says which."""

import re
import subprocess
import sys

import pytest

from tests.conftest import PROJECT, clean_env
from tools.errors import PackageError
from tools.runtime import packages
from tools.runtime.packages import check_versions, find_installed, load_requirements, missing_package

LINES = [line for line in (PROJECT / "requirements.txt").read_text().splitlines() if line and line[0] != "#"]


def test_every_line_of_the_requirements_is_understood_and_installed():
    assert [f"{name}>={least}" for name, least in load_requirements()] == LINES
    assert all(find_installed(name) for name, _ in load_requirements() if name != "av")
    check_versions()


def test_the_readme_of_the_gpu_build_asks_for_the_same_version():
    (least,) = [least for name, least in load_requirements() if name == "paddlepaddle"]
    gpu = re.findall(r"paddlepaddle-gpu>=([\d.]+)", (PROJECT / "requirements.txt").read_text())
    assert gpu == [least]


@pytest.fixture
def installed(monkeypatch):
    """A dict of name -> version, for what is installed."""
    found = {}

    def version(name):
        if name not in found:
            raise packages.metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(packages.metadata, "version", version)
    monkeypatch.setattr(
        packages,
        "load_requirements",
        lambda: [packages.Requirement(*line.split(">=")) for line in ("av>=17.1", "paddlepaddle>=3.3", "numpy>=2.0.1")],
    )
    return found


@pytest.mark.parametrize("version", ["17.1", "17.1.0", "17.10.0", "18.0.0rc1", "100.0", "0.0.0", None])
def test_versions_that_are_new_enough_or_unknown_pass(installed, version):
    installed["av"] = version
    check_versions()


@pytest.mark.parametrize("version", ["17.0.1", "9.2.0", "17", "16.99.99.post1"])
def test_an_older_version_is_named_with_what_is_needed_and_the_command(installed, version):
    installed["av"] = version
    with pytest.raises(PackageError) as error:
        check_versions()
    assert str(error.value) == (f'av {version} is installed, 17.1 or newer needed; python -m pip install "av>=17.1"')


def test_several_old_ones_and_another_build_are_one_line(installed):
    installed |= {"numpy": "1.26.4", "paddlepaddle-gpu": "3.0.0"}
    with pytest.raises(PackageError) as error:
        check_versions()
    assert str(error.value) == (
        "paddlepaddle-gpu 3.0.0 is installed, 3.3 or newer needed, numpy 1.26.4 is installed, 2.0.1 or newer needed; "
        'python -m pip install "paddlepaddle-gpu>=3.3" "numpy>=2.0.1" (requirements.txt says from where)'
    )


def test_a_module_of_a_required_package_is_missed_by_name(installed):
    assert str(missing_package("paddle.nn")) == (
        'paddlepaddle is not installed; python -m pip install "paddlepaddle>=3.3"'
    )
    assert missing_package("tools.nothing") is None


def run_with(folder, program, *arguments):
    """Run a program of the project where a folder stands in front of what is installed."""
    command = [sys.executable, *program, *arguments]
    env = {**clean_env(), "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=120)


PROGRAMS = [
    ["train.py"],
    ["test.py"],
    ["infer.py"],
    ["-m", "tools.doctor"],
    ["-m", "tools.show"],
    ["dataset/make_list.py"],
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[-1])
def test_programs_end_with_that_line(tmp_path, program):
    metadata = tmp_path / "av-12.0.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: av\nVersion: 12.0.0\n")
    result = run_with(tmp_path, program, "--help")
    assert result.returncode == 1
    least = dict(load_requirements())["av"]
    assert result.stderr == (
        f'error: av 12.0.0 is installed, {least} or newer needed; python -m pip install "av>={least}"\n'
    )


def test_a_package_that_a_program_misses_on_its_way_is_one_line(tmp_path):
    (tmp_path / "paddle.py").write_text("raise ModuleNotFoundError('No module named paddle', name='paddle')")
    code = "from tools.runtime.entry import run_program\ndef main():\n    import paddle\nrun_program(main)"
    result = run_with(tmp_path, ["-c", code])
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: paddlepaddle is not installed; python -m pip install ")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[-1])
def test_a_package_that_a_program_misses_at_its_start_is_one_line(tmp_path, program):
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError('No module named numpy', name='numpy')")
    (tmp_path / "cv2.py").write_text("import numpy")  # without the words that OpenCV has of its own for this
    result = run_with(tmp_path, program, "--help")
    assert result.returncode == 1
    assert re.fullmatch(r'error: numpy is not installed; python -m pip install "numpy>=[\d.]+"\n', result.stderr)


def test_a_library_of_the_system_that_a_package_misses_is_one_line(tmp_path):
    words = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({words!r})")
    result = run_with(tmp_path, ["infer.py"], "--help")
    assert result.returncode == 1
    assert result.stderr.startswith("error: libGL.so.1 is not installed, a library of the system")
    assert result.stderr.count("\n") == 1


def test_an_error_of_an_import_that_no_package_explains_is_shown_whole(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('of another kind')")
    result = run_with(tmp_path, ["infer.py"], "--help")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("ImportError: of another kind\n")
