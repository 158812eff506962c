"""Loops over elements become array instructions: what a Python `for` leaves on a tape is rolled up again.

Single numbers computed by the same op from operands of the same origin are a group:

    a = x[0] * x[0]   b = x[1] * x[1]   c = x[2] * x[2] ...       ->       v = x * x      a, b, c are v[0], v[1], v[2]

An origin is a constant, a number, an array (whose elements are read) or another group. All that a group reads is there
where its first member stands, so the whole group can be computed there. What its members read is a slice if it lies
evenly, else it is gathered. Sums from term to term stay in their order: see `ops.chain`. Knows elementwise ops, indices
and concatenation; results are the same to the bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert.ops.chain import CHAIN
from wengert.ops.elementwise import ADD
from wengert.ops.index import GATHER, INDEX, SLICE, TAKE, view_of
from wengert.ops.join import CONCATENATE
from wengert.ops.views import RESHAPE
from wengert.plan.regions import fusible
from wengert.shapes import I64, Aval, Shape, aval
from wengert.tape import Const, Instruction, Tape

_FEWEST = 8
"""Members from which a group is worth an array."""
_TURNS = 4
"""Arrays that a sum takes its terms from in turns, at most."""
_SAMPLE = 2000
"""Instructions after which it is known whether a tape has loops over elements."""

Lanes = list[int]
"""Per member the element that it reads, or its own place."""


@dataclass
class _Group:
    key: tuple[Any, ...]
    first: int
    """Where the first member stands."""
    what: Aval
    code: int
    """Its number as an origin."""
    at: list[int] = field(default_factory=list)
    """Where the members stand."""
    slots: list[int] = field(default_factory=list)
    lanes: list[Lanes] = field(default_factory=list)
    """Per operand."""
    array: int = -1
    """The slot that holds all members, if they are computed together."""
    one: bool = False
    """Whether all members are the same number."""
    turned: bool = False
    """Whether the members' order has been turned round."""

    def place(self, k: int) -> int:
        """Where the member is that was the k-th to be found."""
        return len(self.at) - 1 - k if self.turned else k


def roll(tape: Tape) -> Tape:
    """The tape with its loops over elements as array instructions; itself if it has none worth it."""
    scalars = sum(op is not INDEX and len(outs) == 1 and tape.avals[outs[0]].ndim == 0
                  for op, outs, _, _ in tape.instructions[:_SAMPLE])  # fmt: skip
    if scalars < 4 * _FEWEST:
        return tape
    walk = _Walk(tape)
    if not walk.find() or not walk.choose():
        return tape
    return walk.rewritten()


