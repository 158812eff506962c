"""The same calls again: a recording that does what the last one did makes nothing anew. Knows no program.

`Following` goes through the notes of the recording before. A call that agrees with the next note gives the result that
is noted: a comparison of objects, no instruction. At the first that does not agree, or at anything else that would be
recorded, it becomes a plain recorder that has got as far as here (see `Following.__getattr__`), so that a wrong guess
costs time and nothing else.

Tracers are the same objects each time. One that the user has kept would pass for a new one, so a recording is
followed only if nobody else holds one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import is_, length_hint
from sys import getrefcount
from typing import Any

import numpy as np

from wengert.errors import WengertError, Where, here
from wengert.record.held import SMALL, Held
from wengert.record.noting import DOORS, Again, Call, Given, Noting, Number, equal, tracers_in
from wengert.record.recorder import FINITE, Recorder
from wengert.record.tracer import Tracer
from wengert.tape import Captured, Const

_END: Call = (Recorder, None, None, None, None)
"""Agrees with no call."""
_OWN = ("past", "ahead", "taken", "copies", "changed")
"""What only a recorder that follows has."""
_ALONE = next(map(getrefcount, [object()]))
"""What `getrefcount` says, called by `map`, of an object that only one list holds."""


class Past:
    """A recording, and the calls that led to it."""

    def __init__(self, recorder: Noting, results: list[Tracer]) -> None:
        self.recorder: Recorder = recorder
        self.calls, self.sizes = [*recorder.calls, _END], recorder.sizes
        self.inputs, self.results = recorder.traced, results
        self.given = [recorder.given[c.slot] for c in recorder.captured]
        self.numbers = [*recorder.numbers.values()]
        self.windows: list[Any] | None = None
        """Where the inputs are to be copied to."""
        own = Recorder().__dict__.keys() - {"values", "captured", "_capture_slots", "held"}  # no array is kept
        self.state: dict[str, Any] = {
            k: v.copy() if isinstance(v, list | dict | set) else v for k, v in vars(recorder).items() if k in own
        }
        everywhere = [*tracers_in([self.calls, self.inputs, results])]
        self.tracers = [*{id(t): t for t in everywhere}.values()]
        times = Counter(map(id, everywhere))
        self.held = [_ALONE + times[id(t)] for t in self.tracers]

    def alone(self) -> bool:
        """Whether nobody else holds one of the tracers."""
        return list(map(getrefcount, self.tracers)) == self.held

    def rest(self) -> None:
        """Let the recorder wait for the next time, and let go of everything that belonged to this one."""
        for given in self.given:
            given.array = given.copy = None
        waiting: Any = self.recorder
        if type(waiting) is not Following or self.windows is None:
            waiting.__class__ = Following
            waiting.__dict__ = {"past": self, "held": Held()}

    @property
    def others(self) -> list[Given | Number]:
        """What may be another one each time, besides the inputs: captured arrays, numbers that have changed."""
        return [*self.given, *[number for number in self.numbers if number.varies]]

    def furnish(self, windows: list[Any] | None) -> None:
        """Let the inputs and the others be copied to these places; large arrays have none."""
        others = self.others
        n = len(self.inputs)
        self.windows = None if windows is None else windows[:n]
        for part, window in zip(others, [None] * len(others) if windows is None else windows[n:], strict=True):
            part.window = window
            if window is not None and isinstance(part, Number):
                window[()] = part.value

    def until(self, n: int) -> dict[str, Any]:
        """The state of the recorder when it had got through n calls, without what differs each time."""
        size, state = self.sizes[n], self.state.copy()
        cut = {
            "instructions": size.instructions,
            "lines": size.instructions,
            "avals": size.avals,
            "consts": size.consts,
        }
        state |= {name: state[name][:length] for name, length in cut.items()}
        for name in ("_items", "_const_slots"):
            state[name] = {k: slot for k, slot in state[name].items() if slot < size.avals}
        state["finite"] = {slot for slot in state["finite"] if slot < size.avals}
        state["infinite"] = [slot for slot in state["infinite"] if slot < size.avals]
        others = {n.slot: n for n in self.numbers if n.slot < size.avals and not equal(n.noted, n.value)}
        for slot, number in others.items():
            value = np.array(number.value, state["avals"][slot].dtype)[()]
            state["consts"][number.index] = Const(slot, value)
        state["_const_slots"] = {k: slot for k, slot in state["_const_slots"].items() if slot not in others}
        given = self.given[: size.captured]
        state["captured"] = [Captured(g.slot, g.array) for g in given]
        state["_capture_slots"] = {id(g.array): g.slot for g in given}
        return state


class Following(Recorder):
    """A recording that is gone through once more. It has no instructions: whoever asks for them ends this."""

    notes = True
    past: Past
    ahead: Iterator[Call]
    taken: set[int]
    """Arrays that stand for others already."""
    copies: list[Any]
    """Of the arguments."""
    changed: list[Number]
    """Numbers that are not what they were the last time."""
    refused: WengertError | None
    parent, guarded, derivatives, line, flow = None, False, 0, None, None

    def arguments(self, values: list[Any]) -> list[Tracer]:
        """Start again, at other values of the inputs; their tracers."""
        past = self.past
        self.ahead, self.taken, self.changed, self.refused = iter(past.calls), set(), [], None
        if past.windows is None:
            self.copies = [x if type(x) is float else x.copy() for x in values]
        else:
            self.copies = past.windows
            for window, x in zip(past.windows, values):
                window[()] = x
        return past.inputs

    def arrived(self, results: list[Any]) -> bool:
        """Whether all calls were the same, and have led to the same results."""
        noted = self.past.results
        return length_hint(self.ahead) == 1 and len(results) == len(noted) and all(map(is_, results, noted))

    # --- going on as a plain recorder ------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """For what is not there while following, above all `instructions` and `avals`: from here on it is recorded."""
        if name.startswith("__") or "ahead" not in self.__dict__:
            raise AttributeError(name)
        self._leave(0)
        return getattr(self, name)

    def _leave(self, back: int) -> None:
        """Become a recorder that has recorded the calls so far, without the last one or with it."""
        past = self.past
        n = len(past.calls) - length_hint(self.ahead) - back
        for given in past.given[: past.sizes[n].captured]:
            self.held.freeze(given.array)
            self.held.compare(given.array, given.copy)
        state = past.until(n)
        copies = [float(x) if t.kind is float else x.copy() for t, x in zip(past.inputs, self.copies, strict=True)]
        state["values"] = {**dict(zip(state["inputs"], copies, strict=True)), **dict(state["consts"])}
        state |= {name: value for name, value in vars(self).items() if name not in _OWN}
        changed: Any = self
        changed.__class__ = Recorder
        changed.__dict__ = state

    # --- comparing -------------------------------------------------------------------------------------

    def same(self, was: Any, now: Any) -> bool:
        """Whether an operand, which is not the object that it was the last time, is the same nevertheless."""
        kind = type(was)
        if kind is tuple:
            return type(now) is tuple and self._all_same(was, now)
        if kind is Number:
            return was.value is now or self._is_now(was, now)
        if kind is Given:
            return self._stands_for(was, now)
        if kind is Again:
            was = was.number.value
            return was is now or (type(was) is type(now) and equal(was, now))
        if kind is not type(now) or kind is Tracer:
            return False
        if kind is list:
            return self._all_same(was, now)
        if kind is slice:
            return self._all_same((was.start, was.stop, was.step), (now.start, now.stop, now.step))
        if kind is dict:
            return was.keys() == now.keys() and self._all_same(list(was.values()), [now[k] for k in was])
        return equal(was, now)

    def _all_same(self, was: Sequence[Any], now: Sequence[Any]) -> bool:
        if len(was) != len(now):
            return False
        for a, b in zip(was, now):  # noqa: SIM110 - strict, or all(), costs as much as the comparison
            if a is not b and not self.same(a, b):
                return False
        return True

    def _is_now(self, number: Number, value: Any) -> bool:
        """Let a number be this one from here on."""
        was = number.value
        if type(was) is not type(value):
            return False
        if equal(was, value):
            return True
        if number.fixed or not abs(value) <= FINITE:
            return False
        number.value = value
        self.changed.append(number)
        if number.window is not None:
            number.window[()] = value
        return True

    def _stands_for(self, given: Given, array: Any) -> bool:
        """Let this array stand where another one stood, if it is of the same kind and not known as another one."""
        copy = given.copy
        if copy is not None or type(array) is not np.ndarray:
            return given.array is array and (copy is array or copy.tobytes() == array.tobytes())
        what = given.aval
        if array.dtype is not what.dtype or array.shape != what.shape or id(array) in self.taken:
            return False
        self.taken.add(id(array))
        given.array = array
        if given.window is not None:
            given.window[...] = array
            given.copy = given.window
        elif array.nbytes <= SMALL:
            given.copy = array.copy()
        else:
            given.copy = array
            self.held.freeze(array)
        return True


def _at(where: Where) -> bool:
    """Whether the user is at this line. Equal code in two files is equal, but not the same."""
    now = here()
    return now is not None and now[0] is where[0] and now[1] == where[1]


def _following(door: Callable[..., Any], usual: Any) -> Callable[..., Any]:
    def call(self: Following, what: Any, x: Any, y: Any = usual) -> Any:
        known, x_was, y_was, result, where = next(self.ahead)
        if (
            known is what
            and (x_was is x or self.same(x_was, x))
            and (y_was is y or self.same(y_was, y))
            and (where is None or _at(where))
        ):
            return result
        self._leave(1)
        return door(self, what, x, y)

    return call


for _name, _usual in DOORS.items():
    setattr(Following, _name, _following(getattr(Recorder, _name), _usual))
