"""Turns a scan into packets: a loop over its body's packets, or several loops side by side, each for some rows.

    | kernel | size | n | run | T | reverse | start | words | n_x | n_y | n_c | n_move | moves at | then
      x: | slot | stack | bytes |      y: | slot | stack | bytes |
      c: | in | out | kind | initial | final | home of in | home of out | bytes |
      body words, and behind them the moves: | slot | base | offset |

A step sets the address of its x and y slots, then those of views of them, and runs the body. A carry's result becomes
the next step's input by address: kind 0 it is the same storage; 1 the two change places; 2 it lies in a stack of ys and
is read there. Where `initial` is slot 0, the carry starts from zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from wengert import _jit
from wengert.loops.split import Split, split, with_rows
from wengert.ops.elementwise import ACC, Elementwise, cast_kernel
from wengert.ops.matmul import MATMUL
from wengert.ops.spec import PARTIAL, Lowering, rows_of
from wengert.ops.strided import elementwise
from wengert.plan.packets import RUN
from wengert.shapes import pieces
from wengert.tape import Tape

_HEAD = 13
LOOP = f"""
def copy(to, source, n):
    D = pu1(to)
    S = pu1(source)
    for b in range(n):
        put(D, b, get(S, b))

def begin(ins, addr):
    c = {_HEAD} + 3 * ins[8] + 3 * ins[9]
    for j in range(ins[10]):
        addr[ins[c]] = addr[ins[c + 5]]
        if ins[c + 2] == 1:
            addr[ins[c + 1]] = addr[ins[c + 6]]
        if ins[c + 3] != 0:
            copy(addr[ins[c]], addr[ins[c + 3]], ins[c + 7])
        else:
            D = pu1(addr[ins[c]])
            for b in range(ins[c + 7]):
                D[b] = 0
        c += 8

def steps(ins, addr, low, high):
    n_stack = ins[8] + ins[9]
    c0 = {_HEAD} + 3 * n_stack
    for step in range(low, high):
        t = ins[4] - 1 - step if ins[5] != 0 else step
        for j in range(n_stack):
            x = {_HEAD} + 3 * j
            addr[ins[x]] = addr[ins[x + 1]] + t * ins[x + 2]
        for j in range(ins[11]):
            m = ins[12] + 3 * j
            addr[ins[m]] = addr[ins[m + 1]] + ins[m + 2]
        status = call(ins[3], skip(ins, ins[6]), addr, ins[7])
        if status != 0:
            return status
        for j in range(ins[10]):
            c = c0 + 8 * j
            if ins[c + 2] == 1:
                other = addr[ins[c]]
                addr[ins[c]] = addr[ins[c + 1]]
                addr[ins[c + 1]] = other
            elif ins[c + 2] == 2:
                addr[ins[c]] = addr[ins[c + 1]]
    return i8(0)

def finish(ins, addr):
    c = {_HEAD} + 3 * ins[8] + 3 * ins[9]
    for j in range(ins[10]):
        copy(addr[ins[c + 4]], addr[ins[c]], ins[c + 7])
        c += 8
"""
_SCAN = f"""{LOOP}
def kernel(ins, addr, n):
    begin(ins, addr)
    status = steps(ins, addr, i8(0), ins[4])
    if status == 0:
        finish(ins, addr)
    return status
