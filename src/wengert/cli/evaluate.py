"""`wengert eval`: a saved model on fresh sequences."""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

from wengert import tasks
from wengert.cli import shown
from wengert.cli.options import Refused, number, readable
from wengert.tasks import Batch, Task
from wengert.train import load_model
from wengert.train.sequences import Score, Settings

_TOGETHER = 250
"""Sequences that are evaluated at once: more would only take memory."""


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    command = commands.add_parser(
        "eval",
        help="evaluate a saved model",
        description="Score a model that `wengert train --save` wrote, on sequences that it has not seen.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.set_defaults(run=run)
    command.add_argument("file", type=readable, help="the model")
    command.add_argument("--count", type=number(int, 1), default=1000, help="sequences")
    command.add_argument("--seq-len", type=number(int, 1), help="their length; that of the training if not given")
    command.add_argument("--seed", type=number(int, 0), default=1, help="of the sequences")
    command.add_argument("--quiet", action="store_true", help="print the score alone")


def draw(task: Task, rng: np.random.Generator, count: int, settings: Settings) -> Batch:
    """Test sequences, or a refusal in one line."""
    try:
        return task.batch(rng, count, settings.length, np.dtype(settings.dtype), "test")
    except ValueError as error:
        raise Refused(str(error)) from error


def run(options: argparse.Namespace) -> int:
    """Load, evaluate, print."""
    saved = load_model(options.file)
    settings, task = saved.settings, tasks.get(saved.settings.task)
    if options.seq_len is not None:
        settings = Settings(**vars(settings) | {"seq_len": options.seq_len})
    rng = np.random.default_rng([options.seed, 2])  # not a generator of any training
    score, total = Score(task), 0.0
    for first in range(0, options.count, _TOGETHER):
        count = min(_TOGETHER, options.count - first)
        batch = draw(task, rng, count, settings)
        total += count * score.measured(saved.model, batch)
    found = total / options.count
    said = shown.console()
    if options.quiet:
        said.print(f"{found:.6g}")
        return 0
    then = "" if math.isnan(saved.score) else f", then {shown.score_text(task, saved.score)}"
    said.print(f"{task.name}: {task.summary}")
    said.print(f"{shown.model_text(settings, saved.model)}; {saved.step} steps{then}")
    state = "solved" if task.is_solved(found) else "not solved"
    said.print(
        f"{state}: {shown.score_name(task)} {shown.score_text(task, found)} on {options.count} test sequences of "
        f"{settings.length} steps (solved {shown.criterion(task)})"
    )
    few = draw(task, rng, 5, settings)
    said.print(shown.examples(task.describe(few, score.answers(saved.model, few.xs)), "Test sequences"))
    return 0
