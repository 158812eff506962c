"""A recorder that notes what the user called, so that the next recording can follow. Knows no program.

A function that is recorded at every call mostly makes the same calls every time. Each is noted with what it was given
and what came of it:

    call      | what | first operand | second operand | result | line, if a replay could stop there
    sin(x)    | sin  | x             | Missing        | a      |
    a * W     | mul  | a             | Given 0        | b      |

What is done next with these notes is in `following`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from wengert.errors import Where, here
from wengert.ops.elementwise import Elementwise
from wengert.record.recorder import FINITE, Missing, Recorder
from wengert.record.tracer import Tracer
from wengert.shapes import Aval
from wengert.tape import Instruction

Array = np.ndarray[Any, Any]
Call = tuple[Any, Any, Any, Any, Where | None]
DOORS: dict[str, Any] = {
    "pair": None, "single": True, "bind": (), "direct": None, "called": Missing, "applied": None,
}  # fmt: skip
"""The methods of a recorder by which calls come in, and their last argument where it may be left out."""
_MOST = 100_000
"""Calls from which a recording is not kept."""
_PLAIN = (int, float, bool, str, type(None), type(Ellipsis), type, np.dtype, np.generic)
"""Operands that are compared by value."""
_NUMBERS = (float, int, np.float64, np.float32)


class Given:
    """An array of the user's among the operands: another one each time, of the same dtype and shape."""

    __slots__ = ("array", "aval", "copy", "slot", "window")

    def __init__(self, slot: int, what: Aval) -> None:
        self.slot, self.aval = slot, what
        self.array: Any = None
        """What stands here this time."""
        self.copy: Any = None
        """What it was when it was used; the array itself if it is large, which nobody may write to for now."""
        self.window: Array | None = None
        """Where the copy is to be."""


class Number:
    """A number of the user's among the operands of an elementwise op: it may be another one each time."""

    __slots__ = ("fixed", "index", "noted", "slot", "value", "varies", "window")

    def __init__(self, slot: int, index: int, value: Any) -> None:
        self.slot, self.index = slot, index
        """The constant's slot, and its place among the constants."""
        self.noted = self.value = value
        """What it was when it was noted, and what it is this time."""
        self.fixed = False
        """Whether something else reads the slot, which had the same value by chance."""
        self.varies = False
        """Whether it has been another one."""
        self.window: Array | None = None
        """Where the value is to be, if it varies."""


class Again(NamedTuple):
    """A number that is read once more."""

    number: Number


class Sizes(NamedTuple):
    """How much a recorder had written."""

    instructions: int
    avals: int
    consts: int
    captured: int


class _Unknown(Exception):
    """An operand that cannot be compared with another one."""


