"""What one connection may cost: the time to ask something, its place among others, and how finely it may cut a body."""

import time

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_AT_ONCE = 64 << 10  # bytes that are read of a connection before others have their turn
_FEW_PIECES, _LEAST_PIECE = 1000, 128  # of a body, of any size; bytes of one on average, where there are more


class _Parser(h11.Connection):
    """h11's, which refuses bodies in many tiny chunks: each costs as much time as a large one.

    Raises h11.RemoteProtocolError.
    """

    _pieces = _bytes = 0

    def next_event(self):
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > _FEW_PIECES and self._bytes < self._pieces * _LEAST_PIECE:
                raise h11.RemoteProtocolError("the chunks of the body are too small")
        elif isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
        return event


class Connection(H11Protocol):
    """A connection of uvicorn's. Where there are too many, the one that has asked nothing for longest makes room.

    most: so many connections, an attribute of the classes that ``limited_to`` makes.
    """

    most: int

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.conn = _Parser(h11.SERVER, self.config.h11_max_incomplete_event_size)
        self.idle_since = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether it is not known yet what it asks, for the first time or after an answer."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_sending(self) -> bool:
        return not self.is_idle and self.cycle.response_started

    def connection_made(self, transport) -> None:
        there = [one for one in self.connections if not one.transport.is_closing()]
        idle = [one for one in there if one.is_idle]
        if len(there) >= self.most and idle:
            min(idle, key=lambda one: one.idle_since).transport.abort()
        transport.max_size = MOST_AT_ONCE  # of asyncio's own loop, by default four times as much
        super().connection_made(transport)

    def on_response_complete(self) -> None:
        self.idle_since = time.monotonic()
        super().on_response_complete()


def limited_to(most: int) -> type[Connection]:
    return type("LimitedConnection", (Connection,), {"most": most})
