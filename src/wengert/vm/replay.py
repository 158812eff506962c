"""Runs a program: binds arrays to a workspace, calls the replay loop, takes the results out. Knows no op."""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from wengert import _jit
from wengert.errors import IndexingError, NegativePowerError, at_user
from wengert.ops.guard import MISSED, VALUE
from wengert.ops.vecmath import NEGATIVE_POWER
from wengert.plan.packets import RUN, Port, Program
from wengert.shapes import ALIGN, Aval

Array = np.ndarray[Any, np.dtype[Any]]
POOLED = 1 << 26
"""Larger workspaces of un-jitted calls are not kept for the next one."""

_MANY = 16
"""Views from which NumPy sets their addresses faster than Python."""

# ctypes converts every argument, so Python passes one: | replay loop | code | address table | words |
_ENTER = """
def kernel(ins, addr, n):
    return call(ins[0], pi8(ins[1]), pi8(ins[2]), ins[3])
"""


@cache
def _enter() -> Any:
    """The replay as something Python can call; it releases the GIL."""
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(_jit.address(_ENTER, "enter"))


STOPPED = (IndexingError, NegativePowerError)
"""What a replay raises at a value that a kernel refuses; it names the line that the tape has."""


class GuardMissed(Exception):
    """The replay reached a value that differs from the recorded one.

    Its arguments are the position of the guard among the tape's instructions, and the bytes of the value there.
    """


def _address(array: Array) -> int:
    if array.flags.carray and array.size:  # a quarter of the time of the general way
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    return int(array.__array_interface__["data"][0])


def _aligned(what: Aval) -> Array:
    memory = np.empty(what.nbytes + ALIGN, dtype=np.uint8)
    return np.ndarray(what.shape, what.dtype, memory.data, -_address(memory) % ALIGN)


