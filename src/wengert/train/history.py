"""What a training was like: losses and norms step by step, figures at every check, the result. Knows no loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Vector = np.ndarray[Any, np.dtype[np.float64]]
_FIRST = 1024


@dataclass(frozen=True)
class Result:
    """What `fit` came to.

    Attributes
    ----------
    params, state
        The last ones, of the model and of the optimiser.
    best, best_step
        The parameters with the least validation loss at a check, and their step; None without validation.
    steps, epochs
        How many were made; epochs are passes through the data.
    reason
        Why it ended: "steps", "epochs", "target", "converged", "early stopping", "callback", "interrupted"
        (by Ctrl-C), "exhausted" (the data), "not finite" or "not saved".
    loss
        Mean training loss between the last two checks.
    validation
        Validation loss at the last check, or None.
    losses, grad_norms
        The loss and the gradient's norm (before clipping) of every step.
    checks
        Arrays with one entry a check: "step", "loss", with validation "validation", and the metrics by name.
    seconds
        Time spent, earlier runs that were resumed included.
    """

    params: Any
    state: Any
    best: Any
    best_step: int | None
    steps: int
    epochs: int
    reason: str
    loss: float
    validation: float | None
    losses: Vector
    grad_norms: Vector
    checks: dict[str, Vector]
    seconds: float

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.reason == "interrupted"

    @property
    def solved(self) -> bool:
        """Whether it reached its target, or converged."""
        return self.reason in ("target", "converged")

    def __str__(self) -> str:
        told = f"{_REASONS.get(self.reason, self.reason)} after {self.steps} steps in {self.seconds:.1f} s"
        told += f": loss {self.loss:.4g}"
        if self.validation is not None:
            told += f", validation {self.validation:.4g}"
        if self.best_step is not None:
            told += f" (best at step {self.best_step})"
        return told

    __repr__ = __str__


_REASONS = {
    "steps": "done",
    "epochs": "done",
    "target": "target reached",
    "early stopping": "stopped early",
    "interrupted": "stopped by Ctrl-C",
    "exhausted": "data exhausted",
    "callback": "stopped by the callback",
    "not finite": "stopped at a value that is not finite",
    "not saved": "stopped as no checkpoint could be written",
}


class History:
    """Losses and norms in arrays that grow rarely, and a row of figures a check."""

    def __init__(self) -> None:
        self.losses: Vector = np.empty(_FIRST)
        self.norms: Vector = np.empty(_FIRST)
        self.rows: dict[str, list[float]] = {"step": [], "loss": []}

    def reserve(self, step: int, together: int) -> int:
        """Make room behind `step`; up to which step there is, if so many are stored at once."""
        if len(self.losses) < step + 2 * together:
            more = np.empty(step + 2 * together + _FIRST)
            self.losses = np.concatenate([self.losses[:step], more])
            self.norms = np.concatenate([self.norms[:step], more])
        return len(self.losses) - together

    def row(self, figures: dict[str, float]) -> None:
        """Append the figures of a check."""
        for name, value in figures.items():
            self.rows.setdefault(name, []).append(float(value))

    def arrays(self, steps: int) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        rows = {f"check:{name}": np.array(column) for name, column in self.rows.items()}
        return {"losses": self.losses[:steps], "norms": self.norms[:steps]} | rows

    def restore(self, arrays: dict[str, Any]) -> None:
        """The inverse of `arrays`."""
        self.losses, self.norms = arrays["losses"], arrays["norms"]
        for name, column in arrays.items():
            if name.startswith("check:"):
                self.rows[name.removeprefix("check:")] = [float(x) for x in column]