class _Walk:
    def __init__(self, tape: Tape) -> None:
        self.old, self.avals, self.consts = tape, list(tape.avals), list(tape.consts)
        self.groups: list[_Group] = []
        self.code = list(range(len(tape.avals)))
        """Per slot a number for its origin: its own, the complement of an array's, a group's."""
        self.places = [0] * len(tape.avals)
        """Per slot which element of its origin it is."""
        self.element: dict[int, tuple[int, int]] = {}
        """A slot -> the array that it is an element of, and which."""
        self.view: dict[int, tuple[int, int, Shape]] = {}
        """A slot that is part of an array -> that array, where it begins, its strides; in elements."""
        self.same: dict[int, int] = {}
        """A slot -> the one that holds the same number."""
        self.taken: dict[int, tuple[int, int]] = {}
        """A member that is wanted as a number -> the array of its group, and its place there."""
        self.flat: dict[int, int] = {}
        """An array -> the same as a vector."""
        self.found: list[Instruction] = []
        self.lines: list[Any] = []

    # --- which numbers are alike ---------------------------------------------------------------------

    def find(self) -> bool:
        """Find all groups; False as soon as it is clear that there are too few."""
        avals, code, places, first = self.avals, self.code, self.places, len(self.old.avals)
        fits: dict[tuple[Any, Aval], bool] = {}
        known: dict[tuple[Any, ...], _Group] = {}
        counted = 0
        for at, (op, outs, ins, params) in enumerate(self.old.instructions):
            if at == _SAMPLE and counted and self._grouped() * 3 < counted:
                return False
            if len(outs) != 1:
                continue
            (out,) = outs
            what = avals[out]
            if op is INDEX:
                self._index(out, ins[0], params)
                continue
            if what.ndim:
                continue
            if len(ins) == 2:
                key: tuple[Any, ...] = (op, what, params, code[ins[0]], code[ins[1]])
            else:
                key = (op, what, params, *[code[s] for s in ins])
            found = known.get(key)
            if found is None:
                if (op, what) not in fits:
                    fits[op, what] = fusible(op, what)
                if not fits[op, what]:
                    continue
                origins = tuple([self._origin(s) for s in ins])
                found = known[key] = _Group((op, params, origins), at, what, first + len(self.groups))
                self.groups.append(found)
            counted += 1
            code[out], places[out] = found.code, len(found.at)
            found.at.append(at)
        return True

    def _grouped(self) -> int:
        return sum(len(g.at) for g in self.groups if len(g.at) >= _FEWEST)

    def _index(self, out: int, source: int, params: tuple[int, ...]) -> None:
        if len(params) == 4 and params[0] == TAKE and source not in self.view:  # x[i] of a vector, the usual case
            self.element[out] = (source, params[1])
            self.code[out], self.places[out] = ~source, params[1]
            return
        base, start, strides = self.view.get(source) or (source, 0, _steps(self.avals[source].shape))
        shape, offset, steps = view_of(self.avals[source].shape, strides, params)
        if shape:
            self.view[out] = (base, start + offset, steps)
        else:
            self.element[out] = (base, start + offset)
            self.code[out], self.places[out] = ~base, start + offset

    def _group_of(self, s: int) -> _Group | None:
        k = self.code[s] - len(self.old.avals)
        return self.groups[k] if k >= 0 else None

    def _origin(self, s: int) -> Any:
        return self._group_of(s) or self.element.get(s, s)

    # --- which of them become arrays -----------------------------------------------------------------

    def choose(self) -> bool:
        """Give every group that can be an array its slot; whether there is one."""
        some = False
        instructions, places = self.old.instructions, self.places
        for group in self.groups:
            group.slots = [instructions[at][1][0] for at in group.at]
            if len(group.at) < _FEWEST:
                continue
            operands = zip(*[instructions[at][2] for at in group.at], strict=True)
            group.lanes = [[places[s] for s in slots] for slots in operands]
            fits, falling, varies = True, False, False
            for k, (origin, lanes) in enumerate(zip(group.key[2], group.lanes, strict=True)):
                if isinstance(origin, _Group):
                    if origin.turned:
                        group.lanes[k] = lanes = [origin.place(p) for p in lanes]
                    if origin.one:
                        group.lanes[k] = lanes = [0] * len(lanes)
                if lanes.count(lanes[0]) < len(lanes):
                    varies = True
                    falling |= lanes[0] > lanes[-1]
                    fits &= not isinstance(origin, _Group) or origin.array >= 0
            if not varies:
                group.one = True
                self.same.update(dict.fromkeys(group.slots[1:], group.slots[0]))
            elif fits:
                group.array = self._new(aval(group.what.dtype, (len(group.slots),)))
                some = True
                if falling:
                    group.turned = True
                    group.slots.reverse()
                    group.lanes = [lanes[::-1] for lanes in group.lanes]
        return some

    def _new(self, what: Aval) -> int:
        self.avals.append(what)
        return len(self.avals) - 1

    # --- the new tape --------------------------------------------------------------------------------

    def rewritten(self) -> Tape:
        old, same, avals = self.old, self.same, self.avals
        arrays = {group.first: group for group in self.groups if group.array >= 0}
        gone = {
            at for group in self.groups for at in (group.at if group.array >= 0 else group.at[1:] if group.one else ())
        }
        for at, (op, outs, ins, params) in enumerate(old.instructions):
            if at in arrays:
                self._array(arrays[at], old.lines[at])
            if at in gone:
                continue
            line = old.lines[at]
            ins = tuple([same.get(s, s) for s in ins])
            if op is CONCATENATE and not any([avals[s].ndim for s in ins]):  # noqa: C419
                self._joined(outs[0], ins, line)
                continue
            for s in ins:
                self._show(s, line)
            self._emit((op, outs, ins, params), line)
        outputs = [same.get(s, s) for s in old.outputs]
        for s in outputs:
            self._show(s, old.lines[-1])
        self._chains(Counter([*[s for _, _, ins, _ in self.found for s in ins], *outputs]))
        found, lines = self.found, self.lines
        return Tape(found, self.avals, old.inputs, outputs, self.consts, old.captured, lines, old.subtapes, old.name)

    def _array_of(self, s: int) -> _Group | None:
        """The group of a number that is computed with others."""
        found = self._group_of(s)
        return found if found is not None and found.array >= 0 else None

    def _emit(self, instruction: Instruction, line: Any) -> None:
        self.found.append(instruction)
        self.lines.append(line)

    def _show(self, s: int, line: Any) -> None:
        """Have a member of an array as a number."""
        group = self._array_of(s)
        if group is not None and s not in self.taken:
            place = group.place(self.places[s])
            self.taken[s] = (group.array, place)
            self._emit((INDEX, (s,), (group.array,), (TAKE, place, 0, 0)), line)

    def _array(self, group: _Group, line: Any) -> None:
        """All members at once."""
        op, params, origins = group.key
        ins = []
        for origin, lanes in zip(origins, group.lanes, strict=True):
            same = lanes.count(lanes[0]) == len(lanes)
            if isinstance(origin, _Group):
                if same:
                    self._show(origin.slots[lanes[0]], line)
                    ins.append(origin.slots[lanes[0]])
                else:
                    ins.append(self._read(origin.array, lanes, line))
            elif isinstance(origin, tuple):
                ins.append(self._read(self._vector(origin[0], line), lanes, line, same))
            else:
                ins.append(origin)
        self._emit((op, (group.array,), tuple(ins), params), line)

    def _vector(self, base: int, line: Any) -> int:
        """An array as a vector."""
        base = self.same.get(base, base)
        self._show(base, line)
        what = self.avals[base]
        if what.ndim == 1:
            return base
        if base not in self.flat:
            self.flat[base] = self._new(aval(what.dtype, (what.size,)))
            self._emit((RESHAPE, (self.flat[base],), (base,), (what.size,)), line)
        return self.flat[base]

    def _read(self, vector: int, lanes: Lanes, line: Any, same: bool = False) -> int:
        """Elements of a vector: by a slice if they lie evenly, else gathered; or a number."""
        what = self.avals[vector]
        if same:
            slot = self._new(aval(what.dtype, ()))
            self._emit((INDEX, (slot,), (vector,), (TAKE, lanes[0], 0, 0)), line)
            return slot
        step = lanes[1] - lanes[0]
        if step and lanes == list(range(lanes[0], lanes[0] + step * len(lanes), step)):
            if step == 1 and len(lanes) == what.size:
                return vector
            slot = self._new(aval(what.dtype, (len(lanes),)))
            self._emit((INDEX, (slot,), (vector,), (SLICE, lanes[0], step, len(lanes))), line)
            return slot
        slot, places = self._new(aval(what.dtype, (len(lanes),))), self._new(aval(I64, (len(lanes),)))
        self.consts.append(Const(places, np.array(lanes)))
        self._emit((GATHER, (slot,), (vector, places), (0,)), line)
        return slot

    def _joined(self, out: int, ins: Sequence[int], line: Any) -> None:
        """Numbers put side by side, of which stretches are members of one array."""
        pieces, at = [], 0
        while at < len(ins):
            group = self._array_of(ins[at])
            stop = at + 1
            while group is not None and stop < len(ins) and self._array_of(ins[stop]) is group:
                stop += 1
            if group is not None and stop - at > 1:
                lanes = [group.place(self.places[s]) for s in ins[at:stop]]
                pieces.append(self._read(group.array, lanes, line))
            else:
                self._show(ins[at], line)
                pieces.append(self._new(aval(self.avals[out].dtype, (1,))))
                self._emit((RESHAPE, (pieces[-1],), (ins[at],), (1,)), line)
            at = stop
        self._emit((CONCATENATE, (out,), tuple(pieces), (0,)), line)

    # --- sums from term to term ----------------------------------------------------------------------

    def _chains(self, uses: Counter[int]) -> None:
        """Sums of elements of arrays, term after term, each used only by the next."""
        taken = self.taken
        running: dict[int, _Sum] = {}
        sums: list[_Sum] = []
        for at, (op, outs, ins, _) in enumerate(self.found):
            what = self.avals[outs[0]] if op is ADD else None
            if what is None or what.ndim:
                continue
            for s, x in (ins, ins[::-1]):
                if x in taken and self.avals[x] is what and self.avals[s] is what:
                    chain = running.pop(s, None) if uses[s] == 1 else None
                    if chain is None:
                        chain = _Sum(s)
                        sums.append(chain)
                    chain.terms.append(taken[x])
                    chain.outs.append(outs[0])
                    chain.at.append(at)
                    running[outs[0]] = chain
                    break
        self._replace([found for chain in sums if (found := chain.cut()) is not None])

    def _replace(self, sums: Sequence[_Sum]) -> None:
        if not sums:
            return
        ends = {chain.at[-1]: chain for chain in sums}
        gone = {at for chain in sums for at in chain.at[:-1]}
        before, lines = self.found, self.lines
        self.found, self.lines = [], []
        for at, (instruction, line) in enumerate(zip(before, lines, strict=True)):
            chain = ends.get(at)
            if chain is not None:
                parts = [chain.terms[k :: chain.period] for k in range(chain.period)]
                vectors = [self._read(part[0][0], [place for _, place in part], line) for part in parts]
                self._emit((CHAIN, (chain.outs[-1],), (chain.start, *vectors), ()), line)
            elif at not in gone:
                self._emit(instruction, line)


@dataclass
class _Sum:
    """A sum of terms, one after another: ((start + first) + second) + ..."""

    start: int
    terms: list[tuple[int, int]] = field(default_factory=list)
    """The array and the place there of each."""
    outs: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    """Where the additions stand."""
    period: int = 1

    def cut(self) -> _Sum | None:
        """The sum as far as the arrays take turns, and how many do; None if it is not worth it."""
        arrays = [array for array, _ in self.terms]
        for period in range(1, _TURNS + 1):
            n = len(arrays) // period * period
            if n >= _FEWEST * period and arrays[period:n] == arrays[: n - period]:
                return _Sum(self.start, self.terms[:n], self.outs[:n], self.at[:n], period)
        return None


def _steps(shape: Shape) -> Shape:
    """Elements from entry to entry of each axis of an array that lies in C order."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= n
    return tuple(reversed(steps))
