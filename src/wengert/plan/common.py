"""Common subexpressions: an instruction that computes what another has computed is dropped. Knows no op but guards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wengert.ops.guard import GUARD
from wengert.tape import Instruction


def without_common(
    instructions: Sequence[Instruction], lines: Sequence[Any], outputs: Sequence[int]
) -> tuple[list[Instruction], list[Any], list[int]]:
    """The instructions, their lines and the outputs, where equal instructions on equal slots are one.

    Ops have no side effects, so the same op on the same slots has the same value; only guards are kept as they are.
    """
    same: dict[int, int] = {}
    seen: dict[Any, tuple[int, ...]] = {}
    kept: list[Instruction] = []
    kept_lines: list[Any] = []
    for (op, outs, ins, params), line in zip(instructions, lines, strict=True):
        if same:
            ins = tuple([same.get(s, s) for s in ins])
        if op is not GUARD:
            found = seen.setdefault((op, ins, params), outs)
            if found is not outs and len(found) == len(outs):
                same.update(zip(outs, found, strict=True))
                continue
        kept.append((op, outs, ins, params))
        kept_lines.append(line)
    return kept, kept_lines, [same.get(s, s) for s in outputs]
