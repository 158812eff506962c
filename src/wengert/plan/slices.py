"""Slices of what is computed become computations of slices, so that no array is written only to be read in parts.

    v = f(x, y)   a = v[1:]   b = v[:-1]        ->        a = f(x[1:], y[1:])   b = f(x[:-1], y[:-1])

Stencils and their adjoints are such: every element of the gradient is the sum of what its neighbours say. Slices of an
input are views, so it is read where it lies, and all of it can be one region. Work done twice is bounded: it must cost
less than memory does. Slices side by side that are put together again are one slice. Knows elementwise ops and slices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from wengert.ops.elementwise import CAST, Elementwise
from wengert.ops.guard import GUARD
from wengert.ops.index import INDEX, SLICE, items, view_of
from wengert.ops.join import CONCATENATE
from wengert.ops.spec import Op, Params
from wengert.plan.regions import fusible
from wengert.shapes import Shape, aval
from wengert.tape import Instruction, Tape

_DEAR = 12.0
"""What a function costs, in sums and products."""
_AGAIN = 8.0
"""Sums and products, an element, that are rather done again than their result kept in memory."""
_FEWEST = 64
"""Elements from which an array is worth it."""


def push_slices(tape: Tape) -> Tape:
    """The tape with its slices as close to what lies in memory as pays, and without what nobody needs."""
    if not any(op is INDEX for op, _, _, _ in tape.instructions):
        return tape
    walk = _Walk(tape)
    for at in range(len(tape.instructions) - 1, -1, -1):
        walk.step(at)
    return walk.tape() if walk.pushed else tape


class _Walk:
    """From the last instruction to the first: what takes slices of a value is known when the value is reached."""

    def __init__(self, tape: Tape) -> None:
        self.old, self.avals = tape, list(tape.avals)
        self.made = {outs[0]: (op, ins, params) for op, outs, ins, params in tape.instructions if len(outs) == 1}
        self.slices: dict[int, dict[Params, int]] = defaultdict(dict)
        """Of a value the slices that are wanted, and their slots."""
        self.whole = [0] * len(tape.avals)
        """How many read all of a value."""
        for s in tape.outputs:
            self.whole[s] += 1
        self.same: dict[int, int] = {}
        """A slot -> the one that holds the same slice."""
        self.at: list[list[Instruction]] = [[] for _ in tape.instructions]
        """What stands in the place of every instruction."""
        self.cost = _costs(tape)
        self.pushed = 0

    def step(self, at: int) -> None:
        op, outs, ins, params = self.old.instructions[at]
        if op is CONCATENATE:
            joined = self._joined(ins, params[0])
            if joined is not None:
                op, ins, params = INDEX, joined[:1], joined[1]
                self.pushed += 1
        wanted = [(s, p, slot) for s in outs for p, slot in self.slices.pop(s, {}).items()]
        if op is INDEX and self.whole[outs[0]] and not wanted and _plain(params, self.avals[ins[0]].shape):
            slot = self.slices[ins[0]].setdefault(params, outs[0])
            if slot != outs[0]:
                self.same[outs[0]] = slot
            return
        if wanted and self._pays(op, outs, ins, [slot for _, _, slot in wanted]):
            self.pushed += 1
            self.at[at] += [
                (op, (slot,), tuple([self._part(s, p, outs[0]) for s in ins]), params) for _, p, slot in wanted
            ]
            wanted = []
        for s, _, _ in wanted:
            self.whole[s] += 1
        if op is GUARD or any(self.whole[s] for s in outs):
            self.at[at].append((op, outs, ins, params))
            for s in ins:
                self.whole[s] += 1
        self.at[at] += [(INDEX, (slot,), (s,), p) for s, p, slot in wanted]

    def _pays(self, op: Op, outs: Sequence[int], ins: Sequence[int], slots: Sequence[int]) -> bool:
        """Whether to compute slices of a result rather than to take slices of it."""
        what = self.avals[outs[0]]
        if len(outs) != 1 or what.size < _FEWEST or not fusible(op, what):
            return False
        again = sum(self.avals[s].size for s in slots) - (0 if self.whole[outs[0]] else what.size)
        return again * self.cost[outs[0]] <= _AGAIN * what.size

    def _part(self, s: int, params: Params, of: int) -> int:
        """The slot of a slice of an operand; along axes where it is repeated all of it is seen."""
        shape, lead = self.avals[s].shape, self.avals[of].ndim - self.avals[s].ndim
        whole = zip(shape, self.avals[of].shape[lead:], items(params)[lead:], strict=True)
        mine = [item if n == m else (SLICE, 0, 1, 1) for n, m, item in whole]
        if all(item == (SLICE, 0, 1, n) for n, item in zip(shape, mine, strict=True)):
            self.whole[s] += 1
            return s
        params = sum(mine, ())
        slot = self.slices[s].get(params)
        if slot is None:
            slot = self.slices[s][params] = len(self.avals)
            self.avals.append(aval(self.avals[s].dtype, view_of(shape, (0,) * len(shape), params)[0]))
        return slot

    def _joined(self, ins: Sequence[int], axis: int) -> tuple[int, Params] | None:
        """The array and its slice that some slices are if they are put side by side again."""
        parts = [self.made.get(s) for s in ins]
        first = parts[0]
        if first is None or any(p is None or p[0] is not INDEX or p[1] != first[1] for p in parts):
            return None
        source = first[1][0]
        found = [items(p[2]) for p in parts if p is not None]
        if not all(_plain(p[2], self.avals[source].shape) for p in parts if p is not None):
            return None
        at = found[0][axis][1]
        for item in found:
            others = [item[k] == found[0][k] for k in range(len(item)) if k != axis]
            if not all(others) or item[axis][1:3] != (at, 1):
                return None
            at += item[axis][3]
        whole = list(found[0])
        whole[axis] = (SLICE, whole[axis][1], 1, at - whole[axis][1])
        return source, sum(whole, ())

    def tape(self) -> Tape:
        old, same = self.old, self.same
        given = [*old.inputs, *[c.slot for c in old.consts], *[c.slot for c in old.captured]]
        found: list[Instruction] = [
            (INDEX, (slot,), (s,), params) for s in given for params, slot in self.slices.pop(s, {}).items()
        ]
        lines = [old.lines[0]] * len(found)
        for at, here in enumerate(self.at):
            found += [(op, outs, tuple([same.get(s, s) for s in ins]), params) for op, outs, ins, params in here]
            lines += [old.lines[at]] * len(here)
        outputs = [same.get(s, s) for s in old.outputs]
        return Tape(found, self.avals, old.inputs, outputs, old.consts, old.captured, lines, old.subtapes, old.name)


def _plain(params: Params, shape: Shape) -> bool:
    """Whether an index takes a slice of every axis."""
    return len(params) == 4 * len(shape) and all(kind == SLICE for kind in params[::4])


def _costs(tape: Tape) -> dict[int, float]:
    """Sums and products, an element, that a value takes from what is no elementwise op's result of its shape."""
    cost: dict[int, float] = {}
    for op, outs, ins, _ in tape.instructions:
        if op is CAST or isinstance(op, Elementwise):
            own = _DEAR if isinstance(op, Elementwise) and not op.cheap else 1.0
            shape = tape.avals[outs[0]].shape
            cost[outs[0]] = own + sum(cost.get(s, 0.0) for s in {*ins} if tape.avals[s].shape == shape)
    return cost
