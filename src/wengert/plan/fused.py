"""Emits one packet for a region of elementwise instructions and sums, where its kernel is at hand. Knows no storage
policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from wengert import _jit
from wengert.ops.elementwise import Elementwise, cast_scalar, scalar
from wengert.ops.loopcode import Operand, Step, Total, loop
from wengert.ops.reduce import CHUNK, SUM, pairs, together, whole, wide
from wengert.shapes import Shape, aval, broadcast_strides, collapse, contiguous, pieces
from wengert.tape import Instruction

_SHARED = 1 << 17
"""Elements times instructions from which a region is shared between threads."""
_SHORT = 32
"""So many columns, or fewer, are part of the kernel's text."""

Member = tuple[Elementwise | None, tuple[int, ...], tuple[str, ...], int]
"""An op (None for a cast), the values it reads, the types of its result and of those, the value it makes."""
Steps = tuple[int, int, int]
"""Bytes from layer to layer, from row to row, from column to column."""


class Signature(NamedTuple):
    """What a kernel's text depends on."""

    members: tuple[Member, ...]
    results: tuple[Operand, ...]
    totals: tuple[Total, ...]
    operands: tuple[Operand, ...]
    columns: int


class Space(NamedTuple):
    """The iteration space, and how everything lies in it: results, sums, operands."""

    dims: Steps
    """Layers, rows, columns."""
    last: int
    """How many columns the very last row has."""
    steps: tuple[Steps, ...]
    chunked: bool = False
    """Whether the rows are chunks of one long vector, which is summed."""

    @property
    def single(self) -> bool:
        """Whether there is one element only: no loop."""
        return math.prod(self.dims) == 1

    @property
    def columns(self) -> int:
        """Their number where it is part of the kernel's text, so that every packet has as many; else 0."""
        _, rows, columns = self.dims
        return columns if rows > 1 and columns <= _SHORT else 0


def emit_region(plan: Any, members: Sequence[Instruction], results: Sequence[int], compile: bool) -> bool:
    """Append a packet that computes the members and writes `results` (slots of the tape); whether it could be done.

    Sums come last among the members, and all of them are results.
    """
    number = plan.number
    work = [m for m in members if m[0] is not SUM]
    sums = members[len(work) :]
    value = {outs[0]: k for k, (_, outs, _, _) in enumerate(work)}
    operands = list(dict.fromkeys(s for _, _, ins, _ in work for s in ins if s not in value))
    for k, s in enumerate(operands):
        value[s] = len(work) + k
    written = [s for s in results if s in value]
    space = _space(plan, number[work[0][1][0]], [number[s] for s in written], sums, [number[s] for s in operands])
    if space is None:
        return False
    kernel = _kernel(_signature(plan, space, work, written, sums, operands, value), compile)
    if not kernel:
        return False
    totals = [outs[0] for _, outs, _, _ in sums]
    for s in (*written, *totals):
        plan.allocate(number[s])
    kinds = [plan.aval(number[s]).dtype.str[1:] for s in totals]
    rows = space.dims[1]
    places = [number[s] for s in totals]
    if space.chunked:
        places = [plan.temporary(aval(np.dtype(wide(kind)), (rows,))) for kind in kinds]
    slots = [*(number[s] for s in written), *places, *(number[s] for s in operands)]
    _packets(plan, kernel, space, slots, range(len(written), len(written) + len(sums)), len(work))
    if space.chunked:
        for s, place, kind in zip(totals, places, kinds, strict=True):
            plan.packet(*whole(kind), rows, number[s], place)
    return True


