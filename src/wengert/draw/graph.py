"""From a tape to a graph of boxes: what is drawn, what each box says. Knows no place and no colour."""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wengert.draw.facts import Facts, is_fused, shown
from wengert.draw.picture import clipped
from wengert.errors import Where, line_number, show
from wengert.ops.elementwise import ACC, ADD, Cast, Elementwise
from wengert.ops.guard import GUARD
from wengert.ops.spec import BY_NAME, Op, Params
from wengert.ops.views import FRESH
from wengert.tape import Tape

INPUT, CAPTURED, CONSTANT, ELEMENTWISE, LINEAR, LOOP, CHECK, OUTPUT = (
    "input",
    "captured",
    "constant",
    "elementwise",
    "linear",
    "loop",
    "check",
    "output",
)
"""The kinds of boxes."""

_SYMMETRIC = (ADD, ACC, BY_NAME["mul"], BY_NAME["maximum"], BY_NAME["minimum"])
_SOURCE_LENGTH = 30


@dataclass
class Node:
    """One box."""

    kind: str
    title: str
    detail: str = ""
    slots: tuple[int, ...] = ()
    """Results that other boxes may read."""
    reads: tuple[int, ...] = ()
    """Slots that are drawn as arrows into the box."""
    rows: list[str] = field(default_factory=list)
    adjoint: str = ""
    source: str = ""
    note: str = ""
    label: str = ""
    swaps: bool = False
    """Whether its operands may change places."""
    joined: bool = False
    """Whether it stands for several, whose results leave it in one place."""
    inner: tuple[Graph, ...] = ()


@dataclass
class Graph:
    """Boxes; a slot is in one of them at most."""

    nodes: list[Node]
    feedback: list[tuple[int, int]] = field(default_factory=list)
    """(tail, head): what a pass of a loop hands to the next one."""


def aliases_of(tape: Tape) -> dict[int, int]:
    """Slots that are other names of a slot: what a derivative made to tell its variables from others."""
    found: dict[int, int] = {}
    for op, outs, ins, _ in tape.instructions:
        if op is FRESH and outs[0] not in tape.outputs:
            found[outs[0]] = found.get(ins[0], ins[0])
    return found


def scalars_of(tape: Tape) -> dict[int, str]:
    """Constants that are plain numbers, as text: they are written into the boxes that read them."""
    return {s: shown(v) for s, v in tape.consts if np.ndim(v) == 0 and s not in tape.outputs}


# --- what a box says -------------------------------------------------------------------------------------


class Writer:
    """Makes boxes of a tape's sources and instructions."""

    def __init__(self, tape: Tape, facts: Facts, scalars: Mapping[int, str], files: Sequence[str] = ()) -> None:
        self.tape, self.facts = tape, facts
        self.alias = aliases_of(tape)
        self.scalars = {**scalars_of(tape), **scalars}
        self.files = files
        """The files that the tape's lines are in; with one alone, its name is not repeated in every box."""

    def base(self, slot: int) -> int:
        """The slot itself or the one that it is another name of."""
        return self.alias.get(slot, slot)

    def reads(self, slots: Iterable[int]) -> tuple[int, ...]:
        """Operands that are drawn as arrows."""
        return tuple(s for s in map(self.base, slots) if s not in self.scalars)

    def source(self, slot: int, kind: str, title: str, note: str = "") -> Node:
        """An input, a captured array or a constant."""
        name = self.facts.names.get(slot, "")
        node = Node(kind, name or title, title if name else "", (slot,), label=f"%{slot}", note=note)
        self.describe(node, (slot,))
        node.kind = kind
        return node

    def instruction(self, position: int) -> Node:
        """An op and its result."""
        op, outs, ins, params = self.tape.instructions[position]
        texts = [self.scalars.get(self.base(s), "") for s in ins]
        node = Node(
            kind_of(op),
            op.name,
            operation(op, texts, params),
            outs,
            self.reads(ins),
            label=f"%{outs[0]}" if len(outs) == 1 else "",
            note=self.tape.line(position),
            swaps=op in _SYMMETRIC,
        )
        if any(texts) and (is_fused(op) or node.detail.startswith(f"{op.name}(")):
            node.title, node.detail = node.detail, ""
        where = self.tape.lines[position]
        node.source = self.line([where])
        if where is not None:
            node.note += f"\n{show(where)}  {code_of(where)}".rstrip()
        self.describe(node, outs)
        return node

    def describe(self, node: Node, slots: Sequence[int]) -> None:
        """Type, value and adjoint of what a box results in; its colour, if that is a result of the tape."""
        avals, facts = self.tape.avals, self.facts
        if len(slots) == 1:
            (slot,) = slots
            value, what = facts.value(slot), str(avals[slot])
            if value and not avals[slot].shape:
                node.rows.append(f"{what} = {value}")
            else:
                node.rows += [what, value] if value else [what]
            node.adjoint = facts.adjoint(slot)
        else:
            node.rows += [f"%{s} {avals[s]} {facts.value(s)}".strip() for s in slots]
        if node.kind not in (LOOP, CHECK) and any(s in self.tape.outputs for s in slots):
            node.kind = OUTPUT

    def line(self, places: Iterable[Where | None]) -> str:
        """The user's line, or the range of lines, in little room."""
        found = {(p[0].co_filename, line_number(p)): p for p in places if p is not None}
        if not found:
            return ""
        (file, first), (_, last) = min(found), max(found)
        names = {f for f, _ in found}
        name = "" if len(self.files) == 1 or len(names) > 1 else os.path.basename(file)
        if len(names) > 1:
            return f"{len(names)} files"
        if len(found) > 1:
            return f"{name}:{first}-{last}"
        text = code_of(found[file, first])
        return clipped(f"{name}:{first} {text}" if text else f"{name}:{first}", _SOURCE_LENGTH)


