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
    """Some sequences: as a table if they fit into the width, otherwise one below the other; pictures side by side."""
    columns = [(name, *(row[k] for row in found.rows)) for k, name in enumerate(found.columns)]
    titled: dict[str, Any] = {"title": title, "title_justify": "left", "title_style": "bold"}
    if any("\n" in text for column in columns for text in column):
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), **titled)
        for column in columns:
            table.add_row(*map(Text, column))
    elif sum(max(map(len, column)) + 2 for column in columns) <= WIDTH:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, **titled)
        for name, *texts in columns:
            table.add_column(name, justify="right" if _numbers(texts) else "left", no_wrap=True)
        for row in found.rows:
            table.add_row(*map(Text, row))
    else:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), **titled)
        for row in found.rows[:3]:
            for name, text in zip(found.columns, row, strict=True):
                table.add_row(Text(name, style="dim"), Text(text))
            table.add_row()
    return table


def _numbers(texts: list[str]) -> bool:
    return all(set(text) <= set("0123456789.+- ") for text in texts)