"""


Stack = tuple[int, int]
"""A slot whose axis 0 is time, and the bytes from step to step."""


def stacks(plan: Lowering, slots: Sequence[int]) -> list[Stack]:
    """Slots as they are."""
    return [(s, plan.strides(s)[0]) for s in slots]


@dataclass
class Loop:
    """The plan's slots for everything that crosses a loop's edge."""

    body: Tape
    length: int
    reverse: int
    consts: list[int]
    initial: list[int]
    xs: list[Stack]
    finals: list[int]
    ys: list[Stack]


def lower_loop(plan: Lowering, loop: Loop) -> None:
    """Packets of a scan whose results have their storage."""
    found = _split(plan, loop)
    if found is None:
        emit_loop(plan, loop)
        return
    loops, sums = _parts(plan, loop, found)
    plan.fork([partial(emit_loop, plan, part) for part in loops])
    for final, summands in sums.items():
        kind = plan.aval(final)
        letter = kind.dtype.str[1:]
        for k, slot in enumerate(summands):  # always in this order, so results do not depend on timing
            elementwise(plan, ACC.kernel((kind, kind), kind) if k else cast_kernel(letter, letter), final, (slot,))


def emit_loop(plan: Lowering, loop: Loop) -> list[int]:
    """One loop's packet; the slots of its carry."""
    body, n_const, n_carry = loop.body, len(loop.consts), len(loop.initial)
    carry_in = [plan.floating(body.avals[s]) for s in body.inputs[n_const : n_const + n_carry]]
    x_in = [plan.floating(body.avals[s]) for s in body.inputs[n_const + n_carry :]]
    homes = [(plan.scratch(plan.aval(s).nbytes), plan.scratch(plan.aval(s).nbytes)) for s in carry_in]
    start = len(plan.code)
    size = _HEAD + 3 * len(x_in) + 3 * len(loop.ys) + 8 * n_carry
    plan.packet(_SCAN, "scan", loop.length, *[0] * (size - 3))
    words, results = plan.body(body, [*loop.consts, *carry_in, *x_in], carry_in)
    carry_out, ys = results[:n_carry], results[n_carry:]
    run = _jit.address(RUN, "replay")
    head = [run, loop.length, loop.reverse, size, words, len(x_in), len(ys), n_carry, 0, size + words]
    for slot, stack in zip((*x_in, *ys), (*loop.xs, *loop.ys), strict=True):
        head += (slot, *stack)
    placed = set(ys)
    for into, out, first, last, home in zip(carry_in, carry_out, loop.initial, loop.finals, homes, strict=True):
        kind = 2 if out in placed else 0 if plan.root_of(out) == into else 1
        head += (into, out, kind, first, last, *home, plan.aval(into).nbytes)
    moves = [m for s in dict.fromkeys((*carry_in, *x_in, *results)) for m in plan.moves(s)]
    head[8] = len(moves)
    plan.code[start + 3 : start + size] = head
    for move in moves:
        plan.code += move
    plan.code[start + 1] = len(plan.code) - start
    return carry_in


# --- several loops side by side --------------------------------------------------------------------------

_ROWS = 4
"""Rows of a part at least: products of fewer are slow."""
_GAIN = 100_000.0
"""Nanoseconds of work in a loop, by `_work`, below which splitting it is not worth its trouble."""


def _split(plan: Lowering, loop: Loop) -> Split | None:
    """How the loop is split over threads, if it can be and it pays."""
    if plan.threads() == 1 or loop.length * _work(loop.body) < _GAIN:
        return None
    found = split(loop.body, len(loop.consts), len(loop.initial))
    return found if found is not None and found.rows >= 2 * _ROWS else None


def _work(body: Tape) -> float:
    """About how many nanoseconds a step takes."""
    total = 0.0
    for op, outs, ins, _ in body.instructions:
        what = body.avals[outs[0]] if outs else None
        if what is not None and op is MATMUL:
            total += 2 * what.size * body.avals[ins[0]].shape[-1] * what.dtype.itemsize / 320
        elif what is not None and isinstance(op, Elementwise):
            total += 10 + what.nbytes / 30
    return total


def _parts(plan: Lowering, loop: Loop, found: Split) -> tuple[list[Loop], dict[int, list[int]]]:
    """A loop for each part of the rows, and the sums that follow: result -> summands."""
    n_const, n_x = len(loop.consts), len(loop.consts) + len(loop.initial)
    axes = [found.axes[s] for s in loop.body.inputs]
    bodies: dict[int, Tape] = {}
    loops: list[Loop] = []
    sums: dict[int, list[int]] = {}
    parts = min(plan.threads(), found.rows // _ROWS)
    for k, (first, rows) in enumerate(pieces(found.rows, parts)):
        if rows not in bodies:
            bodies[rows] = with_rows(loop.body, found, rows)

        def take(slot: int, axis: int, first: int = first, rows: int = rows) -> int:
            return rows_of(plan, slot, axis, first, rows)

        initial, finals = [], []
        for axis, before, after in zip(axes[n_const:], loop.initial, loop.finals, strict=False):
            initial.append(take(before, 0) if axis >= 0 else 0 if axis == PARTIAL and k else before)
            if axis >= 0:
                finals.append(take(after, 0))
            elif axis == PARTIAL:
                finals.append(plan.temporary(plan.aval(after)))
                sums.setdefault(after, []).append(finals[-1])
            else:
                finals.append(plan.temporary(plan.aval(after)) if k else after)
        consts = [take(s, 0) if axis >= 0 else s for axis, s in zip(axes, loop.consts, strict=False)]
        xs = [(take(s, 1) if axis >= 0 else s, step) for axis, (s, step) in zip(axes[n_x:], loop.xs, strict=True)]
        ys = [(take(s, 1), step) for s, step in loop.ys]
        loops.append(Loop(bodies[rows], loop.length, loop.reverse, consts, initial, xs, finals, ys))
    return loops, sums
