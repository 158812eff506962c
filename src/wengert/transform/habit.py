"""Functions that are differentiated again and again: their last recording, for the next call to follow.

    call   1       2        3 ...                             compiled, when that is worth it
           plain   noted    followed: nothing is recorded     followed

A call that goes another way is recorded as if it were the first, and the next one is noted after some more calls,
twice as many each time. Knows no op and no argument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.hot import calls_until_hot, compile_regions
from wengert.plan.cache import remembered
from wengert.plan.packets import Program
from wengert.plan.passes import passed
from wengert.record.following import Following, Past
from wengert.record.held import SMALL
from wengert.record.noting import Noting, Number
from wengert.record.recorder import Recorder
from wengert.tape import Const, Tape
from wengert.vm.replay import POOLED, Workspace, run_once

_LONGEST = 1024
"""Calls that are recorded, at most, before one is noted again."""
_habits: dict[Any, Habit] = {}


class Followed:
    """A recording to follow, and the program that gives its value and gradient."""

    def __init__(self, past: Past, tape: Tape, program: Program, consts: list[Any]) -> None:
        self.past, self.tape, self.program, self.consts = past, tape, program, consts
        self.calls, self.hot = 0, calls_until_hot(tape)
        self.workspace: Workspace | None = None
        """When compiled: inputs, captured arrays and numbers are copied into it as they come."""

    def replay(self, recorder: Following) -> list[Any]:
        """The results at what the recording has just been given."""
        self.calls += 1
        if recorder.changed:
            self._change(recorder.changed)
        past, workspace = self.past, self.workspace
        if workspace is not None and past.windows is not None:
            if not workspace.large_inputs:
                return workspace.results()
            n, inputs = len(past.inputs), workspace.program.inputs
            alive = [workspace.bind(inputs[k], past.given[k - n].copy) for k in workspace.large_inputs]
            found = workspace.results()
            del alive
            return found
        if self.calls == self.hot:
            compile_regions(self._passed, self._better)
        return run_once(self.program, recorder.copies, self.consts, [given.copy for given in past.given])

    def rest(self) -> None:
        """Wait for the next call."""
        past, workspace = self.past, self.workspace
        past.rest()
        if workspace is not None and past.windows is None:
            if len(workspace.inputs) == len(past.inputs) + len(past.others):
                past.furnish(workspace.inputs)
            else:
                self.workspace = None  # another number has changed meanwhile

    def _change(self, changed: Sequence[Number]) -> None:
        """Numbers have changed, some for the first time: what has been compiled has those as constants."""
        for number in changed:
            self.consts[number.index] = np.array(number.value, self.consts[number.index].dtype)[()]
        if not all(number.varies for number in changed):
            self.past.furnish(None)
            for number in changed:
                number.varies = True
            self.workspace, self.calls = None, 0

    def _passed(self) -> Tape:
        """The tape with the constants that are the same at every call, and all that follows from them.

        Captured arrays and numbers that vary become inputs.
        """
        tape = self.tape
        varying = [number.index for number in self.past.numbers if number.varies]
        known = [Const(c.slot, value) for c, value in zip(tape.consts, self.consts, strict=True)]
        consts = [c for k, c in enumerate(known) if k not in varying]
        inputs = [*tape.inputs, *[c.slot for c in tape.captured], *[known[k].slot for k in varying]]
        done = passed(
            Tape(tape.instructions, tape.avals, inputs, tape.outputs, consts, (), tape.lines, tape.subtapes, tape.name)
        ).tape
        self.left = [c.value for c in done.consts]
        return done

    def _better(self, program: Program) -> None:
        """Go on with another program for the same tape, from the next call on."""
        n = len(self.past.inputs)
        if program.nbytes + sum(p.aval.nbytes for p in program.inputs[:n]) > POOLED:
            return
        workspace = Workspace(program)
        workspace.furnish([k for k in workspace.large_inputs if k < n or program.inputs[k].aval.nbytes <= SMALL])
        for window, value in zip(workspace.consts, self.left, strict=True):
            window[()] = value
        self.workspace = workspace


class Habit:
    """What is known of one function with arguments of one kind."""

    __slots__ = ("pause", "ready", "wait")

    def __init__(self) -> None:
        self.ready: list[Followed] = []
        """One for each thread that has been here at the same time."""
        self.wait = self.pause = 1
        """How many calls to go until one is noted, and how many there were the last time."""

    def next(self) -> Followed | None:
        """A recording to follow."""
        while True:
            try:
                found = self.ready.pop()
            except IndexError:
                return None
            self.wait = self.pause  # until the call is over it may be that it goes another way
            if found.past.alone():
                return found

    def recorder(self, name: str) -> Recorder:
        """What writes down a call that cannot follow."""
        self.wait -= 1
        if self.wait >= 0:
            return Recorder(name=name)
        self.wait = self.pause = min(2 * self.pause, _LONGEST)
        return Noting(name)

    def keep(self, followed: Followed) -> None:
        """A call went the same way as the one before, or can be followed."""
        followed.rest()
        self.ready.append(followed)
        self.wait, self.pause = 0, 1


def habit(f: Callable[..., Any], values: Sequence[Any]) -> Habit:
    """What is known of a function with such arguments. Two may share it: whether calls agree is looked at anyway."""
    key = (id(getattr(f, "__code__", f)), *[float if type(x) is float else (x.dtype, x.shape) for x in values])
    found = _habits.get(key)
    return remembered(_habits, key, Habit) if found is None else found
