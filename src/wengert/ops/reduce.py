"""Reductions over axes: sum, max, min. One driver that calls an in-place elementwise kernel on rows."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from wengert._jit import Scalar
from wengert.errors import ShapeError, at_user
from wengert.ops.loopcode import LANES
from wengert.ops.spec import MIXED, PARTIAL, Lowering, Op, Params, register
from wengert.shapes import BOOL, I64, Aval, aval, pieces, reduced

# | driver | size | n | out | in | outer | length | inner | scratch | pitch |  x[outer, length, inner], z[outer, inner]
# `pitch`: elements from one row of `inner` to the next; more than that where threads share the columns.
_SOURCE = """
def combine(z, x):
    return {wide_step}

def kernel(ins, addr, n):
    Z = p{kind}(addr[ins[3]])
    X = p{kind}(addr[ins[4]])
    length = ins[6]
    inner = ins[7]
    S = p{kind}(addr[ins[8]])
    pitch = ins[9]
    for o in range(ins[5]):
        x0 = o * length * pitch
        if inner > 1:
            for i in range(inner):
                Z[o * inner + i] = {start}
            for r in range(length):
                at = x0 + r * pitch
                for i in range(inner):
                    z = Z[o * inner + i]
                    x = get(X, at + i)
                    put(Z, o * inner + i, {step})
        else:
            total = {wide}({identity})
            for c in range(0, length, {chunk}):
                end = where(c + {chunk} < length, c + {chunk}, length)
                m = where(end - c < {lanes}, end - c, i8({lanes}))
                for i in range(m):
                    S[i] = X[x0 + c + i]
                r = c + m
                while r + {lanes} <= end:
                    for i in range({lanes}):
                        z = S[i]
                        x = get(X, x0 + r + i)
                        put(S, i, {step})
                    r += {lanes}
                for i in range(end - r):
                    z = S[i]
                    x = X[x0 + r + i]
                    S[i] = {step}
{halves}
                total = combine(total, {wide}(S[0]))
            Z[o] = {word}(total)
    return 0
"""

_HALVES = """
while m > 1:
    half = m // 2
    up = m - half
    for i in range(half):
        z = S[i]
        x = S[up + i]
        S[i] = {step}
    m = up
"""
"""Brings the first `m` lanes together in lane 0."""


def pairs(m: int) -> list[tuple[int, int]]:
    """The same for a known number, as single additions: to which lane which is added."""
    found = []
    while m > 1:
        up = m - m // 2
        found += [(i, up + i) for i in range(m // 2)]
        m = up
    return found


_STEPS = {
    "sum": "{}(z + x)",
    "max": "where((z >= x) | (z != z), z, x)",
    "min": "where((z <= x) | (z != z), z, x)",
}
_SHARED = 1 << 17
"""Elements from which threads share the columns of a sum over rows."""
CHUNK = 4096
"""Elements after which the lanes are brought together, which keeps the rounding error of long sums small."""


@cache
def _kernel(name: str, kind: str) -> tuple[str, str]:
    k = "u1" if kind == "b1" else kind
    step = _STEPS[name]
    identity = _identity(name, kind)
    text = _SOURCE.format(
        kind=kind, word=k, wide=wide(k), step=step.format(k), wide_step=step.format(wide(k)), identity=identity,
        start=f"{k}({identity})", lanes=LANES, chunk=CHUNK,
        halves=textwrap.indent(_HALVES.format(step=step.format(k)), " " * 16),
    )  # fmt: skip
    return text, f"{name}.{kind}"


def _identity(name: str, kind: str) -> str:
    if name == "sum":
        return "0"
    if kind[0] == "f":
        return "-inf" if name == "max" else "inf"
    if kind == "b1":
        return "0" if name == "max" else "1"
    info = np.iinfo(kind)
    return str(info.min if name == "max" else info.max)


@cache
def together(kind: str) -> Scalar:
    """What brings lanes together (the address of the first, how many), for loops that sum what they make."""
    text = textwrap.indent(_HALVES.format(step=_STEPS["sum"].format(kind)), "    ")
    return Scalar(f"def scalar(first, m):\n    S = p{kind}(first)\n{text}\n    return S[0]\n", ("i8", "i8"), kind)


_WHOLE = """
def kernel(ins, addr, n):
    P = p{wide}(addr[ins[4]])
    total = {wide}(0)
    for c in range(n):
        total = total + P[c]
    p{kind}(addr[ins[3]])[0] = {kind}(total)
    return 0
