"""The recordings of one signature as a decision tree over the values that Python saw. Knows no replay and no op.

Two recordings of one function are the same up to the first value that Python saw differently, so they share the
guards up to there. A replay that stops at a guard says which value is there now; that value leads to the recordings
that agree on all guards before it and have that value.

    guard 0 ── True ── guard 1 ── 3 ── recording
            │                  └─ 5 ── recording
            └─ False ─ recording
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple, Protocol

from wengert.errors import Where


class Check(NamedTuple):
    """A guard of a recording."""

    what: Hashable
    """Which guard it is: the same for all recordings that reach it by the same values."""
    value: bytes
    """What Python saw."""
    where: Where | None


class Recording(Protocol):
    """What the tree holds."""

    checks: list[Check]
    missed: list[int]
    """Per guard how often a replay met another value there."""
    path: list[Any]
    used: int


class _Fork:
    """A guard: by the value that is seen there, the next guard or a recording."""

    __slots__ = ("children", "last", "what")

    def __init__(self, what: Hashable) -> None:
        self.what = what
        self.children: dict[bytes, Any] = {}
        self.last = b""
        """The value that was seen last: where it is not known which recording to try, it is the one last used."""


class Branches:
    """All recordings of one signature."""

    __slots__ = ("current", "key", "root")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.root: Any = None
        self.current: Any = None
        """The recording that was used last."""

    def __iter__(self) -> Iterator[Any]:
        return _under(self.root)

    def sibling(self, recording: Any, depth: int, seen: bytes) -> Any:
        """A recording that agrees with this one on the guards before `depth`, and has `seen` there; or None."""
        at = recording.path[depth].children.get(seen)
        while type(at) is _Fork:
            at = at.children.get(at.last)
        return at

    def use(self, recording: Any, depth: int = 0) -> None:
        """Remember that a recording was used; it shares the guards before `depth` with the one before it."""
        path, checks = recording.path, recording.checks
        for k in range(depth, len(path)):
            path[k].last = checks[k].value
        self.current = recording

    def insert(self, recording: Recording) -> list[Any]:
        """Put a recording in its place; those that it supersedes, because the function is not what it was."""
        path: list[_Fork] = []
        gone: list[Any] = []
        at = self.root
        for check in recording.checks:
            if type(at) is not _Fork or at.what != check.what:
                gone += _under(at)
                at = _Fork(check.what)
                self._attach(path, recording, at)
            path.append(at)
            at = at.children.get(check.value)
        gone += _under(at)
        self._attach(path, recording, recording)
        recording.path = path
        self.use(recording)
        return gone

    def _attach(self, path: list[_Fork], recording: Recording, what: Any) -> None:
        if path:
            path[-1].children[recording.checks[len(path) - 1].value] = what
        else:
            self.root = what

    def remove(self, recording: Recording) -> None:
        """Forget a recording, and the guards that only it had."""
        for fork, check in zip(reversed(recording.path), reversed(recording.checks)):
            del fork.children[check.value]
            if fork.children:
                if fork.last == check.value:
                    fork.last = next(iter(fork.children))
                break
        else:
            self.root = None
        if self.current is recording:
            self.current = next(iter(self), None)


def _under(at: Any) -> Iterator[Any]:
    """All recordings below a fork."""
    waiting = [at]
    while waiting:
        found = waiting.pop()
        if type(found) is _Fork:
            waiting += found.children.values()
        elif found is not None:
            yield found
