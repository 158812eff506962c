"""What an op is: its kinds, the registry, and the one door by which rules call ops. Knows no recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from wengert.shapes import Aval, Shape

Params = tuple[int, ...]


WHOLE, PARTIAL, MIXED = -1, -2, -3
"""Instead of an axis along which rows are independent (see `Op.rows`): the same for all rows; each part of the
rows has a summand of it; rows depend on one another."""


class Lowering(Protocol):
    """What a plan offers to an op that turns itself into packets; slots are the plan's numbers here."""

    code: list[int]

    def aval(self, slot: int) -> Aval:
        """Dtype and shape."""

    def strides(self, slot: int) -> Shape:
        """Byte strides."""

    def is_dense(self, slot: int) -> bool:
        """Whether the slot is C-contiguous."""

    def dense(self, slot: int) -> int:
        """The slot itself if it is C-contiguous, else a copy that lives for this instruction."""

    def allocate(self, slot: int) -> None:
        """Give a result its own storage."""

    def alias(self, slot: int, of: int, offset: int, strides: Shape | None) -> None:
        """Make a result a view of another slot; strides None means C-contiguous."""

    def may_take_over(self, slot: int, of: int, others: Sequence[int] = ()) -> bool:
        """Whether `slot` can have the storage of `of`: nothing reads it any more, and `others`, which the same
        instruction reads, lie elsewhere."""

    def take_over(self, slot: int, of: int, others: Sequence[int] = ()) -> None:
        """Let a result overwrite an operand's storage, or a copy of it where that is still needed."""

    def part(self, of: int, shape: Shape, offset: int, strides: Shape) -> int:
        """A nameless view of a slot."""

    def lies_in(self, slot: int, whole: int, offset: int) -> bool:
        """Whether an operand has been computed right into its place in a result."""

    def floating(self, what: Aval) -> int:
        """A slot without storage, whose address a kernel sets."""

    def root_of(self, slot: int) -> int:
        """The slot whose storage this one looks at."""

    def moves(self, slot: int) -> list[tuple[int, int, int]]:
        """(view, slot, byte offset) of every view of a slot: their addresses move with its own."""

    def scratch(self, nbytes: int) -> int:
        """Raw bytes for this instruction only."""

    def temporary(self, what: Aval) -> int:
        """A slot with storage for this instruction only."""

    def packet(self, source: str, label: str, n: int, *words: int) -> None:
        """Append `| kernel | size | n | words...`."""

    def driver(self, source: str, label: str, n: int, kernel: tuple[str, str], *words: int) -> None:
        """Append a packet whose first word is the address of another kernel."""

    def threads(self) -> int:
        """How many threads there are to share work: 1 in a part of a fork."""

    def fork(self, parts: Sequence[Callable[[], object]]) -> None:
        """Append packets that may run at the same time: each part's are emitted by calling it."""

    def apart(self, parts: Sequence[Callable[[], object]]) -> list[tuple[int, int]]:
        """Append packets of which none reuses another part's storage; first word and end of each part."""

    def body(self, tape: Any, inputs: Sequence[int], carries: Sequence[int]) -> tuple[int, list[int]]:
        """Append the packets of a sub-tape; see `plan.lower.Scope.body`."""


class Op:
    """One operation: how its result looks, its value, its derivative and its packets.

    `forward` and `pullback` are written in NumPy. Given arrays they compute (that is the oracle);
    given tracers they are recorded (that is how a derivative is differentiated again).
    """

    name: str
    code: int = -1
    n_in: int | None = 1
    """How many operands; None for any number."""
    n_out = 1
    bodies = 0
    """How many of the first parameters are numbers of sub-tapes."""

    stops = False
    """Whether its kernel may refuse a value: the replay stops there and names the user's line."""

    def infer(self, avals: Sequence[Aval], params: Params) -> tuple[Aval, ...]:
        """Dtype and shape of every result."""
        raise NotImplementedError

    def check(self, avals: Sequence[Aval], params: Params) -> str:
        """What is wrong with the parameters; "" if nothing is. For `Tape.verify`: rules never emit such."""
        return ""

    def forward(self, operands: Sequence[Any], params: Params) -> Any:
        """The value, in plain NumPy."""
        raise NotImplementedError

    def pullback(self, z_bar: Any, operands: Sequence[Any], z: Any, params: Params) -> Sequence[Any]:
        """Per operand its adjoint's increment, or None where there is none."""
        return (None,) * len(operands)

    def rows(
        self, axes: Sequence[int], avals: Sequence[Aval], params: Params, out: Aval, wanted: int, rows: int
    ) -> tuple[int, Sequence[int]]:
        """Where the rows of a batch are in the result, and where they must be in the operands for that.

        `axes` says where they are in the operands as far as is known, `wanted` in the result; either may be WHOLE.
        """
        return MIXED, axes

    def resized(self, params: Params, axis: int, rows: int) -> Params:
        """The parameters for another number of rows, which lie along this axis of the result."""
        return params

    def lower(self, plan: Lowering, outs: Sequence[int], ins: Sequence[int], params: Params) -> None:
        """Emit the packets that compute the results."""
        raise NotImplementedError

    def describe(self, params: Params) -> str:
        """The parameters as they are shown on a printed tape."""
        return " ".join(map(str, params))

    def __repr__(self) -> str:
        return f"<op {self.name}>"


OPS: list[Op] = []
BY_NAME: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Give an op its code: its place in the registry. A saved tape names ops, never codes."""
    if op.name in BY_NAME:
        raise ValueError(f"two ops named {op.name!r}")
    op.code = len(OPS)
    OPS.append(op)
    BY_NAME[op.name] = op
    return op


def bind(op: Op, operands: Sequence[Any], params: Params = ()) -> Any:
    """Apply an op: recorded if an operand is traced, computed by NumPy otherwise."""
    for x in operands:
        if hasattr(x, "wengert_bind"):
            return x.wengert_bind(op, operands, params)
    return op.forward(operands, params)


def rows_of(plan: Lowering, slot: int, axis: int, first: int, rows: int) -> int:
    """A nameless view of some rows (or whatever lies along the axis)."""
    shape, strides = plan.aval(slot).shape, plan.strides(slot)
    axis %= len(shape)
    return plan.part(slot, (*shape[:axis], rows, *shape[axis + 1 :]), first * strides[axis], strides)
