"""What the commands print: scores, models, test sequences, in 80 columns. Knows no command."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wengert import tree
from wengert.tasks import Examples, Task
from wengert.train import SequenceModel, Settings
from wengert.train.sequences import CELL_NAMES

SCORE_NAMES = {"mse": "mean squared error"}
WIDTH = 80
"""Of everything, where no terminal says otherwise."""


def console() -> Console:
    """The console of the command line. On a terminal it is as wide as that, elsewhere 80 columns."""
    return Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else WIDTH)


def score_text(task: Task, score: float) -> str:
    """A score as people write it."""
    if math.isnan(score):
        return "unknown"
    return f"{100 * score:.1f} %" if task.score_name == "accuracy" else f"{score:.3g}"


def score_name(task: Task) -> str:
    """What the score is, in full."""
    return SCORE_NAMES.get(task.score_name, task.score_name)


def criterion(task: Task) -> str:
    """When the task counts as solved."""
    return f"{'at' if task.higher_is_better else 'under'} {score_text(task, task.solved)}"


def model_text(settings: Settings, model: SequenceModel) -> str:
    """The model in a few words."""
    layers = f"{settings.layers} layers of " if settings.layers > 1 else ""
    count = sum(np.size(x) for x in tree.flatten(model)[0])
    return f"{CELL_NAMES[settings.cell]}, {layers}{settings.hidden} units, {count:,} parameters, {settings.dtype}"


def examples(found: Examples, title: str) -> Any:
    """Some sequences: as a table if they fit into the width, otherwise one below the other."""
    columns = [(name, *(row[k] for row in found.rows)) for k, name in enumerate(found.columns)]
    wide = [max(len(line) for text in column for line in text.split("\n")) for column in columns]
    if sum(wide) + 2 * len(wide) <= WIDTH:
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
        for column in found.columns:
            table.add_column(column, justify="right" if _numeric(found, column) else "left", no_wrap=True)
        for row in found.rows:
            table.add_row(*map(Text, row))
        return table
    grid = Table.grid(padding=(0, 2))
    for row in found.rows:
        for column, text in zip(found.columns, row, strict=True):
            grid.add_row(Text(column, style="bold"), Text(text))
        grid.add_row()
    whole = Table.grid()
    whole.add_row(Text(title, style="bold"))
    whole.add_row(grid)
    return whole


def _numeric(found: Examples, column: str) -> bool:
    k = found.columns.index(column)
    return all(set(row[k]) <= set("0123456789.+- ") for row in found.rows)
