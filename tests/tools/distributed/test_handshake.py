"""What proves a process of a run, what does not, and what a signed connection lets through."""

import socket
import struct
import threading
import time
from multiprocessing import Pipe

import pytest

from tests.tools.distributed.test_nodes import KEY, free_address
from tools.distributed import group, rendezvous
from tools.distributed.group import ProcessGroup
from tools.distributed.handshake import (
    HELLO_BYTES,
    NONCE_BYTES,
    PROOF_BYTES,
    Transcript,
    begins_hello,
    make_hello,
    read_hello,
)
from tools.errors import PeerError


def make_transcript(key=KEY, rank=1):
    return Transcript(key, make_hello(rank, 2), bytes(NONCE_BYTES))


def test_a_proof_is_of_one_key_one_connection_and_one_end():
    transcript = make_transcript()
    assert transcript.is_proof("other", transcript.proof("other"))
    for proof in (
        transcript.proof("first"),
        make_transcript().proof("other"),  # another nonce
        make_transcript(b"guessed" * 5).proof("other"),
        transcript.proof("other")[:-1],
        b"",
    ):
        assert not transcript.is_proof("other", proof)


@pytest.mark.parametrize(
    ("hello", "rank"),
    [
        (make_hello(1, 4), 1),
        (make_hello(3, 4), 3),
        (make_hello(0, 4), 0),
        (make_hello(4, 4), 0),
        (make_hello(1, 5), 0),
        (make_hello(1, 4)[:-1], 0),
        (b"GET / HTTP/1.1\r\n\r\n" * 4, 0),
        (bytes(HELLO_BYTES), 0),
    ],
    ids=range(8),  # what they hold is random, and pytest-xdist wants the same names in all its processes
)
def test_a_hello_tells_its_rank_and_anything_else_none(hello, rank):
    assert read_hello(hello, 4) == rank
    assert not rank or all(begins_hello(hello[:length]) for length in range(HELLO_BYTES))


def test_a_signed_connection_carries_messages_in_order_both_ways():
    mine, other = Pipe()
    transcript = make_transcript()
    first, second = transcript.link(mine, is_first=True), transcript.link(other, is_first=False)
    for message in (b"", b"one", bytes(100_000)):
        first.send_bytes(message)
        second.send_bytes(message[::-1] + b"!")
        assert second.recv_bytes() == message
        assert first.recv_bytes() == message[::-1] + b"!"


def alter(message):
    return [message[:-1] + bytes([message[-1] ^ 1])]


HARMS = {
    "altered": alter,
    "repeated": lambda message: [message, message],
    "unsigned": lambda message: [message[PROOF_BYTES:]],
    "shortened": lambda message: [message[:7]],
    "nothing": lambda message: [b""],
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_was_not_signed_is_not_unpickled(monkeypatch, harm):
    loaded = []
    monkeypatch.setattr(group.pickle, "loads", lambda data, loads=group.pickle.loads: loaded.append(1) or loads(data))
    mine, between = Pipe()
    transcript = make_transcript()
    sender, sent = Pipe()
    ProcessGroup(1, 2, {0: transcript.link(sender, is_first=False)}).gather("my metrics")
    for message in HARMS[harm](sent.recv_bytes()):
        between.send_bytes(message)
    receiver = ProcessGroup(0, 2, {1: transcript.link(mine, is_first=True)})
    if harm == "repeated":
        assert receiver.gather(0) == [0, "my metrics"]
    with pytest.raises(PeerError, match="was not sent by either of them, or was altered on its way"):
        receiver.gather(0)
    assert len(loaded) == (harm == "repeated")


def answer_with(answer):
    """A server that gives every caller a nonce, reads what he says to that, and answers with ``answer(said)``."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                handle, _ = server.accept()
            except OSError:
                return
            with handle:
                handle.recv(HELLO_BYTES)
                handle.sendall(bytes(NONCE_BYTES))
                handle.sendall(answer(handle.recv(PROOF_BYTES)))

    thread = threading.Thread(target=serve)
    thread.start()
    return server, thread


@pytest.mark.parametrize("answer", [lambda said: said, lambda said: bytes(PROOF_BYTES), lambda said: b"welcome\n"])
def test_one_in_place_of_the_first_process_is_told_after_a_while(monkeypatch, answer):
    monkeypatch.setattr(rendezvous, "_STRANGE_SEC", 0.5)
    server, thread = answer_with(answer)
    try:
        with pytest.raises(PeerError, match="who does not answer as rank 0 of this run: another program, or a process"):
            rendezvous.find_first(server.getsockname(), 1, 2, KEY)
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def test_a_process_with_another_secret_is_told_on_both_sides(monkeypatch, log_lines):
    monkeypatch.setattr(rendezvous, "_STRANGE_SEC", 0.5)
    monkeypatch.setattr(rendezvous, "_RENDEZVOUS_SEC", 1.5)
    address, errors = free_address(), []

    def other():
        with pytest.raises(PeerError) as error:
            rendezvous.find_first(address, 1, 2, b"mistaken" * 4)
        errors.append(str(error.value))

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(PeerError, match=r"of 2 processes, rank 1 did not come within 1\.5 s"):
        rendezvous.await_others(address, 2, KEY)
    thread.join()
    assert log_lines == ["127.0.0.1 calls itself rank 1 of 2, but has another secret"]
    assert "does not answer as rank 0 of this run" in errors[0]


def test_one_who_has_come_and_gone_again_is_told_when_the_last_comes(monkeypatch):
    address = free_address()

    def come_and_go():
        hello = make_hello(1, 3)
        while True:
            try:
                handle = socket.create_connection(address)
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        with handle:
            handle.sendall(hello)
            handle.sendall(Transcript(KEY, hello, handle.recv(NONCE_BYTES)).proof("other"))
            handle.recv(PROOF_BYTES)
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset

    def come():
        come_and_go()
        with pytest.raises(PeerError, match="rank 0 of 3 ended before all processes had come"):
            rendezvous.find_first(address, 2, 3, KEY)

    thread = threading.Thread(target=come)
    thread.start()
    with pytest.raises(PeerError, match="rank 1 of 3 ended before all processes had come; its log says more"):
        rendezvous.await_others(address, 3, KEY)
    thread.join()


def test_a_port_that_another_program_has_is_an_error_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with pytest.raises(PeerError, match=f"rank 0 of 2 cannot wait for the others at {host}:{port}"):
            rendezvous.await_others((host, port), 2, KEY)