def kind_of(op: Op) -> str:
    """The kind of box that an op has."""
    if op.bodies:
        return LOOP
    if op is GUARD:
        return CHECK
    return ELEMENTWISE if isinstance(op, Elementwise | Cast) else LINEAR


def operation(op: Op, texts: Sequence[str], params: Params) -> str:
    """What a box says beside the op's name: its parameters, and where the constants among its operands stand.

    `texts` has a text for each operand that is a constant, "" for each that is an arrow.

    Examples
    --------
    >>> operation(BY_NAME["sub"], ["1", ""], ()), operation(BY_NAME["where"], ["", "", "0"], ())
    ('1 - ·', 'where(·, ·, 0)')
    """
    if not isinstance(op, Elementwise):
        inside = [f"({', '.join(t or '·' for t in texts)})"] if any(texts) and kind_of(op) != LOOP else []
        rest = re.sub(r"\b(body|step|reverse step)=\d+ ?", "", op.describe(params))  # bodies are drawn, not numbered
        return " ".join([*inside, rest]).strip()
    if not any(texts):
        return ""
    short = is_fused(op) or len(op.formula) <= 8
    formula = op.formula if short else f"{op.name}({', '.join(op.args)})"
    used = re.findall(r"\b[A-Za-z_]\w*\b(?!\()", formula)
    plain = [a for a, t in zip(op.args, texts, strict=True) if not t]
    once = [name for name in used if name in plain] == plain  # arrows in the order in which they arrive
    words = {a: t or ("·" if once else a) for a, t in zip(op.args, texts, strict=True)}
    return re.sub(r"\b[A-Za-z_]\w*\b(?!\()", lambda m: words.get(m[0], m[0]), formula)


def code_of(where: Where) -> str:
    """The text of a line of the user's, where it can be read."""
    return linecache.getline(where[0].co_filename, line_number(where)).strip()


def files_of(tape: Tape) -> list[str]:
    """The files that instructions come from, those of loops included."""
    found = {where[0].co_filename: None for where in tape.lines if where is not None}
    for sub in tape.subtapes:
        found |= dict.fromkeys(files_of(sub))
    return list(found)


def counted(names: Iterable[str]) -> str:
    """How often each of some names occurs, the most frequent first.

    Examples
    --------
    >>> counted(["mul", "add", "mul"])
    '2 mul, 1 add'
    """
    count: dict[str, int] = {}
    for name in names:
        count[name] = count.get(name, 0) + 1
    return ", ".join(f"{n} {name}" for name, n in sorted(count.items(), key=lambda item: -item[1]))
