"""Ops that only say how the same numbers are looked at: reshape, transpose, broadcast, fresh. No kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.errors import ShapeError, at_user
from wengert.ops.matmul import unbroadcast
from wengert.ops.spec import MIXED, WHOLE, Lowering, Op, Params, register
from wengert.shapes import Aval, aval, broadcast_strides


class Reshape(Op):
    """The same elements in C order under another shape. Parameters: the shape."""

    name = "reshape"

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return (aval(avals[0].dtype, params),)

    def check(self, avals: Sequence[Aval], params: Params) -> str:
        return "" if math.prod(params) == avals[0].size else f"{avals[0].size} elements do not fill {params}"

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return np.reshape(operands[0], params)

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [np.reshape(z_bar, operands[0].shape)]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        forward = axes[0] >= 0
        here, there = (avals[0].shape, out.shape) if forward else (out.shape, avals[0].shape)
        axis = max(axes[0], wanted) if forward else wanted
        before = math.prod(here[:axis])
        same = (k for k, n in enumerate(there) if n == rows and math.prod(there[:k]) == before)
        other = next(same, MIXED)
        return (other, (axis,)) if forward else (axis if other >= 0 else MIXED, (other,))

    def resized(self, params: Params, axis: int, rows: int) -> Params:
        return (*params[:axis], rows, *params[axis + 1 :])

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        plan.alias(outs[0], plan.dense(ins[0]), 0, None)


class Transpose(Op):
    """Axes in another order. Parameters: the order."""

    name = "transpose"

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return (aval(avals[0].dtype, tuple(avals[0].shape[k] for k in params)),)

    def check(self, avals: Sequence[Aval], params: Params) -> str:
        return "" if sorted(params) == list(range(avals[0].ndim)) else f"{params} is not an order of the axes"

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return np.transpose(operands[0], params)

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [np.transpose(z_bar, tuple(int(k) for k in np.argsort(params)))]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        axis = params.index(axes[0]) if axes[0] >= 0 else wanted
        return axis, (params[axis],)

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        strides = plan.strides(ins[0])
        plan.alias(outs[0], ins[0], 0, tuple(strides[k] for k in params))


class Broadcast(Op):
    """Repeat up to a shape, without a copy. Parameters: the shape."""

    name = "broadcast"

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        shape = avals[0].shape
        lead = len(params) - len(shape)
        if lead < 0 or any(n not in (1, m) for n, m in zip(shape, params[lead:], strict=True)):
            raise ShapeError(at_user(f"broadcast_to: shape {shape} cannot be broadcast to {params}"))
        return (aval(avals[0].dtype, params),)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return np.broadcast_to(operands[0], params)

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [unbroadcast(z_bar, operands[0].shape)]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        lead = out.ndim - avals[0].ndim
        if axes[0] >= 0:
            return axes[0] + lead, axes
        repeated = wanted < lead or avals[0].shape[wanted - lead] == 1
        return wanted, (WHOLE if repeated else wanted - lead,)

    def resized(self, params: Params, axis: int, rows: int) -> Params:
        return (*params[:axis], rows, *params[axis + 1 :])

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        strides = broadcast_strides(plan.aval(ins[0]).shape, plan.strides(ins[0]), params)
        plan.alias(outs[0], ins[0], 0, strides)


class Fresh(Op):
    """The same value under a new name, so that a derivative can tell it from the old one."""

    name = "fresh"

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        return (avals[0],)

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        return operands[0]

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        return [z_bar]

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        axis = max(axes[0], wanted)
        return axis, (axis,)

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        plan.alias(outs[0], ins[0], 0, plan.strides(ins[0]))


RESHAPE, TRANSPOSE, BROADCAST, FRESH = (register(op()) for op in (Reshape, Transpose, Broadcast, Fresh))
