"""The operations of pickles that data needs, and the machine that they work on.

Standard unpickling lets a file alter objects that it has made, use any object as a container or a key, and ask for
memory before there are bytes to fill it. Here lists and dicts alone take something in, keys are text, bytes or whole
numbers, and what a file asks for is bounded by its size. What an operation makes is what standard unpickling with
``encoding="bytes"`` makes, but for bytearrays, which are bytes.

Sources: CPython's Lib/pickletools.py on the operations; PEPs 307, 3154 and 574 on the protocols.
"""

import codecs
import pickle
import struct
from collections.abc import Callable
from typing import BinaryIO, Protocol

import numpy as np

from tools.files.pieces import Pieces

MOST_CONTAINERS = 1_000_000  # in a file, and one more for so many of its bytes:
_BYTES_A_CONTAINER = 64
MOST_MARKS = 1000
_HIGHEST_PROTOCOL = 5
_LINE = 8192  # bytes of a line with a number or a name
_KEYS = {str, bytes, int}
PART = object()  # stands for what an array was made of


class UnsafePickle(pickle.UnpicklingError):
    """The file asks for something that data does not need; nothing was executed."""


class Builder:
    """What a pickle may call: a function of its arguments."""

    __slots__ = ("build",)

    def __init__(self, build: Callable):
        self.build = build


class Objects(Protocol):
    """What pickles make that is no container, text or number. All raise UnsafePickle for what is no data.

    data: the types of such objects that may be in what was read, besides arrays.
    """

    data: frozenset[type]

    def find(self, module: str, name: str) -> object:
        """What a pickle means by a name."""

    def find_outside(self, identity: object) -> object:
        """What a pickle means by the identity of something that is stored outside of it."""

    def set_state(self, value: object, state: object) -> None:
        """Complete an object, once."""

    def build_array(
        self, function: object, kind: object, shape: tuple, dtype: object, content: bytes, start: int, size: int
    ) -> np.ndarray:
        """What ``function(kind, (0,), b"b")`` gives, with a shape, a type, and ``size`` bytes from ``start`` on."""


