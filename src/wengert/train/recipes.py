"""Settings that suit a task: what the command line trains with unless told otherwise. Knows no training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wengert import tasks
from wengert.train.sequences import Settings

_CELL = "gru"
_CELLS: Mapping[str, Mapping[str, Any]] = {"rnn": {}, "lstm": {"lr": 5e-3}, "gru": {"lr": 1e-2}}
_TASKS: Mapping[str, Mapping[str, Any]] = {
    "adding": {"cell": "rnn"},
    "sunspots": {"hidden": 16, "check_every": 10},
    "text": {"hidden": 96},
}
_BOTH: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("adding", "rnn"): {"clip": 0.5},  # without it some starts lose what they had learned
    ("adding", "lstm"): {"hidden": 32, "lr": 1e-2},
    ("adding", "gru"): {"hidden": 32},
    ("copy", "gru"): {"hidden": 96, "lr": 2e-2},
}
"""What a cell needs on one task alone."""


def suited(task: str = "adding", cell: str | None = None, **given: Any) -> Settings:
    """Settings with which small networks solve a task quickly; what is given wins.

    Parameters
    ----------
    task, cell
        By name. Without a cell: the Elman network for the adding problem, a GRU for all others.
    given
        Further fields of `Settings`.

    Raises
    ------
    ValueError
        If there is no such task.

    Examples
    --------
    >>> from wengert import train
    >>> train.suited("adding").cell, train.suited("copy", hidden=10).hidden
    ('rnn', 10)
    """
    tasks.get(task)
    of_task = dict(_TASKS.get(task, {}))
    suits = of_task.pop("cell", _CELL)
    cell = suits if cell is None else cell
    found = {**_CELLS.get(cell, {}), **of_task, **_BOTH.get((task, cell), {}), **given}
    return Settings(task, cell, **found)
