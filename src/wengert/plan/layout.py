"""The address table and the storage of a plan: numbers, roots and views, bytes handed out and taken back.

Every slot gets a number, its place in the address table. A slot is either a root (it has storage) or a view of a root
at an offset with strides. Knows no tape's instruction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wengert.plan.packets import Port
from wengert.shapes import ALIGN, Aval, Shape, aval, contiguous
from wengert.tape import Instruction, Tape

RAW = np.dtype("u1")
_WORTH_CUTTING = 1 << 12
"""Bytes from which storage is cut from larger spare storage; smaller things are many, and soon found by their size."""


class Layout:
    """What all scopes of a plan share: the packets, the address table and the storage."""

    def __init__(self, compile: bool, alone: bool = False) -> None:
        self.code: list[int] = []
        # Of every packet: its word, and the tape and instruction that it comes from (three flat lists: cheap).
        self.words: list[int] = []
        self.tapes: list[Tape] = []
        self.spots: list[int] = []
        self.ends: dict[int, int] = {}
        """Word behind what an instruction has emitted, by its place in `words`; missing where that is one packet."""
        self.regions: dict[int, tuple[list[Instruction], list[int]]] = {}
        """Of a region, by its place in `words`: its instructions, and slots of its tape that it writes."""
        self.avals: list[Aval] = [aval(RAW, ())]
        self.root: list[int] = [0]
        self.offset: list[int] = [0]
        self.steps: list[Shape | None] = [None]
        self.place: list[int | None] = [0]
        self.last: list[int] = [0]
        self.views: dict[int, list[int]] = {}
        self.free: dict[int, list[int]] = {}
        """Spare storage by size; that of a part of a fork is its own until all parts are laid out."""
        self.top = ALIGN
        self.compile = compile
        """Whether regions' kernels are compiled; else only those that are there already are used."""
        self.forked = alone
        """Whether the packets that follow are a part of a fork, or there are to be no forks."""

    def new(self, what: Aval) -> int:
        """A new number, its own root, without storage yet."""
        number = len(self.avals)
        self.avals.append(what)
        self.root.append(number)
        self.offset.append(0)
        self.steps.append(None)
        self.place.append(None)
        self.last.append(-1)
        return number

    def new_line(self) -> None:
        """Skip some numbers, so that what follows has cache lines of the address table to itself.

        Loops write addresses there at every step; two threads that share a line wait for each other each time.
        """
        for _ in range(2 * ALIGN // 8):
            self.new(aval(RAW, ()))
        self.top = -(-self.top // (2 * ALIGN)) * 2 * ALIGN

    def extend(self, avals: Sequence[Aval], last: Sequence[int]) -> int:
        """Numbers for all slots of a tape at once; the first of them."""
        first, n = len(self.avals), len(avals)
        self.avals += avals
        self.root += range(first, first + n)
        self.offset += [0] * n
        self.steps += [None] * n
        self.place += [None] * n
        self.last += last
        return first

    def take(self, what: Aval) -> int:
        """Bytes of the workspace: spare ones of this size, part of larger ones, or new ones."""
        size = what.room
        spare = self.free.get(size)
        if spare:
            return spare.pop()
        if size >= _WORTH_CUTTING:
            larger = min((s for s, places in self.free.items() if s > size and places), default=0)
            if larger:
                place = self.free[larger].pop()
                self.free.setdefault(larger - size, []).append(place + size)
                return place
        start = self.top if size < ALIGN else -(-self.top // ALIGN) * ALIGN
        self.top = start + size
        return start

    def give_back(self, number: int) -> None:
        """Storage of a root that nothing will read again."""
        place = self.place[number]
        assert place is not None
        room = self.avals[number].room
        spare = self.free.get(room)
        if spare is None:
            spare = self.free[room] = []
        spare.append(place)

    def port(self, number: int) -> Port:
        """How the caller reaches a slot."""
        root, what = self.root[number], self.avals[number]
        steps = self.steps[number]
        place = self.place[root]
        where = None if place is None else place + self.offset[number]
        moves = tuple((v, self.offset[v]) for v in self.views.get(number, ()))
        return Port(number, what, where, contiguous(what.shape, what.dtype.itemsize) if steps is None else steps, moves)
