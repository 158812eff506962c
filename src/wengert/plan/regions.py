"""Regions: elementwise instructions over one shape, brought together so that one loop can compute them all.

An instruction may wait as long as nothing else reads its result. So those of one shape gather in an open region until
somebody does, or the region is full. What is found is an order of the tape's instructions and stretches in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.ops.elementwise import CAST, Elementwise
from wengert.shapes import Shape
from wengert.tape import Tape

MOST = 64
"""Instructions of a region at most: code for more of them takes LLVM too long."""


def regions(tape: Tape, kept: Sequence[int]) -> tuple[list[int], dict[int, int]]:
    """The instructions `kept` in a new order, and the regions in it: position of the first -> behind the last."""
    instructions, avals = tape.instructions, tape.avals
    order: list[int] = []
    found: dict[int, int] = {}
    open_regions: dict[Shape, list[int]] = {}
    where: dict[int, Shape] = {}

    def close(shape: Shape) -> None:
        members = open_regions.pop(shape)
        if len(members) > 1:
            found[len(order)] = len(order) + len(members)
        for at in members:
            for s in instructions[at][1]:
                where.pop(s, None)
        order.extend(members)

    for at in kept:
        op, outs, ins, _ = instructions[at]
        joins = (type(op) is Elementwise or op is CAST) and avals[outs[0]].size > 1
        mine = avals[outs[0]].shape if joins else None
        if where:
            for s in ins:
                shape = where.get(s)
                if shape is not None and shape != mine:
                    close(shape)
        if mine is None:
            order.append(at)
            continue
        members = open_regions.setdefault(mine, [])
        members.append(at)
        where[outs[0]] = mine
        if len(members) == MOST:
            close(mine)
    for shape in list(open_regions):
        close(shape)
    return order, found
