"""A listening port of this process is closed to strangers, who are cut off, and stays open to those who are welcome."""

import socket
import sys
import threading

import pytest

from tools.distributed import shield
from tools.errors import PeerError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="packet filters of sockets are on Linux alone")


@pytest.fixture
def store():
    """The address of a server that sends back what it gets, as long as it gets something."""
    handles = []

    def echo(handle):
        while data := handle.recv(100):
            handle.sendall(data)
        handle.close()

    def serve():
        while True:
            try:
                handles.append(server.accept()[0])
            except OSError:
                return
            threading.Thread(target=echo, args=handles[-1:]).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def call(address):
    handle = socket.create_connection(address, timeout=5)
    handle.sendall(b"hello")
    assert handle.recv(100) == b"hello"
    return handle


def test_strangers_are_cut_off_those_who_are_welcome_stay_and_nobody_else_comes_in(store):
    friends, strangers = [call(store) for _ in range(3)], [call(store) for _ in range(3)]
    shield.close_door(store[1], [friend.getsockname() for friend in friends])
    assert [stranger.recv(100) for stranger in strangers] == [b""] * 3
    for friend in friends:
        friend.sendall(b"still here")
        assert friend.recv(100) == b"still here"
    with pytest.raises(TimeoutError):
        socket.create_connection(store, timeout=0.5)
    for handle in (*friends, *strangers):
        handle.close()


def test_one_who_has_not_been_accepted_yet_is_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as friend:
        accepted = []
        timer = threading.Timer(0.3, lambda: accepted.append(server.accept()[0]))
        timer.start()
        shield.close_door(server.getsockname()[1], [friend.getsockname()])
        assert len(accepted) == 1
        accepted[0].close()
        timer.join()


def test_one_who_does_not_come_is_an_error(monkeypatch, store):
    monkeypatch.setattr(shield, "_CLOSING_SEC", 0.2)
    with pytest.raises(PeerError, match="of 1 processes, 1 did not reach Paddle's store on port"):
        shield.close_door(store[1], [("192.0.2.1", 9)])


def test_connections_of_this_process_are_known_by_both_addresses(store):
    before = shield.connections()
    with call(store) as handle:
        pair = (handle.getsockname(), store)
        assert shield.connections() - before == {pair, pair[::-1]}


def test_a_connection_to_nobody_of_the_run_is_an_error():
    one, two, stranger = (("127.0.0.1", port) for port in (1, 2, 3))
    shield.require_mirrored([{(one, two)}, {(two, one)}])
    with pytest.raises(PeerError, match=r"127\.0\.0\.1:3, no process of this run, has connected to Paddle in rank 1"):
        shield.require_mirrored([{(one, two)}, {(two, one), (two, stranger)}])
