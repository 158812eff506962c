"""Where the largest or smallest element of an axis is: integers, so without a derivative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from wengert.errors import ShapeError, at_user
from wengert.ops.spec import Lowering, Op, Params, register
from wengert.shapes import I64, Aval, aval

# | kernel | size | n | out | in | outer | length | inner |      x[outer, length, inner] -> z[outer, inner]
# As in NumPy the first of equal elements wins, and a NaN over everything else.
_SOURCE = """
def kernel(ins, addr, n):
    Z = pi8(addr[ins[3]])
    X = p{kind}(addr[ins[4]])
    length = ins[6]
    inner = ins[7]
    for o in range(ins[5]):
        for i in range(inner):
            at = o * length * inner + i
            best = 0
            top = X[at]
            for r in range(1, length):
                x = X[at + r * inner]
                if top == top and (x {sign} top or x != x):
                    best = r
                    top = x
            Z[o * inner + i] = best
    return 0
"""


@cache
def _kernel(name: str, kind: str) -> tuple[str, str]:
    text = _SOURCE.format(kind="u1" if kind == "b1" else kind, sign=">" if name == "argmax" else "<")
    return text, f"{name}.{kind}"


class ArgExtreme(Op):
    """z = np.argmax or np.argmin of x along an axis. Parameter: the axis."""

    def __init__(self, name: str) -> None:
        self.name = name

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        shape, axis = avals[0].shape, params[0]
        if shape[axis] == 0:
            raise ShapeError(at_user(f"attempt to get {self.name} of an empty sequence: the shape is {shape}"))
        return (aval(I64, shape[:axis] + shape[axis + 1 :]),)

    def check(self, avals: Sequence[Aval], params: Params) -> str:
        return "" if 0 <= params[0] < avals[0].ndim else f"{avals[0]} has no axis {params[0]}"

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return np.asarray(getattr(np, self.name)(operands[0], axis=params[0]))

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        x, axis = plan.aval(ins[0]), params[0]
        source = plan.dense(ins[0])
        plan.allocate(outs[0])
        sizes = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
        plan.packet(*_kernel(self.name, x.dtype.str[1:]), sizes[0] * sizes[2], outs[0], source, *sizes)

    def describe(self, params: Params) -> str:
        return f"axis={params[0]}"


ARGMAX, ARGMIN = register(ArgExtreme("argmax")), register(ArgExtreme("argmin"))
