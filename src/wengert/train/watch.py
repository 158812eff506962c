"""The look at a training from check to check: validation, metrics, best parameters, criteria. Knows no loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from wengert import jit
from wengert.train.batches import numbers
from wengert.train.history import History
from wengert.train.steps import Loss
from wengert.train.stopping import Criteria, Progressing


class NotFinite(Exception):
    """The validation loss is not finite."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch


class Watch:
    """Takes the figures at a check, and knows whether the training is done."""

    def __init__(
        self,
        loss: Loss,
        validation: Any,
        metrics: Mapping[str, Callable[..., Any]] | Sequence[Callable[..., Any]],
        criteria: Criteria,
        seed: int,
        allow_nonfinite: bool,
    ) -> None:
        self.loss, self.validation, self.criteria = loss, validation, criteria
        if validation is not None and not callable(validation):
            numbers(validation, "validation", allow_nonfinite)
        if not isinstance(metrics, Mapping):
            metrics = {getattr(f, "__name__", f"metric {k}"): f for k, f in enumerate(metrics)}
        self.metrics = dict(metrics)
        for name in self.metrics:
            if name in ("step", "loss", "validation"):
                raise ValueError(f"a metric cannot be named {name!r}: that is a figure of every check already")
        self._value = jit(loss)
        self.rng = np.random.default_rng([seed, 1])  # its own, so that checks do not change the batches
        self.stands = Progressing()
        self.best: Any = None

    def check(
        self, step: int, train: float, params_of: Callable[[], Any], last_batch: Callable[[], Any], history: History
    ) -> None:
        """Compute all figures, and append them to the history.

        Raises
        ------
        NotFinite
            If the validation loss is not finite.
        """
        batch = validation = None
        params = params_of() if self.validation is not None or self.metrics else None
        if self.validation is not None:
            batch = self.validation(self.rng) if callable(self.validation) else self.validation
            validation = float(self._value(params, batch))
            if not np.isfinite(validation):
                raise NotFinite(batch)
        elif self.metrics:
            batch = last_batch()
        figures = {"step": step, "loss": train}
        if validation is not None:
            figures["validation"] = validation
        for name, metric in self.metrics.items():
            figures[name] = float(metric(params, batch)) if batch is not None else np.nan
        history.row(figures)
        if self.stands.check(step, train, validation, self.criteria.tolerance):
            self.best = params

    def reason(self) -> str | None:
        """Why the training is done, or None."""
        return self.stands.reason(self.criteria)

    def saved(self) -> dict[str, Any]:
        """For a checkpoint's JSON."""
        return {"stands": self.stands.saved(), "rng": self.rng.bit_generator.state}

    def restore(self, saved: dict[str, Any], best: Any) -> None:
        """The inverse of `saved`."""
        self.stands = Progressing(**saved["stands"])
        self.rng.bit_generator.state = saved["rng"]
        self.best = best if self.stands.best < np.inf else None
