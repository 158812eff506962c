"""Puts the graph of a tape together: its boxes, folded where they are many, and the bodies of loops inside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from wengert.draw.facts import Facts
from wengert.draw.fold import Group, fold
from wengert.draw.graph import (
    CAPTURED,
    CONSTANT,
    ELEMENTWISE,
    INPUT,
    LINEAR,
    LOOP,
    Graph,
    Node,
    Writer,
    counted,
    files_of,
    kind_of,
)
from wengert.draw.inside import Inside, of_op, of_pass
from wengert.plan.live import live
from wengert.tape import Tape

MOST = 100
"""Boxes of a graph, above which it is folded."""
_MOST_INSIDE, _MOST_OF_A_PASS = 40, 24
_MANY = 3
"""Boxes that say and connect the same, from which on they are one."""


def graph_of(tape: Tape, facts: Facts, most: int = MOST) -> Graph:
    """The graph of a tape."""
    return _graph(Writer(tape, facts, {}, files_of(tape)), most)


def _graph(writer: Writer, most: int, inside: Inside | None = None, numbers: bool = True) -> Graph:
    tape = writer.tape
    positions = [k for k in live(tape) if writer.alias.keys().isdisjoint(tape.instructions[k][1])]
    used = {writer.base(s) for k in positions for s in tape.instructions[k][2]} | set(tape.outputs)
    nodes = [writer.source(s, INPUT, "input") for s in tape.inputs if s not in writer.scalars]
    nodes += [writer.source(s, CAPTURED, "captured") for s, _ in tape.captured if s in used]
    nodes += [writer.source(s, CONSTANT, "constant") for s, _ in tape.consts if s in used - set(writer.scalars)]
    folded = len(nodes) + len(positions) > most
    groups = fold(tape, positions, most) if folded else [Group((k,)) for k in positions]
    readers = _readers(writer, groups)
    nodes += [_box(writer, number, group, readers) for number, group in enumerate(groups)]
    if folded:
        nodes = stacked(nodes)
    _name(nodes, inside.titles if inside is not None else {}, writer.facts.results)
    if not numbers:
        nodes = [replace(node, label="") for node in nodes]
    home = {s: k for k, node in enumerate(nodes) for s in node.slots}
    back = [(home[tail], home[head]) for tail, head in (inside.carried if inside is not None else [])]
    return Graph(nodes, [(tail, head) for tail, head in back if tail != head])


def _name(nodes: Sequence[Node], titles: Mapping[int, tuple[str, str]], results: Mapping[int, str]) -> None:
    """Say what the inputs of a loop's step are, and what becomes of results."""
    for node in nodes:
        slot = node.slots[0] if len(node.slots) == 1 else -1
        if slot in titles:
            node.title, node.detail = titles[slot]
        if results.get(slot):
            node.detail = f"{node.detail} → {results[slot]}".strip()


def _readers(writer: Writer, groups: Sequence[Group]) -> dict[int, set[int]]:
    """By slot the groups that read it; the tape's result is read by group -1."""
    found: dict[int, set[int]] = {s: {-1} for s in writer.tape.outputs}
    for number, group in enumerate(groups):
        for k in group.positions:
            for s in writer.tape.instructions[k][2]:
                found.setdefault(writer.base(s), set()).add(number)
    return found


# --- one box -----------------------------------------------------------------------------------------------


def _box(writer: Writer, number: int, group: Group, readers: Mapping[int, set[int]]) -> Node:
    if group.times > 1:
        return _loop(writer, group)
    if len(group.positions) > 1:
        return _several(writer, number, group, readers)
    tape = writer.tape
    node = writer.instruction(group.positions[0])
    op, _, ins, params = tape.instructions[group.positions[0]]
    for body in tape.resolved(op, params):
        if isinstance(body, Tape):
            inside = of_op(op, body, ins, params, writer)
            node.inner += (_graph(_writer(writer, inside), _MOST_INSIDE, inside),)
    return node


