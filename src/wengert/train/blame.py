"""Where a value that is not finite comes from: the op and the user's line. Reads tapes, knows no training loop.

A tape is evaluated op by op in NumPy, and the bad value followed back to the first instruction that made one of
finite operands. Slots that are not finite but do not reach it (a masked logarithm of 0) are not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wengert import optim, record, tree, value_and_grad
from wengert.errors import show

Test = Callable[[Any], Any]
"""Which elements are bad."""


@dataclass(frozen=True)
class Origin:
    """An instruction, with the values of its operands and its result; or an input of the tape."""

    tape: Any
    at: int | None
    operands: list[Any] = field(default_factory=list)
    result: Any = None
    input: int | None = None
    steps: tuple[int, ...] = ()
    """The steps of the loops around it, from the outermost."""


def not_finite(x: Any) -> Any:
    """Elementwise; never true of integers."""
    return ~np.isfinite(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)


def _nan(x: Any) -> Any:
    return np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)


def origin(tape: Any, inputs: Sequence[Any], output: int) -> Origin | None:
    """Where the bad value of an output (by its slot) comes from; None if the value is not bad."""
    values = _evaluated(tape, inputs)
    for test in (not_finite, _nan):
        if not test(values[output]).any():
            break
        found = _followed(tape, values, output, test)
        if found is not None:
            return found
    return None


def _evaluated(tape: Any, inputs: Sequence[Any]) -> dict[int, Any]:
    """The value of every slot, by the NumPy form of every op."""
    values = dict(zip(tape.inputs, map(np.asarray, inputs), strict=True))
    values |= {slot: np.asarray(value) for slot, value in (*tape.consts, *tape.captured)}
    with np.errstate(all="ignore"):
        for op, outs, ins, params in tape.instructions:
            found = op.forward([values[s] for s in ins], tape.resolved(op, params))
            values.update(zip(outs, map(np.asarray, found if op.n_out != 1 else (found,)), strict=True))
    return values


def _followed(tape: Any, values: dict[int, Any], output: int, test: Test) -> Origin | None:
    """Back along bad values to the earliest instruction whose operands are all good, or to an input."""
    writers = {s: k for k, (_, outs, _, _) in enumerate(tape.instructions) for s in outs}
    pending, seen, makers = [output], {output}, []
    while pending:
        slot = pending.pop()
        at = writers.get(slot)
        if at is None:
            if slot in tape.inputs and _nan(values[slot]).any():
                return Origin(tape, None, input=tape.inputs.index(slot), result=values[slot])
            continue
        op, _, ins, _ = tape.instructions[at]
        bad = [s for s, x in zip(ins, _bad(op, [values[s] for s in ins], values[slot], test), strict=True) if x]
        if not bad:
            makers.append(at)
        pending += [s for s in bad if s not in seen]
        seen.update(bad)
    return _entered(tape, values, min(makers), test) if makers else None


def _bad(op: Any, operands: list[Any], result: Any, test: Test) -> list[bool]:
    """Which operands are bad where it matters to the result."""
    bads = [test(x) for x in operands]
    if not hasattr(op, "ufunc"):  # not elementwise: any element of an operand may reach any of the result
        return [bool(b.any()) for b in bads]
    if op.name == "where":
        taken, _, _ = operands
        bads[1:] = [bads[1] & taken, bads[2] & ~taken]
    reached = test(result)
    return [bool((b & reached).any()) for b in bads]


def _entered(tape: Any, values: dict[int, Any], at: int, test: Test) -> Origin:
    """The instruction, or if it is a loop the one inside it, in the first step that makes something bad."""
    op, outs, ins, params = tape.instructions[at]
    operands = [values[s] for s in ins]
    if op.name == "scan":
        body, n_const, n_carry, length, reverse = tape.resolved(op, params)[:5]
        consts, carry, xs = operands[:n_const], operands[n_const : n_const + n_carry], operands[n_const + n_carry :]
        for t in reversed(range(length)) if reverse else range(length):
            inside = _evaluated(body, [*consts, *carry, *(x[t] for x in xs)])
            for slot in body.outputs:
                if test(inside[slot]).any():
                    found = _followed(body, inside, slot, test)
                    if found is not None and found.at is not None:
                        return Origin(found.tape, found.at, found.operands, found.result, None, (t, *found.steps))
            carry = [inside[s] for s in body.outputs[:n_carry]]
    bad = next(values[s] for s in outs if test(values[s]).any())
    return Origin(tape, at, operands, bad)


# --- in words --------------------------------------------------------------------------------------------


def explain(loss: Callable[[Any, Any], Any], params: Any, batch: Any, gradient: bool = True) -> str:
    """Why the loss, or with `gradient` its gradient, is not finite at these parameters and this batch."""
    try:
        return _explained(loss, params, batch, gradient)
    except Exception as error:  # what was learned so far must not be lost over a search that fails
        return (
            f"the loss or its gradient is not finite; where it begins was not found ({type(error).__name__}: {error})"
        )


def _explained(loss: Callable[[Any, Any], Any], params: Any, batch: Any, gradient: bool) -> str:
    names = [f"params{p}" for p in tree.paths(params)] + [f"batch{p}" for p in tree.paths(batch)]
    inputs = tree.flatten((params, batch))[0]
    for name, x in zip(names, map(np.asarray, inputs), strict=True):
        if name.startswith("params") and not_finite(x).any():
            return (
                f"{name} has {_amount(x)} already. The loss and the gradient of the step before were finite, so the "
                "update itself overflowed: the learning rate is too large"
            )
    tape = record(loss, params, batch)
    found = origin(tape, inputs, tape.outputs[0])
    if found is not None:
        return f"the loss is not finite. {_told(found, names)}"
    if not gradient:
        return _UNKNOWN
    forward = len(tape)
    tape = record(lambda p, b: value_and_grad(loss)(p, b), params, batch)
    values = _evaluated(tape, inputs)
    slopes = [values[s] for s in tape.outputs[1:]]
    for name, slot in zip(names, tape.outputs[1:], strict=False):
        found = origin(tape, inputs, slot)
        if found is not None:
            back = found.at is not None and (found.tape is not tape or found.at >= forward)
            text = _told(found, names, " on the way back" if back else "")
            return f"the loss is finite, but its gradient with respect to {name} is not. {text}"
    with np.errstate(all="ignore"):
        if not np.isfinite(optim.global_norm(slopes)):
            size, name = max((float(np.max(np.abs(g))), n) for g, n in zip(slopes, names, strict=False))
            return f"the gradient is finite, but its norm overflows: elements of {name} are as large as {size:.3g}"
    return _UNKNOWN


_UNKNOWN = "computed op by op in NumPy it is finite, so it lies at the edge of what the dtype can hold"


def _told(found: Origin, names: list[str], way: str = "") -> str:
    if found.at is None:
        assert found.input is not None
        return f"{names[found.input]} has {_amount(found.result)}"
    loops = "".join(f" in step {t} of the loop" for t in found.steps)
    op = found.tape.instructions[found.at][0]
    return (
        f"It begins{way}{loops} at {op.name}, whose result has {_amount(found.result)}; {_operands(found)}\n"
        f"  {found.tape.line(found.at)}\n  {show(found.tape.lines[found.at], full=True)}"
    )


def _amount(x: Any) -> str:
    bad = not_finite(x)
    if not x.ndim:
        return f"the value {x}"
    first = tuple(int(k) for k in np.argwhere(bad)[0])
    return f"{np.count_nonzero(bad)} of {x.size} elements not finite, the first ({x[first]}) at {list(first)}"


def _operands(found: Origin) -> str:
    """The operands' values where the result is bad, or where they may come from anywhere their ranges."""
    elementwise = hasattr(found.tape.instructions[found.at][0], "ufunc")
    bad = not_finite(found.result)
    told = []
    for x in found.operands:
        if elementwise:
            told.append(str(np.broadcast_to(x, bad.shape)[bad][0]))
        elif x.size:
            told.append(f"{float(x.min()):.3g} to {float(x.max()):.3g}")
    return f"operand{'s' if len(told) > 1 else ''} {', '.join(told)}" + (" there" if elementwise else "")
