"""One training under way: the loop over batches, the clock, checkpoints. Knows no argument of `fit`."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wengert import tree
from wengert.train import checkpoint as files
from wengert.train.batches import Batch, Source
from wengert.train.blame import explain, not_finite
from wengert.train.clock import Clock
from wengert.train.history import History, Result
from wengert.train.interrupt import CtrlC
from wengert.train.problems import CheckpointError, NonFiniteError
from wengert.train.progress import Silent, Status
from wengert.train.steps import Carry, Step, make_epoch
from wengert.train.watch import NotFinite, Watch


@dataclass(frozen=True)
class Limits:
    """Where it ends at the latest, and how often it is looked at."""

    steps: int | None
    epochs: int | None
    check_every: int

    def most(self, per_epoch: int | None) -> float:
        """The most steps there can be."""
        ends = [math.inf if self.steps is None else self.steps]
        if self.epochs is not None and per_epoch is not None:
            ends.append(self.epochs * per_epoch)
        return min(ends)


@dataclass(frozen=True)
class Saving:
    """Where and how often a checkpoint is written."""

    path: str | os.PathLike[str]
    every: float
    resume: bool


@dataclass(frozen=True)
class Place:
    """A pass through the data: its number, the step it began at, and the generator's state before it."""

    epoch: int
    start: int
    generator: Mapping[str, Any]


