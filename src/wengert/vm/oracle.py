"""The naive replay: the same loops in plain Python and NumPy, the truth that kernels are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wengert.tape import Tape

Values = dict[int, Any]


def forward(tape: Tape, inputs: Sequence[Any]) -> Values:
    """The value of every slot."""
    values: Values = dict(zip(tape.inputs, map(np.asarray, inputs), strict=True))
    values |= {slot: np.asarray(value) for slot, value in (*tape.consts, *tape.captured)}
    for op, outs, ins, params in tape.instructions:
        found = op.forward([values[s] for s in ins], tape.resolved(op, params))
        values.update(zip(outs, found if op.n_out != 1 else (found,), strict=True))
    return values


def backward(tape: Tape, values: Mapping[int, Any], out_bars: Mapping[int, Any]) -> Values:
    """The adjoint of every slot that `out_bars` (adjoints of outputs) reaches."""
    bars: Values = dict(out_bars)
    for op, outs, ins, params in reversed(tape.instructions):
        if not any(s in bars for s in outs):
            continue
        operands = [values[s] for s in ins]
        if op.n_out == 1:
            given, z = bars[outs[0]], values[outs[0]]
        else:
            given = [bars.get(s, np.zeros_like(values[s])) for s in outs]
            z = [values[s] for s in outs]
        with np.errstate(all="ignore"):
            increments = op.pullback(given, operands, z, tape.resolved(op, params))
        for slot, x, bar in zip(ins, operands, increments, strict=True):
            if bar is not None and np.asarray(x).dtype.kind == "f":
                bar = _unbroadcast(np.asarray(bar), np.shape(x)).astype(x.dtype)
                bars[slot] = bars[slot] + bar if slot in bars else bar
    return bars


def _unbroadcast(x: Any, shape: tuple[int, ...]) -> Any:
    lead = x.ndim - len(shape)
    x = x.sum(axis=tuple(range(lead)))
    axes = tuple(k for k, n in enumerate(shape) if n == 1 and x.shape[k] != 1)
    return x.sum(axis=axes, keepdims=True) if axes else x
