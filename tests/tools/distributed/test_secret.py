"""Where the secret of a run is from, and what is no secret."""

import os

import pytest

from tools.distributed import group as process_group
from tools.distributed import launcher, secret
from tools.distributed.launcher import Processes
from tools.distributed.secret import SECRET, SECRET_FILE, make_secret, take_key
from tools.errors import ConfigError

TEXT = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def _no_secret(monkeypatch):
    for name in (SECRET, SECRET_FILE, secret.OF_PADDLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of the owner alone, named in the environment."""
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text(TEXT + "\n")
    monkeypatch.setenv(SECRET_FILE, str(path))
    return path


def test_a_file_and_a_variable_with_the_same_secret_give_the_same_key(file, monkeypatch):
    key = take_key()
    monkeypatch.delenv(SECRET_FILE)
    monkeypatch.setenv(SECRET, TEXT)
    assert take_key() == key
    monkeypatch.setenv(SECRET, TEXT[:-1] + "!")
    assert take_key() != key


def test_programs_that_a_process_starts_do_not_inherit_its_secret(monkeypatch):
    monkeypatch.setenv(SECRET, make_secret())
    take_key()
    assert SECRET not in os.environ


def test_the_launcher_makes_one_for_each_run_whatever_the_environment_has(monkeypatch):
    monkeypatch.setenv(SECRET, TEXT)
    planned = Processes(world=3, on_this_machine=3, to_start=True)
    of_runs = [{one[SECRET] for one in launcher._environments(planned)} for _ in range(2)]
    assert [len(found) for found in of_runs] == [1, 1]
    assert of_runs[0] != of_runs[1]
    assert all(len(text) == 64 and text != TEXT for text in of_runs[0] | of_runs[1])


def test_no_secret_is_an_error_before_anybody_is_waited_for(monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    monkeypatch.setenv("PADDLE_TRAINER_ID", "0")
    monkeypatch.setenv("PADDLE_TRAINER_ENDPOINTS", "127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(ConfigError, match=f"need a secret: on all machines {SECRET_FILE} has to name a file"):
        process_group.connect("cpu")


def test_a_variable_that_paddle_s_launcher_writes_to_its_logs_is_no_secret(monkeypatch):
    monkeypatch.setenv(SECRET, TEXT)
    monkeypatch.setenv(secret.OF_PADDLE, "0")
    with pytest.raises(ConfigError, match="Paddle's launcher writes all variables to its logs, this secret too"):
        take_key()


@pytest.mark.parametrize("text", ["", "short", "x" * 31, "x" * 4097, " " * 40])
def test_a_secret_of_another_length_is_an_error(file, text):
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"secret has \d+ characters, and a secret has 32 to 4096"):
        take_key()


@pytest.mark.skipif(os.name != "posix", reason="owners of files are on POSIX alone")
def test_a_secret_that_others_may_read_is_an_error(file):
    file.chmod(0o640)
    with pytest.raises(ConfigError, match=rf"{file} can be used by others than its owner; chmod 600"):
        take_key()


def test_a_secret_that_is_not_there_is_an_error(file):
    file.unlink()
    with pytest.raises(ConfigError, match=rf"{SECRET_FILE}: {file} cannot be read \(No such file"):
        take_key()


@pytest.mark.parametrize("content", [bytes(range(256)), b"\xff" * 40])
def test_a_secret_may_be_any_bytes(file, content):
    file.write_bytes(content)
    assert len(take_key()) == 32
