"""What is cheap is computed again where it is needed, in place of being kept in memory from one region to another.

    region 1:  e = p - y  ...                  region 1:  e = p - y  ...
    region 2:  reads e                ->       region 2:  reads p and y, computes e

Arrays that a reverse pass needs of the forward pass are such. It pays where fewer bytes move: the kept value is neither
written nor read, and what it is computed from is read there already, or is one array in its place. Knows elementwise
ops and what regions will be.
"""

from __future__ import annotations

from collections import defaultdict

from wengert.ops.elementwise import Elementwise
from wengert.plan.regions import fusible, regions
from wengert.tape import Instruction, Tape

_FEWEST = 1 << 10
"""Elements from which memory counts."""


def recompute(tape: Tape) -> Tape:
    """The tape with cheap values computed again in the regions that read them."""
    avals = tape.avals
    cheap = [
        at for at, (op, outs, _, _) in enumerate(tape.instructions)
        if isinstance(op, Elementwise) and op.cheap and fusible(op, avals[outs[0]]) and avals[outs[0]].size >= _FEWEST
    ]  # fmt: skip
    walk = _Walk(tape) if cheap else None
    if walk is None or not any([walk.moved(at) for at in cheap]):  # noqa: C419
        return tape
    return walk.tape()


class _Walk:
    def __init__(self, tape: Tape) -> None:
        self.old, self.avals = tape, list(tape.avals)
        order, found = regions(tape, range(len(tape.instructions)))
        self.region = list(range(len(order)))
        """Per instruction the region that it is in: the place of one of its members."""
        for start, stop in found.items():
            for k in range(start, stop):
                self.region[order[k]] = order[start]
        self.readers: dict[int, list[int]] = defaultdict(list)
        self.reads: dict[int, set[int]] = defaultdict(set)
        """Per region what its members read."""
        self.made: dict[int, int] = {}
        """A value -> the region that makes it."""
        for at, (_, outs, ins, _) in enumerate(tape.instructions):
            for s in ins:
                self.readers[s].append(at)
            self.reads[self.region[at]].update(ins)
            self.made.update(dict.fromkeys(outs, self.region[at]))
        self.loops = {order[start] for start in found}
        """Regions that are one loop."""
        self.kept = set(tape.outputs)
        self.again: dict[tuple[int, int], int] = {}
        """A value and a region -> the slot that it has there."""

    def moved(self, at: int) -> bool:
        """Whether the value that an instruction makes is computed again wherever another region reads it."""
        _, outs, ins, _ = self.old.instructions[at]
        v, home = outs[0], self.region[at]
        elsewhere = {self.region[k] for k in self.readers[v]} - {home}
        if v in self.kept or not elsewhere:
            return False
        if not all(self._pays(v, ins, region) for region in elsewhere):
            return False
        for region in elsewhere:
            self.again[v, region] = len(self.avals)
            self.avals.append(self.avals[v])
            self.reads[region].update(ins)
            self.reads[region].discard(v)
        for s in ins:
            self.readers[s] += [k for k in self.readers[v] if self.region[k] != home]
        return True

    def _pays(self, v: int, ins: tuple[int, ...], region: int) -> bool:
        """Whether the operands are in memory anyway, and no more of them are read in addition than the value itself."""
        what, home, more = self.avals[v], self.made[v], 0
        if region not in self.loops or self.avals[self.old.instructions[region][1][0]].shape != what.shape:
            return False
        for s in set(ins):
            inside = self.made.get(s) == home and s not in self.kept
            if (s, region) in self.again or (inside and all(self.region[k] == home for k in self.readers[s])):
                return False  # it would have to be kept in the value's place
            more += s not in self.reads[region] and self.avals[s].size == what.size
        return more <= 1

    def tape(self) -> Tape:
        old = self.old
        source = {outs[0]: at for at, (_, outs, _, _) in enumerate(old.instructions) if len(outs) == 1}
        found: list[Instruction] = []
        lines = []
        ready: set[int] = set()
        for at, (op, outs, ins, params) in enumerate(old.instructions):
            region = self.region[at]
            new = []
            for s in ins:
                slot = self.again.get((s, region), s) if self.made.get(s) != region else s
                if slot != s and slot not in ready:
                    ready.add(slot)
                    maker = old.instructions[source[s]]
                    found.append((maker[0], (slot,), maker[2], maker[3]))
                    lines.append(old.lines[source[s]])
                new.append(slot)
            found.append((op, outs, tuple(new), params))
            lines.append(old.lines[at])
        return Tape(found, self.avals, old.inputs, old.outputs, old.consts, old.captured, lines, old.subtapes, old.name)
