"""Numbers and names that a recorded function reads from around it: found in its code, compared later. Knows no tape.

A recording reads captured arrays where they lie, at every replay. A captured number is a constant of the recording, and
so is the choice of the array that a name stands for: if one of them changes, replays do not follow. That cannot be
seen from the values, so it is looked for where the function's code says it reads them.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from wengert.errors import PACKAGE

_NUMBERS = (bool, int, float, complex, str, np.generic, np.ndarray)
_MOST_FUNCTIONS = 64
_ABSENT = object()


class _Read:
    """A name, or an attribute of what a name stands for, that a function reads."""

    __slots__ = ("get", "text", "value")

    def __init__(self, text: str, get: Callable[[], Any]) -> None:
        self.text, self.get = text, get
        self.value = get()

    def changed(self) -> bool:
        """Whether it stands for something else now."""
        now, before = self.get(), self.value
        if now is before:
            return False
        if isinstance(now, np.ndarray) or isinstance(before, np.ndarray):
            return True
        same = type(now) is type(before) and bool(now == before)
        if same:  # an equal number: the next comparison is quick again
            self.value = now
        return not same


class Watch:
    """The captured numbers and names of a function, as they were when it was recorded."""

    def __init__(self, f: Any) -> None:
        self.f = f
        self.reads: list[_Read] = []
        self._own: set[str] = set()
        """What the function itself changes while it runs: a counter, a log. Replays are not expected to."""
        self._names: list[tuple[str, Callable[[], Any]]] | None = None

    def before(self) -> list[_Read]:
        """To be called when a recording begins."""
        if self._names is None:
            self._names = list(_reads(self.f))
        return [_Read(text, get) for text, get in self._names if text not in self._own]

    def after(self, reads: list[_Read]) -> None:
        """To be called, with what `before` returned, when the recording has ended."""
        self._own |= {r.text for r in reads if r.changed()}
        self.reads = [r for r in reads if r.text not in self._own and isinstance(r.value, _NUMBERS)]

    def changed(self) -> str:
        """The first name that stands for something else than when the function was recorded; "" if none does."""
        for read in self.reads:
            if read.get() is not read.value and read.changed():
                before, now = (_short(v) for v in (read.value, read.get()))
                return f"{read.text} was {before} then and is {now} now"
        return ""


def _short(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return f"an array {x.dtype}{list(x.shape)}"
    return "deleted" if x is _ABSENT else repr(x)[:40]


# --- what a function reads ---------------------------------------------------------------------------


def _reads(f: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The names by which `f`, and functions that it captures, read numbers and arrays."""
    waiting, seen = [f], set[FunctionType]()
    while waiting and len(seen) < _MOST_FUNCTIONS:
        g = waiting.pop()
        owner = g.__self__ if isinstance(g, MethodType) else None
        g = g.__func__ if isinstance(g, MethodType) else g
        if not isinstance(g, FunctionType):
            waiting += [g.__wrapped__] if hasattr(g, "__wrapped__") else []  # a derivative, a jitted function
            continue
        if g in seen or g.__code__.co_filename.startswith(PACKAGE):
            continue
        seen.add(g)
        for text, get in _names(g, owner):
            found = get()
            if isinstance(found, _NUMBERS):
                yield text, get
            elif isinstance(found, FunctionType | MethodType) or type(found).__module__.startswith("wengert."):
                waiting.append(found)


def _names(g: FunctionType, owner: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every name, and every attribute of one, that the code of a function loads from outside."""
    cells = dict(zip(g.__code__.co_freevars, g.__closure__ or (), strict=True))
    listed = set()
    for root, names in _chains(g.__code__, owner is not None):
        get = _root(g, cells, owner, root)
        if get is None:
            continue
        text = root
        for name in ("", *names):
            if name:
                if not _is_plain(get(), name):
                    break
                get, text = _attribute(get, name), f"{text}.{name}"
            if text not in listed:
                listed.add(text)
                yield text, get


def _root(g: FunctionType, cells: dict[str, Any], owner: Any, name: str) -> Callable[[], Any] | None:
    if name in cells:
        cell = cells[name]
        return lambda: _contents(cell)
    if name in g.__globals__:
        scope = g.__globals__
        return lambda: scope.get(name, _ABSENT)
    return (lambda: owner) if owner is not None and name == g.__code__.co_varnames[0] else None


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _ABSENT


def _is_plain(x: Any, name: str) -> bool:
    """Whether an attribute lies in an object's own dictionary, so that reading it runs no code."""
    return not isinstance(x, type) and name in getattr(x, "__dict__", ()) and not hasattr(x, "__path__")


def _attribute(get: Callable[[], Any], name: str) -> Callable[[], Any]:
    return lambda: getattr(get(), "__dict__", {}).get(name, _ABSENT)


def _chains(code: CodeType, bound: bool) -> Iterator[tuple[str, list[str]]]:
    """`a.b.c` as ("a", ["b", "c"]) for every such load in a function's code and the functions written inside it."""
    inside = set(code.co_freevars)
    first = code.co_varnames[0] if bound and code.co_argcount else ""
    waiting = [code]
    while waiting:
        at = waiting.pop()
        waiting += [c for c in at.co_consts if isinstance(c, CodeType)]
        chain: tuple[str, list[str]] | None = None
        for step in dis.get_instructions(at):
            if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and chain is not None:
                chain[1].append(step.argval)
                continue
            if chain is not None:
                yield chain
            chain = None
            loads_local = step.opname.startswith("LOAD_FAST") and step.argval == first and at is code and first
            loads_cell = step.opname.startswith("LOAD_DEREF") and step.argval in inside
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") or loads_cell or loads_local:
                chain = (step.argval, [])
