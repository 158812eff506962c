"""`njit_value_and_grad`: a derivative that the user's own compiled code calls. Knows no op."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import _jit
from wengert.errors import TapeError, at_user
from wengert.names import argument_names
from wengert.plan.lower import lower
from wengert.plan.packets import Port
from wengert.recorded import RecordedTape, record
from wengert.transform.grad import value_and_grad
from wengert.vm.replay import Workspace

_alive: list[Any] = []
"""Workspaces of functions that were made: machine code that holds their addresses may outlive every Python object."""


def njit_value_and_grad(f: Callable[..., Any], *example_args: Any, argnums: int | Sequence[int] = 0) -> Any:
    """The value and gradient of `f` as a function that Numba's `@njit` code can call.

    `f` is recorded once, at the example arguments. What is returned takes the arguments of `f`, then one array for
    every gradient, writes the gradients there and returns the value: no Python and no allocation in between, so a
    sampler or an optimiser can be one compiled function. It can be called from Python and from many threads, too.

    Parameters
    ----------
    f
        A function of NumPy arrays and numbers that returns one float. Arrays that it captures are read at every call.
    *example_args
        Arrays and numbers: their dtypes and shapes are those of all later calls. Later arguments may have any strides,
        and a gradient may be written over an argument.
    argnums
        Which arguments to differentiate with respect to, as for `grad`. The gradient of a plain number is written
        into an array of shape ().

    Returns
    -------
    callable
        `value = function(*args, *gradients)`, compiled by Numba when it is first called. Code that calls it cannot be
        cached on disk (`cache=True`): it holds addresses of this process, and Numba warns.

    Raises
    ------
    TapeError
        If an argument is a container, or a captured array is not contiguous. From the returned function: if `f` would
        take another branch than with the example arguments, since compiled code cannot record it again; `np.where`
        chooses by values without a branch.
    ValueError, numba.TypingError
        From the returned function: an argument of another shape, or of another type.

    Notes
    -----
    There is a workspace for every processor; a call that finds none free waits for one.

    Examples
    --------
    >>> import numba, numpy as np, wengert
    >>> slope = wengert.njit_value_and_grad(lambda x: np.sum((x - 3.0) ** 2), np.zeros(2))
    >>> @numba.njit
    ... def descend(x, steps):
    ...     x_bar = np.empty_like(x)
    ...     for _ in range(steps):
    ...         slope(x, x_bar)
    ...         x -= 0.1 * x_bar
    ...     return x
    >>> descend(np.zeros(2), 100).round(6).tolist()
    [3.0, 3.0]
    """
    for k, x in enumerate(example_args):
        if not isinstance(x, bool | int | float | np.generic | np.ndarray):
            raise TapeError(
                at_user(
                    f"argument {k} is a {type(x).__name__}, but compiled code passes arrays and numbers. Let it "
                    "have one argument for each array, or take one large array apart inside"
                )
            )
    tape = record(value_and_grad(f, argnums), *example_args)
    for slot, array in tape.captured:
        if not (array.flags.c_contiguous and array.flags.aligned and array.dtype == tape.avals[slot].dtype):
            raise TapeError(at_user(f"a captured array of shape {array.shape} is not contiguous: np.ascontiguousarray"))
    names = argument_names(f, example_args)
    chosen = [argnums] if isinstance(argnums, int) else argnums
    inputs = [
        _param(name, tape, s, isinstance(x, np.ndarray))
        for name, s, x in zip(names, tape.inputs, example_args, strict=True)
    ]
    results = [_param(f"{names[n]}_bar", tape, s, True) for n, s in zip(chosen, tape.outputs[1:], strict=True)]
    return _function(tape, inputs, results)


def _param(name: str, tape: RecordedTape, slot: int, is_array: bool) -> _jit.Param:
    what = tape.avals[slot]
    return _jit.Param(name, what.dtype.str[1:], what.shape if is_array else None)


def _function(tape: RecordedTape, inputs: Sequence[_jit.Param], results: Sequence[_jit.Param]) -> Any:
    program = lower(tape, compile=True)
    rows = os.cpu_count() or 1
    table = np.zeros((rows, _jit.HEAD + len(inputs) + len(results)), dtype=np.int64)
    kept: list[Any] = [table, tape]
    for row in table:
        workspace = Workspace(program)
        for port, const in zip(program.consts, tape.consts, strict=True):
            workspace.bind(port, const.value)
        for port, captured in zip(program.captured, tape.captured, strict=True):
            workspace.point(port, captured.array)
        value, *ports = [_place(workspace, port, kept) for port in (*program.outputs[:1], *program.inputs)]
        ports += [_place(workspace, port, kept) for port in program.outputs[1:]]
        row[1:] = [*workspace.words, value, *ports]
        kept.append(workspace)
    _alive.append(kept)
    value_kind = program.outputs[0].aval.dtype.str[1:]
    return _jit.entry(table.ctypes.data, rows, inputs, results, value_kind, TapeError)


def _place(workspace: Workspace, port: Port, kept: list[Any]) -> int:
    """Where the bytes of an input or output are: in the workspace, or in an array of their own."""
    if port.offset is None:
        own = np.empty(port.aval.shape, port.aval.dtype)
        kept.append(own)
        workspace.point(port, own)
    return int(workspace.addr[port.number])