class Noting(Recorder):
    """A recorder that notes the calls."""

    notes = True

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.calls: list[Call] = []
        self.sizes: list[Sizes] = []
        """How much there was after the inputs, and after each call."""
        self.traced: list[Tracer] = []
        """The inputs."""
        self.given: dict[int, Given] = {}
        self.numbers: dict[int, Number] = {}
        """Both by slot."""
        self.complete = True
        self._operands: Counter[int] = Counter()
        """How often a call has taken an array as an operand: another one may be there next time. One that a call looks
        into, too, (a list of arrays becomes a constant) is not another one's equal, so every occurrence must count."""

    def arguments(self, values: list[Any]) -> list[Tracer]:
        self.traced = super().arguments(values)
        self.sizes = [self._size()]
        return self.traced

    def capture(self, array: Array) -> int:
        self._operands[id(array)] += 1
        return super().capture(array)

    def refuse_views(self, tracer: Tracer) -> None:
        self.complete = self.notes = False  # the tracer will stand for another slot
        super().refuse_views(tracer)

    @property
    def known(self) -> bool:
        """Whether all that has been recorded, and all that Python has looked at, is in the notes."""
        return self.complete and not self.evaluated and self._size() == self.sizes[-1]

    def _size(self) -> Sizes:
        return Sizes(len(self.instructions), len(self.avals), len(self.consts), len(self.captured))

    def noted(self, door: Callable[[Recorder, Any, Any, Any], Any], what: Any, x: Any, y: Any) -> Any:
        """Make a call; unless it is one within another, write it down."""
        if not self.notes:
            return door(self, what, x, y)
        self._operands.clear()
        before = self._size()
        self.line, self.notes = here(), False
        try:
            result = door(self, what, x, y)
            self._note(before, what, x, y, result)
        finally:
            self.line, self.notes = None, self.complete
        return result

    def _note(self, before: Sizes, what: Any, x: Any, y: Any, result: Any) -> None:
        fresh = self.instructions[before.instructions :]
        try:
            number = self._number(before, fresh, [v for v in (x, y) if type(v) in _NUMBERS])
            x, y = (number if number is not None and type(v) in _NUMBERS else self._kept(v) for v in (x, y))
            call = (what, x, y, self._kept(result))
            if any(self._operands.values()):
                raise _Unknown
        except _Unknown:
            self.complete = False
            return
        stops = any(op.stops for op, *_ in fresh)
        # What was recorded in between is not known; an array that was captured must be one of the operands.
        given = all(c.slot in self.given for c in self.captured[before.captured :])
        self.complete &= before == self.sizes[-1] and given and len(self.calls) < _MOST and type(result) is not list
        self.calls.append((*call, self.line if stops else None))
        self.sizes.append(self._size())

    def _number(self, before: Sizes, fresh: Sequence[Instruction], operands: Sequence[Any]) -> Number | Again | None:
        """What stands for the number among the operands of a call, if it is the only one and may be another one."""
        read = [s for _, _, ins, _ in fresh for s in ins]
        if len(fresh) == len(operands) == 1 and isinstance(fresh[0][0], Elementwise) and abs(operands[0]) <= FINITE:
            places = {c.slot: k for k, c in enumerate(self.consts[before.consts :], before.consts)}
            found = [s for s in read if (s in places and self.avals[s].is_float) or s in self.numbers]
            if len(found) == 1:
                (s,) = found
                if s in places:
                    self.numbers[s] = Number(s, places[s], operands[0])
                    return self.numbers[s]
                if equal(self.numbers[s].value, operands[0]):
                    return Again(self.numbers[s])
        for s in read:
            if s in self.numbers:
                self.numbers[s].fixed = True
        return None

    def _kept(self, x: Any) -> Any:
        """An operand as it is noted."""
        kind = type(x)
        if kind is Tracer:
            if x.recorder is not self:
                raise _Unknown
        elif kind is np.ndarray:
            if not self._operands[id(x)] or not x.ndim:
                raise _Unknown
            self._operands[id(x)] -= 1
            slot = self._capture_slots[id(x)]
            return self.given.setdefault(slot, Given(slot, self.avals[slot]))
        elif kind is tuple or kind is list:
            return kind(map(self._kept, x))
        elif kind is dict:
            return {k: self._kept(v) for k, v in x.items()}
        elif kind is slice:
            return slice(*map(self._kept, (x.start, x.stop, x.step)))
        elif not isinstance(x, _PLAIN):
            raise _Unknown
        return x


def equal(was: Any, now: Any) -> bool:
    """Whether two numbers (or words) of one type are the same; -0.0 is not 0.0."""
    return bool(was == now) and (bool(was) or str(was) == str(now))


def tracers_in(x: Any) -> Iterator[Tracer]:
    """All tracers in notes, as often as they occur."""
    if type(x) is Tracer:
        yield x
    elif isinstance(x, list | tuple):
        for part in x:
            yield from tracers_in(part)
    elif isinstance(x, dict):
        yield from tracers_in([*x.values()])


def _noting(door: Callable[..., Any], usual: Any) -> Callable[..., Any]:
    def call(self: Noting, what: Any, x: Any, y: Any = usual) -> Any:
        return self.noted(door, what, x, y)

    return call


for _name, _usual in DOORS.items():
    setattr(Noting, _name, _noting(getattr(Recorder, _name), _usual))
