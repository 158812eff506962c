"""`explain`: what a recording becomes until it runs, in numbers. Knows no op; changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from wengert import _jit
from wengert.errors import show
from wengert.plan.layout import Layout
from wengert.plan.lower import lowered
from wengert.plan.passes import passed
from wengert.recorded import record
from wengert.tape import Tape


@dataclass(frozen=True)
class Region:
    """Elementwise instructions that are one loop."""

    instructions: int
    results: int
    """How many of its values are written to memory."""
    shape: tuple[int, ...]
    line: str
    times: int
    """How often it runs: once, or at every step of the loops that it is in."""


@dataclass(frozen=True)
class Explanation:
    """What `wengert.explain` found; prints as a few lines."""

    name: str
    recorded: int
    """Instructions on the tape, bodies of loops counted once."""
    rolled: int
    """Instructions of loops over elements that array instructions stand for."""
    folded: int
    identities: int
    common: int
    dead: int
    """Instructions that went: constants, those that change nothing, equal ones, unused ones."""
    views: int
    """Instructions that move nothing: a result lies where an operand lies."""
    regions: tuple[Region, ...]
    packets: int
    """What is left: calls of kernels in the code, bodies of loops counted once."""
    calls: int
    """Calls of kernels in one replay."""
    bytes_kept: int
    """The workspace: all that is alive at once, and what backward passes need of forward ones."""
    bytes_moved: int
    """Bytes that kernels read and write in one replay, operands and results counted once an instruction."""
    kernels: dict[str, int]
    """Kernels and how many of the packets are calls of them."""

    def __str__(self) -> str:
        gone = {
            "into arrays": self.rolled, "constant": self.folded, "without effect": self.identities,
            "equal to others": self.common, "unused": self.dead, "views": self.views,
        }  # fmt: skip
        inside = sum(r.instructions for r in self.regions)
        lines = [
            f"{self.name}: {self.recorded} instructions recorded",
            "  gone       " + (", ".join(f"{n} {what}" for what, n in gone.items() if n) or "none"),
            f"  regions    {inside} instructions in {len(self.regions)}" if self.regions else "  regions    none",
        ]
        for r in sorted(self.regions, key=lambda r: -r.instructions * r.times)[:6]:
            often = f", {r.times} times" if r.times > 1 else ""
            results = f"{r.results} result{'s' if r.results > 1 else ''}"
            lines.append(f"             {r.instructions} over {list(r.shape)}, {results}{often}, from {r.line}")
        lines += [
            f"  calls      {self.packets} packets, {self.calls} calls of kernels in a replay",
            f"  kept       {_size(self.bytes_kept)} of workspace",
            f"  moved      {_size(self.bytes_moved)} in a replay",
            f"  kernels    {len(self.kernels)}",
        ]
        most = sorted(self.kernels.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"             {n:5} {label}" for label, n in most[:12]]
        return "\n".join(lines + ([f"             and {len(most) - 12} more"] if len(most) > 12 else []))


def explain(f: Callable[..., Any], *args: Any) -> Explanation:
    """What becomes of `f` when `jit` plans it: print the result to read it.

    Says how many instructions were recorded and why some went, which became one loop of machine code (a region; for
    this all of them are compiled now), how much memory one replay keeps and moves, and which kernels it calls.

    Parameters
    ----------
    f
        A function of NumPy arrays, numbers and pytrees of them; `wengert.grad(f)` to see the gradient's.
    *args
        Example arguments.

    Returns
    -------
    Explanation
        The numbers as attributes; `str` gives them as text.

    Examples
    --------
    >>> import numpy as np, wengert
    >>> found = wengert.explain(lambda x: np.exp(-x * x) + np.exp(-x * x), np.ones(1000))
    >>> found.recorded, found.common, [r.instructions for r in found.regions]
    (7, 3, [4])
    >>> found.bytes_moved
    16000
    """
    tape = record(f, *args)
    done = passed(tape)
    layout = Layout(compile=True, alone=True)
    program = lowered(done.tape, layout)
    often = _times(done.tape, 1, {})
    regions, views, moved, calls = [], 0, 0, 0
    kernels: Counter[str] = Counter()
    for k, (t, spot) in enumerate(zip(layout.tapes, layout.spots, strict=True)):
        op, outs, ins, _ = t.instructions[spot]
        packets = list(_packets(layout, k))
        if k in layout.regions:
            members, results = layout.regions[k]
            made = {s for _, written, _, _ in members for s in written}
            ins, outs = tuple({s for _, _, read, _ in members for s in read} - made), tuple(results)
            regions.append(
                Region(len(members), len(outs), t.avals[members[0][1][0]].shape, show(t.lines[spot]), often[id(t)])
            )
        views += not packets
        if packets and not op.bodies:
            moved += often[id(t)] * sum(t.avals[s].nbytes for s in (*ins, *outs))
        calls += often[id(t)] * len(packets)
        kernels.update(_jit.label(layout.code[at]) for at in packets)
    recorded, gone = _count(tape), done.rolled + done.folded + done.identities + done.common
    left = len(layout.words) + sum(r.instructions - 1 for r in regions)
    return Explanation(
        getattr(f, "__name__", "?"), recorded, done.rolled, done.folded, done.identities, done.common,
        max(recorded - gone - left, 0), views, tuple(regions), kernels.total(), calls, program.nbytes, moved,
        dict(kernels),
    )  # fmt: skip


def _packets(layout: Layout, k: int) -> Iterator[int]:
    """Where the packets of an instruction begin; of a loop its own, without its body's."""
    words, code = layout.words, layout.code
    at = words[k]
    end = layout.ends.get(k, at + 1)
    if k + 1 < len(words):
        end = min(end, words[k + 1])
    while at < end:
        yield at
        at += code[at + 1]


def _count(tape: Tape) -> int:
    return len(tape) + sum(map(_count, tape.subtapes))


def _times(tape: Tape, often: int, found: dict[int, int]) -> dict[int, int]:
    """How often each tape's instructions run in one replay."""
    found[id(tape)] = found.get(id(tape), 0) + often
    for op, _, _, params in tape.instructions:
        for k in range(op.bodies):
            _times(tape.subtapes[params[k]], often * params[op.bodies + 2], found)
    return found


def _size(nbytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= size:
            return f"{nbytes / size:.3g} {unit}"
    return f"{nbytes} bytes"
