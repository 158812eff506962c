"""The same calls again: a recording that does what the last one did makes nothing anew. Knows no program.

A function that is recorded at every call mostly makes the same calls every time. `Noting` writes down what each
call was given and what came of it:

    call      | what | first operand | second operand | result | line, if a replay could stop there
    sin(x)    | sin  | x             | True           | a      |
    a * W     | mul  | a             | (array 0)      | b      |

`Following` is that recording once more, at other values: a call that agrees with the one that is noted gives the
result that is noted, by comparing objects. At the first that does not (or at anything else that would be recorded)
it becomes a plain recorder that has got as far as here, see `Following.__getattr__`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import is_, length_hint
from sys import getrefcount
from typing import Any, NamedTuple

import numpy as np

from wengert.errors import Where, here
from wengert.record.held import SMALL, Held
from wengert.record.recorder import Missing, Recorder
from wengert.record.tracer import Tracer
from wengert.shapes import Aval
from wengert.tape import Captured

Array = np.ndarray[Any, Any]
Call = tuple[Any, Any, Any, Any, Where | None]
_END: Call = (Recorder, None, None, None, None)
"""Agrees with no call."""
_MOST = 20_000
"""Calls from which a recording is not kept."""
_PLAIN = (int, float, bool, str, type(None), type(Ellipsis), type, np.dtype, np.generic)
"""Operands that are compared by value."""
_NOTHING = Held()
_ALONE = next(map(getrefcount, [object()]))
"""What `getrefcount` says, called by `map`, of an object that only the list holds."""


class Given:
    """An array of the user's among the operands: another one each time, of the same dtype and shape."""

    __slots__ = ("array", "aval", "copy", "slot", "window")

    def __init__(self, slot: int, what: Aval) -> None:
        self.slot, self.aval = slot, what
        self.array: Array | None = None
        """What stands here this time."""
        self.copy: Any = None
        """What it was when it was used; the array itself if it is large, which nobody may write to for now."""
        self.window: Array | None = None
        """Where the copy is to be."""


class _Unknown(Exception):
    """An operand that cannot be compared with another one."""


class _Sizes(NamedTuple):
    """How much a recorder had written."""

    instructions: int
    avals: int
    consts: int
    captured: int


class Noting(Recorder):
    """A recorder that notes the calls, so that the next recording can follow."""

    notes = True

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.calls: list[Call] = []
        self.sizes: list[_Sizes] = []
        """How much there was after the inputs, and after each call."""
        self.traced: list[Tracer] = []
        """The inputs."""
        self.given: dict[int, Given] = {}
        """By slot."""
        self.complete = True
        self._operands: set[int] = set()
        """Arrays that the call has captured, or captured again: those that it only looked at are not among them."""

    def arguments(self, values: list[Any]) -> list[Tracer]:
        self.traced = super().arguments(values)
        self.sizes = [self._size()]
        return self.traced

    def _size(self) -> _Sizes:
        return _Sizes(len(self.instructions), len(self.avals), len(self.consts), len(self.captured))

    def capture(self, array: Array) -> int:
        self._operands.add(id(array))
        return super().capture(array)

    def refuse_views(self, tracer: Tracer) -> None:
        self.complete = False  # the tracer will stand for another slot
        super().refuse_views(tracer)

    def noted(self, door: Callable[[Recorder, Any, Any, Any], Any], what: Any, x: Any, y: Any) -> Any:
        """Make a call; unless it is one within another, write it down."""
        if self.line is not None or not self.complete:
            return door(self, what, x, y)
        self._operands.clear()
        before = self._size()
        self.line = here()
        try:
            result = door(self, what, x, y)
            self._note(before, what, x, y, result)
        finally:
            self.line = None
        return result

    def _note(self, before: _Sizes, what: Any, x: Any, y: Any, result: Any) -> None:
        after = self._size()
        try:
            call = (what, self._kept(x), self._kept(y), self._kept(result))
        except _Unknown:
            self.complete = False
            return
        stops = any(op.stops for op, *_ in self.instructions[before.instructions :])
        # What was recorded in between is not known; an array that was captured must be one of the operands.
        fresh = [c.slot in self.given for c in self.captured[before.captured :]]
        self.complete = before == self.sizes[-1] and all(fresh) and len(self.calls) < _MOST and type(result) is not list
        self.calls.append((*call, self.line if stops else None))
        self.sizes.append(after)

    def _kept(self, x: Any) -> Any:
        """An operand as it is noted."""
        kind = type(x)
        if kind is Tracer:
            if x.recorder is not self:
                raise _Unknown
        elif kind is np.ndarray:
            if id(x) not in self._operands or not x.ndim:
                raise _Unknown
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

    def past(self, results: list[Any]) -> Past | None:
        """What led to these results, to be followed; None if it cannot be."""
        if not self.complete or self.evaluated or self._size() != self.sizes[-1]:
            return None
        if not all(type(x) is Tracer and x.recorder is self for x in results):
            return None
        return Past(self, results)


