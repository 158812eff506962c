"""Lays out slots and emits packets, one tape after another. Knows ops only through `Op.lower`.

Every slot of the tape gets a number, its place in the address table. A slot is either a root (it has
storage) or a view of a root at an offset with strides. Storage is handed out when a root is written and
taken back after its last use, so the workspace is about as large as what is alive at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wengert import _jit
from wengert.ops.elementwise import ACC, CAST, Elementwise
from wengert.ops.join import CONCATENATE
from wengert.ops.reduce import SUM
from wengert.ops.spec import Op
from wengert.plan.fused import emit_region
from wengert.plan.layout import Layout
from wengert.plan.live import live
from wengert.plan.packets import RUN, Program
from wengert.plan.regions import fusible, regions
from wengert.plan.slices import push_slices
from wengert.plan.slots import Slots
from wengert.shapes import ALIGN, Aval
from wengert.tape import Instruction, Tape
from wengert.threads import FORK, mailboxes, num_threads
from wengert.threads import HEAD as FORK_HEAD

BY_ADDRESS = 1 << 14
"""Inputs and outputs of more bytes are used where they lie; smaller ones are copied, which is faster."""

_FOREVER = 1 << 60
_SHORT = 500
"""Instructions."""


class Scope(Slots):
    """One tape being lowered: the `Lowering` that its ops talk to."""

    def __init__(self, layout: Layout, tape: Tape) -> None:
        super().__init__(layout)
        self.tape = tape
        needed = live(tape)
        # On a long tape of single numbers, regions cost more to find than the first replays gain by them.
        self.order, self.regions = regions(tape, needed, singles=layout.compile or len(needed) < _SHORT)
        self.uses = _last_uses(tape, self.order)
        first = layout.extend(tape.avals, self.uses)
        self.number = list(range(first, first + len(tape.avals)))
        """Slot of the tape -> number in the address table."""
        self.inside = self._places_in_wholes()

    def _places_in_wholes(self) -> dict[int, tuple[int, int, int]]:
        instructions, avals = self.tape.instructions, self.tape.avals
        joins = [instructions[k] for k in self.order if instructions[k][0] is CONCATENATE]
        if not joins:
            return {}
        found: dict[int, tuple[int, int, int]] = {}
        computed = {
            outs[0] for op, outs, _, _ in instructions if op is CAST or (type(op) is Elementwise and not op.in_place)
        }.difference(self.tape.outputs)
        for _, outs, ins, (axis,) in joins:
            start, often = 0, Counter(ins)
            for s in ins:
                if s in computed and often[s] == 1 and self.number[s] not in found:
                    found[self.number[s]] = (self.number[outs[0]], axis, start)
                start += avals[s].shape[axis] if avals[s].shape else 1
        return found

    # --- what ops ask for, and `plan.slots` does not know (see `ops.spec.Lowering`) ---------------------

    def threads(self) -> int:
        return 1 if self.layout.forked else num_threads()

    def fork(self, parts: Sequence[Callable[[], object]]) -> None:
        layout, code, count = self.layout, self.code, len(parts)
        start = len(code)
        self.packet(FORK, "fork", count, _jit.address(RUN, "replay"), *mailboxes(count), *[0] * 2 * count)
        layout.forked = True  # it was not: there would be no fork
        for k, (low, high) in enumerate(self.apart(parts)):
            code[start + FORK_HEAD + 2 * k : start + FORK_HEAD + 2 * k + 2] = [low - start, high - low]
        layout.forked = False
        code[start + 1] = len(code) - start

    def apart(self, parts: Sequence[Callable[[], object]]) -> list[tuple[int, int]]:
        layout, spare = self.layout, self.layout.free
        words, given_back = [], []
        for emit in parts:
            layout.free = {}
            layout.new_line()
            low = len(self.code)
            emit()
            words.append((low, len(self.code)))
            given_back.append(layout.free)
        layout.free = spare
        layout.new_line()
        for free in given_back:
            for room, places in free.items():
                spare.setdefault(room, []).extend(places)
        return words

    def body(self, tape: Tape, inputs: Sequence[int], carries: Sequence[int]) -> tuple[int, list[int]]:
        """Append a sub-tape's packets: how many words they are, and the numbers of its results.

        The first results replace `carries` (inputs that the body may overwrite unless a further result
        needs them, too). Each result is a carry itself or a root of its own, whose address is for the
        caller to set; results are distinct among the carries and among the others.
        """
        if self.layout.compile:  # what has no kernel of its own is slow on slices
            tape = push_slices(tape)
        inner = Scope(self.layout, tape)
        slot_of = {}
        for slot, number in zip(tape.inputs, inputs, strict=True):
            inner.number[slot] = number
            slot_of[number] = slot
        others = set(tape.outputs[len(carries) :])
        carry_of = {}
        for carry, result in zip(carries, tape.outputs, strict=False):
            if result not in others:
                self.layout.last[carry] = inner.uses[slot_of[carry]]
                inner.owned.add(carry)
                carry_of[result] = carry
        start = len(self.code)
        inner.emit(set(tape.outputs), carry_of)
        results = [inner.number[s] for s in tape.outputs]
        for part in (range(len(carries)), range(len(carries), len(results))):
            seen: set[int] = set()
            for k in part:
                root = self.layout.root[results[k]]
                unchanged = k in range(len(carries)) and root == carries[k] and inner._is_whole(results[k])
                if not unchanged and (results[k] not in inner.pinned or root != results[k] or root in seen):
                    results[k] = root = inner._copied(results[k], stored=False)
                seen.add(root)
        inner._drop_temps()
        return len(self.code) - start, results

    # --- the loop over instructions ------------------------------------------------------------------

    def emit(self, pinned: set[int], carry_of: dict[int, int]) -> None:
        """Packets of all live instructions; results in `pinned` get no storage."""
        layout, number, code, owned = self.layout, self.number, self.code, self.owned
        words, tapes, spots = layout.words, layout.tapes, layout.spots
        instructions, tape = self.tape.instructions, self.tape
        avals, steps, root, last, place = layout.avals, layout.steps, layout.root, layout.last, layout.place
        self.to_pin = {number[s] for s in pinned}
        until, inside = 0, self.inside
        for at, spot in enumerate(self.order):
            if at < until:
                continue
            nth = len(words)
            words.append(len(code))
            tapes.append(tape)
            spots.append(spot)
            if at in self.regions:
                until = self._region(at, self.regions[at], pinned)
                if until > at:
                    layout.ends[nth] = len(code)
                    continue
            op, outs, ins, params = instructions[spot]
            self.at = at
            operands = [number[s] for s in ins]
            if type(op) is Elementwise and outs[0] not in pinned and number[outs[0]] not in inside:
                out = number[outs[0]]  # the common case, written out
                what = avals[out]
                for s in operands:
                    if avals[s] is not what:
                        key = (op, what, *[avals[s] for s in operands])
                        break
                else:
                    key = (op, what)
                kernel = _ADDRESSES.get(key)
                if kernel is None:
                    kernel = _ADDRESSES[key] = _address(op, tuple([avals[s] for s in operands]), what)
                if kernel and not any([steps[s] for s in operands]):  # noqa: C419
                    if what.room == 8:  # single numbers are not worth the book-keeping of their storage
                        place[out] = layout.top
                        layout.top += 8
                        code += (kernel, 4 + len(operands), what.size, out, *operands)
                        continue
                    place[out] = layout.take(what)
                    owned.add(out)
                    code += (kernel, 4 + len(operands), what.size, out, *operands)
                    for s in (*operands, out):
                        r = root[s]
                        if last[r] <= at and r in owned:
                            self._free(r)
                    continue
            if self._strided(op, outs, operands) and self._region(at, at + 1, pinned) > at:
                layout.ends[nth] = len(code)
                continue
            results = [number[s] for s in outs]
            for s in outs:
                if s in pinned:
                    self.pinned.add(number[s])
                    if s in carry_of:
                        self.carry_of[number[s]] = carry_of[s]
            op.lower(self, results, operands, tape.resolved(op, params))
            layout.ends[nth] = len(code)
            if self.temps:
                self._drop_temps()
            for s in (*operands, *results):
                r = root[s]
                if last[r] <= at and r in owned:
                    self._free(r)
        self.at = _FOREVER

    def _strided(self, op: Op, outs: Sequence[int], operands: Sequence[int]) -> bool:
        """Whether an instruction alone is worth a kernel of its own: its operands do not lie one behind another."""
        avals, steps = self.layout.avals, self.layout.steps
        if not outs or not fusible(op, avals[what := self.number[outs[0]]]):
            return False
        if op is ACC and self.may_take_over(what, operands[0], operands[1:]):
            return False
        size = avals[what].size
        return size > 1 and (what in self.inside or any(steps[s] or avals[s].size != size for s in operands))

    def _region(self, start: int, stop: int, pinned: set[int]) -> int:
        """Emit a region as one packet, without its sums if need be; where it ends, `start` if there is no kernel."""
        instructions, number = self.tape.instructions, self.number
        members = [instructions[k] for k in self.order[start:stop]]
        work = sum(op is not SUM for op, _, _, _ in members)
        for end in dict.fromkeys((stop, start + work)):
            del members[end - start :]
            results = [outs[0] for _, outs, _, _ in members if self.uses[outs[0]] >= end]
            self.at = end - 1
            mine = {number[s] for s in results if s in pinned}
            self.pinned |= mine
            if emit_region(self, members, results, self.layout.compile):
                self._end_region(members, results, end)
                return end
            self.pinned -= mine
        return start

    def _end_region(self, members: list[Instruction], results: list[int], stop: int) -> None:
        self.layout.regions[len(self.layout.words) - 1] = (members, results)
        root, last = self.layout.root, self.layout.last
        for s in {s for _, _, ins, _ in members for s in ins}.union(results):
            r = root[self.number[s]]
            if last[r] < stop and r in self.owned:
                self._free(r)
        if self.temps:
            self._drop_temps()

    def results(self) -> list[int]:
        """Numbers of a whole program's outputs: in the workspace if small, else where the caller says."""
        layout, found, seen = self.layout, [], set()
        for slot in self.tape.outputs:
            number = self.number[slot]
            root = layout.root[number]
            if layout.avals[number].nbytes > BY_ADDRESS:
                if number not in self.pinned or root != number or number in seen:
                    number = self._copied(number, stored=False)
            elif layout.place[root] is None:
                number = self._copied(number, stored=True)
            seen.add(number)
            found.append(number)
        self._drop_temps()
        return found


