"""A trained model of a task as a file that says what it is. Knows no command line."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any

from wengert import tasks
from wengert.train import checkpoint as files
from wengert.train.problems import CheckpointError
from wengert.train.sequences import SequenceModel, Settings, Trained, new_model


@dataclass(frozen=True)
class Saved:
    """A model from a file, how it was trained, and what it reached then."""

    model: SequenceModel = field(repr=False)
    settings: Settings
    score: float
    step: int


def save_model(path: str | os.PathLike[str], found: Trained) -> None:
    """Write what `train_task` returned: the model, its task, cell and sizes. Whole or not at all, as `save`.

    Raises
    ------
    CheckpointError
        If the file cannot be written.
    """
    info = {"settings": asdict(found.settings), "score": found.score, "step": found.step}
    files.write(path, files.Stored(found.model, info))


def load_model(path: str | os.PathLike[str]) -> Saved:
    """Read what `save_model` wrote.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, newer than this wengert, or does not hold a model of a task.

    Examples
    --------
    >>> import os, tempfile
    >>> from wengert import train
    >>> found = train.train_task(train.Settings("sine", hidden=8, steps=1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.npz")
    ...     train.save_model(path, found)
    ...     train.load_model(path).settings == found.settings
    True
    """
    info = files.about(path)
    name = os.fspath(path)
    if "settings" not in info:
        what = "a training that can be continued" if "step" in info else "arrays"
        raise CheckpointError(f"{name} holds {what}, not a model of a task as `wengert train --save` writes it")
    try:
        settings = Settings(**info["settings"])
        tasks.get(settings.task)
        like: Any = new_model(settings)
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{name} holds a model that this wengert does not know: {error}") from error
    return Saved(files.load(path, like), settings, info["score"], info["step"])
