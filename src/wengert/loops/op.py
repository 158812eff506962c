"""The scan op: a step's tape, replayed T times. Knows its value and its packets, not how it is recorded.

operands   constants of the loop ... | initial carry ... | xs ...          (xs and ys: time is axis 0)
results    final carry ... | ys ...
body       inputs: constants, carry, x      outputs: carry, y
params     body | n_const | n_carry | length | reverse
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wengert import _jit
from wengert.errors import ShapeError
from wengert.ops.spec import Lowering, Op, Params, register
from wengert.plan.packets import RUN
from wengert.shapes import Aval, aval
from wengert.vm import oracle

# | kernel | size | n | run | T | reverse | start | words | n_x | n_y | n_c | n_move | moves at | then
#   x: | slot | stack | bytes |      y: | slot | stack | bytes |
#   c: | in | out | kind | initial | final | home of in | home of out | bytes |
#   body words, and behind them the moves: | slot | base | offset |
# A step sets the address of its x and y slots, then those of views of them, and runs the body. A carry's
# result becomes the next step's input by address: kind 0 it is the same storage; 1 the two change places;
# 2 it lies in a stack of ys and is read there.
_HEAD = 13
_SOURCE = f"""
def kernel(ins, addr, n):
    T = ins[4]
    n_x = ins[8]
    n_y = ins[9]
    n_c = ins[10]
    x0 = {_HEAD}
    y0 = x0 + 3 * n_x
    c0 = y0 + 3 * n_y
    moves = ins[12]
    for j in range(n_c):
        c = c0 + 8 * j
        addr[ins[c]] = addr[ins[c + 5]]
        if ins[c + 2] == 1:
            addr[ins[c + 1]] = addr[ins[c + 6]]
        D = pu1(addr[ins[c]])
        S = pu1(addr[ins[c + 3]])
        for b in range(ins[c + 7]):
            put(D, b, get(S, b))
    for step in range(T):
        t = T - 1 - step if ins[5] != 0 else step
        for j in range(n_x):
            x = x0 + 3 * j
            addr[ins[x]] = addr[ins[x + 1]] + t * ins[x + 2]
        for j in range(n_y):
            y = y0 + 3 * j
            addr[ins[y]] = addr[ins[y + 1]] + t * ins[y + 2]
        for j in range(ins[11]):
            m = moves + 3 * j
            addr[ins[m]] = addr[ins[m + 1]] + ins[m + 2]
        status = call(ins[3], skip(ins, ins[6]), addr, ins[7])
        if status != 0:
            return status
        for j in range(n_c):
            c = c0 + 8 * j
            if ins[c + 2] == 1:
                other = addr[ins[c]]
                addr[ins[c]] = addr[ins[c + 1]]
                addr[ins[c + 1]] = other
            elif ins[c + 2] == 2:
                addr[ins[c]] = addr[ins[c + 1]]
    for j in range(n_c):
        c = c0 + 8 * j
        D = pu1(addr[ins[c + 4]])
        S = pu1(addr[ins[c]])
        for b in range(ins[c + 7]):
            put(D, b, get(S, b))
    return 0
"""


class Scan(Op):
    """carry, ys = scan(step, carry, xs); see the module for operands and parameters."""

    name = "scan"
    n_in = None
    n_out = 2
    has_body = True

    def infer(self, avals: Sequence[Aval], params: Any) -> tuple[Aval, ...]:
        body, n_const, n_carry, length, _ = params
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
        body, n_const, n_carry, length, reverse = params
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
        body, n_const, n_carry, length, reverse = params
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
        body, n_const, n_carry, length, reverse = params
        consts, carry, xs = ins[:n_const], ins[n_const : n_const + n_carry], ins[n_const + n_carry :]
        initial, stacks = [plan.dense(s) for s in carry], [plan.dense(s) for s in xs]
        for s in outs:
            plan.allocate(s)
        carry_in = [plan.floating(plan.aval(s)) for s in carry]
        x_in = [plan.floating(body.avals[s]) for s in body.inputs[n_const + n_carry :]]
        homes = [(plan.scratch(plan.aval(s).nbytes), plan.scratch(plan.aval(s).nbytes)) for s in carry]
        start = len(plan.code)
        size = _HEAD + 3 * len(xs) + 3 * (len(outs) - n_carry) + 8 * n_carry
        plan.packet(_SOURCE, "scan", length, *[0] * (size - 3))
        words, results = plan.body(body, [*consts, *carry_in, *x_in], carry_in)
        carry_out, ys = results[:n_carry], results[n_carry:]
        head = [_jit.address(RUN, "replay"), length, reverse, size, words, len(xs), len(ys), n_carry, 0, size + words]
        for slot, stack in zip(x_in, stacks, strict=True):
            head += (slot, stack, plan.aval(slot).nbytes)
        for slot, stack in zip(ys, outs[n_carry:], strict=True):
            head += (slot, stack, plan.aval(slot).nbytes)
        placed = set(ys)
        for into, out, first, last, home in zip(carry_in, carry_out, initial, outs[:n_carry], homes, strict=True):
            kind = 2 if out in placed else 0 if plan.root_of(out) == into else 1
            head += (into, out, kind, first, last, *home, plan.aval(into).nbytes)
        moves = [m for s in dict.fromkeys((*carry_in, *x_in, *results)) for m in plan.moves(s)]
        head[8] = len(moves)
        plan.code[start + 3 : start + size] = head
        for move in moves:
            plan.code += move
        plan.code[start + 1] = len(plan.code) - start

    def describe(self, params: Params) -> str:
        body, _, _, length, reverse = params
        return f"body={body} length={length}" + (" reverse" if reverse else "")

    def adjoint(self, walk: Any, at: int, z_bars: list[int | None]) -> list[int | None]:
        """Append the reverse scan; see `loops.bptt`, which puts itself here."""
        raise NotImplementedError


SCAN = Scan()
register(SCAN)
