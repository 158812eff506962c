"""The public `scan`: records a step once, checks its carry, appends the op. Knows no adjoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import wengert.loops.bptt  # noqa: F401  (gives the op its adjoint)
from wengert import tree
from wengert.errors import CarryError, ShapeError, at_user
from wengert.loops.body import body_tape
from wengert.loops.hoist import hoist
from wengert.loops.memory import Binomial, Step, choose, in_segments, truncated
from wengert.loops.op import SCAN
from wengert.record.eager import evaluate
from wengert.record.recorder import VIEWS, Recorder
from wengert.record.session import recording
from wengert.record.state import thread
from wengert.record.tracer import Tracer
from wengert.shapes import F32, aval
from wengert.tape import Tape


def scan(
    f: Step,
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    *,
    checkpoint: str | int | Binomial | None = None,
    memory: str | int | None = None,
    truncate: int | None = None,
) -> tuple[Any, Any]:
    """A loop over time whose step is recorded once, with the meaning of

        carry, ys = init, []
        for x in xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, stack(ys)

    Its gradient is exact backpropagation through time. Cost and memory are linear in the number of steps;
    recording does not depend on it.

    Parameters
    ----------
    f
        The step: `f(carry, x)` returns `(carry, y)`. Carry, x and y are pytrees of arrays and floats; the
        carry keeps its structure, shapes and dtypes.
    init
        The first carry.
    xs
        A pytree of arrays whose axis 0 is time, or None.
    length
        Number of steps; needed where `xs` has no leaves.
    reverse
        Go from the last x to the first; `ys[t]` still belongs to `xs[t]`.
    checkpoint
        What the gradient keeps of the loop. None: every value that it needs, of all steps. A number k: the carry of
        every k-th step; the rest is computed again, k steps at a time. "sqrt": that with k near the square root of
        the number of steps, which needs the least memory for one more forward pass. `Binomial(snapshots)`: so many
        carries at most, at the price of further forward passes. Results agree to rounding. Return only what is
        needed as y: the ys of all steps are kept in any case. A second derivative keeps everything.
    memory
        Instead of `checkpoint`, what the gradient may keep, as in "200 MB" or bytes: everything if it fits, else the
        cheapest of the above that does.
    truncate
        Truncated backpropagation through time: adjoints do not go from step t to step t - 1 where t is a multiple
        of this. The value does not change, the gradient does: each window's is that of the loop started at the
        window's first carry as if that were a constant (the first window's goes on to `init`).

    Returns
    -------
    carry, ys
        The last carry, and the results stacked along axis 0.

    Raises
    ------
    OptionError
        If `checkpoint`, `memory` or `truncate` is not one of the above, or nothing fits into the memory given.
    CarryError
        If the carry that the step returns has another structure, shape or dtype than the one it was given.

    Notes
    -----
    P. J. Werbos, *Backpropagation through time*, Proc. IEEE 78 (1990). R. J. Williams & J. Peng, *An efficient
    gradient-based algorithm for on-line training of recurrent network trajectories*, Neural Comp. 2 (1990), for the
    truncated form. A. Griewank & A. Walther, *Revolve*, ACM TOMS 26 (2000), for the binomial schedule.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> total, sums = wengert.scan(lambda c, x: (c + x, c + x), 0.0, np.array([1.0, 2.0, 3.0]))
    >>> float(total), sums.tolist()
    (6.0, [1.0, 3.0, 6.0])
    """
    recorder = thread.active
    if recorder is None:
        name = getattr(f, "__name__", "step")
        kept: Any = {"checkpoint": checkpoint, "memory": memory, "truncate": truncate}
        found: tuple[Any, Any] = evaluate(lambda init, xs: scan(f, init, xs, length, reverse, **kept), name, init, xs)
        return found
    steps = _length(length, xs)
    if truncate is not None:
        f, xs = truncated(f, xs, steps, truncate, reverse)
    if checkpoint is not None or memory is not None:
        chosen = choose(checkpoint, memory, steps, lambda: _bytes(recorder, f, init, xs))
        if chosen is not None and steps:
            return in_segments(record_scan, f, init, xs, steps, reverse, chosen)
    return record_scan(f, init, xs, steps, reverse)


def record_scan(f: Step, init: Any, xs: Any, steps: int, reverse: bool, snapshots: int = 0) -> tuple[Any, Any]:
    """Record the step and append the op; with `snapshots`, its adjoint will keep only so many carries."""
    recorder = thread.active
    assert recorder is not None
    init_leaves, carry_structure = tree.flatten(init)
    xs_leaves, xs_structure = tree.flatten(xs)
    given = [recorder.operand(x) for x in init_leaves]
    stacks = [_strong(recorder.operand(x)) for x in xs_leaves]
    carry = [_strong(t) for t in given]
    trial = False  # is the carry tried as the Python numbers it was given as?
    while True:
        step = Recorder(recorder, getattr(f, "__name__", "step"))
        with recording(step):
            carry_in = [step.input(t.aval, kind=t.kind) for t in carry]
            x_in = [step.input(aval(t.dtype, t.shape[1:])) for t in stacks]
            out = f(tree.unflatten(carry_structure, carry_in), tree.unflatten(xs_structure, x_in))
            if not isinstance(out, tuple) or len(out) != 2:
                raise CarryError(at_user(f"the step of a scan must return (carry, y), not a {type(out).__name__}"))
            returned = _same_structure(step, carry_structure, out[0])
            if not trial:
                carry_out = _carry(step, init, carry, returned)
                y_leaves, y_structure = tree.flatten(out[1])
                y_slots = [step.slot(y) for y in y_leaves]
        if trial:
            carry, trial = [_taken_dtype(recorder, *pair) for pair in zip(given, returned, strict=True)], False
            given = carry
        elif any(t.kind is float for t in given) and any(t.dtype == F32 for t in (*x_in, *step.lifts)):
            carry, trial = given, True
        else:
            break
    constants = [(t, step.lift(t)) for t in step.lifts]
    timed = list(zip(stacks, (t.slot for t in x_in), strict=True))
    # What is to be computed again must not be done, and kept, for all steps at once.
    constants, timed = hoist(recorder, step, steps, constants, timed, [*carry_out, *y_slots], over_time=not snapshots)
    inputs = [s for _, s in constants] + [t.slot for t in carry_in] + [s for _, s in timed]
    body = body_tape(step, inputs, [*carry_out, *y_slots])
    recorder.subtapes.append(body)
    operands = [recorder.slot(t) for t in (*(t for t, _ in constants), *carry, *(t for t, _ in timed))]
    params = (len(recorder.subtapes) - 1, len(constants), len(carry), steps, int(reverse), snapshots)
    whats = SCAN.infer([recorder.avals[s] for s in operands], (body, *params[1:]))
    results = [recorder.tracer(s) for s in recorder.emit_many(SCAN, tuple(operands), params, whats)]
    n = len(carry)
    return tree.unflatten(carry_structure, results[:n]), tree.unflatten(y_structure, results[n:])


def _bytes(recorder: Recorder, f: Step, init: Any, xs: Any) -> tuple[int, int]:
    """Bytes of a carry, and (at most) of what the adjoint of a step needs: found by recording one on trial."""
    step = Recorder(recorder, "trial")
    carry = tree.map(lambda x: step.input(recorder.operand(x).aval), init)
    with recording(step):
        f(carry, tree.map(lambda x: step.input(aval(x.dtype, x.shape[1:])), tree.map(recorder.operand, xs)))
    size = sum(step.avals[t.slot].nbytes for t in tree.flatten(carry)[0])
    return size, size + _written(step)


def _written(step: Recorder | Tape) -> int:
    """Bytes of all values that are computed, those of loops in every step."""
    total = 0
    for op, outs, _, params in step.instructions:
        if op is SCAN:
            total += params[3] * _written(step.subtapes[params[0]])
        elif op not in VIEWS:
            total += sum(step.avals[s].nbytes for s in outs)
    return total


def _taken_dtype(recorder: Recorder, before: Tracer, after: Tracer) -> Tracer:
    """The first carry; a Python float takes the dtype of what the loop's first step makes of it."""
    if before.kind is not float or isinstance(after.kind, type) or not after.aval.is_float or after.shape:
        return _strong(before)
    slot = recorder.cast(recorder.slot(before), after.dtype)
    return Tracer(recorder, slot, recorder.avals[slot])


