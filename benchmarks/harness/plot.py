"""One picture of a run: every figure as a multiple of wengert's, and lines for the sweeps. Logarithmic scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.peers import PEERS
from harness.table import amount, grouped, multiple, ours

LOOK = {
    "wengert": ("#1b6ca8", "o"), "unjitted": ("#86b6d8", "o"), "jax": ("#d1495b", "s"), "jax-tuned": ("#e8909a", "D"),
    "torch": ("#e08e0b", "^"), "torch-compile": ("#f3c46b", "v"), "autograd": ("#8d96a3", "P"),
    "casadi": ("#2e8b57", "X"), "pytensor": ("#9c6fae", "p"), "limit": ("#111111", "|"),
}  # fmt: skip
"""Colour and marker of each peer."""
LEFT, RIGHT = 1 / 300, 3000.0
"""Multiples beyond these stand at the edge, with their figure."""
TICKS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
Row = dict[str, Any]
Group = tuple[str, list[tuple[str, Row, list[Row]]]]


def plot(results: Sequence[Row], path: str) -> None:
    """Draw and write the file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    suites = _suites([r for r in results if not r.get("sweep")])
    sweeps: dict[tuple[str, str], list[Row]] = {}
    for row in results:
        if row.get("sweep"):
            sweeps.setdefault((row["suite"], row["sweep"]), []).append(row)
    columns = [column for column in _columns(suites) if column]
    tall = max((_height(column) for column in columns), default=0.0)
    figure = plt.figure(
        figsize=(15 if sweeps or len(columns) > 1 else 10, 1.2 + tall + 3.2 * bool(sweeps)), layout="constrained"
    )
    areas = figure.subfigures(2, 1, height_ratios=[max(tall, 0.01), 3.2 if sweeps else 0.01], squeeze=False)[:, 0]
    handles: dict[str, Any] = {}
    if columns:
        for area, column in zip(areas[0].subfigures(1, len(columns), squeeze=False)[0], columns):
            _dots(area, column, tall, handles)
    if sweeps:
        for axis, ((suite, sweep), rows) in zip(areas[1].subplots(1, len(sweeps), squeeze=False)[0], sweeps.items()):
            _line(axis, rows, sweep, handles)
            axis.set_title(f"{suite}: seconds over {sweep}", fontsize=9)
    names = [name for name in LOOK if name in handles]
    figure.legend([handles[n] for n in names], [PEERS[n].label for n in names], loc="outside upper center",
                  ncols=-(-len(names) // (1 if len(columns) > 1 or sweeps else 2)), frameon=False)  # fmt: skip
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _suites(results: list[Row]) -> list[Group]:
    """Suite by suite: the cases with wengert's figure and the others'."""
    found: list[Group] = []
    for (suite, case), rows in grouped(results):
        mine = ours(rows)
        if mine is None:
            continue
        if not found or found[-1][0] != suite:
            found.append((suite, []))
        found[-1][1].append((case, mine, [r for r in rows if r is not mine]))
    return found


def _height(column: Sequence[Group]) -> float:
    """Inches."""
    return sum(0.24 * len(cases) + 0.42 for _, cases in column)


def _columns(suites: list[Group]) -> tuple[list[Group], list[Group]]:
    """Cut in two where the halves are most alike."""
    cut = min(range(len(suites) + 1), key=lambda k: max(_height(suites[:k]), _height(suites[k:])))
    return suites[:cut], suites[cut:]


def _dots(area: Any, column: list[Group], tall: float, handles: dict[str, Any]) -> None:
    """One panel a suite, one row a case: who is left of the line is faster than wengert."""
    ratios = [0.24 * len(cases) + 0.42 for _, cases in column]
    spare = tall - sum(ratios)
    axes = area.subplots(len(column) + 1, 1, height_ratios=[*ratios, max(spare, 0.01)], squeeze=False)[:, 0]
    axes[-1].set_visible(False)
    for axis, (suite, cases) in zip(axes, column):
        for k, (_, mine, others) in enumerate(cases):
            for row in others:
                times = multiple(row, mine)
                if times:
                    _dot(axis, row, mine, times, k, handles)
        axis.axvline(1.0, color=LOOK["wengert"][0], lw=2.0)
        axis.axvspan(LEFT / 2, 1.0, color="#f4ece6", zorder=0)
        axis.set(xscale="log", xlim=(LEFT / 1.5, RIGHT * 1.5), ylim=(len(cases) - 0.4, -0.6))
        axis.set_yticks(
            range(len(cases)), [f"{c}  ({amount(m['median'], m['unit'])})" for c, m, _ in cases], fontsize=7
        )
        axis.set_title(suite, fontsize=9, loc="left", fontweight="bold", pad=2)
        axis.set_xticks(TICKS, [f"{x:g}x" for x in TICKS])
        axis.grid(axis="x", lw=0.4, alpha=0.6)
        axis.tick_params(axis="x", labelsize=7, labelbottom=axis is axes[len(column) - 1])
    axes[len(column) - 1].set_xlabel(
        "multiple of wengert's time (memory: of its growth); shaded: better than wengert", fontsize=8
    )


def _dot(axis: Any, row: Row, mine: Row, times: float, y: int, handles: dict[str, Any]) -> None:
    colour, marker = LOOK[row["peer"]]
    at = min(max(times, LEFT), RIGHT)
    axis.plot([row["q1"] / mine["median"], row["q3"] / mine["median"]], [y, y], color=colour, lw=1.0, alpha=0.6)
    bar = marker == "|"
    (handles[row["peer"]],) = axis.plot(
        [at], [y], marker, color=colour, ms=11 if bar else 6, mew=2.5 if bar else 0.5, mec=colour if bar else "w",
        ls="none", clip_on=False,
    )  # fmt: skip
    if at != times:
        side = "left" if times > 1 else "right"
        axis.annotate(f"{times:.2g}", (at, y), fontsize=5.5, ha=side, va="center", xytext=(6 if times > 1 else -6, 0),
                      textcoords="offset points", annotation_clip=False)  # fmt: skip


def _line(axis: Any, rows: list[Row], sweep: str, handles: dict[str, Any]) -> None:
    key = sweep.split()[-1]
    for peer, (colour, marker) in LOOK.items():
        mine = sorted((r for r in rows if r["peer"] == peer), key=lambda r: r["params"][key])
        if mine:
            sizes = [r["params"][key] for r in mine]
            (line,) = axis.plot(sizes, [r["median"] for r in mine], color=colour, marker=marker, ms=5)
            handles.setdefault(peer, line)
            axis.fill_between(sizes, [r["q1"] for r in mine], [r["q3"] for r in mine], color=colour, alpha=0.2)
    axis.set(xscale="log", yscale="log", xlabel=key)
    sizes = sorted({r["params"][key] for r in rows})
    axis.set_xticks(sizes, [f"{n:g}" for n in sizes])
    axis.minorticks_off()
    axis.grid(lw=0.4, alpha=0.6)
    axis.tick_params(labelsize=7)
