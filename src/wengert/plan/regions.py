"""Regions: elementwise instructions over one shape, brought together so that one loop can compute them all.

An instruction may wait as long as nothing else reads its result. So those of one shape gather in an open region until
somebody does, or the region is full; a sum of what is in it gathers with them, and stands at its end. What is found is
an order of the tape's instructions and stretches in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.ops.elementwise import CAST, Elementwise
from wengert.ops.reduce import SUM
from wengert.ops.spec import Op
from wengert.shapes import Aval, Shape
from wengert.tape import Tape

MOST = 64
"""Instructions of a region at most: code for more of them takes LLVM too long."""

_SINGLE: Shape = ()
_LONGEST = 256


def _period(codes: Sequence[int]) -> int:
    """After how many instructions a sequence repeats itself, or a multiple: so that equal turns of a loop are cut into
    equal regions, which share their code."""
    middle = len(codes) // 3
    for period in range(1, min(_LONGEST, middle // 2) + 1):
        turns = codes[middle : middle + 3 * period + _LONGEST]
        if turns[period:] == turns[:-period]:
            return period * max(1, MOST // period)
    return MOST


def fusible(op: Op, what: Aval) -> bool:
    """Whether an op with such a result can be part of a loop over many ops."""
    return op is CAST or (type(op) is Elementwise and not op.alone(what.dtype.kind))


def regions(tape: Tape, kept: Sequence[int], singles: bool = False) -> tuple[list[int], dict[int, int]]:
    """The instructions `kept` in a new order, and the regions in it: position of the first -> behind the last.

    With `singles` also of single numbers: what a Python loop over elements leaves on a tape.
    """
    instructions, avals = tape.instructions, tape.avals
    order: list[int] = []
    found: dict[int, int] = {}
    open_regions: dict[Shape, list[int]] = {}
    where: dict[int, Shape] = {}
    summed: dict[int, Shape] = {}

    def close(shape: Shape) -> None:
        members = open_regions.pop(shape)
        if summed:
            members.sort(key=lambda at: instructions[at][0] is SUM)
        size = MOST if shape else _period([instructions[at][0].code for at in members])
        for start in range(0, len(members), size):
            stop = min(start + size, len(members))
            if stop - start > 1:
                found[len(order) + start] = len(order) + stop
        for at in members:
            for s in instructions[at][1]:
                where.pop(s, None)
                summed.pop(s, None)
        order.extend(members)

    for at in kept:
        op, outs, ins, _ = instructions[at]
        mine = None
        if outs and fusible(op, avals[outs[0]]):
            size = avals[outs[0]].size
            if size > 1:
                mine = avals[outs[0]].shape
            elif singles and size == 1:
                mine = _SINGLE
        elif op is SUM and where.get(ins[0]) and avals[outs[0]].size < avals[ins[0]].size:
            mine = where[ins[0]]
        if where:
            for s in ins:
                shape = where.get(s)
                if (shape is not None and shape != mine) or (summed and (shape := summed.get(s)) is not None):
                    close(shape)
        if mine is None:
            order.append(at)
            continue
        members = open_regions.setdefault(mine, [])
        members.append(at)
        (summed if op is SUM else where)[outs[0]] = mine
        if mine and len(members) == MOST:
            close(mine)
    for shape in list(open_regions):
        close(shape)
    return order, found
