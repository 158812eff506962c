"""LLVM's text of one loop over many elementwise ops. Knows types and strides, not what the ops compute.

The iteration space is rows times columns. The kernel's packet is

    | kernel | size | n | rows | columns | operand 0 | operand 1 ...        results first
    operand:  | slot | bytes from row to row | bytes from column to column

How an operand lies along the columns is part of the text: `c` one behind another, `s` the same number, `g` any stride.

Single numbers need no loop. They are mode `a`, all of them or none, and the packet is

    | kernel | size | n | slot of operand 0 | slot of operand 1 ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

TYPES = {"f8": "double", "f4": "float", "b1": "i8"} | {f"{k}{n}": f"i{8 * n}" for k in "iu" for n in (1, 2, 4, 8)}


class Step(NamedTuple):
    """One op of the loop: the symbol of its scalar function, its values by number, and the types of all of them."""

    symbol: str
    out: int
    ins: tuple[int, ...]
    kinds: tuple[str, ...]
    """Of the result, then of the operands."""


class Operand(NamedTuple):
    """Something in memory: which value it holds, its type, and how it lies along the columns."""

    value: int
    kind: str
    mode: str


def loop(steps: Sequence[Step], results: Sequence[Operand], operands: Sequence[Operand]) -> str:
    """The text of `@kernel`."""
    everything = [*results, *operands]
    head, outer, inner, tail = [], [], [], []
    alone = everything[0].mode == "a"
    for k, (value, kind, mode) in enumerate(everything):
        at, kind = 3 + k if alone else 5 + 3 * k, TYPES[kind]
        for j, name in enumerate(("slot",) if alone else ("slot", "down", "right")):
            head += [
                f"  %{name}.at{k} = getelementptr i64, ptr %ins, i64 {at + j}",
                f"  %{name}{k} = load i64, ptr %{name}.at{k}, !noalias !1",
            ]
        head += [
            f"  %base.at{k} = getelementptr i64, ptr %addr, i64 %slot{k}",
            f"  %base{k} = load i64, ptr %base.at{k}, !noalias !1",
        ]
        outer += (
            [f"  %p{k} = inttoptr i64 %base{k} to ptr"]
            if alone
            else [
                f"  %off{k} = mul i64 %r, %down{k}",
                f"  %row{k} = add i64 %base{k}, %off{k}",
                f"  %p{k} = inttoptr i64 %row{k} to ptr",
            ]
        )
        if mode == "g":
            inner += [f"  %o{k} = mul i64 %i, %right{k}", f"  %q{k} = getelementptr i8, ptr %p{k}, i64 %o{k}"]
        elif mode == "c":
            inner.append(f"  %q{k} = getelementptr {kind}, ptr %p{k}, i64 %i")
        where = f"%{'p' if mode in 'as' else 'q'}{k}"
        if k >= len(results):
            line = f"  %v{value} = load {kind}, ptr {where}, !noalias !1"
            (outer if mode == "s" else inner).append(line)
        else:
            scopes = f"!alias.scope !{2 + 2 * k}, !noalias !{3 + 2 * k}"
            tail.append(f"  store {kind} %v{value}, ptr {where}, {scopes}")
    for symbol, out, ins, kinds in steps:
        given = ", ".join(f"{TYPES[t]} %v{s}" for t, s in zip(kinds[1:], ins, strict=True))
        inner.append(f"  %v{out} = call {TYPES[kinds[0]]} @{symbol}({given})")
    declared = sorted({(s.symbol, s.kinds) for s in steps})
    lines = [
        f"declare {TYPES[kinds[0]]} @{symbol}({', '.join(TYPES[k] for k in kinds[1:])})" for symbol, kinds in declared
    ]
    frame = _ALONE if alone else _FRAME
    return "\n".join([*lines, frame.format(*("\n".join(p) for p in (head, outer, inner, tail))), _scopes(len(results))])


_FRAME = """
define i64 @kernel(ptr %ins, ptr %addr, i64 %n) {{
entry:
  %rows.at = getelementptr i64, ptr %ins, i64 3
  %rows = load i64, ptr %rows.at, !noalias !1
  %columns.at = getelementptr i64, ptr %ins, i64 4
  %columns = load i64, ptr %columns.at, !noalias !1
{0}
  br label %outer
outer:
  %r = phi i64 [ 0, %entry ], [ %r.next, %latch ]
{1}
  br label %inner
inner:
  %i = phi i64 [ 0, %outer ], [ %i.next, %inner ]
{2}
{3}
  %i.next = add nuw nsw i64 %i, 1
  %i.done = icmp eq i64 %i.next, %columns
  br i1 %i.done, label %latch, label %inner
latch:
  %r.next = add nuw nsw i64 %r, 1
  %r.done = icmp eq i64 %r.next, %rows
  br i1 %r.done, label %exit, label %outer
exit:
  ret i64 0
}}
"""


_ALONE = """
define i64 @kernel(ptr %ins, ptr %addr, i64 %n) {{
entry:
{0}
{1}
{2}
{3}
  ret i64 0
}}
"""
"""Single numbers: no loop."""


def _scopes(results: int) -> str:
    """Alias scopes: a result overlaps neither an operand nor another result, so LLVM need not check."""
    first = 2 + 2 * results
    scopes = [f'!{first + k} = distinct !{{!{first + k}, !0, !"{k}"}}' for k in range(results)]
    every = ", ".join(f"!{first + k}" for k in range(results))
    lines = ['!0 = distinct !{!0, !"wengert"}', f"!1 = !{{{every}}}"]
    for k in range(results):
        others = ", ".join(f"!{first + j}" for j in range(results) if j != k)
        lines += [f"!{2 + 2 * k} = !{{!{first + k}}}", f"!{3 + 2 * k} = !{{{others}}}"]
    return "\n".join([*lines, *scopes])
