"""The ops of a checkpointed loop: one that stores some carries, and the adjoint that computes the rest again.

save       a scan whose further results are stacks of stored carries, one place each, the last for the last unit
revolve    operands   the loop's constants ... | stacks of stored carries ... | its xs ...
                      constants of the reverse step ... | its first carry ... | its xs ...
           results    last carry of the reverse step ... | its ys ... | the stacks, overwritten
           bodies     step: as in a scan              reverse step: its x are the carry before the step, then xs
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert.errors import ShapeError
from wengert.loops.lowering import LOOP, Loop, emit_loop, stacks
from wengert.loops.op import SCAN, Scan
from wengert.loops.schedule import ADVANCE, RESTORE, REVERSE, STORE, Action, binomial, forward_sweep
from wengert.ops.spec import Lowering, Op, Params, register
from wengert.shapes import Aval, aval
from wengert.tape import Tape

# | kernel | size | n | loop at | reverse loop at or 0 | actions at | actions | first carry's word in the loop |
#   carries | slot of the stack of each carry | the loops' packets | actions, three words each
_HEAD = 9
_SOURCE = f"""{LOOP}
def kernel(ins, addr, n):
    loop = skip(ins, ins[3])
    back = skip(ins, ins[4])
    begin(loop, addr)
    if ins[4] != 0:
        begin(back, addr)
    at = i8(0)
    status = i8(0)
    for k in range(ins[6]):
        action = skip(ins, ins[5] + 3 * k)
        if action[0] == {ADVANCE}:
            status = steps(loop, addr, at, action[1])
            at = action[1]
        elif action[0] == {REVERSE}:
            status = steps(back, addr, action[1], action[1] + 1)
        else:
            for j in range(ins[8]):
                c = ins[7] + 8 * j
                stack = addr[ins[{_HEAD} + j]] + action[1] * loop[c + 7]
                if action[0] == {STORE}:
                    copy(stack, addr[loop[c]], loop[c + 7])
                else:
                    copy(addr[loop[c]], stack, loop[c + 7])
            if action[0] == {RESTORE}:
                at = action[2]
        if status != 0:
            return status
    finish(loop, addr)
    if ins[4] != 0:
        finish(back, addr)
    return 0
"""


def places(length: int, snapshots: int) -> int:
    """How many carries are stored: those of the schedule, and the one before the last unit."""
    return min(snapshots, length) + 1


def _sweeps(length: int, snapshots: int) -> tuple[list[Action], list[Action]]:
    """The schedule as two programs: the first sweep, with which the loop's value is computed, and all the rest."""
    actions = binomial(length, snapshots)
    cut = forward_sweep(actions)
    last = places(length, snapshots) - 1
    first = [*actions[:cut], (STORE, last, 0), (ADVANCE, length, 0)]
    return first, [(RESTORE, last, length - 1), *actions[cut:]]


def _emit(plan: Lowering, loop: Loop, kept: Sequence[int], actions: list[Action], back: Any) -> None:
    """A packet of one or two loops and what to do with them."""
    start = len(plan.code)
    head = _HEAD + len(kept)
    plan.packet(_SOURCE, "schedule", loop.length, *[0] * (head - 3))
    carry: list[int] = []
    parts: list[Callable[[], object]] = [lambda: carry.extend(emit_loop(plan, loop))]
    if back:
        parts.append(lambda: emit_loop(plan, back(carry)))  # steps of both take turns
    words = plan.apart(parts)
    back_at = words[1][0] - start if back else 0
    at = len(plan.code) - start
    for action in actions:
        plan.code += action
    first_carry = 13 + 3 * (len(loop.xs) + len(loop.ys))
    plan.code[start + 3 : start + head] = [head, back_at, at, len(actions), first_carry, len(kept), *kept]
    plan.code[start + 1] = len(plan.code) - start


class Save(Scan):
    """A scan that also stores carries; see the module."""

    name = "scan_saving"

    def infer(self, avals: Sequence[Aval], params: Any) -> tuple[Aval, ...]:
        body, _, n_carry, length, _, snapshots = params
        count = places(length, snapshots)
        carries = [body.avals[s] for s in body.outputs[:n_carry]]
        return (*super().infer(avals, params), *(aval(c.dtype, (count, *c.shape)) for c in carries))

    def forward(self, operands: Sequence[Any], params: Any) -> Any:
        """The oracle's: which carries are stored, and where, is `revolve`'s business alone."""
        _, n_const, n_carry, length, _, snapshots = params
        found = super().forward(operands, params)
        count = places(length, snapshots)
        carry = [np.asarray(c) for c in operands[n_const : n_const + n_carry]]
        return (*found, *(np.stack([c] * count) for c in carry))

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Any) -> None:
        body, n_const, n_carry, length, reverse, snapshots = params
        initial = [plan.dense(s) for s in ins[n_const : n_const + n_carry]]
        xs = stacks(plan, [plan.dense(s) for s in ins[n_const + n_carry :]])
        for s in outs:
            plan.allocate(s)
        n_y = len(outs) - 2 * n_carry
        ys = stacks(plan, outs[n_carry : n_carry + n_y])
        loop = Loop(body, length, reverse, list(ins[:n_const]), initial, xs, list(outs[:n_carry]), ys)
        _emit(plan, loop, outs[n_carry + n_y :], _sweeps(length, snapshots)[0], None)

    def adjoint(self, walk: Any, at: int, z_bars: list[int | None]) -> list[int | None]:
        raise NotImplementedError("a loop that stores carries is made by an adjoint and not differentiated itself")


