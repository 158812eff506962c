"""Writes the README's performance table from a run's JSON file.

    python benchmarks/readme_table.py                    from the newest file in benchmarks/results/
    python benchmarks/readme_table.py results.json       from this file

It stands in README.md between two comment lines; whatever stands there is replaced. A summary by suite comes first;
every case of the run that has a figure for wengert is in the table below it, losses as plainly as wins.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.peers import PEERS
from harness.stats import round_to
from harness.table import amount, grouped, growth, in_markdown, level, multiple, ours

HERE = Path(__file__).resolve().parent
START, END = "<!-- benchmark table -->", "<!-- end benchmark table -->"
COLUMNS = ("jax", "jax-tuned", "torch", "torch-compile", "autograd", "casadi", "pytensor", "limit")
LIBRARIES = tuple(name for name in COLUMNS if name != "limit")
"""The derivative by hand is no library: it is the limit, and nobody's loss."""
Row = dict[str, Any]


def newest(folder: Path) -> Path | None:
    """The results file with the latest date inside; None without any."""
    found = [(json.loads(path.read_text(encoding="utf-8")).get("when", ""), path) for path in folder.glob("*.json")]
    return max(found)[1] if found else None


@dataclass(frozen=True)
class Line:
    """One case: wengert's figure and everybody else's."""

    suite: str
    case: str
    mine: Row
    others: dict[str, Row]

    @property
    def best(self) -> Row | None:
        """The fastest of the other libraries."""
        return min((r for n, r in self.others.items() if n in LIBRARIES), key=lambda r: r["median"], default=None)

    @property
    def standing(self) -> str:
        """ "ahead", "level" or "behind" the fastest of the other libraries; "" without any."""
        best = self.best
        if best is None:
            return ""
        return "level" if level(best, self.mine) else "ahead" if self.mine["median"] < best["median"] else "behind"

    def verdict(self) -> str:
        """The standing in words, with the factor and, where wengert is not ahead, the library."""
        best, standing = self.best, self.standing
        if best is None or standing == "":
            return ""
        who = PEERS[best["peer"]].label
        if standing == "level":
            return f"level with {who}"
        times = multiple(best, self.mine)
        if standing == "ahead":
            return "ahead" + (f" {round_to(times, 2)}x" if times else "")
        return f"**behind {who}" + (f" {round_to(1 / times, 2)}x**" if times else "**")

    def cell(self, peer: str) -> str:
        """The peer's figure as a multiple of wengert's; bold where it is better."""
        row = self.others.get(peer)
        times = multiple(row, self.mine) if row else None
        if row is None or times is None:
            return ""
        text = f"{round_to(times, 2)}x"
        return f"**{text}**" if times < 1 and peer != "limit" and not level(row, self.mine) else text


def lines_of(found: dict[str, Any]) -> list[Line]:
    """Every case of the run that has a figure for wengert; sweeps over a parameter are shown by their exponents."""
    lines = []
    for (suite, case), rows in grouped(r for r in found["results"] if not r.get("sweep")):
        mine = ours(rows)
        if mine is not None:
            lines.append(Line(suite, case, mine, {r["peer"]: r for r in rows if r is not mine}))
    return lines


def summary(lines: list[Line], about: dict[str, str]) -> str:
    """One row a suite: wins and losses, and geometric means of the multiples. JAX counts with its better version."""
    columns = [("jax", "jax-tuned"), *((name,) for name in COLUMNS if not name.startswith("jax"))]
    columns = [c for c in columns if any(name in line.others for line in lines for name in c)]
    rows = []
    for suite, members in groupby(lines, lambda line: line.suite):
        group = list(members)
        counts = [sum(line.standing == word for line in group) for word in ("ahead", "level", "behind")]
        cells = []
        for names in columns:
            each = [[t for n in names if n in m.others and (t := multiple(m.others[n], m.mine))] for m in group]
            best = [min(times) for times in each if times]
            mean = math.exp(statistics.fmean(map(math.log, best))) if best else None
            text = f"{round_to(mean, 2)}x" if mean else ""
            cells.append(f"**{text}**" if mean and mean < 0.95 and names != ("limit",) else text)
        won = " / ".join(map(str, counts))
        rows.append([f"**{suite}**", about.get(suite, ""), won, *cells])
    return in_markdown([["suite", "what", "ahead / level / behind", *(PEERS[c[0]].label for c in columns)], *rows])


def details(lines: list[Line]) -> str:
    """One row a case."""
    present = [name for name in COLUMNS if any(name in line.others for line in lines)]
    rows, before = [], ""
    for line in lines:
        name = f"**{line.suite}**" if line.suite != before else ""
        before = line.suite
        mine = amount(line.mine["median"], line.mine["unit"]) + (" (no jit)" if line.mine["peer"] == "unjitted" else "")
        rows.append([name, line.case, mine, *(line.cell(p) for p in present), line.verdict()])
    return in_markdown([["suite", "case", "wengert", *(PEERS[p].label for p in present), "wengert is"], *rows])


def table(found: dict[str, Any]) -> str:
    """The Markdown between the markers."""
    lines = lines_of(found)
    counts = {word: sum(line.standing == word for line in lines) for word in ("ahead", "level", "behind")}
    return (
        f"Against the fastest other library, wengert is ahead in {counts['ahead']} cases, level in {counts['level']}, "
        f"behind in {counts['behind']}. Figures are what the others take **as a multiple of wengert's time** "
        "(geometric means over a suite's cases, JAX with the better of its two versions): above 1x wengert is faster; "
        "below, in bold, it is beaten. `by hand` is a derivative written for that one case with Numba and BLAS: the "
        "limit.\n\n"
        f"{summary(lines, found.get('about', {}))}\n\n"
        f"<details><summary>Every case</summary>\n\n{details(lines)}\n\n{growth(found['results'])}\n\n</details>\n\n"
        f"{_small_print(found)}"
    )


def _small_print(found: dict[str, Any]) -> str:
    machine, versions = found["machine"], found["versions"]
    names = {"jax": "JAX", "torch": "PyTorch", "numpy": "NumPy", "casadi": "CasADi", "pytensor": "PyTensor"}
    listed = ", ".join(f"{names.get(k, k)} {v}" for k, v in versions.items() if k in (*names, "autograd"))
    dirty = " with local changes" if found["commit"]["dirty"] else ""
    return (
        "Value and gradient, compared with each other before timing; medians of seconds a call (`memory`: growth of "
        "peak memory). "
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
