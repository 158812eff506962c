"""Writes the README's performance table from a run's JSON file.

    python benchmarks/readme_table.py                    from the newest file in benchmarks/results/
    python benchmarks/readme_table.py results.json       from this file

The table stands in README.md between two comment lines; whatever stands there is replaced. Every case of the run
that has a figure for wengert is in it, losses as plainly as wins.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from harness.peers import PEERS
from harness.stats import round_to
from harness.table import amount, grouped, ours

HERE = Path(__file__).resolve().parent
START, END = "<!-- benchmark table -->", "<!-- end benchmark table -->"
COLUMNS = ("jax", "jax-tuned", "torch", "torch-compile", "autograd", "casadi", "pytensor", "limit")


def newest(folder: Path) -> Path | None:
    """The results file with the latest date inside; None without any."""
    found = [(json.loads(path.read_text(encoding="utf-8")).get("when", ""), path) for path in folder.glob("*.json")]
    return max(found)[1] if found else None


def cell(row: dict[str, Any] | None, mine: dict[str, Any]) -> str:
    """A figure, and in brackets how many times slower (above 1) or faster (below 1) than wengert it is."""
    if row is None:
        return ""
    text = amount(row["median"], row["unit"])
    if min(row["median"], mine["median"]) > 0:
        text += f" ({round_to(row['median'] / mine['median'], 2)}x)"
    return text


def outcome(mine: dict[str, Any], others: list[dict[str, Any]]) -> str:
    """Who is ahead of all libraries (the derivative by hand is not one), unless the quartiles overlap."""
    if not others:
        return ""
    best = min(others, key=lambda r: r["median"])
    if best["q1"] <= mine["q3"] and mine["q1"] <= best["q3"]:
        return f"level with {PEERS[best['peer']].label}"
    if mine["median"] < best["median"]:
        return "wengert"
    return f"**{PEERS[best['peer']].label}** by {round_to(mine['median'] / best['median'], 2)}x"


def table(found: dict[str, Any]) -> str:
    """The Markdown between the markers."""
    results = [r for r in found["results"] if not r.get("sweep")]
    present = [p for p in COLUMNS if any(r["peer"] == p for r in results)]
    lines = ["| case | wengert | " + " | ".join(PEERS[p].label for p in present) + " | fastest library |"]
    lines.append("| --- " * (len(present) + 3) + "|")
    wins = losses = level = 0
    for (suite, case), rows in grouped(results):
        mine = ours(rows)
        if mine is None:
            continue
        by_peer = {r["peer"]: r for r in rows}
        verdict = outcome(mine, [r for r in rows if r["peer"] not in ("wengert", "unjitted", "limit")])
        wins, losses, level = (
            wins + (verdict == "wengert"), losses + verdict.startswith("**"), level + verdict.startswith("level")
        )  # fmt: skip
        cells = [f"{suite}: {case}", amount(mine["median"], mine["unit"])]
        cells += [cell(by_peer.get(p), mine) for p in present]
        lines.append("| " + " | ".join([*cells, verdict]) + " |")
    return "\n".join([*lines, "", f"{wins} ahead, {level} level, {losses} behind. {_small_print(found)}"])


def _small_print(found: dict[str, Any]) -> str:
    machine, versions = found["machine"], found["versions"]
    names = {"jax": "JAX", "torch": "PyTorch", "numpy": "NumPy", "casadi": "CasADi", "pytensor": "PyTensor"}
    listed = ", ".join(f"{names.get(k, k)} {v}" for k, v in versions.items() if k in (*names, "autograd"))
    dirty = " with local changes" if found["commit"]["dirty"] else ""
    return (
        "Medians of seconds a call (smaller is better; MB of peak memory for `memory`), value and gradient, compared "
        "with each other before timing; in brackets the multiple of wengert's figure, below 1x where it is beaten. "
        f"{machine['processor']}, {found['method']['threads']} threads for all, {listed}, Python {machine['python']}, "
        f"commit {found['commit']['hash'][:10]}{dirty}, {found['when'][:10]}."
        + (" A --quick run: no figures to rely on." if found["quick"] else "")
    )


def replaced(text: str, body: str) -> str:
    """The README with the table in its place."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"no lines {START} and {END}")
    return f"{before}{START}\n{body}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Rewrite the README; the exit code."""
    p = argparse.ArgumentParser(prog="benchmarks/readme_table.py", description=__doc__.splitlines()[0])
    p.add_argument("file", type=Path, nargs="?", help="a file written by run.py --json (the newest in results/)")
    p.add_argument("--readme", type=Path, default=HERE.parent / "README.md", help="the file to rewrite")
    options = p.parse_args(arguments)
    try:
        source = options.file or newest(HERE / "results")
        if source is None:
            raise ValueError(f"no JSON file in {HERE.name}/results; write one with run.py --json")
        body = table(json.loads(source.read_text(encoding="utf-8")))
        text = replaced(options.readme.read_text(encoding="utf-8"), body)
        options.readme.write_text(text, encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        print(f"{p.prog}: {error}", file=sys.stderr)
        return 2
    print(f"{options.readme.name}: table written from {source.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
