"""What happens where Paddle does not connect the processes of a run."""

import os
import time

import pytest

from tests.tools.distributed.test_nodes import free_address
from tools.distributed import paddle_ports
from tools.distributed.group import ProcessGroup
from tools.errors import PeerError


@pytest.fixture
def exits(monkeypatch):
    """The exit codes with which this process would have ended at once."""
    codes = []
    monkeypatch.setattr(paddle_ports.os, "_exit", codes.append)
    return codes


def test_a_process_that_paddle_keeps_waiting_ends_with_a_message(exits, capfd):
    with paddle_ports._limit(0.1, "Paddle did not connect rank 1 of 2 with the others within"):
        time.sleep(0.5)
    assert exits == [PeerError.exit_code]
    assert capfd.readouterr().err == "error: Paddle did not connect rank 1 of 2 with the others within 0.1 s\n"


def test_a_process_that_paddle_connects_in_time_goes_on(exits, capfd):
    with paddle_ports._limit(0.3, "late"):
        time.sleep(0.01)
    time.sleep(0.5)
    assert (exits, capfd.readouterr().err) == ([], "")


def test_a_sum_that_is_not_that_of_all_processes_is_an_error(monkeypatch):
    monkeypatch.setattr(paddle_ports.distributed, "all_reduce", lambda tensor: tensor.set_value(tensor * 2))
    paddle_ports._try_gloo(ProcessGroup(0, 2))
    with pytest.raises(PeerError, match="is not their sum"):
        paddle_ports._try_gloo(ProcessGroup(0, 3))


def test_a_store_that_cannot_be_reached_is_an_error_before_paddle_waits_for_it():
    host, port = free_address()
    with pytest.raises(PeerError, match=f"rank 1 of 2 cannot reach Paddle's store at {host}:{port} "):
        paddle_ports._join_store(ProcessGroup(1, 2), host, port)


def test_the_store_counts_nobody_and_the_number_of_processes_stays_what_it_was(monkeypatch):
    seen = []
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "3")
    monkeypatch.setenv("PADDLE_MASTER", "of the launcher")
    names = ("PADDLE_MASTER", "PADDLE_TRAINERS_NUM")
    monkeypatch.setattr(
        paddle_ports.core, "create_or_get_global_tcp_store", lambda: seen.append([os.environ[name] for name in names])
    )
    paddle_ports._open_store("127.0.0.1", 9)
    assert seen == [["127.0.0.1:9", "0"]]
    assert os.environ["PADDLE_TRAINERS_NUM"] == "3"
