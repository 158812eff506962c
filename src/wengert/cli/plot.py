"""The picture of a training. Knows no command; draws with matplotlib, if that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wengert import _figure, tasks
from wengert.cli.options import Refused
from wengert.cli.shown import score_name, score_text
from wengert.errors import MissingLibraryError
from wengert.train import Trained
from wengert.train.sequences import CELL_NAMES, Score


def canvas() -> Any:
    """Matplotlib's figures, without a screen.

    Raises
    ------
    Refused
        If it is not installed.
    """
    try:
        return _figure.part("figure").Figure
    except MissingLibraryError:
        raise Refused("--plot draws with matplotlib: pip install matplotlib, or pip install 'wengert[plot]'") from None


def draw(found: Trained, path: Path) -> None:
    """Loss and score over the steps, as a picture."""
    task, settings = tasks.get(found.settings.task), found.settings
    figure = canvas()(figsize=(10.4, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    losses, checks = found.result.losses, found.result.checks
    steps = np.arange(1, len(losses) + 1)
    left.plot(steps, losses, color="tab:blue", alpha=0.25, linewidth=0.6)
    left.plot(checks["step"], checks["loss"], color="tab:blue", label="training")
    left.plot(checks["step"], checks["validation"], color="tab:orange", label="test sequences")
    left.set(xlabel="step", ylabel=task.loss.replace("_", " "), yscale="log", xlim=(0, None), title="loss")
    scores, trivial = Score(task).scores(found.result), task.trivial(settings.length)
    right.plot(list(scores), list(scores.values()), color="tab:green")
    right.plot(found.step, found.score, "o", color="tab:green", label=f"kept: {score_text(task, found.score)}")
    for what, value, style in (("solved", task.solved, "--k"), ("trivial", trivial, ":k")):
        right.axhline(value, color=style[-1], linestyle=style[:-1], label=f"{what}: {score_text(task, value)}")
    right.set(xlabel="step", ylabel=score_name(task), xlim=(0, None), title="score on test sequences")
    if task.score_name == "mse":
        right.set(yscale="log")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(f"{task.name}, {settings.length} steps: {CELL_NAMES[settings.cell]}, {settings.hidden} units")
    figure.savefig(path, dpi=120)
