"""Optimisers, learning-rate schedules and clipping as pure functions on pytrees. Public API only.

An optimiser is a pair of functions, whatever its kind:

    opt = optim.adam(lr=1e-3)
    state = opt.init(params)
    params, state = opt.update(params, grads, state)

Nothing is changed in place, so a whole training step can be jitted, or be the step of a `scan`.
"""

from wengert.optim.clip import clip_by_global_norm, clip_by_value, global_norm
from wengert.optim.core import Optimizer, add_weight_decay
from wengert.optim.lbfgs import Minimum, lbfgs
from wengert.optim.rules import adam, adamw, rmsprop, sgd
from wengert.optim.schedules import constant, cosine, join, linear, step_decay, warmup

__all__ = [
    "Minimum",
    "Optimizer",
    "adam",
    "adamw",
    "add_weight_decay",
    "clip_by_global_norm",
    "clip_by_value",
    "constant",
    "cosine",
    "global_norm",
    "join",
    "lbfgs",
    "linear",
    "rmsprop",
    "sgd",
    "step_decay",
    "warmup",
]
