"""Takes out of a loop's step what need not be there: work on constants, and products of x with a constant.

x_t @ W for every t is one product over time and rows, done before the loop; the loop then reads its result as
a further x. That the weight's adjoint becomes one product, too, follows by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from wengert.ops.matmul import MATMUL
from wengert.ops.spec import Op, Params
from wengert.ops.views import RESHAPE
from wengert.record.recorder import Recorder
from wengert.record.tracer import Tracer
from wengert.shapes import Aval

Pair = tuple[Tracer, int]
"""A value around the loop, and the slot by which the step knows it (or a slice of it)."""


def hoist(
    recorder: Recorder,
    step: Recorder,
    length: int,
    constants: Sequence[Pair],
    timed: Sequence[Pair],
    keep: Sequence[int],
    over_time: bool,
) -> tuple[list[Pair], list[Pair]]:  # fmt: skip
    """Move instructions from `step` to `recorder`; the constants and xs that the step needs then.

    `keep` are the slots that the step returns; without `over_time` nothing that differs from step to step is moved.
    """
    fixed, moving = {s: t for t, s in constants}, {s: t for t, s in timed}
    left, lines = [], []
    before = recorder.line
    for (op, outs, ins, params), line in zip(step.instructions, step.lines, strict=True):
        recorder.line = line
        if op.n_out == 1 and ins and all(s in fixed for s in ins):
            operands = tuple(recorder.slot(fixed[s]) for s in ins)
            what = step.avals[outs[0]]
            fixed[outs[0]] = Tracer(recorder, recorder.emit(op, operands, params, what), what)
        elif (
            over_time
            and (found := _over_time(recorder, op, ins, params, length, fixed, moving, step.avals)) is not None
        ):
            moving[outs[0]] = found
        else:
            left.append((op, outs, ins, params))
            lines.append(line)
    recorder.line = before
    step.instructions, step.lines = left, lines
    used = {s for _, _, ins, _ in left for s in ins} | set(keep)
    return [(t, s) for s, t in fixed.items() if s in used], [(t, s) for s, t in moving.items() if s in used]


def _over_time(
    recorder: Recorder, op: Op, ins: Sequence[int], params: Params, length: int, fixed: dict[int, Tracer],
    moving: dict[int, Tracer], avals: Sequence[Aval],
) -> Tracer | None:  # fmt: skip
    """An instruction on x done for all steps at once, where it is one of those that allow it."""
    if not ins or ins[0] not in moving:
        return None
    x = moving[ins[0]]
    if op is RESHAPE:
        found: Tracer = recorder.bind(RESHAPE, (x,), (length, *params))
        return found
    if op is MATMUL and ins[1] in fixed and avals[ins[0]].ndim == avals[ins[1]].ndim == 2:
        rows, inner = avals[ins[0]].shape
        flat = recorder.bind(RESHAPE, (x,), (length * rows, inner))
        product = recorder.bind(MATMUL, (flat, fixed[ins[1]]), ())
        stacked: Tracer = recorder.bind(RESHAPE, (product,), (length, rows, avals[ins[1]].shape[1]))
        return stacked
    return None
