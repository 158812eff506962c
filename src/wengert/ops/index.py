"""Indexing: slices as views, integer arrays as gathers, and their transposes, sums in place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from wengert.ops.elementwise import ACC
from wengert.ops.spec import MIXED, WHOLE, Lowering, Op, Params, bind, register
from wengert.ops.strided import elementwise
from wengert.shapes import I64, Aval, Shape, aval

# A basic index is four integers an item:
#     | TAKE  | position | -    | -     |   an integer: the axis is dropped
#     | SLICE | start    | step | count |   a slice, with the start already normalised
#     | NEW   | -        | -    | -     |   a new axis of length 1
TAKE, SLICE, NEW = 0, 1, 2
_OVERLAPPING = 3
"""Slices that overlap: cutting more of them into segments takes too many instructions."""


def items(params: Params) -> list[Params]:
    """The items of a basic index."""
    return [params[k : k + 4] for k in range(0, len(params), 4)]


def view_of(shape: Shape, strides: Shape, params: Params) -> tuple[Shape, int, Shape]:
    """Shape, byte offset and byte strides of what a basic index selects."""
    if len(params) == 4 and params[0] == TAKE:
        return (), params[1] * strides[0], ()
    out: list[int] = []
    steps: list[int] = []
    axis = offset = 0
    for kind, start, step, count in items(params):
        if kind == NEW:
            out.append(1)
            steps.append(0)
            continue
        offset += start * strides[axis]
        if kind == SLICE:
            out.append(count)
            steps.append(step * strides[axis])
        axis += 1
    return tuple(out), offset, tuple(steps)


def moved_axis(params: Params, axis: int, rows: int, into: bool) -> int:
    """Where an axis of x is in x[...] (or, with `into` false, the other way), if all of it is taken."""
    here = there = 0
    for kind, start, step, count in items(params):
        if (here if into else there) == axis and kind != (NEW if into else TAKE):
            whole = kind == SLICE and start == 0 and step == 1 and count == rows
            return (there if into else here) if whole else MIXED
        here += kind != NEW
        there += kind != TAKE
    return MIXED


def resized_slice(params: Params, axis: int, rows: int, of_result: bool) -> Params:
    """The index with another count where it takes the whole of an axis of x (or of x[...])."""
    found: list[int] = []
    at = 0
    for kind, start, step, count in items(params):
        counts = kind != (TAKE if of_result else NEW)
        found += (kind, start, step, rows if counts and at == axis else count)
        at += counts
    return tuple(found)


class Segment(NamedTuple):
    """A stretch of an axis, and the slices that take it."""

    start: int
    stop: int
    parts: tuple[int, ...]


def segments(shape: Shape, parts: Sequence[Params]) -> tuple[int, list[Segment]] | None:
    """The axis along which some slices are cut, and that axis cut wherever one of them begins or ends.

    None where they are cut along several axes, have steps, are all of x, or are so many that overlap that adding them
    up one after another is less work.
    """
    fits = [p for p in parts if len(p) == 4 * len(shape)]
    cut = [[k for k, item in enumerate(items(p)) if item != (SLICE, 0, 1, shape[k])] for p in fits]
    axes = {a for axis in cut for a in axis}
    if len(cut) < len(parts) or len(axes) != 1 or any(len(axis) != 1 for axis in cut):
        return None
    axis = axes.pop()
    taken = [p[4 * axis : 4 * axis + 4] for p in parts]
    if any(kind != SLICE or step != 1 or count == 0 for kind, _, step, count in taken):
        return None
    spans = [(start, start + count) for _, start, _, count in taken]
    begins: dict[int, list[int]] = {}
    for k, (start, _) in enumerate(spans):
        begins.setdefault(start, []).append(k)
    found: list[Segment] = []
    open_parts: list[int] = []
    for low, high in pairwise(sorted({0, shape[axis], *(edge for span in spans for edge in span)})):
        open_parts = sorted([k for k in open_parts if spans[k][1] > low] + begins.get(low, []))
        if len(open_parts) > 1 and len(parts) > _OVERLAPPING:
            return None
        found.append(Segment(low, high, tuple(open_parts)))
    return axis, found


def singles(shape: Shape, parts: Sequence[Params]) -> list[int] | None:
    """Per element of a vector the place among the parts that takes it, -1 for none.

    None where parts are no single elements, one of them is taken twice, or most are not taken."""
    if len(shape) != 1 or 2 * len(parts) < shape[0] or any(len(p) != 4 or p[0] != TAKE for p in parts):
        return None
    places = [-1] * shape[0]
    for k, params in enumerate(parts):
        if places[params[1]] >= 0:
            return None
        places[params[1]] = k
    return places


def numpy_index(params: Params) -> tuple[Any, ...]:
    """The same index as NumPy takes it."""
    found: list[Any] = []
    for kind, start, step, count in items(params):
        if kind == NEW:
            found.append(None)
        elif kind == TAKE:
            found.append(start)
        else:
            stop = start + step * count
            found.append(slice(start, stop if stop >= 0 else None, step) if count else slice(0, 0))
    return tuple(found)


class Index(Op):
    """A basic index: z = x[...] with integers, slices and new axes."""

    name = "index"

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        shape, _, _ = view_of(avals[0].shape, (0,) * avals[0].ndim, params)
        return (aval(avals[0].dtype, shape),)

    def check(self, avals: Sequence[Aval], params: Params) -> str:
        return _out_of_range(avals[0].shape, params)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return operands[0][numpy_index(params)]

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [bind(INDEX_ADD, (np.zeros_like(operands[0]), z_bar), params)]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        if axes[0] >= 0:
            return moved_axis(params, axes[0], rows, True), axes
        other = moved_axis(params, wanted, rows, False)
        return wanted if other >= 0 else MIXED, (other,)

    def resized(self, params: Params, axis: int, rows: int) -> Params:
        return resized_slice(params, axis, rows, True)

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        _, offset, strides = view_of(plan.aval(ins[0]).shape, plan.strides(ins[0]), params)
        plan.alias(outs[0], ins[0], offset, strides)

    def describe(self, params: Params) -> str:
        return describe_index(params)


def _out_of_range(shape: Shape, params: Params) -> str:
    picks = [item for item in items(params) if item[0] != NEW]
    if len(picks) != len(shape):
        return f"{len(picks)} axes are indexed of {len(shape)}"
    for n, (kind, start, step, count) in zip(shape, picks, strict=True):
        last = start + step * (count - 1) if kind == SLICE else start
        if not (kind == SLICE and count == 0) and not (0 <= start < n and 0 <= last < n):
            return f"index out of range for an axis of length {n}"
    return ""


def describe_index(params: Params) -> str:
    """A basic index as Python writes it."""
    words = []
    for item in numpy_index(params):
        if isinstance(item, slice):
            start, stop = item.start or "", "" if item.stop is None else item.stop
            words.append(f"{start}:{stop}" + (f":{item.step}" if item.step not in (1, None) else ""))
        else:
            words.append("newaxis" if item is None else str(item))
    return f"[{', '.join(words)}]"


class IndexAdd(Op):
    """The transpose of `Index`: acc with u added to acc[...]; may overwrite acc."""

    name = "index_add"
    n_in = 2

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return (avals[0],)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        out = np.array(operands[0])
        out[numpy_index(params)] += operands[1]
        return out

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [z_bar, z_bar[numpy_index(params)]]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        axis = max(axes[0], wanted)
        if axis < 0:
            axis = moved_axis(params, axes[1], rows, False)
        part = moved_axis(params, axis, rows, True) if axis >= 0 else MIXED
        return axis if part >= 0 else MIXED, (axis, part)

    def resized(self, params: Params, axis: int, rows: int) -> Params:
        return resized_slice(params, axis, rows, False)

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        u = plan.aval(ins[1])
        plan.take_over(outs[0], ins[0], ins[1:])
        shape, offset, strides = view_of(plan.aval(ins[0]).shape, plan.strides(outs[0]), params)
        target = plan.part(outs[0], shape, offset, strides)
        if u.size == 1:
            plan.packet(*ACC.kernel((u, u), u), 1, target, ins[1])
        else:
            elementwise(plan, ACC.kernel((u, u), u), target, ins[1:])

    def describe(self, params: Params) -> str:
        return describe_index(params)


# | kernel | size | n | out | x | idx | before | length | count | after |
# x[before, length, after], idx[count], out[before, count, after]. Status 1: an index is out of range.
_GATHER = """
def kernel(ins, addr, n):
    Z = p{kind}(addr[ins[3]])
    X = p{kind}(addr[ins[4]])
    I = pi8(addr[ins[5]])
    length = ins[7]
    count = ins[8]
    after = ins[9]
    for k in range(count):
        if I[k] >= length or I[k] < -length:
            return 1
    for b in range(ins[6]):
        for k in range(count):
            j = I[k]
            x0 = (b * length + (j + length if j < 0 else j)) * after
            z0 = (b * count + k) * after
            for i in range(after):
                {body}
    return 0
