"""Slots of one tape while it is lowered: who owns what storage, views, copies, temporaries. Knows no instruction.

What ops ask for about slots (see `ops.spec.Lowering`) is answered here; `plan.lower` goes through the tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wengert import _jit
from wengert.ops.elementwise import cast_kernel
from wengert.ops.strided import elementwise
from wengert.plan.layout import RAW, Layout
from wengert.shapes import Aval, Shape, aval, contiguous, is_contiguous


class Slots:
    """Numbers in the address table and what lies behind them."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.code = layout, layout.code
        self.owned: set[int] = set()
        """Roots that this scope may overwrite and give back."""
        self.pinned: set[int] = set()
        """Results whose address the caller sets."""
        self.carry_of: dict[int, int] = {}
        """Result of a body -> the carry it replaces, whose storage it may take over."""
        self.inside: dict[int, tuple[int, int, int]] = {}
        """What is to be concatenated is computed where it will lie: its number -> the whole's, axis and start there."""
        self.begun: set[int] = set()
        """Wholes that have their storage already."""
        self.to_pin: set[int] = set()
        self.temps: list[int] = []
        self.at = 0
        """The place of the instruction that is being lowered."""

    def aval(self, slot: int) -> Aval:
        return self.layout.avals[slot]

    def strides(self, slot: int) -> Shape:
        steps = self.layout.steps[slot]
        if steps is None:
            what = self.layout.avals[slot]
            return contiguous(what.shape, what.dtype.itemsize)
        return steps

    def is_dense(self, slot: int) -> bool:
        return self.layout.steps[slot] is None

    def dense(self, slot: int) -> int:
        if self.layout.steps[slot] is None:
            return slot
        copy = self.temporary(self.layout.avals[slot])
        self._copy(copy, slot)
        return copy

    def _copy(self, to: int, source: int) -> None:
        kind = self.layout.avals[source].dtype.str[1:]
        whole: Any = self  # the `Lowering` that this is a part of
        elementwise(whole, cast_kernel(kind, kind), to, (source,))

    def _store(self, slot: int) -> None:
        self.layout.place[slot] = self.layout.take(self.layout.avals[slot])

    def allocate(self, slot: int) -> None:
        if slot in self.inside:
            whole, axis, start = self.inside[slot]
            if whole not in self.begun:
                self.begun.add(whole)
                if whole in self.to_pin:
                    self.pinned.add(whole)
                else:
                    self._store(whole)
                self.owned.add(whole)
            strides = self.strides(whole)
            self.alias(slot, whole, start * strides[axis], strides if self.aval(slot).shape else ())
        elif slot not in self.begun:
            if slot not in self.pinned:
                self._store(slot)
            self.owned.add(slot)

    def result_strides(self, slot: int) -> Shape:
        """The strides that a result will have."""
        return self.strides(self.inside[slot][0] if slot in self.inside else slot)

    def lies_in(self, slot: int, whole: int, offset: int) -> bool:
        layout = self.layout
        return slot in self.inside and layout.root[slot] == whole and layout.offset[slot] == offset

    def alias(self, slot: int, of: int, offset: int, strides: Shape | None) -> None:
        layout = self.layout
        root = layout.root[of]
        layout.root[slot] = root
        layout.offset[slot] = layout.offset[of] + offset
        what = layout.avals[slot]
        if strides is not None and is_contiguous(what.shape, strides, what.dtype.itemsize):
            strides = None
        layout.steps[slot] = strides
        layout.views.setdefault(root, []).append(slot)
        if root in self.temps and layout.last[slot] >= 0:  # a named view keeps a copy alive
            self.temps.remove(root)
            self.owned.add(root)
        if root in self.owned and layout.last[slot] > layout.last[root]:
            layout.last[root] = layout.last[slot]

    def may_take_over(self, slot: int, of: int, others: Sequence[int] = ()) -> bool:
        layout = self.layout
        root = layout.root[of]
        whole = layout.steps[of] is None and layout.avals[of].nbytes == layout.avals[root].nbytes
        dead = root in self.owned and layout.last[root] <= self.at and all(layout.root[s] != root for s in others)
        return whole and dead and (slot not in self.pinned or self.carry_of.get(slot) == root)

    def take_over(self, slot: int, of: int, others: Sequence[int] = ()) -> None:
        if self.may_take_over(slot, of, others):
            self.pinned.discard(slot)
            self.alias(slot, of, 0, None)
        else:
            self.allocate(slot)
            self._copy(slot, of)

    def part(self, of: int, shape: Shape, offset: int, strides: Shape) -> int:
        view = self.layout.new(aval(self.layout.avals[of].dtype, shape))
        self.alias(view, of, offset, strides)
        return view

    def floating(self, what: Aval) -> int:
        return self.layout.new(what)

    def root_of(self, slot: int) -> int:
        return self.layout.root[slot]

    def moves(self, slot: int) -> list[tuple[int, int, int]]:
        offset = self.layout.offset
        return [(view, slot, offset[view]) for view in self.layout.views.get(slot, ())]

    def scratch(self, nbytes: int) -> int:
        return self.temporary(aval(RAW, (nbytes,)))

    def temporary(self, what: Aval) -> int:
        slot = self.layout.new(what)
        self._store(slot)
        self.temps.append(slot)
        return slot

    def packet(self, source: str, label: str, n: int, *words: int) -> None:
        self.code += (_jit.address(source, label), 3 + len(words), n, *words)

    def packet_at(self, kernel: int, n: int, *words: int) -> None:
        """Append a packet of a kernel by its address."""
        self.code += (kernel, 3 + len(words), n, *words)

    def driver(self, source: str, label: str, n: int, kernel: tuple[str, str], *words: int) -> None:
        self.packet(source, label, n, _jit.address(*kernel), *words)

    def _free(self, root: int) -> None:
        if self.layout.place[root] is not None:
            self.layout.give_back(root)
        self.owned.discard(root)

    def _drop_temps(self) -> None:
        for temp in self.temps:
            self.layout.give_back(temp)
        self.temps.clear()

    def _is_whole(self, number: int) -> bool:
        layout = self.layout
        root = layout.root[number]
        return layout.steps[number] is None and layout.avals[number].nbytes == layout.avals[root].nbytes

    def _copied(self, number: int, stored: bool) -> int:
        copy = self.layout.new(self.layout.avals[number])
        if stored:
            self._store(copy)
        self._copy(copy, number)
        return copy