"""


def wide(kind: str) -> str:
    """The type in which the sums of a long row's chunks are added up."""
    return "f8" if kind == "f4" else kind


def whole(kind: str) -> tuple[str, str]:
    """The kernel that adds up the sums of a long vector's chunks: | kernel | size | chunks | out | sums |."""
    return _WHOLE.format(kind=kind, wide=wide(kind)), f"sum of chunks.{kind}"


class Reduce(Op):
    """z = sum, max or min of x over some axes. Parameters: keepdims, then the axes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ufunc: Any = {"sum": np.add, "max": np.maximum, "min": np.minimum}[name]

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        x, (keep, *axes) = avals[0], params
        if self.name != "sum" and math.prod(x.shape[a] for a in axes) == 0:
            raise ShapeError(at_user(f"{self.name}: zero-size axis in an array of shape {x.shape} has no value"))
        return (aval(x.dtype, reduced(x.shape, tuple(axes), bool(keep))),)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        x, (keep, *axes) = operands[0], params
        return self.ufunc.reduce(x, axis=tuple(axes), keepdims=bool(keep), dtype=np.asarray(x).dtype)

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        x, (keep, *axes) = operands[0], params
        if not keep:
            z_bar, z = np.expand_dims(z_bar, tuple(axes)), np.expand_dims(z, tuple(axes))
        if self.name == "sum":
            return [np.broadcast_to(z_bar, x.shape)]
        ties = x == z
        share = z_bar / np.sum(ties, axis=tuple(axes), keepdims=True).astype(x.dtype)
        return [np.where(ties, share, np.zeros_like(share))]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        keep, *gone = params
        kept = [k for k in range(avals[0].ndim) if k not in gone]
        axis = axes[0] if axes[0] >= 0 else wanted if keep else kept[wanted]
        if axis in gone:
            return PARTIAL if self.name == "sum" and wanted < 0 else MIXED, (axis,)
        return axis if keep else kept.index(axis), (axis,)

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        x, z = plan.aval(ins[0]), plan.aval(outs[0])
        axes = params[1:]
        source = ins[0]
        kept = [k for k in range(x.ndim) if k not in axes]
        inside = [k for k in range(x.ndim) if x.shape[k] != 1]
        alone = [k for k in inside if k in axes]
        if alone and [k for k in inside if alone[0] <= k <= alone[-1]] != alone:  # axes apart: bring them last
            order = [*kept, *axes]
            strides = plan.strides(source)
            shape = tuple(x.shape[k] for k in order)
            source = plan.part(source, shape, 0, tuple(strides[k] for k in order))
            outer, inner = z.size, 1
        else:
            outer = math.prod(x.shape[: alone[0]]) if alone else x.size
            inner = math.prod(x.shape[alone[-1] + 1 :]) if alone else 1
        length = math.prod(x.shape[k] for k in axes)
        source = plan.dense(source)
        plan.allocate(outs[0])
        scratch = plan.scratch(LANES * x.dtype.itemsize)
        kernel, size = _kernel(self.name, x.dtype.str[1:]), x.dtype.itemsize

        def emit(z: int, x: int, outer: int, columns: int) -> None:
            plan.packet(*kernel, outer * columns, z, x, outer, length, columns, scratch, inner)

        parts = min(plan.threads(), inner // LANES) if outer == 1 and inner > 1 and x.size >= _SHARED else 1
        if parts < 2:
            emit(outs[0], source, outer, inner)
            return
        shares = []
        for first, columns in pieces(inner, parts):
            z_part, x_part = (plan.part(s, (), first * size, ()) for s in (outs[0], source))
            shares.append(partial(emit, z_part, x_part, 1, columns))
        plan.fork(shares)

    def describe(self, params: Params) -> str:
        return f"axes={list(params[1:])}" + (" keepdims" if params[0] else "")


SUM, MAX, MIN = (register(Reduce(name)) for name in ("sum", "max", "min"))


def sum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype NumPy sums in: small integers and bools become 64 bits wide."""
    if dtype == BOOL:
        return I64
    return np.dtype(f"{dtype.kind}8") if dtype.kind in "iu" else dtype
