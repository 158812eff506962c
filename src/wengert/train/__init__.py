"""Training: `fit` for a whole run, its parts for a loop of one's own. Public API only."""

from wengert.train.checkpoint import load, save
from wengert.train.flow import Flow, gradient_flow
from wengert.train.history import Result
from wengert.train.loop import fit
from wengert.train.problems import CheckpointError, NonFiniteError
from wengert.train.progress import Status
from wengert.train.recipes import suited
from wengert.train.saved import Saved, load_model, save_model
from wengert.train.sequences import SequenceModel, Settings, Trained, train_task
from wengert.train.steps import make_epoch, make_step

__all__ = [
    "CheckpointError",
    "Flow",
    "NonFiniteError",
    "Result",
    "Saved",
    "SequenceModel",
    "Settings",
    "Status",
    "Trained",
    "fit",
    "gradient_flow",
    "load",
    "load_model",
    "make_epoch",
    "make_step",
    "save",
    "save_model",
    "suited",
    "train_task",
]
