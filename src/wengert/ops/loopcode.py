"""LLVM's text of one loop over many elementwise ops and sums of what they make. Knows types and strides, not what the
ops compute.

The iteration space is layers times rows times columns. The kernel's packet is

    | kernel | size | n | layers | rows | columns | last | operand 0 | operand 1 ...   results, sums, what is read
    operand:  | slot | bytes from layer to layer | from row to row | from column to column

`last` is how many columns the very last row has: a long vector that is summed is walked in rows of one chunk. How an
operand lies along the columns is part of the text: `c` one behind another, `s` the same number, `g` any stride.

A sum over columns is made in lanes, element j of a row in lane j mod `LANES`; `ops.reduce` says how a row's lanes are
brought together. A sum over rows is made where it lies.

Single numbers need no loop. They are mode `a`, all of them or none, and the packet is

    | kernel | size | n | slot of operand 0 | slot of operand 1 ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

TYPES = {"f8": "double", "f4": "float", "b1": "i8"} | {f"{k}{n}": f"i{8 * n}" for k in "iu" for n in (1, 2, 4, 8)}
LANES = 64
"""Partial sums of a row side by side: independent, so they are computed as vectors."""
_FIXED = 7
"""Words of a packet in front of the operands."""


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


class Total(NamedTuple):
    """A sum: of which value, that value's type and the sum's, and whether it is over the columns (or the rows)."""

    value: int
    kind: str
    stored: str
    columns: bool


Pairs = Callable[[int], Sequence[tuple[int, int]]]
"""For a known number of lanes: which is added to which, one after another; all end up in lane 0."""


def loop(
    steps: Sequence[Step], results: Sequence[Operand], totals: Sequence[Total], operands: Sequence[Operand],
    together: Mapping[str, str], pairs: Pairs, columns: int,
) -> str:  # fmt: skip
    """The text of `@kernel`. `columns` is their number where the text may depend on it, else 0.

    `together` has, by type, the symbol of what brings lanes together: given the first lane's address, and how many.
    """
    symbols = {(s.symbol, TYPES[s.kinds[0]], tuple(TYPES[k] for k in s.kinds[1:])) for s in steps}
    symbols |= {(symbol, TYPES[kind], ("i64", "i64")) for kind, symbol in together.items()}
    declared = [f"declare {result} @{symbol}({', '.join(given)})" for symbol, result, given in sorted(symbols)]
    if (results or operands)[0].mode == "a":
        frame = _alone(steps, results, operands)
    else:
        frame = _framed(steps, results, totals, operands, together, pairs, columns)
    return "\n".join([*declared, frame, _scopes(len(results) + len(totals))])


def _word(name: str, at: int) -> list[str]:
    """A word of the packet."""
    return [
        f"  %{name}.at = getelementptr i64, ptr %ins, i64 {at}",
        f"  %{name} = load i64, ptr %{name}.at, !noalias !1",
    ]


def _base(k: int, at: int) -> list[str]:
    """Where an operand lies: the address of the slot that the packet names."""
    return [
        *_word(f"slot{k}", at),
        f"  %base.at{k} = getelementptr i64, ptr %addr, i64 %slot{k}",
        f"  %base{k} = load i64, ptr %base.at{k}, !noalias !1",
    ]


def _calls(steps: Sequence[Step]) -> list[str]:
    return [
        f"  %v{out} = call {TYPES[kinds[0]]} @{symbol}("
        + ", ".join(f"{TYPES[t]} %v{s}" for t, s in zip(kinds[1:], ins, strict=True))
        + ")"
        for symbol, out, ins, kinds in steps
    ]


def _own(k: int) -> str:
    """Marks access to result `k`: it overlaps nothing else that the kernel touches."""
    return f"!alias.scope !{2 + 2 * k}, !noalias !{3 + 2 * k}"


def _alone(steps: Sequence[Step], results: Sequence[Operand], operands: Sequence[Operand]) -> str:
    head: list[str] = []
    loads, stores = [], []
    for k, (value, kind, _) in enumerate([*results, *operands]):
        head += [*_base(k, 3 + k), f"  %p{k} = inttoptr i64 %base{k} to ptr"]
        if k < len(results):
            stores.append(f"  store {TYPES[kind]} %v{value}, ptr %p{k}, {_own(k)}")
        else:
            loads.append(f"  %v{value} = load {TYPES[kind]}, ptr %p{k}, !noalias !1")
    return _define(["entry:", *head, *loads, *_calls(steps), *stores, "  ret i64 0"])


def _define(lines: Sequence[str]) -> str:
    return "\n".join(["define i64 @kernel(ptr %ins, ptr %addr, i64 %n) {", *lines, "}"])


def _framed(
    steps: Sequence[Step], results: Sequence[Operand], totals: Sequence[Total], operands: Sequence[Operand],
    together: Mapping[str, str], pairs: Pairs, columns: int,
) -> str:  # fmt: skip
    head: list[str] = []
    layer, row, inner, tail = [], [], [], []
    read = len(results) + len(totals)
    for k in range(read + len(operands)):
        at = _FIXED + 4 * k
        head += _base(k, at)
        for j, name in enumerate(("deep", "down", "right")):
            head += _word(f"{name}{k}", at + 1 + j)
        layer += [f"  %below{k} = mul i64 %d, %deep{k}", f"  %layer{k} = add i64 %base{k}, %below{k}"]
        row += [
            f"  %off{k} = mul i64 %r, %down{k}",
            f"  %row{k} = add i64 %layer{k}, %off{k}",
            f"  %p{k} = inttoptr i64 %row{k} to ptr",
        ]
    for k, (value, kind, mode) in [*enumerate(results), *enumerate(operands, read)]:
        if mode == "g":
            inner += [f"  %o{k} = mul i64 %i, %right{k}", f"  %q{k} = getelementptr i8, ptr %p{k}, i64 %o{k}"]
        elif mode == "c":
            inner.append(f"  %q{k} = getelementptr {TYPES[kind]}, ptr %p{k}, i64 %i")
        where = f"%{'p' if mode == 's' else 'q'}{k}"
        if k < read:
            tail.append(f"  store {TYPES[kind]} %v{value}, ptr {where}, {_own(k)}")
        else:
            (row if mode == "s" else inner).append(f"  %v{value} = load {TYPES[kind]}, ptr {where}, !noalias !1")
    body = [*inner, *_calls(steps), *tail]
    of_columns = [(k, t) for k, t in enumerate(totals, len(results)) if t.columns]
    of_rows = [(k, t) for k, t in enumerate(totals, len(results)) if not t.columns]
    body += [line for k, total in of_rows for line in _row_added(k, total)]
    if of_columns:
        loops = _in_lanes(body, of_columns, together, pairs, columns)
        head = [*(f"  %lanes{k} = alloca [{LANES} x {TYPES[t.kind]}], align 64" for k, t in of_columns), *head]
    else:
        loops = _columns(body, "outer", "latch", str(columns) if columns else "%here")
    return _define(_nest(head, layer, _zeros(of_rows), row, loops))


def _nest(head: list[str], layer: list[str], zeros: list[str], row: list[str], loops: list[str]) -> list[str]:
    """The loops over layers and rows around what is done with a row."""
    words = [line for k, name in enumerate(("layers", "rows", "columns", "last")) for line in _word(name, 3 + k)]
    return [
        "entry:",
        *head,
        *words,
        "  br label %deep",
        "deep:",
        "  %d = phi i64 [ 0, %entry ], [ %d.next, %deep.latch ]",
        "  %d.next = add nuw nsw i64 %d, 1",
        "  %d.done = icmp eq i64 %d.next, %layers",
        *layer,
        *zeros,
        "  br label %outer",
        "outer:",
        f"  %r = phi i64 [ 0, %{'zeroed' if zeros else 'deep'} ], [ %r.next, %latch ]",
        "  %r.next = add nuw nsw i64 %r, 1",
        "  %r.done = icmp eq i64 %r.next, %rows",
        "  %very.last = and i1 %d.done, %r.done",
        "  %here = select i1 %very.last, i64 %last, i64 %columns",
        *row,
        *loops,
        "latch:",
        "  br i1 %r.done, label %deep.latch, label %outer",
        "deep.latch:",
        "  br i1 %d.done, label %exit, label %deep",
        "exit:",
        "  ret i64 0",
    ]


def _columns(body: list[str], before: str, after: str, count: str, first: str = "0") -> list[str]:
    """The loop over columns, or over those of a block that begins at `first`."""
    return [
        "  br label %inner",
        "inner:",
        f"  %j = phi i64 [ 0, %{before} ], [ %j.next, %inner ]",
        f"  %i = add nuw nsw i64 %j, {first}",
        *body,
        "  %j.next = add nuw nsw i64 %j, 1",
        f"  %j.done = icmp eq i64 %j.next, {count}",
        f"  br i1 %j.done, label %{after}, label %inner",
    ]


def _plus(kind: str) -> str:
    return f"{'f' if kind[0] == 'f' else ''}add {TYPES[kind]}"


def _zero(kind: str) -> str:
    return "0.0" if kind[0] == "f" else "0"


def _row_added(k: int, total: Total) -> list[str]:
    """In the loop over columns: a sum over rows grows by this row."""
    kind = TYPES[total.kind]
    return [
        f"  %q{k} = getelementptr {kind}, ptr %p{k}, i64 %i",
        f"  %old{k} = load {kind}, ptr %q{k}, {_own(k)}",
        f"  %new{k} = {_plus(total.kind)} %old{k}, %v{total.value}",
        f"  store {kind} %new{k}, ptr %q{k}, {_own(k)}",
    ]


def _zeros(totals: Sequence[tuple[int, Total]]) -> list[str]:
    """Before the rows of a layer: sums over them begin at zero."""
    if not totals:
        return []
    lines = ["  br label %zero", "zero:", "  %z = phi i64 [ 0, %deep ], [ %z.next, %zero ]"]
    for k, total in totals:
        kind = TYPES[total.kind]
        lines += [
            f"  %z{k} = inttoptr i64 %layer{k} to ptr",
            f"  %zq{k} = getelementptr {kind}, ptr %z{k}, i64 %z",
            f"  store {kind} {_zero(total.kind)}, ptr %zq{k}, {_own(k)}",
        ]
    return [
        *lines,
        "  %z.next = add nuw nsw i64 %z, 1",
        "  %z.done = icmp eq i64 %z.next, %columns",
        "  br i1 %z.done, label %zeroed, label %zero",
        "zeroed:",
    ]


def _in_lanes(
    body: list[str], totals: Sequence[tuple[int, Total]], together: Mapping[str, str], pairs: Pairs, columns: int
) -> list[str]:
    """The loop over columns where rows are summed: in blocks of `LANES`, and then the lanes are brought together."""
    added, clear, ends = [], [], []
    for k, total in totals:
        kind = TYPES[total.kind]
        added.append(f"  %lane{k} = getelementptr {kind}, ptr %lanes{k}, i64 %j")
        if columns:  # one block
            added.append(f"  store {kind} %v{total.value}, ptr %lane{k}, {_own(k)}")
            ends += [*_paired(k, total.kind, pairs(columns), columns), *_row_summed(k, total)]
            continue
        minus = "-0.0" if total.kind[0] == "f" else "0"  # what changes no number, nor the sign of a zero
        clear.append(f"  store <{LANES} x {kind}> <{', '.join([f'{kind} {minus}'] * LANES)}>, ptr %lanes{k}")
        added += [
            f"  %old{k} = load {kind}, ptr %lane{k}, {_own(k)}",
            f"  %new{k} = {_plus(total.kind)} %old{k}, %v{total.value}",
            f"  store {kind} %new{k}, ptr %lane{k}, {_own(k)}",
        ]
        ends += [
            f"  %first{k} = ptrtoint ptr %lanes{k} to i64",
            f"  %sum{k} = call {kind} @{together[total.kind]}(i64 %first{k}, i64 %filled)",
            *_row_summed(k, total),
        ]
    if columns:
        return [*_columns([*body, *added], "outer", "summed", str(columns)), "summed:", *ends, "  br label %latch"]
    return [
        *clear,
        "  br label %block",
        "block:",
        "  %b = phi i64 [ 0, %outer ], [ %b.next, %block.latch ]",
        "  %rest = sub nuw nsw i64 %here, %b",
        f"  %full = icmp ult i64 {LANES}, %rest",
        f"  %m = select i1 %full, i64 {LANES}, i64 %rest",
        *_columns([*body, *added], "block", "block.latch", "%m", "%b"),
        "block.latch:",
        f"  %b.next = add nuw nsw i64 %b, {LANES}",
        "  %b.done = icmp uge i64 %b.next, %here",
        "  br i1 %b.done, label %summed, label %block",
        "summed:",
        f"  %many = icmp ult i64 {LANES}, %here",
        f"  %filled = select i1 %many, i64 {LANES}, i64 %here",
        *ends,
        "  br label %latch",
    ]


def _paired(k: int, letter: str, pairs: Sequence[tuple[int, int]], columns: int) -> list[str]:
    """A known number of lanes brought together as `%sum{k}`."""
    lines, name, kind = [], {}, TYPES[letter]
    for lane in range(columns):
        name[lane] = f"%l{k}.{lane}"
        lines += [
            f"  %at{k}.{lane} = getelementptr {kind}, ptr %lanes{k}, i64 {lane}",
            f"  {name[lane]} = load {kind}, ptr %at{k}.{lane}",
        ]
    for n, (to, source) in enumerate(pairs):
        lines.append(f"  %t{k}.{n} = {_plus(letter)} {name[to]}, {name[source]}")
        name[to] = f"%t{k}.{n}"
    return [*lines, f"  %sum{k} = {_plus(letter)} {name[0]}, {'-0.0' if letter[0] == 'f' else '0'}"]


def _row_summed(k: int, total: Total) -> list[str]:
    """A row's sum, `%sum{k}`, into memory: sums of chunks are added up in double precision, from zero on."""
    where = f"ptr %p{k}, {_own(k)}"
    if total.kind[0] != "f":
        return [f"  store {TYPES[total.kind]} %sum{k}, {where}"]
    wide = f"%sum{k}"
    lines = []
    if total.kind == "f4":
        lines.append(f"  %wide{k} = fpext float {wide} to double")
        wide = f"%wide{k}"
    lines.append(f"  %whole{k} = fadd double 0.0, {wide}")
    if total.stored == "f8":
        return [*lines, f"  store double %whole{k}, {where}"]
    return [*lines, f"  %short{k} = fptrunc double %whole{k} to float", f"  store float %short{k}, {where}"]


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