class Revolve(Op):
    """The adjoint of a loop from a few of its carries; see the module."""

    name = "revolve"
    n_in = None
    n_out = 2
    bodies = 2

    def infer(self, avals: Sequence[Aval], params: Any) -> tuple[Aval, ...]:
        body, back, n_const, n_carry, n_x, length, _, snapshots, back_const, back_carry = params
        first_back = n_const + n_carry + n_x
        kept = avals[n_const : n_const + n_carry]
        carries = [body.avals[s] for s in body.inputs[n_const : n_const + n_carry]]
        if any(k.shape != (places(length, snapshots), *c.shape) for k, c in zip(kept, carries, strict=True)):
            raise ShapeError(f"revolve: stored carries are {list(kept)}, carries {carries}")
        whole = [aval(c.dtype, (length, *c.shape)) for c in carries]
        split = first_back + back_const + back_carry
        operands = (*avals[first_back:split], *whole, *avals[split:])
        found = SCAN.infer(operands, (back, back_const, back_carry, length, 0, 0))
        return (*found, *kept)

    def forward(self, operands: Sequence[Any], params: Any) -> Any:
        """The oracle's: all carries, computed from the first, then the reverse steps one after another."""
        body, back, n_const, n_carry, n_x, length, reverse, _, back_const, back_carry = params
        first_back = n_const + n_carry + n_x
        kept = operands[n_const : n_const + n_carry]
        xs = operands[n_const + n_carry : first_back]
        carry = [k[0] for k in kept]
        before: list[Any] = [np.empty((length, *c.shape), c.dtype) for c in carry]
        for t in reversed(range(length)) if reverse else range(length):
            for stack, c in zip(before, carry, strict=True):
                stack[t] = c
            step = (*operands[:n_const], *carry, *(x[t : t + 1] for x in xs))
            carry = list(SCAN.forward(step, (body, n_const, n_carry, 1, 0, 0))[:n_carry])
        split = first_back + back_const + back_carry
        all_operands = (*operands[first_back:split], *before, *operands[split:])
        found = SCAN.forward(all_operands, (back, back_const, back_carry, length, int(not reverse), 0))
        return (*found, *kept)

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Any) -> None:
        body, back, n_const, n_carry, n_x, length, reverse, snapshots, back_const, back_carry = params
        first_back = n_const + n_carry + n_x
        split = first_back + back_const + back_carry
        xs = stacks(plan, [plan.dense(s) for s in ins[n_const + n_carry : first_back]])
        initial = [plan.dense(s) for s in ins[first_back + back_const : split]]
        back_xs = stacks(plan, [plan.dense(s) for s in ins[split:]])
        n_y = len(outs) - back_carry - n_carry
        kept = outs[back_carry + n_y :]
        for s, of in zip(kept, ins[n_const : n_const + n_carry], strict=True):
            plan.take_over(s, of)
        for s in outs[: back_carry + n_y]:
            plan.allocate(s)
        finals = [plan.temporary(body.avals[s]) for s in body.outputs[:n_carry]]
        bare = Tape(
            body.instructions, body.avals, body.inputs, body.outputs[:n_carry], lines=body.lines,
            subtapes=body.subtapes, name=body.name,
        )  # fmt: skip
        loop = Loop(bare, length, reverse, list(ins[:n_const]), [0] * n_carry, xs, finals, [])

        def reversing(carry: list[int]) -> Loop:
            where = [(c, 0) for c in carry] + back_xs  # the carry before the step lies where the loop has it
            consts, ys = (
                list(ins[first_back : first_back + back_const]),
                stacks(plan, outs[back_carry : back_carry + n_y]),
            )
            return Loop(back, length, reverse, consts, initial, where, list(outs[:back_carry]), ys)

        _emit(plan, loop, kept, _sweeps(length, snapshots)[1], reversing)

    def describe(self, params: Params) -> str:
        return f"step={params[0]} reverse step={params[1]} length={params[5]} snapshots={params[7]}"

    def adjoint(self, walk: Any, at: int, z_bars: list[int | None]) -> list[int | None]:
        """Never reached: inside a further derivative a loop keeps all values instead."""
        raise NotImplementedError("the adjoint of a checkpointed loop is not differentiated")


SAVE, REVOLVE = register(Save()), register(Revolve())
