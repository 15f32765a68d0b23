"""Read what a pickle of PyTorch names, without unpickling: nothing that the pickle says is imported or called.

The standard library splits a pickle into its operations. Those that PyTorch's own writer uses build inert values here,
and every other one is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.models.window import Malformed

PICKLE_BYTES_MAX = 16 << 20
_OPERATIONS_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Named:
    """Name a class or function, `module name`, which stays unimported."""

    name: str


@dataclass(slots=True)
class Made:
    """Hold what calling `what` with `arguments` would make. `state` is what the object would be given then."""

    what: object
    arguments: object
    state: object = None


@dataclass(frozen=True, slots=True)
class Stored:
    """Hold what the pickle refers to outside of itself: bytes of a tensor."""

    words: object


_MARK = object()


def read_pickle(content: bytes) -> object:
    """Return the value of a pickle, with Named, Made and Stored for objects. Raise Malformed for another pickle."""
    machine = _Machine()
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
            if count > _OPERATIONS_MAX:
                raise Malformed("its pickle has too many operations")
            if operation.name == "STOP":
                return machine.stack[-1]
            step = _STEPS.get(operation.name)
            if step is None:
                raise Malformed(f"its pickle has an operation {operation.name}, which PyTorch does not write")
            step(machine, argument)
    except (IndexError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed("its pickle is broken") from None
    raise Malformed("its pickle has no end")


class _Machine:
    """Hold the stack and the memory of a pickle that is read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def until_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            if at == 0:
                raise IndexError
            at -= 1
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        found = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return found


_Step = Callable[[_Machine, Any], None]


def _push(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _pushing(make: Callable[[], Any]) -> _Step:
    return lambda machine, _argument: machine.stack.append(make())


def _put(machine: _Machine, argument: Any) -> None:
    machine.memory[int(argument)] = machine.stack[-1]


def _get(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.memory[int(argument)])


def _tuple(count: int | None) -> _Step:
    def step(machine: _Machine, _argument: Any) -> None:
        machine.stack.append(tuple(machine.until_mark() if count is None else machine.last(count)))

    return step


def _set_items(machine: _Machine, _argument: Any) -> None:
    _fill(machine, machine.until_mark())


def _set_item(machine: _Machine, _argument: Any) -> None:
    _fill(machine, machine.last(2))


def _fill(machine: _Machine, found: list[Any]) -> None:
    target = machine.stack[-1]
    # A dictionary of the pickle's own may be made by a call, such as OrderedDict().
    if isinstance(target, dict):
        target.update((key, value) for key, value in zip(found[::2], found[1::2], strict=True) if isinstance(key, str))


def _append(machine: _Machine, found: list[Any]) -> None:
    target = machine.stack[-1]
    if not isinstance(target, list):
        raise TypeError
    target.extend(found)


def _make(machine: _Machine, _argument: Any) -> None:
    machine.stack.append(Made(*machine.last(2)))


def _build(machine: _Machine, _argument: Any) -> None:
    (state,) = machine.last(1)
    if isinstance(machine.stack[-1], Made):
        machine.stack[-1].state = state


_STEPS: Mapping[str, _Step] = {
    "PROTO": lambda _machine, _argument: None,
    "FRAME": lambda _machine, _argument: None,
    "MARK": _pushing(lambda: _MARK),
    "NONE": _pushing(lambda: None),
    "NEWTRUE": _pushing(lambda: True),
    "NEWFALSE": _pushing(lambda: False),
    "EMPTY_DICT": _pushing(dict),
    "EMPTY_LIST": _pushing(list),
    "EMPTY_TUPLE": _pushing(tuple),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _push),
    "GLOBAL": lambda machine, argument: machine.stack.append(Named(str(argument))),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _get),
    "TUPLE": _tuple(None),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "SETITEMS": _set_items,
    "SETITEM": _set_item,
    "APPENDS": lambda machine, _argument: _append(machine, machine.until_mark()),
    "APPEND": lambda machine, _argument: _append(machine, machine.last(1)),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _make),
    "BUILD": _build,
    "BINPERSID": lambda machine, _argument: machine.stack.append(Stored(machine.last(1)[0])),
}
