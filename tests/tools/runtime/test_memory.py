"""How much memory a process may use: the machine's, unless its control group grants less."""

import pytest

from tools.runtime.memory import memory_bytes, usable_bytes

MEMINFO = "MemTotal:       16000 kB\nMemFree:  1 kB\nMemAvailable:    9000 kB\nHugePages_Total:  0\n"


@pytest.mark.parametrize(
    ("limits", "usable"),
    [
        ({}, 16000 * 1024),
        ({"memory.max": "max\n"}, 16000 * 1024),
        ({"memory.max": "4096000\n"}, 4096000),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 16000 * 1024),
        ({"memory/memory.limit_in_bytes": "4096000\n"}, 4096000),
    ],
)
def test_the_memory_is_that_of_the_machine_or_what_its_control_group_grants(tmp_path, limits, usable):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    for name, text in limits.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert memory_bytes(tmp_path) == (16000 * 1024, 9000 * 1024)
    assert usable_bytes(tmp_path) == usable


def test_a_system_that_does_not_say_leaves_the_memory_unknown(tmp_path):
    assert memory_bytes(tmp_path) is None
    assert usable_bytes(tmp_path) is None
