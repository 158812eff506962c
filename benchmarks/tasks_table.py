"""The table of docs/tasks.md: every task with every cell, the score reached and the time it took.

python benchmarks/tasks_table.py                                  print it; at most 60 s a cell
python benchmarks/tasks_table.py --seconds 20 --tasks copy,text   a part of it
python benchmarks/tasks_table.py --write                          put it into docs/tasks.md
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

from wengert import tasks, train
from wengert.cli.shown import score_text
from wengert.train.sequences import CELLS

PAGE = Path(__file__).parent.parent / "docs" / "tasks.md"
BEGIN, END = "<!-- tasks table -->\n", "<!-- end tasks table -->\n"
LONG = ("adding", 100)
"""The one task that is also tried at another length: the published one."""


def cell(settings: train.Settings, seconds: float) -> str:
    """Score and time; bold if solved."""
    found = train.train_task(settings, seconds=seconds)
    score = score_text(tasks.get(settings.task), found.score)
    time = f"{found.result.seconds:.1f} s" if found.result.seconds < 9.95 else f"{found.result.seconds:.0f} s"
    return f"**{score}**, {time}" if found.solved else f"{score}, {time}"


def row(task: tasks.Task, length: int, options: argparse.Namespace) -> str:
    """A line of the table."""
    scores = [score_text(task, score) for score in (task.trivial(length), task.solved)]
    head = [task.name, f"{length}", task.score_name, *scores]
    for name in options.cells:
        given = {} if length == task.seq_len else {"seq_len": length}
        settings = train.suited(task.name, name, steps=10**7, seed=options.seed, **given)
        head.append(cell(settings, options.seconds))
    return f"| {' | '.join(head)} |"


def table(options: argparse.Namespace) -> list[str]:
    """All lines, printed as they come."""
    columns = ["task", "length", "score", "trivial", "solved", *(train.sequences.CELL_NAMES[c] for c in options.cells)]
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    print("\n".join(lines), flush=True)
    for name in options.tasks:
        task = tasks.get(name)
        for length in (task.seq_len, *(n for other, n in [LONG] if other == name)):
            try:
                lines.append(row(task, length, options))
            except ModuleNotFoundError as error:
                print(error, file=sys.stderr)
                continue
            print(lines[-1], flush=True)
    when = datetime.date.today().isoformat()
    lines.append("")
    lines.append(
        f"`python benchmarks/tasks_table.py --seconds {options.seconds:g}`, {os.cpu_count()} cores, "
        f"{platform.machine()}, load {os.getloadavg()[0]:.0f}, Python {platform.python_version()}, {when}."
    )
    print(lines[-1])
    return lines


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    listed = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--seconds", type=float, default=60.0, help="stop a training after that")
    parser.add_argument("--tasks", type=listed, default=list(tasks.REGISTRY), help="names, with commas between")
    parser.add_argument("--cells", type=listed, default=list(CELLS), help="names, with commas between")
    parser.add_argument("--seed", type=int, default=0, help="of weights and sequences")
    parser.add_argument("--write", action="store_true", help="put the table into docs/tasks.md")
    options = parser.parse_args()
    lines = table(options)
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
