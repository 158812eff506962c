"""Runs a program: binds arrays to a workspace, calls the replay loop, takes the results out. Knows no op."""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from wengert import _jit
from wengert.errors import IndexingError, at_user
from wengert.ops.guard import MISSED
from wengert.plan.packets import ALIGN, RUN, Port, Program

Array = np.ndarray[Any, np.dtype[Any]]
_KERNEL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)


@lru_cache(maxsize=1)
def _run() -> Any:
    """The replay loop as something Python can call; it releases the GIL."""
    return _KERNEL(_jit.address(RUN, "replay"))


class GuardMissed(Exception):
    """The replay reached a value that differs from the recorded one; carries the position in the code."""


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


class Workspace:
    """Memory and address table of one program for one thread."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.memory = np.empty(program.nbytes + ALIGN, dtype=np.uint8)
        start = _address(self.memory)
        self.base = -start % ALIGN
        self.addr = program.addresses + (start + self.base)
        self.addr[0] = 0
        self.inputs = [self._window(p) for p in program.inputs]
        self.outputs = [self._window(p) for p in program.outputs]
        self.elsewhere = [(k, program.outputs[k]) for k, w in enumerate(self.outputs) if w is None]
        self.call = (_address(program.code), _address(self.addr), len(program.code))

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
        self.point(port, direct)
        return direct

    def point(self, port: Port, array: Array) -> None:
        """Let a slot lie where an array lies, and its views with it."""
        base = _address(array)
        self.addr[port.number] = base
        for number, offset in port.moves:
            self.addr[number] = base + offset

    def replay(self, inputs: Sequence[Any]) -> list[Any]:
        """Bind the inputs, run, and return the results as fresh arrays (NumPy scalars where 0-d)."""
        alive = None
        for k, window in enumerate(self.inputs):
            if window is not None:
                window[...] = inputs[k]
            else:
                alive = (alive, self.bind(self.program.inputs[k], inputs[k]))
        large: dict[int, Array] = {}
        for k, port in self.elsewhere:
            large[k] = np.empty(port.aval.shape, port.aval.dtype)
            self.point(port, large[k])
        code, addr, words = self.call
        status = _run()(code, addr, words)
        if status:
            raise self._fault(status)
        return [large[k] if w is None else w.copy() if w.ndim else w[()] for k, w in enumerate(self.outputs)]

    def _fault(self, status: int) -> Exception:
        word = (int(self.addr[0]) - self.call[0]) // 8
        self.addr[0] = 0
        if status == MISSED:
            return GuardMissed(word)
        starts = [o[0] for o in self.program.origin]
        _, name, where = self.program.origin[max(bisect_right(starts, word) - 1, 0)]
        return IndexingError(at_user(f"{name}: an index is out of bounds for its axis", where))


def run_once(program: Program, inputs: Sequence[Any], consts: Sequence[Any], captured: Sequence[Any]) -> list[Any]:
    """Bind everything, replay, return the results. Any thread; a workspace is taken and given back."""
    try:
        workspace = program.pool.pop()
    except IndexError:
        workspace = Workspace(program)
    try:
        for port, value in zip(program.consts, consts, strict=True):
            workspace.bind(port, value)
        alive = [workspace.bind(p, v) for p, v in zip(program.captured, captured, strict=True)]
        found: list[Any] = workspace.replay(inputs)
        del alive
        return found
    finally:
        program.pool.append(workspace)
