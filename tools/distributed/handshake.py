"""How two processes prove to one another that they know the secret of their run, and sign what they say from then on.

Both ends choose a nonce and answer with HMAC-SHA256 of all that was said, the one that came first. The secret itself is
not sent, an answer is of no use on another connection or for another rank, and what is compared takes the same time
whether it is right or not. Does not import Paddle.
"""

import hmac
import secrets
from multiprocessing.connection import Connection

from tools.errors import PeerError

GREETING = b"paddle video zoo 2\n"
HELLO_BYTES = len(GREETING) + 4 + 4 + 32
NONCE_BYTES = PROOF_BYTES = 32


def make_hello(rank: int, world: int) -> bytes:
    """What one that comes says first: the greeting, its rank, how many there are, and a nonce."""
    return GREETING + rank.to_bytes(4, "big") + world.to_bytes(4, "big") + secrets.token_bytes(NONCE_BYTES)


def begins_hello(said: bytes) -> bool:
    """Whether a hello may begin like this."""
    return said[: len(GREETING)] == GREETING[: len(said)]


def read_hello(hello: bytes, world: int) -> int:
    """The rank in a hello, from 1; 0 for one that is none, or of another number of processes."""
    rank, theirs = (int.from_bytes(hello[len(GREETING) + at : len(GREETING) + at + 4], "big") for at in (0, 4))
    is_hello = len(hello) == HELLO_BYTES and hello.startswith(GREETING)
    return rank if is_hello and theirs == world and rank < world else 0


class Transcript:
    """What was said at the beginning of a connection: a hello and the first process's nonce. key: of the run."""

    def __init__(self, key: bytes, hello: bytes, nonce: bytes):
        self._key, self._said = key, hello + nonce

    def proof(self, who: str) -> bytes:
        """What only a process of the run can say. who: "other", "first", and "all" once all others have come."""
        return hmac.digest(self._key, who.encode() + b"\0" + self._said, "sha256")

    def is_proof(self, who: str, said: bytes) -> bool:
        return hmac.compare_digest(said, self.proof(who))

    def link(self, connection: Connection, *, is_first: bool) -> "Link":
        """The signed connection that follows. is_first: whether this end is the first process's."""
        keys = self.proof("from the first"), self.proof("to the first")
        return Link(connection, *(keys if is_first else reversed(keys)))


class Link:
    """A connection whose ends have proved themselves. Every message is signed, with its place among them.

    The methods are those of ``Connection``. A message that was altered, repeated or slipped in on its way is a
    PeerError, before anybody looks at it.
    """

    def __init__(self, connection: Connection, key_of_sent: bytes, key_of_received: bytes):
        self._connection = connection
        self._keys = (key_of_sent, key_of_received)
        self._sent = self._received = 0

    def send_bytes(self, data: bytes) -> None:
        self._connection.send_bytes(_sign(self._keys[0], self._sent, data) + data)
        self._sent += 1

    def recv_bytes(self) -> bytes:
        message = self._connection.recv_bytes()
        signature, data = message[:PROOF_BYTES], message[PROOF_BYTES:]
        if not hmac.compare_digest(signature, _sign(self._keys[1], self._received, data)):
            raise PeerError("a message between two processes was not sent by either of them, or was altered on its way")
        self._received += 1
        return data

    def poll(self, seconds: float) -> bool:
        return self._connection.poll(seconds)

    def close(self) -> None:
        self._connection.close()


def _sign(key: bytes, place: int, data: bytes) -> bytes:
    signature = hmac.new(key, place.to_bytes(8, "big"), "sha256")
    signature.update(data)
    return signature.digest()