def _space(
    plan: Any, of: int, written: Sequence[int], sums: Sequence[Instruction], operands: Sequence[int]
) -> Space | None:
    """How a region is walked; None where one loop cannot do it."""
    shape = plan.aval(of).shape
    lying = [(plan.aval(s).shape, plan.result_strides(s)) for s in written]
    lying += [(plan.aval(s).shape, plan.strides(s)) for s in operands]
    if math.prod(shape) == 1:  # operands of any shapes
        return Space((1, 1, 1), 1, ((0, 0, 0),) * len(lying))
    steps = [broadcast_strides(*where, shape) for where in lying]
    steps[len(written) : len(written)] = [_summed(plan, shape, m) for m in sums]
    dims, found = collapse(shape, steps)
    if len(dims) > 3:
        return None
    layers, rows, columns = _three(dims, 1)
    grid = [_three(s, 0) for s in found]
    if sums and len(dims) == 1 and columns > CHUNK:
        rows, last = -(-columns // CHUNK), (columns - 1) % CHUNK + 1
        first, end = len(written), len(written) + len(sums)
        cut = [(0, 8 if first <= k < end else CHUNK * right, right) for k, (_, _, right) in enumerate(grid)]
        return Space((1, rows, CHUNK), last, tuple(cut), True)
    space = Space((layers, rows, columns), columns, tuple(grid))
    fits = all(_can_sum(space, grid[k]) for k in range(len(written), len(written) + len(sums)))
    return space if fits else None


def _three(numbers: Sequence[int], lead: int) -> Steps:
    a, b, c = [lead] * (3 - len(numbers)) + [*numbers]
    return a, b, c


def _summed(plan: Any, shape: Shape, instruction: Instruction) -> Shape:
    """Strides of a sum's result as if it had the shape of what is summed."""
    op, outs, _, params = instruction
    what = plan.aval(plan.number[outs[0]])
    gone = plan.tape.resolved(op, params)[1:]
    steps = iter(contiguous(tuple(n for k, n in enumerate(shape) if k not in gone), what.dtype.itemsize))
    return tuple(0 if k in gone else next(steps) for k in range(len(shape)))


def _can_sum(space: Space, steps: Steps) -> bool:
    """Whether a sum is over columns alone, which one chunk can hold, or over rows alone."""
    (layers, rows, columns), (deep, down, right) = space.dims, steps
    apart = deep != 0 or layers == 1
    if right:
        return down == 0 and rows > 1 and apart
    return (down != 0 or rows == 1) and apart and columns <= CHUNK


def _signature(
    plan: Any, space: Space, work: Sequence[Instruction], written: Sequence[int], sums: Sequence[Instruction],
    operands: Sequence[int], value: dict[int, int],
) -> Signature:  # fmt: skip
    kind = {s: plan.aval(plan.number[s]).dtype for _, outs, ins, _ in (*work, *sums) for s in (*outs, *ins)}

    def lies(s: int, steps: Steps) -> Operand:
        size = kind[s].itemsize
        mode = "a" if space.single else "c" if steps[2] == size else "g" if steps[2] else "s"
        return Operand(value[s], kind[s].str[1:], mode)

    def total(instruction: Instruction, steps: Steps) -> Total:
        x = instruction[2][0]
        letter = kind[x].str[1:]
        return Total(value[x], letter, wide(letter) if space.chunked else letter, steps[2] == 0)

    def member(instruction: Instruction) -> Member:
        op, outs, ins, _ = instruction
        kinds = tuple(kind[s].str[1:] for s in (*outs, *ins))
        return (op if isinstance(op, Elementwise) else None, tuple(value[s] for s in ins), kinds, value[outs[0]])

    first, read = len(written), len(written) + len(sums)
    return Signature(
        tuple(map(member, work)),
        tuple(map(lies, written, space.steps)),
        tuple(map(total, sums, space.steps[first:read])),
        tuple(map(lies, operands, space.steps[read:])),
        space.columns,
    )


def _packets(
    plan: Any, kernel: int, space: Space, slots: Sequence[int], totals: Sequence[int], instructions: int
) -> None:
    """One packet, or one a thread where there is much to do."""
    if space.single:
        plan.packet_at(kernel, 1, *slots)
        return
    size = math.prod(space.dims)
    free = [k for k in range(3) if space.dims[k] > 1 and all(space.steps[t][k] for t in totals)]
    free = [k for k in free if k != 2 or not space.columns]
    axis = free[0] if free else 2
    along = space.dims[axis]

    def packet(first: int, count: int) -> None:
        dims = list(space.dims)
        dims[axis] = count
        to_the_end = first + count == along
        words = [*dims, space.last if space.chunked and to_the_end else dims[2]]
        for slot, steps in zip(slots, space.steps, strict=True):
            words += (slot if count == along else plan.part(slot, (), first * steps[axis], ()), *steps)
        plan.packet_at(kernel, size // along * count, *words)

    parts = min(plan.threads(), along // 2) if free else 1
    if parts < 2 or size * instructions < _SHARED:
        packet(0, along)
    else:
        plan.fork([partial(packet, first, count) for first, count in pieces(along, parts)])


@lru_cache(maxsize=1024)
def _text(signature: Signature) -> tuple[str, tuple[_jit.Scalar, ...]] | None:
    """The region's LLVM text and the functions that it calls; None if one of its ops may stop the replay."""
    members, results, totals, operands, columns = signature
    scalars, listed = [], []
    for op, ins, kinds, out in members:
        function = cast_scalar(kinds[1], kinds[0]) if op is None else scalar(op, kinds[1:], kinds[0])
        if function is None:
            return None
        scalars.append(function)
        listed.append(Step(function.symbol, out, ins, kinds))
    brought = {} if columns else {t.kind: together(t.kind) for t in totals if t.columns}
    symbols = {kind: function.symbol for kind, function in brought.items()}
    scalars += brought.values()
    return loop(listed, results, totals, operands, symbols, pairs, columns), tuple(dict.fromkeys(scalars))


def _kernel(signature: Signature, compile: bool) -> int:
    found = _text(signature)
    if not found:
        return 0
    label = f"region of {len(signature.members)}" + (f", {len(signature.totals)} sums" if signature.totals else "")
    return _jit.fused(found[0], label, found[1], compile)
