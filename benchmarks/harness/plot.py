"""Pictures: bars for each suite, lines for sweeps, both on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.peers import PEERS
from harness.table import grouped

COLOURS = {
    "wengert": "#1b6ca8", "unjitted": "#86b6d8", "jax": "#d1495b", "jax-tuned": "#e8a0aa", "torch": "#edae49",
    "torch-compile": "#f3d39b", "autograd": "#8d96a3", "casadi": "#66a182", "pytensor": "#9c6fae", "limit": "#222222",
}  # fmt: skip


def plot(results: Sequence[dict[str, Any]], path: str) -> None:
    """One panel a suite (and one a sweep), written to a file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in results:
        panels.setdefault((row["suite"], row.get("sweep", "")), []).append(row)
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(6 * columns, 4 * lines), squeeze=False, layout="constrained")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, ((suite, sweep), rows) in zip(axes.flat, panels.items()):
        (_line if sweep else _bars)(axis, rows, sweep)
        axis.set_title(f"{suite} over {sweep}" if sweep else suite)
        axis.set_yscale("log")
        axis.set_ylabel("MB" if rows[0]["unit"] == "MB" else "seconds")
    handles = {label: h for axis in axes.flat for h, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=min(5, len(handles)))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _bars(axis: Any, rows: list[dict[str, Any]], _: str) -> None:
    cases = [case for (_, case), _rows in grouped(rows)]
    peers = [p for p in PEERS if any(r["peer"] == p for r in rows)]
    width = 0.8 / len(peers)
    for k, peer in enumerate(peers):
        mine = [r for r in rows if r["peer"] == peer and r["median"] > 0]
        at = [cases.index(r["case"]) + (k - (len(peers) - 1) / 2) * width for r in mine]
        middle = [r["median"] for r in mine]
        error = [[max(0.0, r["median"] - r["q1"]) for r in mine], [max(0.0, r["q3"] - r["median"]) for r in mine]]
        axis.bar(at, middle, width, yerr=error, color=COLOURS[peer], label=PEERS[peer].label, error_kw={"lw": 0.8})
    axis.set_xticks(range(len(cases)), cases, rotation=20, ha="right", fontsize=7)


def _line(axis: Any, rows: list[dict[str, Any]], sweep: str) -> None:
    key = sweep.split()[-1]
    for peer in PEERS:
        mine = sorted((r for r in rows if r["peer"] == peer), key=lambda r: r["params"][key])
        if mine:
            sizes = [r["params"][key] for r in mine]
            axis.plot(sizes, [r["median"] for r in mine], "o-", color=COLOURS[peer], label=PEERS[peer].label)
            axis.fill_between(sizes, [r["q1"] for r in mine], [r["q3"] for r in mine], color=COLOURS[peer], alpha=0.2)
    axis.set_xscale("log")
    axis.set_xlabel(key)