"""
_BODIES = {"gather": "put(Z, z0 + i, get(X, x0 + i))", "scatter_add": "X[x0 + i] += Z[z0 + i]"}


@cache
def _kernel(name: str, kind: str) -> tuple[str, str]:
    return _GATHER.format(kind=kind, body=_BODIES[name]), f"{name}.{kind}"


def _lower_gather(plan: Lowering, name: str, z: int, x: int, idx: int, axis: int) -> None:
    shape = plan.aval(x).shape
    before = int(np.prod(shape[:axis], dtype=np.int64))
    after = int(np.prod(shape[axis + 1 :], dtype=np.int64))
    numbers = (z, x, idx)
    count = plan.aval(idx).size
    kernel = _kernel(name, plan.aval(x).dtype.str[1:])
    plan.packet(*kernel, plan.aval(z).size, *numbers, before, shape[axis], count, after)


class Gather(Op):
    """z = np.take(x, idx, axis). Parameter: the axis."""

    name = "gather"
    stops = True
    n_in = 2

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        x, idx = avals
        return (aval(x.dtype, x.shape[: params[0]] + idx.shape + x.shape[params[0] + 1 :]),)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return np.take(operands[0], operands[1], axis=params[0])

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [bind(SCATTER_ADD, (np.zeros_like(operands[0]), operands[1], z_bar), params), None]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        axis = axes[1] + params[0] if axes[1] >= 0 else wanted
        inside = params[0] <= axis < params[0] + avals[1].ndim
        return axis if axes[0] < 0 and inside else MIXED, (WHOLE, axis - params[0])

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        x, idx = (plan.dense(s) for s in ins)
        plan.allocate(outs[0])
        _lower_gather(plan, self.name, outs[0], x, idx, params[0])

    def describe(self, params: Params) -> str:
        return f"axis={params[0]}"


class ScatterAdd(Op):
    """The transpose of `Gather`: acc with u[..., k, ...] added at idx[k], repeats summed; may overwrite acc."""

    name = "scatter_add"
    n_in = 3

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return (avals[0],)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        acc, idx, u = operands
        out = np.array(acc)
        np.add.at(out, (slice(None),) * params[0] + (idx,), u)
        return out

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [z_bar, None, bind(GATHER, (z_bar, operands[1]), params)]

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        idx, u = plan.dense(ins[1]), plan.dense(ins[2])
        plan.take_over(outs[0], ins[0], (idx, u))
        _lower_gather(plan, self.name, u, outs[0], idx, params[0])

    def describe(self, params: Params) -> str:
        return f"axis={params[0]}"


class WrapIndex(Op):
    """Indices counted from the front, checked against a length. Parameter: the length."""

    name = "wrap_index"
    stops = True

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return (aval(I64, avals[0].shape),)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        idx, n = np.asarray(operands[0]), params[0]
        if np.any((idx >= n) | (idx < -n)):
            raise IndexError(f"index out of bounds for an axis of length {n}")
        return np.where(idx < 0, idx + n, idx)

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        idx = plan.dense(ins[0])
        plan.allocate(outs[0])
        count = plan.aval(idx).size
        plan.packet(_WRAP, "wrap_index", count, outs[0], idx, params[0])


_WRAP = """
def kernel(ins, addr, n):
    Z = pi8(addr[ins[3]])
    X = pi8(addr[ins[4]])
    length = ins[5]
    for i in range(n):
        k = X[i]
        if k >= length or k < -length:
            return 1
        Z[i] = k + length if k < 0 else k
    return 0
"""

INDEX, INDEX_ADD, GATHER, SCATTER_ADD, WRAP_INDEX = (
    register(op()) for op in (Index, IndexAdd, Gather, ScatterAdd, WrapIndex)
)
SPARSE = {INDEX: INDEX_ADD, GATHER: SCATTER_ADD}
"""Ops whose adjoint is a sum into a part of the operand's adjoint, done in place."""