def _writer(writer: Writer, inside: Inside) -> Writer:
    """The writer of a loop's step: it knows no values, they differ from step to step."""
    known = {s: title for s, (title, _) in inside.titles.items()}
    return Writer(inside.tape, Facts(inside.tape, names=known, results=inside.results), inside.scalars, writer.files)


def _several(writer: Writer, number: int, group: Group, readers: Mapping[int, set[int]]) -> Node:
    """Instructions that are counted, not shown."""
    node = _joined(writer, group)
    instructions = [writer.tape.instructions[k] for k in group.positions]
    soft = all(kind_of(op) == ELEMENTWISE for op, *_ in instructions)
    node.kind = ELEMENTWISE if soft else LINEAR
    node.title = f"{len(instructions)} {'elementwise' if soft else 'instructions'}"
    words = counted(op.name for op, *_ in instructions).split(", ")
    node.rows = [", ".join(words[k : k + 3]) for k in range(0, min(len(words), 9), 3)]
    read = [s for s in node.slots if readers.get(s, set()) - {number}]
    if len(read) == 1:
        node.label = f"%{read[0]}"
        writer.describe(node, read)
    return node


def _loop(writer: Writer, group: Group) -> Node:
    """A part of the tape that is there several times over, with one pass inside."""
    node = _joined(writer, group)
    size = len(group.positions) // group.times
    node.kind, node.title = LOOP, f"{group.times} times"
    node.detail = f"the same {size} instructions, drawn once" if size > 1 else "the same instruction"
    inside = of_pass(group, writer)
    node.inner = (_graph(_writer(writer, inside), _MOST_OF_A_PASS, inside, numbers=False),)
    return node


def _joined(writer: Writer, group: Group) -> Node:
    """A box for several instructions: what it reads and results in."""
    tape = writer.tape
    slots = [s for k in group.positions for s in tape.instructions[k][1]]
    inside = set(slots)
    reads = dict.fromkeys(s for k in group.positions for s in writer.reads(tape.instructions[k][2]))
    note = [tape.line(k) for k in group.positions[:30]] + ["…"] * (len(group.positions) > 30)
    return Node(
        LINEAR,
        "",
        slots=tuple(slots),
        reads=tuple(s for s in reads if s not in inside),
        source=writer.line(tape.lines[k] for k in group.positions),
        note="\n".join(note),
        joined=True,
    )


# --- boxes that are alike ------------------------------------------------------------------------------------


def stacked(nodes: Sequence[Node]) -> list[Node]:
    """Boxes that say the same, read from the same boxes and are read by the same boxes, as one box each.

    Two of them cannot depend on each other: the one in between would have to depend on itself.
    """
    home = {s: k for k, node in enumerate(nodes) for s in node.slots}
    above = [frozenset(home[s] for s in node.reads) for node in nodes]
    below: list[set[int]] = [set() for _ in nodes]
    for k, found in enumerate(above):
        for other in found:
            below[other].add(k)
    alike: dict[object, list[int]] = {}
    for k, node in enumerate(nodes):
        words = (node.kind, node.title if node.kind != INPUT else "", *(row.split(" = ")[0] for row in node.rows[:1]))
        single = node.joined or node.inner or not node.slots
        alike.setdefault(k if single else (words, above[k], frozenset(below[k])), []).append(k)
    found_nodes = []
    for members in alike.values():
        if len(members) < _MANY:
            found_nodes += [(k, nodes[k]) for k in members]
            continue
        first = nodes[members[0]]
        merged = replace(
            first,
            title=f"{len(members)} {first.title if first.kind != INPUT else 'inputs'}",
            detail="",
            slots=tuple(s for k in members for s in nodes[k].slots),
            reads=tuple(dict.fromkeys(s for k in members for s in nodes[k].reads)),
            rows=[f"{first.rows[0].split(' = ')[0]} each"] if first.rows else [],
            adjoint="",
            label="",
            note="\n".join(nodes[k].note for k in members[:30]),
            joined=True,
        )
        found_nodes.append((members[-1], merged))
    return [node for _, node in sorted(found_nodes, key=lambda pair: pair[0])]
