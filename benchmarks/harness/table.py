"""Tables for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from harness.peers import PEERS
from harness.stats import exponent, in_words, round_to

HEAD = ("case", "peer", "per call", "quartiles", "wengert is", "first call", "record", "compile", "in background",
        "break-even to JAX")  # fmt: skip
Row = dict[str, Any]


def amount(value: float | None, unit: str) -> str:
    """A measured value with its unit."""
    if value is None:
        return ""
    return in_words(value) if unit == "s" else f"{round_to(value)} {unit}"


def grouped(results: Iterable[Row]) -> list[tuple[tuple[str, str], list[Row]]]:
    """Rows of the same suite and case together, in the order in which they were measured."""
    return [(key, list(rows)) for key, rows in groupby(results, lambda r: (r["suite"], r["case"]))]


def ours(rows: Sequence[Row]) -> Row | None:
    """The row that others are compared with: the jitted one if there is one."""
    by_peer = {r["peer"]: r for r in rows}
    return by_peer.get("wengert") or by_peer.get("unjitted")


def multiple(row: Row, mine: Row) -> float | None:
    """The row's figure as a multiple of wengert's; None where memory did not grow at all."""
    return row["median"] / mine["median"] if min(row["median"], mine["median"]) > 0 else None


def level(row: Row, mine: Row) -> bool:
    """Whether two figures may not be told apart: the quartiles overlap, or the medians differ by less than 5 %."""
    overlap = row["q1"] <= mine["q3"] and mine["q1"] <= row["q3"]
    return bool(overlap or abs(row["median"] - mine["median"]) < 0.05 * mine["median"])


def against(row: Row, mine: Row | None) -> str:
    """How many times faster or slower wengert is than this row."""
    if mine is None or row is mine:
        return ""
    times = multiple(row, mine)
    if times is None:
        return "-"
    better, worse = ("smaller", "larger") if row["unit"] == "MB" else ("faster", "slower")
    if level(row, mine):
        return f"{round_to(times, 2)}x (level)"
    return f"{round_to(times, 2)}x {better}" if times >= 1 else f"{round_to(1 / times, 2)}x {worse}"


def lines_of(results: Sequence[Row]) -> list[list[str]]:
    """The table's cells, one list a row, in the order of HEAD; the first of each case carries its name."""
    table = []
    for (suite, case), rows in grouped(results):
        mine = ours(rows)
        for k, row in enumerate(rows):
            unit = row["unit"]
            table.append(
                [
                    f"{suite}: {case}" if k == 0 else "",
                    PEERS[row["peer"]].label + (f", {row['note']}" if row.get("note") else ""),
                    amount(row["median"], unit),
                    f"{amount(row['q1'], unit)} .. {amount(row['q3'], unit)}",
                    against(row, mine),
                    in_words(row.get("first")),
                    in_words(row.get("record")),
                    in_words(row.get("compile")),
                    in_words(row.get("background")),
                    row.get("break_even", ""),
                ]
            )
    return table


def exponents(results: Iterable[Row]) -> list[tuple[str, str, str, float]]:
    """(suite, parameter, peer, exponent) for every line of cases over a parameter."""
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for row in results:
        if row.get("sweep"):
            key = (row["suite"], row["sweep"], row["peer"])
            found.setdefault(key, []).append((row["params"][row["sweep"].split()[-1]], row["median"]))
    return [(*key, exponent(*zip(*points))) for key, points in found.items() if len(points) > 1]


def in_markdown(rows: Iterable[Sequence[str]], words: int = 2) -> str:
    """A Markdown table from its head and rows; from column `words` on to the right."""
    head, *body = rows
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *body))


def growth(results: Iterable[Row]) -> str:
    """The fitted exponents in Markdown, one row a parameter; "" where there are none."""
    fitted = exponents(results)
    if not fitted:
        return ""
    peers = [name for name in PEERS if any(n == name for *_, n, _ in fitted)]
    rows = [["time ~ parameter ^ exponent", *(PEERS[name].label for name in peers)]]
    for (suite, parameter), group in groupby(sorted(fitted), lambda x: x[:2]):
        by_peer = {name: f"{e:.2f}" for _, _, name, e in group}
        rows.append([f"{suite}: {parameter}", *(by_peer.get(name, "") for name in peers)])
    return in_markdown(rows, 1)


def markdown(results: Sequence[Row]) -> str:
    """The table in Markdown, with the fitted exponents below."""
    return "\n\n".join(text for text in (in_markdown([HEAD, *lines_of(results)]), growth(results)) if text)


def show(results: Sequence[Row], console: Any) -> None:
    """The table in the terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for k, name in enumerate(HEAD):
        table.add_column(name, justify="right" if 1 < k < 9 else "left", no_wrap=k > 1)
    for cells in lines_of(results):
        if cells[0]:
            table.add_row()
        losing = "slower" in cells[4] or "larger" in cells[4]
        style = "bold" if cells[1].startswith("wengert") else "yellow" if losing else ""
        table.add_row(*cells, style=style)
    console.print(table)
    fitted = exponents(results)
    if fitted:
        console.print("\ntime ~ parameter ** exponent (least squares in logarithms)")
        for suite, parameter, peer, e in fitted:
            console.print(f"  {suite:10} {parameter:12} {PEERS[peer].label:16} {e:5.2f}")
