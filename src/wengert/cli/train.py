"""`wengert train`: a recurrent network on a task."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from wengert import tasks
from wengert._version import VERSION
from wengert.cli import plot, shown
from wengert.cli.evaluate import draw
from wengert.cli.options import Refused, name, number, output
from wengert.tasks import Task
from wengert.train import CheckpointError, NonFiniteError, Settings, Trained, save_model, suited, train_task
from wengert.train.sequences import CELLS, OPTIMIZERS, Score, check_checkpoint, new_model, trained

ABOUT = """\
Train a recurrent network on a task by backpropagation through time, until it solves the task on sequences that it has
not been trained on. Defaults depend on the task and the cell; they are printed at the start. `wengert tasks` lists the
tasks."""


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    command = commands.add_parser("train", help="train a recurrent network on a task", description=ABOUT)
    command.set_defaults(run=run)
    command.add_argument("task", type=name("task", tasks.REGISTRY), metavar="TASK", help="for example adding")
    add = command.add_argument_group("model").add_argument
    add("--cell", type=name("cell", CELLS), metavar="|".join(CELLS), help="kind of the recurrent layers")
    add("--layers", type=number(int, 1), metavar="N", help="recurrent layers")
    add("--hidden", type=number(int, 1), metavar="N", help="units of a layer")
    add("--dtype", choices=["float32", "float64"], help="of weights and sequences")
    add = command.add_argument_group("training").add_argument
    add("--steps", type=number(int, 1), metavar="N", help="stop after this many steps at the latest")
    add("--seq-len", type=number(int, 1), metavar="N", help="length of a sequence")
    add("--batch", type=number(int, 1), metavar="N", help="sequences a step")
    add("--optimizer", type=name("optimizer", OPTIMIZERS), metavar="|".join(OPTIMIZERS), help="sgd has a momentum")
    add("--lr", type=number(float, 0, True), metavar="X", help="learning rate")
    add("--clip", type=number(float, 0, True), metavar="X", help="largest norm of the gradient")
    add("--seed", type=number(int, 0), metavar="N", help="of weights and sequences")
    add = command.add_argument_group("files").add_argument
    npz = output(".npz")
    add("--checkpoint", type=npz, metavar="FILE.npz", help="keep the training here, every 30 seconds and at Ctrl-C")
    add("--resume", action="store_true", help="continue from the checkpoint, if it is there")
    add("--save", type=npz, metavar="FILE.npz", help="write the model, for `wengert eval` and `wengert sample`")
    add("--plot", type=output(".png", ".pdf", ".svg"), metavar="FILE.png", help="draw loss and score")
    add("--json", type=output(".json"), metavar="FILE.json", help="write result and history")
    add("--quiet", action="store_true", help="print the result alone")


def run(options: argparse.Namespace) -> int:
    """Check all that can be known before, train, write and print."""
    given = {f.name: value for f in fields(Settings) if (value := getattr(options, f.name, None)) is not None}
    settings = suited(**given)
    task = tasks.get(settings.task)
    _check(options, settings, task)
    said = shown.console()
    if not options.quiet:
        _announce(said, settings, task)
    failure = None
    try:
        found = train_task(settings, progress=not options.quiet, checkpoint=options.checkpoint, resume=options.resume)
    except (NonFiniteError, CheckpointError) as error:
        if error.result is None or not error.result.steps:
            raise
        found, failure = trained(settings, error.result), error
    if found.result.steps == 0:
        said.print("stopped before the first step")
        return 130
    said.print(_outcome(found, task))
    _write(options, found, task)
    if failure is not None:
        raise failure
    if not options.quiet:
        _show(said, found, task)
    return 130 if found.result.interrupted else 0


# --- before ------------------------------------------------------------------------------------------------


def _check(options: argparse.Namespace, settings: Settings, task: Task) -> None:
    """Raise for everything that would only fail later, when work would be lost."""
    files = [p.resolve() for p in (options.checkpoint, options.save) if p is not None]
    if len(set(files)) < len(files):
        raise Refused("--checkpoint and --save name the same file; give two")
    if options.resume and options.checkpoint is None:
        raise Refused("--resume needs to know from what: give --checkpoint FILE.npz")
    if options.checkpoint is not None and options.checkpoint.exists() and not options.resume:
        raise Refused(f"{options.checkpoint} exists already: add --resume to continue from it, or give another name")
    if options.plot is not None:
        plot.canvas()
    if options.checkpoint is not None and options.checkpoint.exists():
        check_checkpoint(settings, options.checkpoint)
    rng = np.random.default_rng(0)
    try:
        task.batch(rng, settings.batch, settings.length, np.dtype(settings.dtype), "train")
        draw(task, rng, 1, settings)
        new_model(settings)
        most = task.count and task.count(settings.length, "train")
        if most and settings.batch > most:
            raise Refused(f"--batch: {settings.batch} is more than all the {most} training sequences of {task.name}")
    except ValueError as error:
        raise Refused(str(error)) from error
    except MemoryError as error:
        raise Refused(f"sequences or weights of that size do not fit into memory: {error}") from error


def _announce(said: Console, settings: Settings, task: Task) -> None:
    said.print(f"[bold]{task.name}[/]: {task.summary}")
    said.print(shown.model_text(settings, new_model(settings)))
    said.print(
        f"{settings.length} steps, {settings.batch} sequences at a time; {settings.optimizer}, learning rate "
        f"{settings.lr:g}, clipped at {settings.clip:g}"
    )
    trivial = shown.score_text(task, task.trivial(settings.length))
    said.print(f"{shown.score_name(task)}: {trivial} without learning, solved {shown.criterion(task)}")


# --- after -------------------------------------------------------------------------------------------------


def _outcome(found: Trained, task: Task) -> str:
    result = found.result
    states = {"interrupted": "stopped by Ctrl-C", "not finite": "failed", "not saved": "stopped"}
    state = "solved" if found.solved else states.get(result.reason, "not solved")
    told = f"{state} after {result.steps} steps in {result.seconds:.1f} s"
    if not math.isnan(found.score):
        told += f": {shown.score_name(task)} {shown.score_text(task, found.score)} on test sequences"
    rest = []
    if not math.isnan(found.score) and found.step != result.steps:
        rest.append(f"the best, at step {found.step}")
    if not found.solved:
        rest.append(f"solved is {shown.criterion(task)}")
    return told + (f" ({'; '.join(rest)})" if rest else "")


def _write(options: argparse.Namespace, found: Trained, task: Task) -> None:
    """All files that were asked for. One that fails does not keep the others from being written."""
    failed = []
    if options.save is not None:
        try:
            save_model(options.save, found)
        except CheckpointError as error:
            failed.append(str(error))
    if options.json is not None:
        failed += _try(options.json, lambda: options.json.write_text(json.dumps(report(found, task), indent=1) + "\n"))
    if options.plot is not None:
        failed += _try(options.plot, lambda: plot.draw(found, options.plot))
    if failed:
        raise Refused("; ".join(failed))


def _try(path: Path, write: Any) -> list[str]:
    try:
        write()
    except OSError as error:
        return [f"{path} cannot be written: {error.strerror or error}"]
    return []


def report(found: Trained, task: Task) -> dict[str, Any]:
    """What --json writes: settings, outcome, and the figures of every check. Numbers only; unknown is null."""
    result, length = found.result, found.settings.length
    scores = Score(task).scores(result)
    checks = {name: _plain(column) for name, column in result.checks.items()}
    return {
        "wengert": VERSION,
        "settings": asdict(found.settings) | {"seq_len": length},
        "solved": found.solved,
        "score": _plain([found.score])[0],
        "score_name": task.score_name,
        "trivial": task.trivial(length),
        "solved_at": task.solved,
        "reason": result.reason,
        "step": found.step,
        "steps": result.steps,
        "seconds": result.seconds,
        "checks": checks | {"score": _plain(scores.values())},
    }


def _plain(values: Any) -> list[float | None]:
    return [float(x) if math.isfinite(x) else None for x in values]


def _show(said: Console, found: Trained, task: Task) -> None:
    settings = found.settings
    few = draw(task, np.random.default_rng(settings.seed + 10**6), 5, settings)
    outputs = Score(task).answers(found.model, few.xs)
    said.print(shown.examples(task.describe(few, outputs), "Test sequences"))
