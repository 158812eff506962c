"""Finds out whether a loop's step treats the rows of a batch independently, and makes the step for fewer rows.

Every slot of the body is split along an axis, or whole (the same for all rows), or partial (each part of the rows
has a summand: a product or sum over the rows). Ops say what becomes of an axis (`Op.rows`); here the slots of one
body are brought together. Knows no packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wengert.ops.elementwise import ACC, ADD, NEG
from wengert.ops.spec import MIXED, PARTIAL, WHOLE, Op
from wengert.ops.views import RESHAPE, TRANSPOSE
from wengert.shapes import Aval, aval
from wengert.tape import Tape

_LINEAR = (NEG, RESHAPE, TRANSPOSE)


class Split(NamedTuple):
    """A body whose rows are independent."""

    rows: int
    axes: tuple[int, ...]
    """Per slot the axis of the rows, or WHOLE or PARTIAL."""


class _Needed(Exception):
    """A slot that was taken as whole is wanted along an axis, or a carry as partial."""

    def __init__(self, slot: int, axis: int) -> None:
        self.slot, self.axis = slot, axis


def split(body: Tape, n_const: int, n_carry: int) -> Split | None:
    """How the body splits by the rows of its carry; None if rows depend on one another."""
    inputs = body.inputs
    carries = inputs[n_const : n_const + n_carry]
    rows = next((body.avals[s].shape[0] for s in carries if body.avals[s].ndim), 0)
    if rows < 2:
        return None
    given = {s: 0 if body.avals[s].shape[:1] == (rows,) else WHOLE for s in inputs[n_const:]}
    for _ in range(len(body.avals)):
        try:
            axes = _axes(body, rows, given)
        except _Needed as need:
            summed = need.axis == PARTIAL
            if (need.slot in carries) != summed or given.get(need.slot) == need.axis:
                return None
            given[need.slot] = need.axis
            continue
        return None if axes is None else _checked(body, n_const, n_carry, Split(rows, tuple(axes)))
    return None


def _checked(body: Tape, n_const: int, n_carry: int, found: Split) -> Split | None:
    """The split if everything that crosses the loop's edge is split along its first axis."""
    axes = found.axes
    carries = body.inputs[n_const : n_const + n_carry]
    same = all(axes[c] == axes[out] for c, out in zip(carries, body.outputs, strict=False))
    edge = all(axes[s] <= 0 for s in (*body.inputs, *body.outputs))
    return found if same and edge and all(axes[s] == 0 for s in body.outputs[n_carry:]) else None


def _axes(body: Tape, rows: int, given: dict[int, int]) -> list[int] | None:
    """The axis of every slot; None if an instruction mixes rows."""
    axes = [WHOLE] * len(body.avals)
    for slot, axis in given.items():
        axes[slot] = axis
    for op, outs, ins, params in body.instructions:
        found = [axes[s] for s in ins]
        if len(outs) != 1:
            return None
        out = outs[0]
        if all(a == WHOLE for a in found) and axes[out] == WHOLE:
            continue
        avals = [body.avals[s] for s in ins]
        axis = _after(op, found, avals, params, body.avals[out], axes[out], rows, ins)
        if axis == MIXED or (axes[out] != WHOLE and axes[out] != axis):
            return None
        axes[out] = axis
    return axes


def _after(
    op: Op, found: list[int], avals: list[Aval], params: tuple[int, ...], out: Aval, wanted: int, rows: int,
    ins: Sequence[int],
) -> int:  # fmt: skip
    """The axis of a result; `wanted` is what is asked of it, or WHOLE."""
    if PARTIAL in found:
        for slot, now in zip(ins, found, strict=True):
            if op in (ACC, ADD) and now != PARTIAL:
                raise _Needed(slot, PARTIAL)
        return PARTIAL if op in (ACC, ADD, *_LINEAR) else MIXED
    axis, asked = op.rows(found, avals, params, out, wanted, rows)
    for slot, now, want in zip(ins, found, asked, strict=True):
        if now == WHOLE and want >= 0:
            raise _Needed(slot, want)
        if now != want:
            return MIXED
    return axis


def with_rows(body: Tape, found: Split, rows: int) -> Tape:
    """The same step for another number of rows."""

    def resized(what: Aval, axis: int) -> Aval:
        return what if axis < 0 else aval(what.dtype, (*what.shape[:axis], rows, *what.shape[axis + 1 :]))

    avals = [resized(a, axis) for a, axis in zip(body.avals, found.axes, strict=True)]
    instructions = [
        (op, outs, ins, op.resized(params, found.axes[outs[0]], rows) if found.axes[outs[0]] >= 0 else params)
        for op, outs, ins, params in body.instructions
    ]
    return Tape(
        instructions, avals, body.inputs, body.outputs, lines=body.lines, subtapes=body.subtapes, name=body.name
    )
