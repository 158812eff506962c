"""Two runs side by side: what became slower or faster beyond the spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.peers import OURS
from harness.stats import Spread, ratio, round_to, verdict

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One figure now against the same figure before."""

    suite: str
    case: str
    peer: str
    change: Spread
    verdict: str

    @property
    def regression(self) -> bool:
        """Whether wengert became slower."""
        return self.peer in OURS and self.verdict == "slower"


def _ratios(new: Sequence[Row], old: Sequence[Row]) -> list[tuple[Row, Spread]]:
    """now / before for every figure that both runs have."""
    before = {(r["suite"], r["case"], r["peer"], r["unit"]): r for r in old}
    found = []
    for row in new:
        other = before.get((row["suite"], row["case"], row["peer"], row["unit"]))
        if other is not None and other["q1"] > 0 and other["median"] > 0:
            found.append((row, ratio(*(Spread(r["median"], r["q1"], r["q3"]) for r in (row, other)))))
    return found


def drift(new: Sequence[Row], old: Sequence[Row]) -> float:
    """The median of now / before over the derivatives by hand, whose code does not change: the machine itself."""
    by_hand = list(_by_hand(new, old).values())
    return statistics.median(by_hand) if by_hand else 1.0


def _by_hand(new: Sequence[Row], old: Sequence[Row]) -> dict[tuple[str, str], float]:
    """now / before of the derivative by hand, case by case."""
    timed = [(row, change) for row, change in _ratios(new, old) if row["peer"] == "limit" and row["unit"] == "s"]
    return {(row["suite"], row["case"]): change.median for row, change in timed}


def changes(new: Sequence[Row], old: Sequence[Row], machine: float) -> list[Change]:
    """A change for every figure that both runs have.

    Times are divided by `machine`, the drift of the machine, or by the change of the derivative by hand in the same
    case where that is larger: others may have been busy just then.
    """
    then = _by_hand(new, old)
    found = []
    for row, change in _ratios(new, old):
        own = 0.0 if row["peer"] == "limit" else then.get((row["suite"], row["case"]), 0.0)
        scale = max(machine, own) if row["unit"] == "s" else 1.0
        change = Spread(change.median / scale, change.q1 / scale, change.q3 / scale)
        found.append(Change(row["suite"], row["case"], row["peer"], change, verdict(change)))
    return found


def confirmed(first: Sequence[Change], second: Sequence[Change]) -> list[Change]:
    """The first look's changes; what a second look does not find slower as well is no regression."""
    again = {(c.suite, c.case, c.peer): c for c in second}
    found = []
    for c in first:
        other = again.get((c.suite, c.case, c.peer))
        if c.regression and other is not None and not other.regression:
            c = replace(c, verdict=f"not confirmed ({round_to(other.change.median)})")
        found.append(c)
    return found


def differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """What else differs between two runs, so that their figures may not be compared."""
    facts = {
        "processor": lambda run: run["machine"]["processor"],
        "cores": lambda run: run["machine"]["usable_cores"],
        "threads": lambda run: run["method"]["threads"],
        "--quick": lambda run: run["quick"],
        "Python": lambda run: run["machine"]["python"],
        "NumPy": lambda run: run["versions"].get("numpy"),
    }
    pairs = {name: (look(before), look(now)) for name, look in facts.items()}
    return [f"{name}: {old} before, {new} now" for name, (old, new) in pairs.items() if old != new]


def show(found: Sequence[Change], machine: float, differs: Sequence[str], console: Any) -> None:
    """The changes as a table; a mark where the spreads do not meet."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", title="now / before", title_justify="left")
    for name in ("case", "peer", "ratio", "spread", ""):
        table.add_column(name, justify="right" if name in ("ratio", "spread") else "left")
    for c in found:
        style = "bold red" if c.regression else {"slower": "yellow", "faster": "green"}.get(c.verdict, "dim")
        span = f"{round_to(c.change.q1)} .. {round_to(c.change.q3)}"
        table.add_row(f"{c.suite}: {c.case}", c.peer, round_to(c.change.median), span, c.verdict, style=style)
    console.print(table)
    for line in differs:
        console.print(f"NOT THE SAME: {line}", style="yellow", highlight=False)
    console.print(
        f"The derivatives by hand take {round_to(machine)} times what they took before (median): times above are "
        "divided by that, or by what the one of the same case takes if that is more.\nA change counts where all of its "
        "spread and at least a tenth of the median lie beyond 1; where wengert seems slower, in two further "
        "measurements in new processes as well.",
        highlight=False,
    )
    slower = [c for c in found if c.regression]
    for c in slower:
        console.print(f"SLOWER: {c.suite}: {c.case}: {c.peer} {round_to(c.change.median)}x", style="bold red")
    ours = sum(c.peer in OURS for c in found)
    console.print(f"wengert is slower than before in {len(slower)} of {ours} figures", highlight=False)
