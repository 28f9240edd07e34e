"""Gradients that travel during backward: the bits of those that wait for its end, and how every interruption ends."""

import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import PROJECT, clean_env
from tests.exchanged_gradients import NUM_STEPS, WAYS, build_network


def run_steps(folder, world, *end):
    command = [sys.executable, "-m", "tests.exchanged_gradients", str(folder), str(world), *end]
    return subprocess.run(
        command, cwd=PROJECT, env=clean_env(), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("world", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_sums_made_during_backward_have_the_bits_of_those_made_behind_it(world, tmp_path):
    """With two micro-batches, some of them empty; a step without any in one process; and parameters that some lack."""
    result = run_steps(tmp_path, world)
    assert result.returncode == 0, result.stderr
    expected = np.load(tmp_path / "plain_0.npz")
    for way in WAYS:
        for rank in range(world):
            found = np.load(tmp_path / f"{way}_{rank}.npz")
            assert found.files == expected.files
            for name in expected.files:
                assert found[name].tobytes() == expected[name].tobytes(), (way, rank, name)
    before = {name: value.numpy() for name, value in build_network(0).state_dict().items()}
    changed = {name for name, value in before.items() if (expected[name] != value).any()}
    assert changed == {name for name in before if not name.startswith(("frozen", "unused"))}
    assert len(expected["losses"]) == NUM_STEPS
    assert np.isfinite(expected["losses"]).all()


ENDED = "error: rank 1 of 2 exited unexpectedly; its log says more"
KILLED = "error: rank 1 of 2 was ended by SIGKILL; perhaps the memory ran out"


@pytest.mark.parametrize(
    ("end", "code", "lines"),
    [
        ("killed in exchange", 137, [ENDED, KILLED]),
        pytest.param("killed in backward", 137, [ENDED, KILLED], marks=pytest.mark.slow),
        pytest.param("raised", 1, ["error: rank 1 of 2: clip 7 is broken"], marks=pytest.mark.slow),
        pytest.param(
            "not finite",
            1,
            [
                "error: rank 1 of 2: the loss of 1 of 4 videos is not finite at epoch 0, iter 1: video0: nan; nothing "
                "was saved after the last good checkpoint. A lower --learning-rate often helps"
            ],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_ends_one_process_in_the_middle_of_an_exchange_ends_all_with_one_line_each(end, code, lines, tmp_path):
    result = run_steps(tmp_path, 2, end)
    assert [line for line in result.stderr.splitlines() if "Warning" not in line] == lines
    assert (result.returncode, result.stdout) == (code, "")
