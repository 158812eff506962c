"""When a training is done: target, convergence, early stopping. Knows numbers only."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from wengert.optim.core import whole, within


@dataclass(frozen=True)
class Criteria:
    """The rules; None switches one off."""

    target: float | None = None
    tolerance: float | None = None
    patience: int = 5
    early_stopping: int | None = None

    def __post_init__(self) -> None:
        if self.target is not None:
            within("target", self.target, -math.inf)
        if self.tolerance is not None:
            within("tolerance", self.tolerance, 0.0)
        whole("patience", self.patience)
        if self.early_stopping is not None:
            whole("early_stopping", self.early_stopping)

    def any(self) -> bool:
        """Whether anything but a limit can end the training."""
        return self.target is not None or self.tolerance is not None or self.early_stopping is not None


@dataclass
class Progressing:
    """What the rules look at; kept in checkpoints."""

    loss: float = math.nan
    """At the last check: of validation if there is any, else of training."""
    train: float = math.nan
    steady: int = 0
    """Checks in a row at which the training loss changed by less than the tolerance."""
    best: float = math.inf
    best_step: int = 0
    worse: int = 0
    """Checks since the best validation loss."""

    def check(self, step: int, train: float, validation: float | None, tolerance: float | None) -> bool:
        """Take in the figures of a check; whether the validation loss is the best so far."""
        change = abs(train - self.train)  # NaN at the first check: no change is known
        self.steady = self.steady + 1 if tolerance is not None and change < tolerance else 0
        self.train = train
        self.loss = train if validation is None else validation
        if validation is None:
            return False
        if validation < self.best:
            self.best, self.best_step, self.worse = validation, step, 0
            return True
        self.worse += 1
        return False

    def reason(self, rules: Criteria) -> str | None:
        """Why the training is done, or None."""
        if rules.target is not None and self.loss <= rules.target:
            return "target"
        if rules.tolerance is not None and self.steady >= rules.patience:
            return "converged"
        if rules.early_stopping is not None and self.worse >= rules.early_stopping:
            return "early stopping"
        return None

    def saved(self) -> dict[str, Any]:
        """For a checkpoint's JSON."""
        return asdict(self)
