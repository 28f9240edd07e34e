"""The CPU settings: their gates, the line they log, and that they come before Paddle."""

import subprocess
import sys

import pytest

from tests.conftest import PROJECT, TUNED, clean_env
from tools.runtime import cpu

AVX512 = "fpu avx2 fma avx512f avx512dq avx512bw avx512vl"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A process with no CPU variables on a machine of a given vendor and flags."""
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    for name in (*cpu._THREAD_VARIABLES, "MKL_DEBUG_CPU_TYPE", cpu.OPT_OUT, cpu.OF_PADDLE):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores what tune_cpu sets
        monkeypatch.delenv(name)
    monkeypatch.setattr(cpu, "usable_cores", lambda: 8)

    def make(vendor, flags):
        monkeypatch.setattr(cpu, "_processor", lambda path: (vendor, set(flags.split())))

    make("AuthenticAMD", AVX512)
    return make


@pytest.mark.parametrize(
    ("vendor", "flags", "value"),
    [
        ("AuthenticAMD", AVX512, "7"),
        ("AuthenticAMD", "avx2 fma avx512f", "5"),
        ("AuthenticAMD", "sse4_2", None),
        ("GenuineIntel", AVX512, None),
        ("", "", None),
    ],
)
def test_the_mkl_path_is_set_on_amd_only_and_by_what_the_processor_has(machine, monkeypatch, vendor, flags, value):
    machine(vendor, flags)
    line = cpu.tune_cpu()
    assert cpu.os.environ.get("MKL_DEBUG_CPU_TYPE") == value
    assert ("MKL_DEBUG_CPU_TYPE" in line) == (value is not None)


def test_threads_are_the_usable_cores_divided_by_the_processes(machine):
    assert "2 threads (8 usable cores, 4 processes)" in cpu.tune_cpu(processes=4)
    assert cpu.os.environ["OMP_NUM_THREADS"] == cpu.os.environ["MKL_NUM_THREADS"] == "2"


def test_variables_of_the_user_stay_unless_threads_are_asked_for(machine, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "5")
    line = cpu.tune_cpu()
    assert "OMP_NUM_THREADS=3 (from the environment)" in line
    assert "MKL_DEBUG_CPU_TYPE=5 (from the environment)" in line
    assert "MKL_NUM_THREADS" not in cpu.os.environ
    assert "4 threads (as asked)" in cpu.tune_cpu(threads=4)
    assert cpu.os.environ["OMP_NUM_THREADS"] == "4"


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"OMP_NUM_THREADS": "1"}, "4 threads (8 usable cores, 2 processes)"),
        ({"OMP_NUM_THREADS": "3"}, "OMP_NUM_THREADS=3 (from the environment)"),
        (
            {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            "OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 (from the environment)",
        ),
    ],
)
def test_the_one_thread_that_paddle_s_launcher_sets_is_not_the_user_s(machine, monkeypatch, variables, line):
    monkeypatch.setenv("PADDLE_RANK_IN_NODE", "0")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert line in cpu.tune_cpu(processes=2)


def test_processes_of_paddle_s_launcher_share_the_cores(tmp_path):
    (tmp_path / "program.py").write_text(
        f"import os, sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        "from tools.runtime import cpu\n"
        "cpu.usable_cores = lambda: 8\n"
        "open(os.environ['PADDLE_TRAINER_ID'], 'w').write(cpu.tune_cpu(processes=2))\n"
    )
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node=2", "program.py"]
    env = {name: value for name, value in clean_env().items() if name not in (*TUNED, cpu.OPT_OUT)}
    subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True)
    for rank in "01":
        assert "CPU: 4 threads (8 usable cores, 2 processes)" in (tmp_path / rank).read_text()


def test_the_opt_out_leaves_everything_alone(machine, monkeypatch):
    monkeypatch.setenv(cpu.OPT_OUT, "0")
    assert cpu.tune_cpu() == "CPU settings left as they are (PADDLE_VIDEO_CPU_TUNING=0)"
    assert "OMP_NUM_THREADS" not in cpu.os.environ


def test_it_refuses_to_come_after_paddle(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle", sys)
    with pytest.raises(RuntimeError, match="before paddle is imported"):
        cpu.tune_cpu()


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_control_group_is_read_in_both_versions(tmp_path, files, quota):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cpu._cgroup_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ("avx2 fma", "no AVX-512, without which the engine computes in fp32"),
        ("avx512f avx512dq avx512bw", "no AVX-512"),
        ("avx512f avx512dq avx512bw avx512vl", "it is simulated, which is not faster"),
        ("avx512f avx512dq avx512bw avx512vl avx512_bf16", "some best classes may"),
        ("avx512f avx512dq avx512bw avx512vl amx_bf16", "some best classes may"),
    ],
)
def test_what_becomes_of_bf16_depends_on_the_processor(tmp_path, flags, text):
    (tmp_path / "cpuinfo").write_text(f"vendor_id : GenuineIntel\nflags : {flags}\n")
    said = cpu.describe_bf16(tmp_path / "cpuinfo")
    assert text in said
    assert ("simulated" in said) == ("simulated" in text)


@pytest.mark.parametrize(
    ("flags", "has"), [("avx512f avx512_bf16", False), ("avx512f amx_bf16 amx_tile", True), ("", False)]
)
def test_amx_is_known_by_its_flag(tmp_path, flags, has):
    (tmp_path / "cpuinfo").write_text(f"vendor_id : GenuineIntel\nflags : {flags}\n")
    assert cpu.has_amx(tmp_path / "cpuinfo") is has


def test_the_processor_is_read_from_cpuinfo(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2\n\nvendor_id\t: Other\nflags\t\t: x\n")
    assert cpu._processor(path) == ("AuthenticAMD", {"fpu", "avx2"})
    assert cpu._processor(tmp_path / "none") == ("", set())


@pytest.mark.parametrize("script", ["train", "test", "infer"])
def test_help_needs_no_paddle(script):
    command = [sys.executable, "-X", "importtime", str(PROJECT / f"{script}.py"), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_env())
    assert "--model-name" in result.stdout
    assert "paddle" not in result.stderr