class Workspace:
    """Memory and address table of one program for one thread."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.memory = np.empty(program.nbytes + ALIGN, dtype=np.uint8)
        start = _address(self.memory)
        self.base = -start % ALIGN
        self.addr = program.addresses + (start + self.base)
        self.addr[0] = 0
        self.inputs: list[Any] = [self._window(p) for p in program.inputs]
        self.large_inputs = [k for k, w in enumerate(self.inputs) if w is None]
        self.consts: list[Any] = [self._window(p) for p in program.consts]
        self.captured: list[Any] = [self._window(p) for p in program.captured]
        windows = [self._window(p) for p in program.outputs]
        self.large_outputs = [(k, program.outputs[k]) for k, w in enumerate(windows) if w is None]
        self.takers = [_taker(w) for w in windows]
        self.words = np.array(
            [_jit.address(RUN, "replay"), _address(program.code), _address(self.addr), len(program.code)]
        )
        self.call = ctypes.c_void_p(_address(self.words))
        self.enter = _enter()
        self.guards: dict[int, tuple[int, int, int]] = {}
        """What is known of guards that have missed."""

    def _window(self, port: Port) -> Array | None:
        """The port's bytes in the workspace as an array; None if they lie elsewhere."""
        if port.offset is None:
            return None
        return np.ndarray(port.aval.shape, port.aval.dtype, self.memory.data, self.base + port.offset, port.strides)

    def bind(self, port: Port, array: Any) -> Any:
        """Put a source in place; what is returned must be kept alive while the program runs."""
        window = self._window(port)
        if window is not None:
            window[...] = array
            return None
        direct = np.ascontiguousarray(array, dtype=port.aval.dtype)
        if not direct.flags.aligned:
            direct = direct.copy()
        self.point(port, direct)
        return direct

    def capture(self, arrays: Sequence[Any]) -> list[Any]:
        """Put captured arrays in place; what is returned must be kept alive while the program runs."""
        alive = []
        for port, window, array in zip(self.program.captured, self.captured, arrays, strict=True):
            if window is None:
                alive.append(self.bind(port, array))
            else:
                window[...] = array
        return alive

    def point(self, port: Port, array: Array) -> None:
        """Let a slot lie where an array lies, and its views with it."""
        base = _address(array)
        self.addr[port.number] = base
        if len(port.moves) > _MANY:
            numbers, offsets = port.moved
            self.addr[numbers] = base + offsets
            return
        for number, offset in port.moves:
            self.addr[number] = base + offset

    def replay(self, inputs: Sequence[Any]) -> list[Any]:
        """Bind the inputs, run, and return the results as fresh arrays (NumPy scalars where 0-d)."""
        if self.large_inputs or self.large_outputs:
            return self._replay_large(inputs)
        windows, takers = self.inputs, self.takers
        if len(windows) == 1:
            windows[0][()] = inputs[0]
        else:
            for window, x in zip(windows, inputs):  # strict=True would cost as much as an input
                window[()] = x
        status = self.enter(self.call)
        if status:
            raise self._fault(status)
        return [takers[0]()] if len(takers) == 1 else [take() for take in takers]

    def _replay_large(self, inputs: Sequence[Any]) -> list[Any]:
        """The same where some arrays are used where they lie."""
        alive = []
        for k, window in enumerate(self.inputs):
            if window is None:
                alive.append(self.bind(self.program.inputs[k], inputs[k]))
            else:
                window[()] = inputs[k]
        found = self.results()
        del alive
        return found

    def results(self) -> list[Any]:
        """Run with what the inputs' windows hold, and return the results."""
        large = []
        for k, port in self.large_outputs:
            array = np.empty(port.aval.shape, port.aval.dtype)
            self.point(port, array)
            large.append((k, array))
        status = self.enter(self.call)
        if status:
            raise self._fault(status)
        found = [take() for take in self.takers]
        for k, array in large:
            found[k] = array
        return found

    def furnish(self, large: Sequence[int]) -> None:
        """Give some large inputs memory of their own, so that they have a window to be copied into."""
        for k in large:
            port = self.program.inputs[k]
            self.inputs[k] = _aligned(port.aval)
            self.point(port, self.inputs[k])
        self.large_inputs = [k for k in self.large_inputs if k not in large]

    def _fault(self, status: int) -> Exception:
        word = (int(self.addr[0]) - int(self.words[1])) // 8
        self.addr[0] = 0
        if status == MISSED:
            at, slot, nbytes = self.guards.get(word) or self._guard(word)
            return GuardMissed(at, ctypes.string_at(int(self.addr[slot]), nbytes))
        tape, at = self._origin(word)
        if status == NEGATIVE_POWER:
            text = f"Integers to negative integer powers are not allowed; use floats: {tape.line(at)}"
            return NegativePowerError(at_user(text, tape.lines[at]))
        text = f"an index is out of bounds for its axis: {tape.line(at)}"
        return IndexingError(at_user(text, tape.lines[at]))

    def _origin(self, word: int) -> tuple[Any, int]:
        """The tape and the instruction that the packet at a word of the code comes from."""
        words, tapes, spots = self.program.origin
        k = max(bisect_right(words, word) - 1, 0)
        return tapes[k], spots[k]

    def _guard(self, word: int) -> tuple[int, int, int]:
        """The instruction of a guard, the slot of the value that it looks at, and how many bytes that is."""
        tape, at = self._origin(word)
        value = tape.instructions[at][2][0]
        self.guards[word] = found = (at, int(self.program.code[word + VALUE]), tape.avals[value].nbytes)
        return found


def _nothing() -> None:
    """What is taken of a result that lies outside."""


def _taker(window: Array | None) -> Any:
    """What copies a result out of the workspace."""
    if window is None:
        return _nothing
    return window.copy if window.ndim else partial(window.__getitem__, ())


def run_once(program: Program, inputs: Sequence[Any], consts: Sequence[Any], captured: Sequence[Any]) -> list[Any]:
    """Bind everything, replay, return the results. Any thread; a workspace is taken and given back."""
    try:
        workspace = program.pool.pop()
    except IndexError:
        workspace = Workspace(program)
    try:
        for window, value in zip(workspace.consts, consts, strict=True):
            window[()] = value
        alive = workspace.capture(captured) if captured else None
        found: list[Any] = workspace.replay(inputs)
        del alive
        return found
    finally:
        if program.nbytes <= POOLED:
            program.pool.append(workspace)
