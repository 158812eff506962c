"""Settings that suit a task: what the command line trains with unless told otherwise. Knows no training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wengert import tasks
from wengert.train.sequences import Settings

_GATED = {"lr": 1e-2}
_TASKS: Mapping[str, Mapping[str, Any]] = {}


def suited(task: str = "adding", cell: str | None = None, **given: Any) -> Settings:
    """Settings for a task, chosen so that small networks solve it quickly; what is given wins.

    Parameters
    ----------
    task, cell
        By name; without a cell the Elman network for the adding problem, and for all other tasks the one that suits it.
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
    found = {"cell": "rnn", **_TASKS.get(task, {})}
    if cell is not None:
        found["cell"] = cell
    if found["cell"] != "rnn":
        found = {**_GATED, **found}
    return Settings(task, **{**found, **given})
