"""The tape: a Wengert list in flat arrays, frozen. Knows what is on it, not how it is recorded or run.

A tape is a list of instructions in the order they were recorded, each an op, the slots it writes, the
slots it reads and integer parameters. A slot is written once. `Tape.code` holds them one behind another:

    ┌────┬──────┬───────┬──────┬──────────┬─────────┬─────────────┐
    │ op │ size │ n_out │ n_in │ outs ... │ ins ... │ params ...  │   int64 words; `size` counts them all
    └────┴──────┴───────┴──────┴──────────┴─────────┴─────────────┘
      op: place in `wengert.ops.spec.OPS`

Slots that no instruction writes are the sources: inputs, constants (a value on the tape) and captured
arrays (read again at every replay).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from wengert.errors import TapeError, Where, show
from wengert.ops.spec import Op, Params
from wengert.shapes import Aval

Slots = tuple[int, ...]
Instruction = tuple[Op, Slots, Slots, Params]
"""An op, the slots it writes, the slots it reads, its parameters."""


class Const(NamedTuple):
    """A slot whose value is part of the tape."""

    slot: int
    value: Any


class Captured(NamedTuple):
    """A slot that is an array of the user's, read where it lies at every replay."""

    slot: int
    array: Any


class Tape:
    """A frozen Wengert list.

    Attributes
    ----------
    instructions, avals
        What is computed, and the dtype and shape of every slot.
    inputs, consts, captured, outputs
        Slots that come from outside, and those that are the result.
    lines
        Per instruction the user's place in the program, or None.
    subtapes
        Bodies of loops; an instruction refers to them by position (its first parameter).
    """

    def __init__(
        self,
        instructions: Sequence[Instruction],
        avals: Sequence[Aval],
        inputs: Sequence[int],
        outputs: Sequence[int],
        consts: Sequence[Const] = (),
        captured: Sequence[Captured] = (),
        lines: Sequence[Where | None] | None = None,
        subtapes: Sequence[Tape] = (),
        name: str = "",
    ) -> None:
        self.instructions: tuple[Instruction, ...] = tuple(instructions)
        self.avals = tuple(avals)
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.consts, self.captured = tuple(consts), tuple(captured)
        self.lines = tuple(lines) if lines is not None else (None,) * len(self.instructions)
        self.subtapes = tuple(subtapes)
        self.name = name

    @cached_property
    def code(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The instructions as one flat, read-only array of int64 words."""
        words: list[int] = []
        for op, outs, ins, params in self.instructions:
            size = 4 + len(outs) + len(ins) + len(params)
            words += (op.code, size, len(outs), len(ins), *outs, *ins, *params)
        code = np.array(words, dtype=np.int64)
        code.flags.writeable = False
        return code

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What a plan depends on: everything but the values of constants and captured arrays."""
        return (
            self.instructions,
            self.avals,
            self.inputs,
            self.outputs,
            tuple(c.slot for c in self.consts),
            tuple(c.slot for c in self.captured),
            tuple(t.key for t in self.subtapes),
        )

    def hash(self) -> str:
        """Content hash: equal for tapes that compute the same from the same inputs and captured arrays."""
        text = hashlib.sha256()
        for op, *rest in self.instructions:
            text.update(f"{op.name} {rest}\n".encode())
        slots = (self.inputs, self.outputs, [c.slot for c in self.captured])
        text.update(f"{self.avals} {slots}".encode())
        for const in self.consts:
            value = np.asarray(const.value)
            text.update(f"{const.slot} {value.dtype} {value.shape}".encode() + value.tobytes())
        for sub in self.subtapes:
            text.update(sub.hash().encode())
        return text.hexdigest()

    def __len__(self) -> int:
        return len(self.instructions)

    # --- to look at --------------------------------------------------------------------------------

    def __str__(self) -> str:
        return "\n".join(self._text(""))

    def __repr__(self) -> str:
        inputs = ", ".join(str(self.avals[s]) for s in self.inputs)
        return f"<tape {self.name}({inputs}), {len(self)} instructions>"

    def _text(self, indent: str) -> Iterator[str]:
        yield f"{indent}tape {self.name or '?'}"
        rows: list[tuple[str, str]] = []
        for s in self.inputs:
            rows.append((f"%{s} = input : {self.avals[s]}", ""))
        for s, _ in self.captured:
            rows.append((f"%{s} = captured : {self.avals[s]}", ""))
        for s, value in self.consts:
            shown = value if np.ndim(value) == 0 else f"array{np.shape(value)}"
            rows.append((f"%{s} = const {shown} : {self.avals[s]}", ""))
        for k in range(len(self.instructions)):
            rows.append((self.line(k), show(self.lines[k]) if self.lines[k] else ""))
        width = min(max((len(left) for left, _ in rows), default=0), 60)
        for left, right in rows:
            yield f"{indent}  {left:<{width}}   {right}".rstrip()
        yield f"{indent}  return {' '.join(f'%{s}' for s in self.outputs)}"
        for k, sub in enumerate(self.subtapes):
            yield f"{indent}  body {k}:"
            yield from sub._text(indent + "    ")

    def line(self, position: int) -> str:
        """One instruction as text: `%7 = mul %3 %5 : f64[4,8]`."""
        op, outs, ins, params = self.instructions[position]
        left = " ".join(f"%{s}" for s in outs) + (" = " if outs else "")
        right = " ".join([op.name, *(f"%{s}" for s in ins)])
        detail = op.describe(params)
        types = " ".join(str(self.avals[s]) for s in outs)
        return f"{left}{right}{' ' + detail if detail else ''}{' : ' + types if types else ''}"

    # --- to check ----------------------------------------------------------------------------------

    def verify(self) -> None:
        """Raise `TapeError` unless the tape is legal. This is the definition of a legal tape."""
        written: set[int] = set()

        def write(slot: int, what: str) -> None:
            if not 0 <= slot < len(self.avals):
                raise TapeError(f"{what} writes %{slot}, but there are {len(self.avals)} slots")
            if slot in written:
                raise TapeError(f"{what} writes %{slot}, which is written already")
            written.add(slot)

        def read(slot: int, what: str) -> None:
            if slot not in written:
                raise TapeError(f"{what} reads %{slot} before anything writes it")

        for slot in (*self.inputs, *(c.slot for c in self.consts), *(c.slot for c in self.captured)):
            write(slot, "a source")
        for slot, value in (*self.consts, *self.captured):
            found, wanted = np.asarray(value), self.avals[slot]
            if found.shape != wanted.shape or found.dtype.newbyteorder("=") != wanted.dtype:
                raise TapeError(f"%{slot} is {wanted}, its array {found.dtype}{list(found.shape)}")
        for k, (op, outs, ins, params) in enumerate(self.instructions):
            text = f"instruction {k} ({op.name})"
            for slot in ins:
                read(slot, text)
            for slot in outs:
                write(slot, text)
            self._verify_types(k, op, outs, ins, params)
        for slot in self.outputs:
            read(slot, "return")
        for sub in self.subtapes:
            sub.verify()

    def _verify_types(self, k: int, op: Op, outs: Slots, ins: Slots, params: Params) -> None:
        text = f"{self.line(k)}: "
        if op.n_in is not None and len(ins) != op.n_in:
            raise TapeError(f"{text}{op.name} takes {op.n_in} operands, not {len(ins)}")
        avals = [self.avals[s] for s in ins]
        try:
            found = op.infer(avals, self.resolved(op, params))
        except (IndexError, ValueError, TypeError) as error:
            raise TapeError(f"{text}{error}") from error
        wrong = op.check(avals, params)
        if wrong:
            raise TapeError(f"{text}{wrong}")
        if tuple(found) != tuple(self.avals[s] for s in outs):
            raise TapeError(f"{text}the result of {op.name} is {list(found)}")

    def resolved(self, op: Op, params: Params) -> Any:
        """Parameters with the numbers of sub-tapes replaced by the sub-tapes themselves."""
        if not op.bodies:
            return params
        for number in params[: op.bodies]:
            if not 0 <= number < len(self.subtapes):
                raise TapeError(f"{op.name} refers to body {number}, but there are {len(self.subtapes)}")
        return (*(self.subtapes[k] for k in params[: op.bodies]), *params[op.bodies :])