class Machine(Pieces):
    """What the operations work on: the file from the next operation on, and what they have made so far.

    stack: above the last mark; below: those below each mark.
    """

    __slots__ = ("_num_containers", "below", "memo", "most_containers", "objects", "stack")

    def __init__(self, file: BinaryIO, objects: Objects):
        super().__init__(file)
        self.objects = objects
        self.most_containers = MOST_CONTAINERS + self.num_bytes // _BYTES_A_CONTAINER
        self._num_containers = 0
        self.stack, self.below, self.memo = [], [], {}

    def store(self, number: int) -> None:
        """Keep what is on top of the stack, which may be put into other places too."""
        if len(self.memo) > self.most_containers:
            raise UnsafePickle(f"it keeps more than {self.most_containers:,} objects for other places")
        self.memo[number] = self.stack[-1]

    def recall(self, number: int):
        """An object that was stored."""
        value = self.memo[number]
        if value is PART:
            raise UnsafePickle("it has a part of an array in another place too")
        return value

    def pop(self):
        """What is on top of the stack."""
        return self.stack.pop()

    def mark(self) -> None:
        """Begin a stack above, from which nothing below can be reached."""
        if len(self.below) == MOST_MARKS:
            raise UnsafePickle(f"it has more than {MOST_MARKS} containers unfinished")
        self.below.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list:
        """All that stands above the last mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def push_container(self, container) -> None:
        self.count_containers(1)
        self.stack.append(container)

    def count_containers(self, number: int) -> None:
        self._num_containers += number
        if self._num_containers > self.most_containers:
            raise UnsafePickle(f"it has more than {self.most_containers:,} containers")

    def top(self, kind: type):
        """The container on top of the stack, which something is to be put into."""
        if type(self.stack[-1]) is not kind:
            raise UnsafePickle(
                f"it puts something into a {type(self.stack[-1]).__name__} as if it were a {kind.__name__}"
            )
        return self.stack[-1]


# Numbers, text and bytes


def _push(value) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(value)


def _data(width: int) -> Callable[[Machine], None]:
    """Bytes behind their number. Python 2 wrote its strings so too."""
    return lambda machine: machine.stack.append(machine.take(machine.take_number(width)))


def _text(width: int) -> Callable[[Machine], None]:
    def push(machine: Machine) -> None:
        machine.stack.append(machine.take(machine.take_number(width)).decode("utf-8", "surrogatepass"))

    return push


def _number(layout: str) -> Callable[[Machine], None]:
    unpack, size = struct.Struct(layout).unpack, struct.calcsize(layout)
    return lambda machine: machine.stack.append(*unpack(machine.take(size)))


def _long(width: int) -> Callable[[Machine], None]:
    def push(machine: Machine) -> None:
        machine.stack.append(int.from_bytes(machine.take(machine.take_number(width)), "little", signed=True))

    return push


def _int_line(machine: Machine) -> None:
    line = machine.take_line(_LINE)
    # Protocols 0 and 1 write False and True so.
    machine.stack.append(line == b"01" if line in (b"00", b"01") else int(line, 0))


def _long_line(machine: Machine) -> None:
    machine.stack.append(int(machine.take_line(_LINE).removesuffix(b"L"), 0))


def _float_line(machine: Machine) -> None:
    machine.stack.append(float(machine.take_line(_LINE)))


def _string_line(machine: Machine) -> None:
    """A string of Python 2 as its repr() gave it."""
    line = machine.take_line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise pickle.UnpicklingError("it is damaged: a string in it has no quotes")
    machine.stack.append(codecs.escape_decode(line[1:-1])[0])


def _unicode_line(machine: Machine) -> None:
    machine.stack.append(machine.take_line().decode("raw-unicode-escape"))


# Containers


def _empty(kind: type) -> Callable[[Machine], None]:
    return lambda machine: machine.push_container(kind())


def _tuple_of(count: int) -> Callable[[Machine], None]:
    def push(machine: Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.push_container(tuple(reversed(items)))

    return push


def _tuple(machine: Machine) -> None:
    machine.push_container(tuple(machine.pop_to_mark()))


def _list(machine: Machine) -> None:
    machine.push_container(machine.pop_to_mark())


def _dict(machine: Machine) -> None:
    items = machine.pop_to_mark()
    machine.push_container({})
    _fill(machine, items)


def _append(machine: Machine) -> None:
    item = machine.pop()
    machine.top(list).append(item)


def _appends(machine: Machine) -> None:
    items = machine.pop_to_mark()
    machine.top(list).extend(items)


def _set_item(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _fill(machine, [key, value])


def _set_items(machine: Machine) -> None:
    _fill(machine, machine.pop_to_mark())


def _fill(machine: Machine, items: list) -> None:
    """Put keys and values, in turn, into the dict on top of the stack."""
    keys, values = items[::2], items[1::2]
    for key in keys:  # others may take for ever to hash, or all have one hash
        if type(key) not in _KEYS or (type(key) is int and key.bit_length() > 64):
            raise UnsafePickle(f"it has a {type(key).__name__} as a key, not text, bytes or a whole number of 64 bits")
    machine.top(dict).update(zip(keys, values, strict=True))


# Objects that stand in several places


def _store(read_number: Callable[[Machine], int]) -> Callable[[Machine], None]:
    return lambda machine: machine.store(read_number(machine))


def _recall(read_number: Callable[[Machine], int]) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(machine.recall(read_number(machine)))


def _memoize(machine: Machine) -> None:
    machine.store(len(machine.memo))


def _line_number(machine: Machine) -> int:
    number = int(machine.take_line(_LINE))
    if number < 0:
        raise pickle.UnpicklingError(f"it is damaged: it counts an object as {number}")
    return number


def _bytes_number(width: int) -> Callable[[Machine], int]:
    return lambda machine: machine.take_number(width)


# What is built


def _global(machine: Machine) -> None:
    module, name = machine.take_line(_LINE), machine.take_line(_LINE)
    machine.stack.append(machine.objects.find(module.decode(), name.decode()))


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    if type(name) is not str or type(module) is not str:
        raise UnsafePickle("it has a name that is no text")
    machine.stack.append(machine.objects.find(module, name))


def _outside(machine: Machine) -> None:
    identity = machine.pop()
    machine.stack.append(machine.objects.find_outside(identity))


def _reduce(machine: Machine) -> None:
    arguments, builder = machine.pop(), machine.pop()
    machine.stack.append(call(builder, arguments))


def call(builder, arguments):
    if type(builder) is not Builder or type(arguments) is not tuple:
        raise UnsafePickle(f"it calls a {type(builder).__name__}")
    return builder.build(*arguments)


def _build(machine: Machine) -> None:
    state = machine.pop()
    machine.objects.set_state(machine.stack[-1], state)


# The protocol, and frames


def _protocol(machine: Machine) -> None:
    if (protocol := machine.take_number(1)) > _HIGHEST_PROTOCOL:
        raise UnsafePickle(f"it is of protocol {protocol}; the last that is known is {_HIGHEST_PROTOCOL}")


def _frame(machine: Machine) -> None:
    machine.take_number(8)  # its length, which helps those who read ahead


OPERATIONS: dict[bytes, Callable[[Machine], None]] = {
    pickle.PROTO: _protocol,
    pickle.FRAME: _frame,
    pickle.NONE: _push(None),
    pickle.NEWTRUE: _push(True),
    pickle.NEWFALSE: _push(False),
    pickle.INT: _int_line,
    pickle.LONG: _long_line,
    pickle.FLOAT: _float_line,
    pickle.STRING: _string_line,
    pickle.UNICODE: _unicode_line,
    pickle.BININT: _number("<i"),
    pickle.BININT1: _number("<B"),
    pickle.BININT2: _number("<H"),
    pickle.BINFLOAT: _number(">d"),
    pickle.LONG1: _long(1),
    pickle.LONG4: _long(4),
    pickle.SHORT_BINSTRING: _data(1),
    pickle.BINSTRING: _data(4),
    pickle.SHORT_BINBYTES: _data(1),
    pickle.BINBYTES: _data(4),
    pickle.BINBYTES8: _data(8),
    pickle.BYTEARRAY8: _data(8),
    pickle.SHORT_BINUNICODE: _text(1),
    pickle.BINUNICODE: _text(4),
    pickle.BINUNICODE8: _text(8),
    pickle.MARK: Machine.mark,
    pickle.EMPTY_TUPLE: _push(()),
    pickle.TUPLE1: _tuple_of(1),
    pickle.TUPLE2: _tuple_of(2),
    pickle.TUPLE3: _tuple_of(3),
    pickle.TUPLE: _tuple,
    pickle.EMPTY_LIST: _empty(list),
    pickle.LIST: _list,
    pickle.APPEND: _append,
    pickle.APPENDS: _appends,
    pickle.EMPTY_DICT: _empty(dict),
    pickle.DICT: _dict,
    pickle.SETITEM: _set_item,
    pickle.SETITEMS: _set_items,
    pickle.PUT: _store(_line_number),
    pickle.BINPUT: _store(_bytes_number(1)),
    pickle.LONG_BINPUT: _store(_bytes_number(4)),
    pickle.MEMOIZE: _memoize,
    pickle.GET: _recall(_line_number),
    pickle.BINGET: _recall(_bytes_number(1)),
    pickle.LONG_BINGET: _recall(_bytes_number(4)),
    pickle.GLOBAL: _global,
    pickle.STACK_GLOBAL: _stack_global,
    pickle.BINPERSID: _outside,
    pickle.REDUCE: _reduce,
    pickle.BUILD: _build,
}
