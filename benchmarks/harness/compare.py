"""Two runs side by side: what became slower or faster beyond the spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.peers import OURS
from harness.stats import Spread, ratio, round_to, verdict


@dataclass(frozen=True)
class Change:
    """One figure now against the same figure before."""

    suite: str
    case: str
    peer: str
    change: Spread
    verdict: str


def _spread(row: dict[str, Any]) -> Spread:
    return Spread(row["median"], row["q1"], row["q3"])


def changes(new: Sequence[dict[str, Any]], old: Sequence[dict[str, Any]]) -> list[Change]:
    """A change for every figure that both runs have."""
    before = {(r["suite"], r["case"], r["peer"], r["unit"]): r for r in old}
    found = []
    for row in new:
        other = before.get((row["suite"], row["case"], row["peer"], row["unit"]))
        if other is not None and other["q1"] > 0 and other["median"] > 0:
            change = ratio(_spread(row), _spread(other))
            found.append(Change(row["suite"], row["case"], row["peer"], change, verdict(change)))
    return found


def show(found: Sequence[Change], console: Any) -> None:
    """The changes as a table; a mark where the spreads do not meet."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", title="now / before", title_justify="left")
    for name in ("case", "peer", "ratio", "spread", ""):
        table.add_column(name, justify="right" if name in ("ratio", "spread") else "left")
    for c in found:
        style = {"slower": "bold red", "faster": "green"}.get(c.verdict, "dim")
        span = f"{round_to(c.change.q1)} .. {round_to(c.change.q3)}"
        table.add_row(f"{c.suite}: {c.case}", c.peer, round_to(c.change.median), span, c.verdict, style=style)
    console.print(table)
    slower = [c for c in found if c.verdict == "slower" and c.peer in OURS]
    console.print(
        f"wengert is slower beyond the spread in {len(slower)} of {sum(c.peer in OURS for c in found)} figures"
    )