class Run:
    """A training, from its first step (or from a checkpoint) to its result."""

    def __init__(
        self, *, step: Step, params: Any, state: Any, source: Source, seed: int, limits: Limits, watch: Watch,
        saving: Saving | None, display: Silent, callback: Callable[[Status], Any] | None,
    ) -> None:  # fmt: skip
        self.one_step, self.source, self.limits = step, source, limits
        self.watch, self.saving, self.display, self.callback = watch, saving, display, callback
        self.carry = Carry(params, state)
        self.rng = np.random.default_rng(seed)
        self.place = Place(0, 0, self.rng.bit_generator.state)
        # Parameters and their step change together, in one assignment: Ctrl-C finds no half of it.
        self.point = self.before = (self.carry.flatten(params, state), 0)
        self.batch: list[Any] | None = None
        self.history = History()
        self.call: Callable[..., Any] | None = None
        self.most = limits.most(source.per_epoch)
        self.checked = self.due = 0
        self.ctrl_c = CtrlC()
        self.clock = Clock()

    # --- the loop --------------------------------------------------------------------------------------

    def result(self) -> Result:
        """Run to the end."""
        if self.saving is not None:
            self._open(self.saving)
        with self.ctrl_c, self.display:
            try:
                reason = self._train()
            except KeyboardInterrupt:
                reason = "interrupted"
            except (NonFiniteError, CheckpointError):
                raise
            except Exception:
                with contextlib.suppress(CheckpointError):  # the first error is the one to tell
                    self._save()
                raise
            self._save()
            if self.checked < self.point[1]:  # figures of the end; not saved, as a longer run does not have them
                with contextlib.suppress(KeyboardInterrupt):
                    self._check()
        return self._reached(reason)

    def _train(self) -> str:
        reason = self._event()
        while reason is None:
            start = self.place.start
            reason = self._pass(self.source.epoch(self.rng, self.point[1] - start, self.most - start))
            if reason is None:
                reason = self._next_epoch()
        return reason

    def _pass(self, batches: Iterator[Batch]) -> str | None:
        """The steps of one epoch. What stands in this loop is done at every step, and counted in nanoseconds."""
        width, ctrl_c, isfinite, history = len(self.carry), self.ctrl_c, math.isfinite, self.history
        carry, step = self.point
        call = self.call
        for count, batch in batches:
            if call is None:
                call = self._jitted()
            found = call(*carry, *batch)
            if not isfinite(found[-1]):
                raise self._not_finite(batch)
            after = step + count
            history.losses[step:after] = found[-3]
            history.norms[step:after] = found[-2]
            self.before = self.point
            carry, step = self.point = (found[:width], after)
            if step >= self.due or ctrl_c.hit:
                self.batch = batch
                reason = self._event()
                if reason is not None:
                    return reason
        return None

    def _next_epoch(self) -> str | None:
        step = self.point[1]
        if step == self.place.start == 0:
            raise ValueError("data has no batches: it ended before the first")
        empty = step == self.place.start
        state = self.rng.bit_generator.state if self.source.draws else self.place.generator
        self.place = Place(self.place.epoch + 1, step, state)
        if empty or not self.source.rewound():
            return "exhausted"
        return "epochs" if self.limits.epochs is not None and self.place.epoch >= self.limits.epochs else None

    def _jitted(self) -> Callable[..., Any]:
        step = make_epoch(self.one_step) if self.source.stacks else self.one_step
        self.call = self.carry.jitted(step, self.source.structure)
        return self.call

    # --- now and then ------------------------------------------------------------------------------------

    def _event(self) -> str | None:
        """A check, a look at the clock, or an end: whatever is due. Why the training ends, if it does."""
        step, every = self.point[1], self.limits.check_every
        stopped = None
        if step >= self.checked + every:
            self._check()
            if self.callback is not None and self.callback(self._status()) is True:
                stopped = "callback"
        if self.clock.look(step):
            self.display(self._status())
            if self.saving is not None and self.clock.since_save() >= self.saving.every:
                self._save()
        room = self.history.reserve(step, self.source.together)
        self.due = int(min(self.checked + every, self.most, self.clock.due, room))
        stopped = self.watch.reason() or stopped
        if stopped is None and step >= self.most:
            stopped = "steps" if step == self.limits.steps else "epochs"
        return stopped or ("interrupted" if self.ctrl_c.hit else None)

    def _check(self) -> None:
        step = self.point[1]
        train = float(np.add.reduce(self.history.losses[self.checked : step])) / (step - self.checked)
        try:
            self.watch.check(step, train, self._params, self._last_batch, self.history)
        except NotFinite as error:
            text = explain(self.watch.loss, self._params(), error.batch, gradient=False)
            raise NonFiniteError(f"step {step}, validation: {text}", self._reached("not finite")) from None
        self.checked = step

    def _params(self) -> Any:
        return self.carry.unflatten(self.point[0])[0]

    def _last_batch(self) -> Any:
        """The batch of the last step; None when a resumed run has not made one yet."""
        if self.batch is None:
            return None
        leaves = [x[-1] for x in self.batch] if self.source.stacks else self.batch
        return tree.unflatten(self.source.structure, leaves)

    def _status(self) -> Status:
        step = self.point[1]
        first = max(step - 100, 0)
        rows = {name: column[-1] for name, column in self.history.rows.items() if column}
        return Status(
            step=step,
            steps=None if self.most == math.inf else int(self.most),
            epoch=self._epochs(),
            epochs=self.limits.epochs,
            loss=rows["loss"] if self.checked == step else float(np.mean(self.history.losses[first:step])),
            grad_norm=float(self.history.norms[step - 1]),
            validation=rows.get("validation"),
            metrics={name: rows[name] for name in self.watch.metrics if name in rows},
            rate=self.clock.rate(step),
            seconds=self.clock.seconds(),
            params=self._params(),
        )

    def _epochs(self) -> int:
        """Passes through the data that are complete."""
        whole = self.source.per_epoch
        return self.place.epoch if whole is None else self.point[1] // whole

    # --- ends ------------------------------------------------------------------------------------------

    def _not_finite(self, batch: Sequence[Any]) -> NonFiniteError:
        """Why the step after the point that was reached failed; the point goes back to where all was finite."""
        carry, step = self.point
        batches = [batch]
        if self.source.stacks:  # one by one, to the step that fails
            batches = [[x[k] for x in batch] for k in range(len(batch[0]))]
            one = self.carry.jitted(self.one_step, self.source.structure)
        for leaves in batches:
            batch = leaves
            if len(batches) == 1:
                break
            found = one(*carry, *leaves)
            if not math.isfinite(found[-1]):
                break
            carry, step = found[: len(self.carry)], step + 1
        params, _ = self.carry.unflatten(carry)
        if any(not_finite(x).any() for x in self.point[0]):
            self.point = self.before
        text = explain(self.watch.loss, params, tree.unflatten(self.source.structure, batch))
        if self.point[1] >= self.place.start:
            with contextlib.suppress(CheckpointError):
                self._save()
        return NonFiniteError(f"step {step + 1}: {text}", self._reached("not finite"))

    def _reached(self, reason: str) -> Result:
        step = self.point[1]
        params, state = self.carry.unflatten(self.point[0])
        rows = self.history.rows
        last = rows["loss"][-1] if rows["loss"] else float(np.mean(self.history.losses[:step])) if step else math.nan
        return Result(
            params=params,
            state=state,
            best=self.watch.best,
            best_step=None if self.watch.best is None else self.watch.stands.best_step,
            steps=step,
            epochs=self._epochs(),
            reason=reason,
            loss=last,
            validation=rows["validation"][-1] if rows.get("validation") else None,
            losses=self.history.losses[:step].copy(),
            grad_norms=self.history.norms[:step].copy(),
            checks={name: np.array(column) for name, column in rows.items()},
            seconds=self.clock.seconds(),
        )

    # --- checkpoints -------------------------------------------------------------------------------------

    def _open(self, saving: Saving) -> None:
        """Continue from the file, or begin it: that it can be written is known before anything else is done."""
        files.tidy(saving.path)
        if os.path.isfile(saving.path):
            if not saving.resume:
                raise CheckpointError(
                    f"{os.fspath(saving.path)} exists already; pass resume=True to continue from it, "
                    "or give another path (or remove it)"
                )
            self._restore(saving.path)
        self._save()

    def _save(self) -> None:
        if self.saving is None:
            return
        carry, step = self.point
        params, state = self.carry.unflatten(carry)
        held = {"params": params, "state": state}
        if self.watch.validation is not None:
            held["best"] = params if self.watch.best is None else self.watch.best
        place = self.place if self.source.skips else Place(0, step, self.rng.bit_generator.state)
        info = {
            "parameters": "['params']",
            "step": step,
            "checked": self.checked,
            "place": asdict(place),
            "watch": self.watch.saved(),
            "source": self.source.described(),
            "seconds": self.clock.seconds(),
        }
        try:
            files.write(self.saving.path, files.Stored(held, info, self.history.arrays(step)))
        except CheckpointError as error:
            error.result = self._reached("not saved") if step else None
            raise
        self.clock.save()

    def _restore(self, path: str | os.PathLike[str]) -> None:
        files.continues(path, self.source.described())
        params, state = self.carry.unflatten(self.point[0])
        like = {"params": params, "state": state}
        if self.watch.validation is not None:
            like["best"] = params
        stored = files.read(path, like)
        info = stored.info
        self.point = self.before = (self.carry.flatten(stored.tree["params"], stored.tree["state"]), info["step"])
        self.checked = info["checked"]
        self.place = Place(**info["place"])
        self.rng.bit_generator.state = info["place"]["generator"]
        self.watch.restore(info["watch"], stored.tree.get("best"))
        self.history.restore(stored.more)
        self.clock = Clock(info["seconds"], info["step"])
