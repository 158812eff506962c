"""A tape with less on it that gives the same results to the bit. Knows arithmetic's identities, no storage.

Three things: an instruction on constants alone becomes a constant (or one number, broadcast); one that changes nothing
(x * 1, x / 1, x - 0, x + (-0), a double negation) is dropped; of equal instructions one is left. Only what is exact in
IEEE arithmetic is done: x + 0 is not x where x is -0, and x * 0 is not 0 where x is infinite. With one exception: where
an adjoint is multiplied by a known number, so that zero times it is zero in any case, that is a plain product, which
keeps the sign of a zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from wengert.ops.elementwise import ADD, CAST, DIV, MUL, MUL0, NEG, SUB, WHERE
from wengert.ops.guard import GUARD
from wengert.ops.spec import Op
from wengert.ops.views import BROADCAST, FRESH, RESHAPE, TRANSPOSE
from wengert.plan.common import without_common
from wengert.shapes import aval
from wengert.tape import Const, Instruction, Tape

_FOLDED = (ADD, SUB, MUL, DIV, NEG, MUL0, WHERE, CAST)
"""What is rounded the same everywhere: NumPy's value is the kernel's."""
_MUL0_BAR = MUL0.fused[1][0]
"""What `mul0` gives its second operand's adjoint."""
_SEEN_AS = (BROADCAST, RESHAPE, TRANSPOSE)
"""Of one number everywhere they make the same."""


class Done(NamedTuple):
    """A simplified tape, and how many instructions each rule has taken from it."""

    tape: Tape
    folded: int
    identities: int
    common: int


def simplify(tape: Tape) -> Done:
    """Inputs, outputs and the order of guards are the tape's own; the numbers of slots, too."""
    walk = _Walk(tape)
    for at in range(len(tape.instructions)):
        walk.step(at)
    outputs = [walk.same.get(s, s) for s in tape.outputs]
    left, lines = [instruction for _, instruction in walk.kept], [tape.lines[at] for at, _ in walk.kept]
    instructions, lines, outputs = without_common(left, lines, outputs)
    found = Tape(
        instructions, walk.avals, tape.inputs, outputs, walk.consts, tape.captured, lines, tape.subtapes, tape.name
    )
    return Done(found, walk.folded, walk.identities, len(left) - len(instructions))


class _Walk:
    def __init__(self, tape: Tape) -> None:
        self.tape, self.consts, self.avals = tape, list(tape.consts), list(tape.avals)
        self.same: dict[int, int] = {}
        """A slot -> the one that stands for it."""
        self.value: dict[int, Any] = {c.slot: np.asarray(c.value, tape.avals[c.slot].dtype)[()] for c in tape.consts
                                      if np.ndim(c.value) == 0}  # fmt: skip
        """Slots that hold one known number everywhere."""
        self.negated: dict[int, int] = {}
        self.kept: list[tuple[int, Instruction]] = []
        self.folded = self.identities = 0

    def step(self, at: int) -> None:
        op, outs, ins, params = self.tape.instructions[at]
        if self.same:
            ins = tuple([self.same.get(s, s) for s in ins])
        if op is GUARD:
            self.kept.append((at, (op, outs, ins, params)))
            return
        if self._fold(at, op, outs, ins, params):
            return
        if op is MUL0 or op is _MUL0_BAR:
            op = self._product(op, ins)
        stays = self._unchanged(op, outs, ins)
        if stays >= 0:
            self.same[outs[0]] = stays
            self.identities += 1
            return
        if op is NEG:
            self.negated[outs[0]] = ins[0]
        self.kept.append((at, (op, outs, ins, params)))

    def _product(self, op: Op, ins: tuple[int, ...]) -> Op:
        """`mul` in place of an op that keeps a zero a zero, where a known factor does so anyway."""
        x, y = (self.value.get(s) for s in ins)
        if op is MUL0 and x is not None and x != 0:
            return MUL
        if y is not None and np.isfinite(y) and (op is MUL0 or y != 0):
            return MUL
        return op

    def _fold(self, at: int, op: Any, outs: tuple[int, ...], ins: tuple[int, ...], params: tuple[int, ...]) -> bool:
        """Whether the instruction has become a constant."""
        value, what = self.value, self.avals[outs[0]]
        if op in _SEEN_AS and ins[0] in value:  # it stays, if anybody needs it as an array
            value[outs[0]] = value[ins[0]]
            return False
        if op not in _FOLDED or not all([s in value for s in ins]):  # noqa: C419
            return False
        with np.errstate(all="ignore"):
            found = np.asarray(op.forward([value[s] for s in ins], params), what.dtype)[()]
        value[outs[0]] = found
        self.folded += 1
        slot = outs[0]
        if what.shape:
            slot = len(self.avals)
            self.avals.append(aval(what.dtype, ()))
            self.kept.append((at, (BROADCAST, outs, (slot,), what.shape)))
        self.consts.append(Const(slot, found))
        return True

    def _unchanged(self, op: Any, outs: tuple[int, ...], ins: tuple[int, ...]) -> int:
        """The operand that an instruction gives back as it is, -1 if there is none."""
        avals, value = self.tape.avals, self.value
        if op is FRESH or (op is CAST and avals[ins[0]] is avals[outs[0]]):
            return ins[0]
        if op is NEG:
            return self.negated.get(ins[0], -1)
        if op not in (ADD, SUB, MUL, DIV, MUL0):
            return -1
        x, y = ins
        for kept, other in ((x, y), (y, x)):
            number = value.get(other)
            if number is None or avals[kept] is not avals[outs[0]]:
                continue
            first = kept == x
            if op is MUL or (op is DIV and first) or (op is MUL0 and not first):
                unchanged = number == 1
            elif op is ADD or (op is SUB and first):
                unchanged = number == 0 and bool(np.signbit(number)) is (op is ADD)
            else:
                continue
            if unchanged:
                return kept
        return -1