class Past:
    """What has been recorded, and the calls that led to it."""

    def __init__(self, recorder: Noting, results: list[Any]) -> None:
        self.recorder = recorder
        state = recorder.__dict__
        own = Recorder().__dict__
        self.state = {k: v.copy() if isinstance(v, list | dict | set) else v for k, v in state.items() if k in own}
        self.state |= {"values": {}, "captured": [], "_capture_slots": {}}  # the user's arrays are not kept
        self.given = [recorder.given[c.slot] for c in recorder.captured]
        self.calls, self.sizes = [*recorder.calls, _END], recorder.sizes
        self.inputs = recorder.traced
        self.results = results
        self.windows: list[Array] | None = None
        """Where the inputs are to be copied to."""
        self.tracers = list({id(t): t for t in _tracers([self.calls, self.inputs, results])}.values())
        held: dict[int, int] = {}
        for t in _tracers([self.calls, self.inputs, results]):
            held[id(t)] = held.get(id(t), 0) + 1
        self.held = [_ALONE + held[id(t)] for t in self.tracers]

    def rest(self) -> None:
        """Let the recorder wait for the next time, and let go of everything that belonged to this one."""
        for given in self.given:
            given.array = given.copy = None
        waiting: Any = self.recorder
        waiting.__class__ = Following
        waiting.__dict__ = {"past": self, "held": _NOTHING}

    def furnish(self, windows: list[Array]) -> None:
        """Let inputs and captured arrays be copied to these places."""
        n = len(self.inputs)
        self.windows = windows[:n]
        for given, window in zip(self.given, windows[n:], strict=True):
            given.window = window

    def arrays(self) -> list[Any]:
        """What stands for captured arrays this time."""
        return [given.copy for given in self.given]

    def alone(self) -> bool:
        """Whether nobody else holds one of the tracers: what is left over from the last recording must not pass here."""
        return list(map(getrefcount, self.tracers)) == self.held

    def until(self, n: int, values: list[Any]) -> dict[str, Any]:
        """The state of the recorder when it had got through n calls, this time."""
        size, state = self.sizes[n], dict(self.state)
        for name in ("instructions", "lines"):
            state[name] = state[name][: size.instructions]
        for name in ("avals", "consts"):
            state[name] = state[name][: getattr(size, name)]
        for name in ("_items", "_const_slots"):
            state[name] = {k: slot for k, slot in state[name].items() if slot < size.avals}
        state["finite"] = {slot for slot in state["finite"] if slot < size.avals}
        state["infinite"] = [slot for slot in state["infinite"] if slot < size.avals]
        given = self.given[: size.captured]
        state["captured"] = [Captured(g.slot, g.array) for g in given]
        state["_capture_slots"] = {id(g.array): g.slot for g in given}
        state["values"] = {**dict(zip(state["inputs"], values, strict=True)), **dict(state["consts"])}
        return state


def _tracers(x: Any) -> Iterator[Tracer]:
    if type(x) is Tracer:
        yield x
    elif isinstance(x, list | tuple):
        for part in x:
            yield from _tracers(part)
    elif isinstance(x, dict):
        yield from _tracers([*x.values()])


class Following(Recorder):
    """A recording that is gone through once more. It has no instructions: whoever asks for them ends this."""

    notes = True
    past: Past
    ahead: Iterator[Call]
    taken: set[int]
    """Arrays that stand for others already."""
    values_given: list[Any]
    """Copies of the arguments."""
    parent, guarded, derivatives, line, flow, refused = None, False, 0, None, None, None

    def arguments(self, values: list[Any]) -> list[Tracer]:
        """Start again, at other values of the inputs; their tracers."""
        past = self.past
        self.ahead, self.taken = iter(past.calls), set()
        if past.windows is None:
            self.values_given = [x if type(x) is float else x.copy() for x in values]
        else:
            self.values_given = past.windows
            for window, x in zip(past.windows, values):
                window[()] = x
        return past.inputs

    def _hold(self, array: Array, before: Array | None = None) -> None:
        if self.held is _NOTHING:
            self.held = Held()
        self.held.hold(array, before)

    def arrived(self, results: list[Any]) -> bool:
        """Whether all calls were the same, and have led to the same results."""
        past = self.past
        return (
            length_hint(self.ahead) == 1
            and len(results) == len(past.results)
            and all(map(is_, results, past.results))
        )

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
            self._hold(given.array, given.copy)
        state = past.until(n, [x if type(x) is float else x.copy() for x in self.values_given])
        state |= {name: getattr(self, name) for name in ("derivatives", "line", "refused")}
        state["held"] = Held() if self.held is _NOTHING else self.held
        changed: Any = self
        changed.__class__ = Recorder
        changed.__dict__ = state

    def same(self, was: Any, now: Any) -> bool:
        """Whether an operand is what it was the last time."""
        if was is now:
            return True
        kind = type(was)
        if kind is Given:
            return self._stands_for(was, now)
        if kind is not type(now) or kind is Tracer:
            return False
        if kind is slice:
            was, now = (was.start, was.stop, was.step), (now.start, now.stop, now.step)
        elif kind is dict:
            if was.keys() != now.keys():
                return False
            was, now = was.values(), [now[k] for k in was]
        elif kind is not tuple and kind is not list:
            return bool(was == now) and (bool(was) or str(was) == str(now))  # -0.0 is not 0.0
        if len(was) != len(now):
            return False
        for a, b in zip(was, now):
            if a is not b and not self.same(a, b):
                return False
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
            self._hold(array)
        return True


def _noting(door: Callable[..., Any], usual: Any) -> Callable[..., Any]:
    def call(self: Noting, what: Any, x: Any, y: Any = usual) -> Any:
        return self.noted(door, what, x, y)

    return call


def _following(door: Callable[..., Any], usual: Any) -> Callable[..., Any]:
    def call(self: Following, what: Any, x: Any, y: Any = usual) -> Any:
        known, x_was, y_was, result, where = next(self.ahead)
        if (
            known is what
            and (x_was is x or self.same(x_was, x))
            and (y_was is y or self.same(y_was, y))
            and (where is None or where == here())
        ):
            return result
        self._leave(1)
        return door(self, what, x, y)

    return call


# The doors by which calls come in, and their last argument where it may be left out.
for _name, _usual in {"pair": None, "single": True, "bind": (), "direct": None, "called": Missing, "applied": {}}.items():
    setattr(Noting, _name, _noting(getattr(Recorder, _name), _usual))
    setattr(Following, _name, _following(getattr(Recorder, _name), _usual))
