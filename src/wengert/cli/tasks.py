"""`wengert tasks`: what there is to train on."""

from __future__ import annotations

import argparse
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from wengert.cli.shown import console, score_name, score_text
from wengert.tasks import REGISTRY, Task


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    about = "List the tasks: what has to be done, the best score without learning, and when a task counts as solved."
    commands.add_parser("tasks", help="list the tasks", description=about).set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("task", no_wrap=True, style="bold")
    table.add_column("what has to be done; kind; score")
    table.add_column("trivial", justify="right", no_wrap=True)
    table.add_column("solved", justify="right", no_wrap=True)
    for task in REGISTRY.values():
        trivial, missing = _trivial(task)
        about = f"\n{task.kind}; {score_name(task)}" + (f"; needs {task.requires}{missing}" if task.requires else "")
        what = Text.assemble(task.summary, (about, "dim"))
        table.add_row(task.name, what, trivial, score_text(task, task.solved))
    said = console()
    said.print(table)
    said.print("trivial: the best score without learning. To train a network: wengert train TASK")
    return 0


def _trivial(task: Task) -> tuple[str, str]:
    """The trivial score, and what to say if the package with the data is not there."""
    try:
        return score_text(task, task.trivial()), ""
    except ModuleNotFoundError:
        return "?", ", which is not installed"