_ADDRESSES: dict[tuple[Any, ...], int] = {}


def _address(op: Elementwise, ins: tuple[Aval, ...], out: Aval) -> int:
    """The kernel where all operands have the result's size; 0 where the op needs more than that."""
    plain = out.size and not op.in_place and all(a.size == out.size for a in ins)
    return _jit.address(*op.kernel(ins, out)) if plain else 0


def _last_uses(tape: Tape, kept: Sequence[int]) -> list[int]:
    """Per slot the place of the last instruction that reads it, -1 if none does; outputs are read for ever."""
    uses = [-1] * len(tape.avals)
    instructions = tape.instructions
    for at, spot in enumerate(kept):
        for slot in instructions[spot][2]:
            uses[slot] = at
    for slot in tape.outputs:
        uses[slot] = _FOREVER
    return uses


def lower(tape: Tape, compile: bool = False) -> Program:
    """The program of a tape; with `compile`, regions whose kernels are not there yet get them first."""
    return lowered(tape, Layout(compile))


def lowered(tape: Tape, layout: Layout) -> Program:
    """The same into a layout that the caller can look at."""
    scope = Scope(layout, tape)
    sources = (tape.inputs, [c.slot for c in tape.consts], [c.slot for c in tape.captured])
    for kind, slots in enumerate(sources):
        for slot in slots:
            number = scope.number[slot]
            layout.last[number] = _FOREVER
            if kind == 1 or (kind == 0 and layout.avals[number].nbytes <= BY_ADDRESS):
                scope._store(number)
    # Large results are written where the caller will find them.
    scope.emit({s for s in tape.outputs if tape.avals[s].nbytes > BY_ADDRESS}, {})
    results = scope.results()
    table = [
        0 if (place := layout.place[root]) is None else place + offset
        for root, offset in zip(layout.root, layout.offset, strict=True)
    ]
    return Program(
        code=np.array(layout.code, dtype=np.int64),
        addresses=np.array(table, dtype=np.int64),
        nbytes=layout.top + ALIGN,
        inputs=tuple(layout.port(scope.number[s]) for s in tape.inputs),
        consts=tuple(layout.port(scope.number[c.slot]) for c in tape.consts),
        captured=tuple(layout.port(scope.number[c.slot]) for c in tape.captured),
        outputs=tuple(layout.port(k) for k in results),
        origin=(layout.words, layout.tapes, layout.spots),
    )
