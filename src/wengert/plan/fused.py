"""Emits one packet for a region of elementwise instructions, where its kernel is at hand. Knows no storage policy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from wengert import _jit
from wengert.ops.elementwise import Elementwise, cast_scalar, scalar
from wengert.ops.loopcode import Operand, Step, loop
from wengert.shapes import Aval, broadcast_strides, collapse, pieces
from wengert.tape import Instruction

_SHARED = 1 << 19
"""Elements times instructions from which a region is shared between threads."""

Member = tuple[Elementwise | None, tuple[int, ...], tuple[str, ...], int]
"""An op (None for a cast), the values it reads, the types of its result and of those, the value it makes."""
Signature = tuple[tuple[Member, ...], tuple[Operand, ...], int]
"""Members, what lies in memory (results first), and how many results."""


def emit_region(plan: Any, members: Sequence[Instruction], results: Sequence[int], compile: bool) -> bool:
    """Append a packet that computes the members and writes `results` (slots of the tape); whether it could be done."""
    value = {outs[0]: k for k, (_, outs, _, _) in enumerate(members)}
    operands = list(dict.fromkeys(s for _, _, ins, _ in members for s in ins if s not in value))
    for k, s in enumerate(operands):
        value[s] = len(members) + k
    number = plan.number
    shape = plan.aval(number[results[0]]).shape
    avals: list[Aval] = [plan.aval(number[s]) for s in (*results, *operands)]
    strides = [plan.result_strides(number[s]) for s in results] + [plan.strides(number[s]) for s in operands]
    single = avals[0].size == 1  # of any shapes
    if single:
        dims, collapsed = [1], [[0]] * len(avals)
    else:
        steps_of = [broadcast_strides(a.shape, t, shape) for a, t in zip(avals, strides, strict=True)]
        dims, collapsed = collapse(shape, steps_of)
    if len(dims) > 2:
        return False
    rows, columns = dims if len(dims) == 2 else (1, dims[0])
    down_right = [(c[0], c[1]) if len(dims) == 2 else (0, c[0]) for c in collapsed]

    def mode(right: int, size: int) -> str:
        return "a" if single else "c" if right == size else "g" if right else "s"

    lying = tuple(
        Operand(value[s], a.dtype.str[1:], mode(right, a.dtype.itemsize))
        for s, a, (_, right) in zip((*results, *operands), avals, down_right, strict=True)
    )

    def member(instruction: Instruction) -> Member:
        op, outs, ins, _ = instruction
        kinds = tuple(plan.aval(number[s]).dtype.str[1:] for s in (*outs, *ins))
        return (op if isinstance(op, Elementwise) else None, tuple(value[s] for s in ins), kinds, value[outs[0]])

    steps = tuple(member(m) for m in members)
    kernel = _kernel((steps, lying, len(results)), compile)
    if not kernel:
        return False
    for s in results:
        plan.allocate(number[s])
    slots = [number[s] for s in (*results, *operands)]
    if single:
        plan.packet_at(kernel, 1, *slots)
        return True
    total = rows * columns

    def packet(first: int, count: int, whole: bool) -> None:
        words = [count if rows > 1 else 1, columns if rows > 1 else count]
        for slot, (down, right) in zip(slots, down_right, strict=True):
            step = down if rows > 1 else right
            words += (slot if whole else plan.part(slot, (), first * step, ()), down, right)
        plan.packet_at(kernel, total // along * count, *words)

    along = rows if rows > 1 else columns
    parts = min(plan.threads(), along // 2)
    if parts < 2 or total * len(members) < _SHARED:
        packet(0, along, True)
    else:
        plan.fork([partial(packet, first, count, False) for first, count in pieces(along, parts)])
    return True


@lru_cache(maxsize=1024)
def _text(signature: Signature) -> tuple[str, tuple[_jit.Scalar, ...]] | None:
    """The region's LLVM text and the functions that it calls; None if one of its ops may stop the replay."""
    steps, operands, n = signature
    scalars, listed = [], []
    for op, ins, kinds, out in steps:
        function = cast_scalar(kinds[1], kinds[0]) if op is None else scalar(op, kinds[1:], kinds[0])
        if function is None:
            return None
        scalars.append(function)
        listed.append(Step(function.symbol, out, ins, kinds))
    return loop(listed, operands[:n], operands[n:]), tuple(dict.fromkeys(scalars))


def _kernel(signature: Signature, compile: bool) -> int:
    found = _text(signature)
    return _jit.fused(found[0], f"region of {len(signature[0])}", found[1], compile) if found else 0
