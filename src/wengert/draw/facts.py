"""What is known of a tape's slots at given inputs: values and adjoints, and how they are written in little room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wengert.errors import OptionError
from wengert.loops.revolve import Revolve, Save
from wengert.ops.elementwise import Elementwise
from wengert.ops.spec import Op
from wengert.shapes import letter
from wengert.tape import Tape
from wengert.vm import oracle

_FEW = 4


class Facts:
    """Values and adjoints of a tape's slots at some inputs (none without them), and the user's names.

    Adjoints are those of output number `of`, or of the only output that is one float.
    """

    def __init__(
        self,
        tape: Tape,
        inputs: Sequence[Any] | None = None,
        *,
        values: bool = True,
        adjoints: bool = True,
        of: int | None = None,
        names: Mapping[int, str] | None = None,
        results: Mapping[int, str] | None = None,
    ) -> None:
        self.names = names or {}
        """What the user calls sources."""
        self.results = results or {}
        """What becomes of results."""
        self.values: dict[int, Any] = {}
        self.bars: dict[int, Any] = {}
        self.of: int | None = None
        """The slot whose derivatives the adjoints are."""
        self.missing = ""
        """Why there are no adjoints, if they were asked for."""
        if inputs is None or not (values or adjoints):
            return
        with np.errstate(all="ignore"):
            typed = [np.asarray(x, tape.avals[s].dtype) for s, x in zip(tape.inputs, inputs, strict=True)]
            found = oracle.forward(tape, typed)
            if adjoints:
                self._take(tape, found, of)
        self.values = {s: found[s] for s in found.keys() - _not_computed(tape)} if values else {}

    def _take(self, tape: Tape, values: Mapping[int, Any], of: int | None) -> None:
        """Adjoints of all slots, where there are any."""
        slot = scalar_output(tape, of)
        if slot is None:
            self.missing = "no adjoints: not one result alone is a single float"
        elif has_fused(tape):
            self.missing = "no adjoints: the derivatives on this tape are fused and have none of their own"
        else:
            self.of = slot
            self.bars = oracle.backward(tape, values, {slot: np.ones((), tape.avals[slot].dtype)})

    def value(self, slot: int) -> str:
        """The value of a slot in words, "" where it is not known."""
        return shown(self.values[slot]) if slot in self.values else ""

    def adjoint(self, slot: int) -> str:
        """The adjoint of a slot in words, "" where there is none."""
        return shown(self.bars[slot]) if slot in self.bars else ""


def is_fused(op: Op) -> bool:
    """Whether an op is a derivative's formula, which has no derivative of its own."""
    return isinstance(op, Elementwise) and op.name == op.formula


def has_fused(tape: Tape) -> bool:
    """Whether derivatives were recorded on the tape in the form that cannot be differentiated again."""
    return any(is_fused(op) for op, *_ in tape.instructions) or any(map(has_fused, tape.subtapes))


def _not_computed(tape: Tape) -> set[int]:
    """Carries stored for an adjoint: which ones depends on a schedule that the naive replay does not follow."""
    found: set[int] = set()
    for op, outs, _, params in tape.instructions:
        if isinstance(op, Save | Revolve):
            found.update(outs[len(outs) - params[op.bodies + 1] :])
    return found


def scalar_output(tape: Tape, of: int | None) -> int | None:
    """The slot that adjoints are taken of: output number `of`, or the only output that is one float."""
    scalars = [s for s in dict.fromkeys(tape.outputs) if tape.avals[s].is_float and not tape.avals[s].shape]
    if of is None:
        return scalars[0] if len(scalars) == 1 else None
    if not -len(tape.outputs) <= of < len(tape.outputs):
        raise OptionError(f"of={of}, but the tape has {len(tape.outputs)} outputs")
    slot = tape.outputs[of]
    if slot not in scalars:
        raise OptionError(f"of={of} is {tape.avals[slot]}; adjoints are taken of an output that is one float")
    return slot


def shown(value: Any) -> str:
    """A value in at most some 28 characters: numbers, a few numbers, or mean and range of many.

    Examples
    --------
    >>> shown(0.123456789), shown(np.array([1.0, -0.5])), shown(np.arange(9.0))
    ('0.12346', '[1, -0.5]', 'mean 4 in [0, 8]')
    """
    x = np.asarray(value)
    if x.ndim == 0:
        return _number(x[()], 5)
    if not x.size:
        return "empty"
    if x.size <= _FEW and x.ndim == 1:
        return f"[{', '.join(_number(v, 3) for v in x)}]"
    if x.dtype.kind == "b":
        return f"{int(x.sum())} of {x.size} true"
    fine = x[np.isfinite(x)] if x.dtype.kind == "f" else x
    if fine.size < x.size:
        return f"{x.size - fine.size} of {x.size} not finite"
    low, high = fine.min(), fine.max()
    if low == high:
        return f"all {_number(low, 4)}"
    mean = f"mean {_number(fine.mean(dtype=np.float64), 3)} " if x.dtype.kind == "f" else ""
    return f"{mean}in [{_number(low, 3)}, {_number(high, 3)}]"


def _number(x: Any, digits: int) -> str:
    if letter(np.asarray(x).dtype).startswith("f"):
        return f"{float(x) + 0.0:.{digits}g}"  # + 0.0: no minus sign on zero
    return str(x)
