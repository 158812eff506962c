"""Concatenation along an axis: each operand is copied into its part of the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.errors import ShapeError, at_user
from wengert.ops.elementwise import cast_kernel
from wengert.ops.spec import MIXED, Lowering, Op, Params, register
from wengert.ops.strided import elementwise
from wengert.shapes import Aval, aval


class Concatenate(Op):
    """Operands of one dtype laid end to end; single numbers make a vector. Parameter: the axis."""

    name = "concatenate"
    n_in = None

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        axis, first = params[0], avals[0].shape
        if all(not a.shape for a in avals):
            return (aval(avals[0].dtype, (len(avals),)),)
        rest = [a.shape[:axis] + a.shape[axis + 1 :] for a in avals]
        if any(r != rest[0] or a.ndim != len(first) for r, a in zip(rest, avals, strict=True)):
            listed = ", ".join(str(a.shape) for a in avals)
            raise ShapeError(at_user(f"concatenate: all axes but axis {axis} must match exactly; shapes are {listed}"))
        total = sum(a.shape[axis] for a in avals)
        return (aval(avals[0].dtype, (*first[:axis], total, *first[axis + 1 :])),)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return np.concatenate(operands, axis=params[0]) if np.ndim(operands[0]) else np.stack(operands)

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        if not operands[0].ndim:
            return [z_bar[k] for k in range(len(operands))]
        out, start = [], 0
        for x in operands:
            stop = start + x.shape[params[0]]
            out.append(z_bar[(slice(None),) * params[0] + (slice(start, stop),)])
            start = stop
        return out

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        axis = max(*axes, wanted)
        return MIXED if axis == params[0] else axis, (axis,) * len(axes)

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        plan.allocate(outs[0])
        strides = plan.strides(outs[0])
        kind = plan.aval(outs[0]).dtype.str[1:]
        start = 0
        for slot in ins:
            shape = plan.aval(slot).shape
            offset = start * strides[params[0]]
            if not plan.lies_in(slot, outs[0], offset):
                part = plan.part(outs[0], shape, offset, strides if shape else ())
                elementwise(plan, cast_kernel(kind, kind), part, (slot,))
            start += shape[params[0]] if shape else 1

    def describe(self, params: Params) -> str:
        return f"axis={params[0]}"


CONCATENATE = register(Concatenate())
