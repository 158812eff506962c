"""The scan op: a step's tape, replayed T times. Knows its value and its packets, not how it is recorded.

operands   constants of the loop ... | initial carry ... | xs ...          (xs and ys: time is axis 0)
results    final carry ... | ys ...
body       inputs: constants, carry, x      outputs: carry, y
params     body | n_const | n_carry | length | reverse | snapshots     (0, or how many carries the adjoint keeps)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert.errors import ShapeError
from wengert.loops.lowering import Loop, lower_loop, stacks
from wengert.ops.spec import Lowering, Op, Params, register
from wengert.shapes import Aval, aval
from wengert.vm import oracle


class Scan(Op):
    """carry, ys = scan(step, carry, xs); see the module for operands and parameters."""

    name = "scan"
    n_in = None
    n_out = 2
    bodies = 1

    def infer(self, avals: Sequence[Aval], params: Any) -> tuple[Aval, ...]:
        body, n_const, n_carry, length, *_ = params
        whats = [body.avals[s] for s in body.outputs]
        if len(avals) != len(body.inputs):
            raise ShapeError(f"scan: {len(avals)} operands for a body with {len(body.inputs)} inputs")
        for k, (given, slot) in enumerate(zip(avals, body.inputs, strict=True)):
            wanted = body.avals[slot]
            if k >= n_const + n_carry:
                wanted = aval(wanted.dtype, (length, *wanted.shape))
            if given is not wanted:
                raise ShapeError(f"scan: operand {k} is {given}, its body takes {wanted}")
        return (*whats[:n_carry], *(aval(y.dtype, (length, *y.shape)) for y in whats[n_carry:]))

    def forward(self, operands: Sequence[Any], params: Any) -> Any:
        body, n_const, n_carry, length, reverse, _ = params
        consts, carry, xs = operands[:n_const], operands[n_const : n_const + n_carry], operands[n_const + n_carry :]
        whats = [body.avals[s] for s in body.outputs[n_carry:]]
        ys: list[Any] = [np.empty((length, *y.shape), y.dtype) for y in whats]
        for t in reversed(range(length)) if reverse else range(length):
            values = oracle.forward(body, [*consts, *carry, *(x[t] for x in xs)])
            out = [values[s] for s in body.outputs]
            carry = out[:n_carry]
            for stack, y in zip(ys, out[n_carry:], strict=True):
                stack[t] = y
        return (*carry, *ys)

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Any) -> Sequence[Any]:
        """The oracle's own: every step replayed backwards on its own, nothing shared with `adjoint`."""
        body, n_const, n_carry, length, reverse, _ = params
        consts, carry, xs = operands[:n_const], operands[n_const : n_const + n_carry], operands[n_const + n_carry :]
        order = list(reversed(range(length)) if reverse else range(length))
        steps = []
        for t in order:
            values = oracle.forward(body, [*consts, *carry, *(x[t] for x in xs)])
            steps.append(values)
            carry = [values[s] for s in body.outputs[:n_carry]]
        carry_bar = list(z_bar[:n_carry])
        const_bars = [np.zeros_like(c) for c in consts]
        x_bars = [np.zeros_like(x) for x in xs]
        for t, values in zip(reversed(order), reversed(steps), strict=True):
            bars: dict[int, Any] = {}
            given = [*carry_bar, *(y[t] for y in z_bar[n_carry:])]
            for slot, bar in zip(body.outputs, given, strict=True):
                bars[slot] = bars[slot] + bar if slot in bars else bar
            found = oracle.backward(body, values, bars)
            back = [found.get(s, np.zeros_like(values[s])) for s in body.inputs]
            const_bars = [c + b for c, b in zip(const_bars, back[:n_const], strict=True)]
            carry_bar = back[n_const : n_const + n_carry]
            for stack, bar in zip(x_bars, back[n_const + n_carry :], strict=True):
                stack[t] = bar
        return [*const_bars, *carry_bar, *x_bars]

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Any) -> None:
        body, n_const, n_carry, length, reverse, _ = params
        carry, xs = ins[n_const : n_const + n_carry], ins[n_const + n_carry :]
        initial, moving = [plan.dense(s) for s in carry], [plan.dense(s) for s in xs]
        for s in outs:
            plan.allocate(s)
        consts = [_in_one_piece(plan, s, length) for s in ins[:n_const]]
        finals, ys = list(outs[:n_carry]), stacks(plan, outs[n_carry:])
        lower_loop(plan, Loop(body, length, reverse, consts, initial, stacks(plan, moving), finals, ys))

    def describe(self, params: Params) -> str:
        body, _, _, length, reverse, snapshots = params
        kept = f" snapshots={snapshots}" if snapshots else ""
        return f"body={body} length={length}" + (" reverse" if reverse else "") + kept

    def adjoint(self, walk: Any, at: int, z_bars: list[int | None]) -> list[int | None]:
        """Append the reverse scan; see `loops.bptt`, which puts itself here."""
        raise NotImplementedError


def _in_one_piece(plan: Lowering, slot: int, length: int) -> int:
    """A constant of the loop, copied once if that spares every step the detour of strides (a transposed weight)."""
    repeats = any(step == 0 for step in plan.strides(slot))
    return slot if repeats or length < 4 or plan.aval(slot).nbytes > 1 << 24 else plan.dense(slot)


SCAN = Scan()
register(SCAN)
