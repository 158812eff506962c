"""Training: `fit` for a whole run, its parts for a loop of one's own. Public API only."""

from wengert.train.adding import Settings, train_adding
from wengert.train.checkpoint import load, save
from wengert.train.flow import Flow, gradient_flow
from wengert.train.history import Result
from wengert.train.loop import fit
from wengert.train.problems import CheckpointError, NonFiniteError
from wengert.train.progress import Status
from wengert.train.steps import make_epoch, make_step

__all__ = [
    "CheckpointError",
    "Flow",
    "NonFiniteError",
    "Result",
    "Settings",
    "Status",
    "fit",
    "gradient_flow",
    "load",
    "make_epoch",
    "make_step",
    "save",
    "train_adding",
]
