"""Reads pickles of data, and refuses by its name what data does not need."""

import pickle
import pickletools
import re
import reprlib
import struct
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from tools.files.pickle_operations import MOST_CONTAINERS, OPERATIONS, PART, Machine, Objects, UnsafePickle

MOST_DEPTH = 64  # containers in one another
_CHILDREN = {list: iter, tuple: iter, dict: dict.values}  # container -> what may be one too
_DATA = {type(None), bool, int, float, str, bytes, np.ndarray, *_CHILDREN}
_STOP, _MEMOIZE, _BINGET = ord(pickle.STOP), ord(pickle.MEMOIZE), ord(pickle.BINGET)
_BININT, _BININT1 = ord(pickle.BININT), ord(pickle.BININT1)


def unpickle(file: BinaryIO, objects: Objects):
    """The one object that a file holds. Raises pickle.UnpicklingError, as UnsafePickle is one."""
    machine = Machine(file, objects)
    value = _make_object(machine)
    if machine.place() < machine.num_bytes:
        raise pickle.UnpicklingError("it goes on behind its first object; a file holds one")
    _require_data(value, _DATA | objects.data, machine.most_containers)
    return value


def unpickle_next(file: BinaryIO, objects: Objects):
    """The next object of a file, which is then at the byte behind it. Raises as ``unpickle`` does."""
    machine = Machine(file, objects)
    value = _make_object(machine)
    _require_data(value, _DATA | objects.data, machine.most_containers)
    file.seek(machine.place())
    return value


def _make_object(machine: Machine):
    try:
        _run(machine)
        (value,) = machine.stack
        () = machine.below
    except IndexError:
        raise pickle.UnpicklingError("it is cut short, or damaged") from None
    except (ArithmeticError, AttributeError, KeyError, MemoryError, TypeError, ValueError, struct.error) as error:
        raise pickle.UnpicklingError(f"it is damaged: {reprlib.repr(str(error))}") from None
    return value


def _run(machine: Machine) -> None:
    """Execute all operations. Those that data is full of are here, as that is faster than a call for each."""
    content, stack, memo, at, renew_at = machine.content, machine.stack, machine.memo, machine.at, machine.renew_at
    while True:
        if at >= renew_at:
            machine.at = at
            machine.renew()
            content, at, renew_at = machine.content, machine.at, machine.renew_at
        code = content[at]
        if code == _MEMOIZE and len(memo) < MOST_CONTAINERS:
            memo[len(memo)] = stack[-1]
            at += 1
        elif code == _BINGET:
            if content[at + 2] == _BINGET and (beginning := _ARRAY(content, at)):
                _push_array(machine, beginning)
                content, at, renew_at = machine.content, machine.at, machine.renew_at
            else:
                stack.append(machine.recall(content[at + 1]))
                at += 2
        elif code == _BININT1:
            stack.append(content[at + 1])
            at += 2
        else:
            machine.at = at + 1
            if code == _STOP:
                return
            _BY_CODE[code](machine)
            stack, content, at, renew_at = machine.stack, machine.content, machine.at, machine.renew_at


def _require_data(value, kinds: set[type], most: int) -> None:
    """Raise UnsafePickle for what is no data, and containers without end or in too many places to go through."""
    level, seen = [value], 0
    for _ in range(MOST_DEPTH + 1):
        for kind in set(map(type, level)) - kinds:
            if not issubclass(kind, np.generic):
                raise UnsafePickle(f"it holds a {kind.__name__} that is no part of data")
        level = [item for item in level if type(item) in _CHILDREN]
        seen += len(level)
        if seen > most:
            raise UnsafePickle(f"its containers stand in more than {most:,} places")
        if not level:
            return
        level = [child for container in level for child in _CHILDREN[type(container)](container)]
    raise UnsafePickle(f"it has containers in one another more than {MOST_DEPTH} deep")


def _refuse(code: int) -> Callable[[Machine], None]:
    operation = pickletools.code2op.get(chr(code))

    def refuse(machine: Machine) -> None:
        if operation is None:
            raise pickle.UnpicklingError(f"it is damaged: there is no operation {code}")
        raise UnsafePickle(f"it asks for {operation.name}, which data does not need")

    return refuse


# Arrays in one go: what data is full of is 22 operations each, and takes a third of the time so

_PUT, _GET, _SIDE = rb"(\x94|q.|r.{4})", rb"(h.|j.{4})", rb"(K.|M..|J.{4})"
_ARRAY = re.compile(
    _GET + _GET + rb"K\x00\x85" + _PUT + _GET + rb"\x87" + _PUT + rb"R" + _PUT  # a function of a class, (0,) and b"b"
    + rb"\(K\x01" + _SIDE + _SIDE + rb"\x86" + _PUT + _GET + rb"\x89"  # 1, the shape, the type, False
    + rb"(?:[BT](.{4})|[CU](.))",  # how many bytes
    re.DOTALL,
).match  # fmt: skip
_ARRAY_ENDS = re.compile(rb"(?:\x95.{8})?" + _PUT + rb"t" + _PUT + rb"b", re.DOTALL).match
_LONGEST_END = 24  # more than the bytes of it


def _push_array(machine: Machine, beginning: re.Match) -> None:
    """Do what the operations would do one after the other; where not all of them are there, the first one alone."""
    *gets, rows, columns, put_shape, dtype, long_size, short_size = beginning.groups()
    size, content, start = int.from_bytes(long_size or short_size, "little"), machine.content, beginning.end()
    machine.at = beginning.start()
    first = machine.place()
    machine.at = start + size
    if machine.at > len(content) - _LONGEST_END:
        machine.at = start
        content, start = machine.take(size), 0
    end = _ARRAY_ENDS(machine.content, machine.at)
    if end is None:
        machine.go_to(first)
        machine.at += len(gets[0])
        machine.stack.append(machine.recall(gets[0][1]))
        return
    function, kind, put_start, code, put_call, put_array = gets
    memo, puts = machine.memo, (put_start, put_call, put_array, put_shape, *end.groups())
    function, kind, code, dtype = [memo[int.from_bytes(get[1:], "little")] for get in (function, kind, code, dtype)]
    shape = tuple([int.from_bytes(side[1:], "little", signed=side[0] == _BININT) for side in (rows, columns)])
    array = machine.objects.build_array(function, kind, shape, dtype, content, start, size)
    for put, value in zip(puts, (PART, PART, array, PART, PART, PART), strict=True):
        memo[int.from_bytes(put[1:], "little") if put[1:] else len(memo)] = value
    machine.count_containers(4)
    machine.stack.append(array)
    machine.at = end.end()


_BY_CODE = [OPERATIONS.get(bytes([code])) or _refuse(code) for code in range(256)]
