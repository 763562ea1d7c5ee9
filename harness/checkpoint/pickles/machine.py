"""The pickle machine, written so that no pickle can make it do anything.

Python's own unpickler calls what a pickle names. This one interprets the same opcodes
(``Lib/pickletools.py`` of CPython describes each) and builds numbers, text, lists, tuples, sets and dictionaries only.
A global is never imported: it is looked up in a table of stand-ins (:mod:`harness.checkpoint.pickles.stand_ins`), and
whatever is not in it becomes :class:`Inert`, which takes any call and keeps nothing, and is noted by name.

It is also bounded: an argument is never longer than what is left of the file, the memo is a dictionary (CPython's is
an array as long as the largest index that a file names), operations are counted, and keys of dictionaries are text and
small numbers only: hashing a tuple of tuples of tuples exhausts the C stack, and large numbers can be chosen so that
all of them collide.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from harness.checkpoint.pickles.values import Global, Inert, Stateful, is_plain_key, listed, plain_key
from harness.checkpoint.stored import DamagedError

LONGEST_NUMBER = 1024
"""Bytes of a whole number, or of the text of any number. Python refuses to print one of more than 4,300 digits."""

MOST_OPERATIONS = 5_000_000
"""A checkpoint's pickle has some dozens for each tensor; each may take 64 bytes of memory."""

_CHUNK = 4096


