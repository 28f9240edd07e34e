"""How the server begins and ends: its port, signals, and what is missing."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import PROJECT, clean_env
from tests.pages import commands_of
from tests.tools.serve.conftest import FLAGS
from tests.tools.serve.servers import running, wait_until
from tools.errors import ConfigError

pytest.importorskip("starlette", reason="Starlette, of requirements-serve.txt, is not installed")
pytest.importorskip("uvicorn", reason="uvicorn, of requirements-serve.txt, is not installed")

from tools.serve.listening import Port


def test_a_port_in_use_names_the_port_and_what_would_work():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        with pytest.raises(ConfigError) as error:
            Port("127.0.0.1", number)
    assert str(error.value) == f"port {number} of 127.0.0.1 is in use; --port 0 takes one that is free"


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(ConfigError, match=r"--host 192\.0\.2\.1 is no address of this machine; 127"):
        Port("192.0.2.1", 0)
    with pytest.raises(ConfigError, match=r"--host no\.such\.invalid is no address of this machine"):
        Port("no.such.invalid", 0)


def test_a_port_knows_its_address_and_whether_others_reach_it():
    with Port("127.0.0.1", 0) as port:
        assert port.is_loopback
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", port.url)
    with Port("0.0.0.0", 0) as port:
        assert not port.is_loopback


def half_upload(server, video):
    connection = server.socket()
    head = f"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(video)}\r\n\r\n"
    connection.sendall(head.encode() + video[:100])
    wait_until(lambda: server.metric("video_uploads_under_way") == 1)
    return connection


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_under_way_finish_and_takes_nothing_else(films, tmp_path, number):
    video = (films / "one.mp4").read_bytes()
    with running(*FLAGS, "--slow-sec=30", cwd=films, folder=tmp_path) as server:
        with half_upload(server, video) as connection:
            os.kill(server.pid, number)
            server.wait_for("stopping; ")
            assert server.ask("GET", "/healthz").status == 503
            assert server.send(video).status == 503
            connection.sendall(video[100:])
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert server.end() == 0
        assert server.lines[-1] == "stopped"
        assert server.uploads() == []


@pytest.mark.slow
def test_what_takes_longer_than_the_grace_is_given_up_and_a_second_signal_ends_at_once(films, tmp_path):
    video = (films / "one.mp4").read_bytes()
    flags = (*FLAGS, "--slow-sec=60")
    with running(*flags, "--grace-sec=0.2", cwd=films, folder=tmp_path) as server, half_upload(server, video):
        assert server.stop() == 0
        assert server.lines[-1] == "stopped; 1 request had no answer yet"
    with running(*flags, cwd=films, folder=tmp_path) as server, half_upload(server, video):
        os.kill(server.pid, signal.SIGTERM)
        server.wait_for("stopping; ")
        assert server.stop() == 128 + signal.SIGTERM
        assert server.uploads() == []


@pytest.mark.slow
def test_uploads_of_a_server_that_was_killed_are_gone_after_the_next_start(films, tmp_path):
    video = (films / "one.mp4").read_bytes()
    with running(*FLAGS, "--slow-sec=60", cwd=films, folder=tmp_path) as server, half_upload(server, video):
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        assert len(server.uploads()) == 1
    with running(*FLAGS, cwd=films, folder=tmp_path) as server:
        assert server.uploads() == []
        assert server.stop() == 0


@pytest.mark.slow
def test_a_connection_that_asks_nothing_is_closed(server):
    with server.socket() as connection:
        connection.sendall(b"POST /classify HT")
        assert connection.recv(100) == b""  # before the time of the socket is over


@pytest.mark.slow
def test_a_connection_that_asks_again_and_again_is_kept(server):
    with contextlib.closing(server.connect()) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(26):  # 13 s; longer than HEAD_SEC
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b"ready\n"
            assert connection.sock is first
            time.sleep(0.5)


def run(*flags, cwd, **environment):
    command = [sys.executable, "-m", "tools.serve", *flags]
    env = {**clean_env(), "PYTHONPATH": str(PROJECT), **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_a_missing_package_is_one_line_with_the_command(films, tmp_path):
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError('no', name='starlette')")
    result = run(*FLAGS, cwd=films, PYTHONPATH=f"{tmp_path}{os.pathsep}{PROJECT}")
    assert result.returncode == 1
    assert result.stderr == (
        "error: tools.serve needs starlette, which cannot be imported; "
        "python -m pip install -r requirements-serve.txt\n"
    )


@pytest.mark.slow
def test_weights_that_are_not_there_are_one_line(films):
    result = run(*FLAGS[:2], "--weights=none.pdparams", "--port=0", cwd=films)
    assert result.returncode == 1
    assert result.stderr.startswith("error: none.pdparams")
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_commands_of_the_page_start_a_server_and_ask_it(films, tmp_path):
    lines = [line for line in commands_of("tools/deployment.md") if "tools.serve" in line or "/classify" in line]
    start, *asking = lines
    assert start.startswith("python -m tools.serve --weights=checkpoints/")
    assert all(line.startswith("curl ") for line in asking)
    weights = next(word for word in start.split() if word.startswith("--weights="))
    flags = [word for word in start.split()[3:] if word != weights]
    with running(*FLAGS, *flags, cwd=films, folder=tmp_path) as server:
        for line in asking:
            line = line.replace(":8866/", f":{server.port}/").replace("clip.mp4", str(films / "one.mp4"))
            result = subprocess.run(["bash", "-c", f"{line} --noproxy '*'"], capture_output=True, text=True, check=True)
            assert '"model": "TSN"' in result.stdout
        assert server.stop() == 0


def test_health_is_told_while_the_network_is_at_work(server, films):
    video = (films / "three.mp4").read_bytes()
    asking = threading.Thread(target=server.send, args=(video, "window_sec=0.5&topk=1"))
    asking.start()
    wait_until(lambda: server.metric("video_uploads_under_way") == 1)
    answer = server.ask("GET", "/healthz")
    assert isinstance(answer.headers, http.client.HTTPMessage)
    assert (answer.status, answer.body) == (200, b"ready\n")
    asking.join(30)
    assert not asking.is_alive()