def _strong(x: Tracer) -> Tracer:
    return Tracer(x.recorder, x.slot, x.aval)


def _length(length: int | None, xs: Any) -> int:
    """The number of steps, on which all xs must agree."""
    found: dict[str, int] = {}
    for path, x in zip(tree.paths(xs), tree.flatten(xs)[0], strict=True):
        shape = np.shape(x)
        if not shape:
            raise ShapeError(at_user(f"scan: xs{path} is a scalar; its axis 0 must be time"))
        found[f"xs{path}"] = shape[0]
    if length is not None:
        found["length"] = int(length)
    if not found:
        raise ShapeError(at_user("scan: without xs the number of steps is unknown; give length="))
    if length is not None and length < 0:
        raise ShapeError(at_user(f"scan: length={length} must not be negative"))
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{k} has {n}" for k, n in found.items())
        raise ShapeError(at_user(f"scan: the numbers of steps differ: {listed}"))
    return next(iter(found.values()))


def _same_structure(step: Recorder, structure: Any, out: Any) -> list[Tracer]:
    """Leaves of the returned carry, which must have the structure of the one that was given."""
    leaves, found = tree.flatten(out)
    if found != structure:
        raise CarryError(
            at_user(
                f"scan: the step was given a carry of structure {structure} and returned {found}; "
                "return the same containers with the same keys"
            )
        )
    return [step.operand(leaf) for leaf in leaves]


def _carry(step: Recorder, init: Any, carry: Sequence[Tracer], returned: Sequence[Tracer]) -> list[int]:
    """Slots of the returned carry, whose leaves must have the types of those that were given."""
    slots = []
    for path, before, after in zip(tree.paths(init), carry, returned, strict=True):
        slot = step.slot(after)
        if isinstance(after.kind, type) and after.aval is not before.aval and not before.shape:
            slot = step.cast(slot, before.dtype)
        if step.avals[slot] is not before.aval:
            fix = f".astype(np.{before.dtype})" if after.shape == before.shape else f".reshape({before.shape})"
            if after.shape != before.shape and after.size != before.aval.size:
                fix = f" with the shape {before.shape}, or start from a carry of shape {after.shape}"
            raise CarryError(
                at_user(
                    f"scan: the carry{path} was {before.aval} and the step returned {after.aval}; "
                    f"return carry{path}{fix}"
                )
            )
        slots.append(slot)
    return slots