class Machine:
    """Interprets one pickle.

    Args:
        stream: Stands where the pickle begins; afterwards behind its end.
        size: Where the stream ends, in bytes from its start.
        stand_ins: What the known globals are.
        persistent: Gives the object behind a persistent id, as torch uses for storages.
    """

    def __init__(
        self,
        stream: BinaryIO,
        size: int,
        stand_ins: Mapping[str, Global],
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.foreign: set[str] = set()
        """Globals that are not in the table, as ``module.name``."""
        self._stream = stream
        self._size = size
        self._stand_ins = stand_ins
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Interprets the pickle.

        Raises:
            DamagedError: It is cut short, contradicts itself, or uses what no checkpoint uses.
        """
        try:
            self._run()
            return self._stack.pop()
        except (DamagedError, IndexError, KeyError, ValueError, struct.error, OverflowError) as error:
            what = str(error) if isinstance(error, DamagedError) else f"{type(error).__name__}: {error}"
            also = f", and it wants to call {listed(self.foreign)}" if self.foreign else ""
            raise DamagedError(f"the pickle is damaged ({what[:150]}){also}") from error

    def _run(self) -> None:
        operations = _OPERATIONS
        read = self._stream.read
        for _ in range(MOST_OPERATIONS):
            code = read(1)
            if code == b".":
                return
            operation = operations.get(code)
            if operation is None:
                raise DamagedError(f"unknown opcode {code.hex()}" if code else "it has no end")
            operation(self)
        raise DamagedError(f"more than {MOST_OPERATIONS} operations")

    # Reading of arguments.

    def _take(self, count: int) -> bytes:
        if count > _CHUNK and count > self._size - self._stream.tell():
            raise DamagedError(f"the pickle ends inside an argument of {count} bytes")
        data = self._stream.read(count)
        if len(data) != count:
            raise DamagedError(f"the pickle ends inside an argument of {count} bytes")
        return data

    def _number(self, form: str) -> int:
        found: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        if found < 0:
            raise DamagedError("a negative length in the pickle")
        return found

    def _line(self) -> bytes:
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise DamagedError("a line of the pickle has no end")
        return line[:-1]

    def number_line(self) -> bytes:
        line = self._line()
        if len(line) > LONGEST_NUMBER:
            raise DamagedError(f"a number of {len(line)} digits")
        return line

    def skip(self, count: int) -> None:
        self._take(count)

    # Stack.

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop_to_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_to_mark()

    def pop_mark(self) -> None:
        self._pop_to_mark()

    def duplicate(self) -> None:
        self.push(self._stack[-1])

    # Plain values.

    def text_line(self) -> None:
        line = self._line()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise DamagedError("a text of the pickle has no quotation marks")
        self.push(codecs.escape_decode(line[1:-1])[0].decode("latin1"))

    def integer_line(self) -> None:
        line = self.number_line()
        self.push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line.removesuffix(b"L")))

    def sized(self, form: str, decode: Callable[[bytes], Any]) -> None:
        self.push(decode(self._take(self._number(form))))

    def constant(self, form: str) -> None:
        self.push(struct.unpack(form, self._take(struct.calcsize(form)))[0])

    # Containers.

    def tuple_of(self, count: int) -> None:
        items = tuple(self._stack[len(self._stack) - count :])
        if len(items) != count:
            raise DamagedError("the pickle takes more than there is")
        del self._stack[len(self._stack) - count :]
        self.push(items)

    def tuple_to_mark(self) -> None:
        self.push(tuple(self._pop_to_mark()))

    def list_to_mark(self) -> None:
        self.push(self._pop_to_mark())

    def dictionary_to_mark(self) -> None:
        items = self._pop_to_mark()
        self.push({})
        self._set_items(items)

    def frozen_set_to_mark(self) -> None:
        items = self._pop_to_mark()
        self.push(frozenset(item for item in items if is_plain_key(item)))

    def append(self) -> None:
        self._extend([self._stack.pop()])

    def extend(self) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Inert):
            raise DamagedError(f"the pickle appends to a {type(target).__name__}")

    def add_items(self) -> None:
        items = self._pop_to_mark()
        target = self._stack[-1]
        if isinstance(target, set):
            target.update(item for item in items if is_plain_key(item))
        elif not isinstance(target, Inert):
            raise DamagedError(f"the pickle adds to a {type(target).__name__}")

    def set_item(self) -> None:
        value = self._stack.pop()
        self._set_items([self._stack.pop(), value])

    def set_items(self) -> None:
        self._set_items(self._pop_to_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            if len(items) % 2:
                raise DamagedError("a key without a value in the pickle")
            for index in range(0, len(items), 2):
                target[plain_key(items[index])] = items[index + 1]
        elif not isinstance(target, Inert):
            raise DamagedError(f"the pickle sets items of a {type(target).__name__}")

    # Memo.

    def remember(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def recall(self, index: int) -> None:
        self.push(self._memo[index])

    # Globals and calls.

    def find(self, module: str, name: str) -> Global:
        """What a global is."""
        full = f"{module}.{name}"
        known = self._stand_ins.get(full)
        if known is None:
            self.foreign.add(full)
            return Global(full)
        return known

    def global_lines(self) -> None:
        module, name = self._line().decode(), self._line().decode()
        self.push(self.find(module, name))

    def global_from_stack(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise DamagedError("a global of the pickle has no name")
        self.push(self.find(module, name))

    def reduce(self) -> None:
        arguments = self._stack.pop()
        self._call(self._stack.pop(), arguments)

    def _call(self, function: Any, arguments: Any, keywords: Any = None) -> None:
        if not isinstance(function, Global) or function.call is None:
            self.push(Inert())
            return
        if not isinstance(arguments, tuple) or keywords:
            raise DamagedError(f"{function.name} is called with what it does not take")
        try:
            self.push(function.call(*arguments))
        except (TypeError, AttributeError) as error:
            raise DamagedError(f"{function.name} is called with what it does not take") from error

    def new_with_keywords(self) -> None:
        keywords, arguments = self._stack.pop(), self._stack.pop()
        self._call(self._stack.pop(), arguments, keywords)

    def instance_lines(self) -> None:
        module, name = self._line().decode(), self._line().decode()
        arguments = tuple(self._pop_to_mark())
        self._call(self.find(module, name), arguments)

    def object_to_mark(self) -> None:
        function, *arguments = self._pop_to_mark()
        self._call(function, tuple(arguments))

    def build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, Stateful):
            try:
                target.set_state(state)
            except (TypeError, AttributeError) as error:
                raise DamagedError(f"a {type(target).__name__} gets a state that it does not take") from error

    def persistent_id(self) -> None:
        saved = self._stack.pop()
        if self._persistent is None:
            raise DamagedError("the pickle names an object outside of itself")
        try:
            self.push(self._persistent(saved))
        except (TypeError, AttributeError) as error:
            raise DamagedError("an unknown kind of object outside of the pickle") from error


def _integer(data: bytes) -> int:
    if len(data) > LONGEST_NUMBER:
        raise DamagedError(f"a number of {len(data)} bytes")
    return int.from_bytes(data, "little", signed=True)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _latin(data: bytes) -> str:
    return data.decode("latin1")


_Operation = Callable[[Machine], None]
_OPERATIONS: dict[bytes, _Operation] = {
    b"(": Machine.mark,
    b"0": Machine.pop,
    b"1": Machine.pop_mark,
    b"2": Machine.duplicate,
    b"N": lambda machine: machine.push(None),
    b"\x88": lambda machine: machine.push(True),
    b"\x89": lambda machine: machine.push(False),
    b"I": Machine.integer_line,
    b"L": Machine.integer_line,
    b"F": lambda machine: machine.push(float(machine.number_line())),
    b"J": lambda machine: machine.constant("<i"),
    b"K": lambda machine: machine.constant("<B"),
    b"M": lambda machine: machine.constant("<H"),
    b"G": lambda machine: machine.constant(">d"),
    b"\x8a": lambda machine: machine.sized("<B", _integer),
    b"\x8b": lambda machine: machine.sized("<i", _integer),
    b"S": Machine.text_line,
    b"V": lambda machine: machine.push(machine._line().decode("raw-unicode-escape")),
    b"T": lambda machine: machine.sized("<i", _latin),
    b"U": lambda machine: machine.sized("<B", _latin),
    b"X": lambda machine: machine.sized("<I", _text),
    b"\x8c": lambda machine: machine.sized("<B", _text),
    b"\x8d": lambda machine: machine.sized("<Q", _text),
    b"B": lambda machine: machine.sized("<I", bytes),
    b"C": lambda machine: machine.sized("<B", bytes),
    b"\x8e": lambda machine: machine.sized("<Q", bytes),
    b"\x96": lambda machine: machine.sized("<Q", bytes),
    b")": lambda machine: machine.push(()),
    b"\x85": lambda machine: machine.tuple_of(1),
    b"\x86": lambda machine: machine.tuple_of(2),
    b"\x87": lambda machine: machine.tuple_of(3),
    b"t": Machine.tuple_to_mark,
    b"]": lambda machine: machine.push([]),
    b"l": Machine.list_to_mark,
    b"a": Machine.append,
    b"e": Machine.extend,
    b"}": lambda machine: machine.push({}),
    b"d": Machine.dictionary_to_mark,
    b"s": Machine.set_item,
    b"u": Machine.set_items,
    b"\x8f": lambda machine: machine.push(set()),
    b"\x90": Machine.add_items,
    b"\x91": Machine.frozen_set_to_mark,
    b"p": lambda machine: machine.remember(int(machine.number_line())),
    b"q": lambda machine: machine.remember(machine._number("<B")),
    b"r": lambda machine: machine.remember(machine._number("<I")),
    b"\x94": lambda machine: machine.remember(len(machine._memo)),
    b"g": lambda machine: machine.recall(int(machine.number_line())),
    b"h": lambda machine: machine.recall(machine._number("<B")),
    b"j": lambda machine: machine.recall(machine._number("<I")),
    b"c": Machine.global_lines,
    b"\x93": Machine.global_from_stack,
    b"R": Machine.reduce,
    b"\x81": Machine.reduce,
    b"\x92": Machine.new_with_keywords,
    b"i": Machine.instance_lines,
    b"o": Machine.object_to_mark,
    b"b": Machine.build,
    b"Q": Machine.persistent_id,
    # Protocol number and frame length say nothing that the opcodes do not.
    b"\x80": lambda machine: machine.skip(1),
    b"\x95": lambda machine: machine.skip(8),
}
"""What each opcode does. Left out, and so refused: codes of copyreg's extension registry, textual persistent ids and
buffers outside of the file."""
