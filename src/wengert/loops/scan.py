"""The public `scan`: records a step once, checks its carry, appends the op. Knows no adjoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wengert import tree
from wengert.errors import CarryError, ShapeError, at_user
from wengert.loops.bptt import body_tape
from wengert.loops.hoist import hoist
from wengert.loops.op import SCAN
from wengert.record.eager import evaluate
from wengert.record.recorder import Recorder
from wengert.record.session import recording
from wengert.record.state import thread
from wengert.record.tracer import Tracer
from wengert.shapes import F32, aval


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
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

    Returns
    -------
    carry, ys
        The last carry, and the results stacked along axis 0.

    Raises
    ------
    CarryError
        If the carry that the step returns has another structure, shape or dtype than the one it was given.

    Notes
    -----
    P. J. Werbos, *Backpropagation through time*, Proc. IEEE 78 (1990).

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
        found: tuple[Any, Any] = evaluate(lambda init, xs: scan(f, init, xs, length, reverse), name, init, xs)
        return found
    init_leaves, carry_structure = tree.flatten(init)
    xs_leaves, xs_structure = tree.flatten(xs)
    given = [recorder.operand(x) for x in init_leaves]
    stacks = [_strong(recorder.operand(x)) for x in xs_leaves]
    steps = _length(length, xs, stacks)
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
    constants, timed = hoist(recorder, step, steps, constants, timed, [*carry_out, *y_slots])
    inputs = [s for _, s in constants] + [t.slot for t in carry_in] + [s for _, s in timed]
    body = body_tape(step, inputs, [*carry_out, *y_slots])
    recorder.subtapes.append(body)
    operands = [recorder.slot(t) for t in (*(t for t, _ in constants), *carry, *(t for t, _ in timed))]
    params = (len(recorder.subtapes) - 1, len(constants), len(carry), steps, int(reverse))
    whats = SCAN.infer([recorder.avals[s] for s in operands], (body, *params[1:]))
    results = [recorder.tracer(s) for s in recorder.emit_many(SCAN, tuple(operands), params, whats)]
    n = len(carry)
    return tree.unflatten(carry_structure, results[:n]), tree.unflatten(y_structure, results[n:])


def _taken_dtype(recorder: Recorder, before: Tracer, after: Tracer) -> Tracer:
    """The first carry; a Python float takes the dtype of what the loop's first step makes of it."""
    if before.kind is not float or isinstance(after.kind, type) or not after.aval.is_float or after.shape:
        return _strong(before)
    slot = recorder.cast(recorder.slot(before), after.dtype)
    return Tracer(recorder, slot, recorder.avals[slot])


def _strong(x: Tracer) -> Tracer:
    return Tracer(x.recorder, x.slot, x.aval)


def _length(length: int | None, xs: Any, stacks: Sequence[Tracer]) -> int:
    """The number of steps, on which all xs must agree."""
    paths = tree.paths(xs)
    found: dict[str, int] = {}
    for path, x in zip(paths, stacks, strict=True):
        if not x.ndim:
            raise ShapeError(at_user(f"scan: xs{path} is a scalar; its axis 0 must be time"))
        found[f"xs{path}"] = x.shape[0]
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
