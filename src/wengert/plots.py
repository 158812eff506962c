"""Pictures of what a training did: curves, predictions, confusion, gradient flow. Needs matplotlib; knows no model.

Every function writes one file, in the format that its ending names, and returns its path. No window is opened and no
setting of matplotlib's is changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wengert import _figure
from wengert.errors import DTypeError, OptionError, ShapeError

_BLUE, _ORANGE, _GREY = "tab:blue", "tab:orange", "0.6"
_MOST_PANELS, _MOST_NUMBERS = 6, 25
_SMOOTH = 50
"""The running mean of a curve is over one part in so many of its steps."""

PathLike = str | os.PathLike[str]


def training(losses: Any, grad_norms: Any = None, checks: Mapping[str, Any] | None = None, *, path: PathLike) -> Path:
    """The loss of every step, and beside it the norm of the gradient, on logarithmic scales where that is possible.

    Parameters
    ----------
    losses, grad_norms
        One number a step, from the first; long curves are drawn pale, and their running mean over them.
    checks
        Figures at some steps, as `train.Result.checks` has them: "step", and the validation loss as "validation".
    path
        Where to write: `.png`, `.svg` or `.pdf`.

    Returns
    -------
    Path
        Where the picture is.

    Raises
    ------
    ShapeError
        If the curves are not one-dimensional and of one length.
    MissingLibraryError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from wengert import plots
    >>> losses = 1 / np.arange(1, 200)
    >>> plots.training(losses, losses**2, path=tempfile.mkdtemp() + "/training.png").name
    'training.png'
    """
    curves = {"training loss": _curve("losses", losses)}
    if grad_norms is not None:
        curves["norm of the gradient"] = _curve("grad_norms", grad_norms)
    if len({len(c) for c in curves.values()}) > 1:
        raise ShapeError(f"{len(curves['training loss'])} losses, but {len(_curve('grad_norms', grad_norms))} norms")
    figure = _figure.figure(5.2 * len(curves), 3.8, layout="constrained")
    for place, (name, values) in enumerate(curves.items(), 1):
        axes = _axes(figure, (1, len(curves), place), xlabel="step", title=name)
        steps = np.arange(1, len(values) + 1)
        smooth = len(values) >= 2 * _SMOOTH
        axes.plot(steps, values, color=_BLUE, alpha=0.35 if smooth else 1.0, linewidth=1, label="each step")
        if smooth:
            axes.plot(steps, _running_mean(values), color=_BLUE, linewidth=1.8, label="running mean")
        if place == 1 and checks is not None and "validation" in checks:
            shown = _curve("checks['validation']", checks["validation"])
            axes.plot(checks["step"], shown, color=_ORANGE, marker="o", markersize=3, label="validation")
            values = np.concatenate([values, shown])
        if np.any(values > 0) and not np.any(values <= 0):
            axes.set_yscale("log")
        axes.legend()
    return _saved(figure, path)


def predictions(
    targets: Any, outputs: Any, *, path: PathLike, labels: Sequence[str] | None = None, start: int = 0
) -> Path:
    """Predictions against targets over time: a panel for each quantity, at most six.

    Parameters
    ----------
    targets, outputs
        Arrays of one shape, (T,) or (T, k): time first. NaN leaves a gap.
    path
        Where to write: `.png`, `.svg` or `.pdf`.
    labels
        Names of the k quantities.
    start
        The number of the first time step.

    Returns
    -------
    Path
        Where the picture is.

    Raises
    ------
    ShapeError
        If the shapes differ or are others than these.
    OptionError
        If there is not one label for each quantity.
    MissingLibraryError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from wengert import plots
    >>> t = np.linspace(0, 6, 100)
    >>> plots.predictions(np.sin(t), np.sin(t) + 0.1, path=tempfile.mkdtemp() + "/sine.png").name
    'sine.png'
    """
    wanted, found = np.asarray(targets), np.asarray(outputs)
    if wanted.shape != found.shape or wanted.ndim not in (1, 2):
        raise ShapeError(
            f"targets have shape {wanted.shape} and outputs {found.shape}; both must be (T,) or both (T, k)"
        )
    wanted, found = wanted.reshape(len(wanted), -1), found.reshape(len(found), -1)
    count = wanted.shape[1]
    if labels is not None and len(labels) != count:
        raise OptionError(f"{len(labels)} labels for {count} quantities")
    panels = min(count, _MOST_PANELS)
    figure = _figure.figure(7.5, 1.2 + 2.0 * max(panels, 1), layout="constrained")
    times = np.arange(start, start + len(wanted))
    for k in range(panels):
        error = (
            float(np.sqrt(np.nanmean((found[:, k] - wanted[:, k]) ** 2))) if np.isfinite(found[:, k]).any() else np.nan
        )
        name = f"{labels[k]}: " if labels is not None else f"quantity {k}: " if count > 1 else ""
        title = f"{name}root mean square error {error:.3g}"
        axes = _axes(figure, (panels, 1, k + 1), xlabel="step" if k == panels - 1 else "", title=title)
        axes.plot(times, wanted[:, k], color=_GREY, linewidth=2.5, label="target")
        axes.plot(times, found[:, k], color=_BLUE, linewidth=1.3, label="prediction")
        if k == 0:
            axes.legend(loc="upper right")
    if count > panels:
        figure.supxlabel(f"{panels} of {count} quantities", fontsize=9)
    return _saved(figure, path)


def confusion_matrix(targets: Any, answers: Any, classes: int | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often each class was answered where each was right: `[right, answered]`.

    Parameters
    ----------
    targets, answers
        Integer arrays of one shape, classes from 0. Targets below 0 are not counted.
    classes
        How many there are; as many as occur if it is None.

    Returns
    -------
    array
        Shape (classes, classes), int64.

    Raises
    ------
    ShapeError
        If the shapes differ.
    DTypeError
        If they are not integers.
    OptionError
        If a class is not below `classes`, or an answer below 0.

    Examples
    --------
    >>> from wengert import plots
    >>> plots.confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2]).tolist()
    [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    """
    right, said = np.asarray(targets), np.asarray(answers)
    for name, x in (("targets", right), ("answers", said)):
        if x.dtype.kind not in "iub":
            raise DTypeError(f"{name} are {x.dtype}; classes are integers: take .argmax(axis=-1) of scores")
    if right.shape != said.shape:
        raise ShapeError(f"targets have shape {right.shape}, answers {said.shape}; they must be the same")
    counted = right >= 0
    right, said = right[counted].astype(np.int64), said[counted].astype(np.int64)
    most = int(max(right.max(initial=-1), said.max(initial=-1))) + 1
    count = most if classes is None else classes
    if most > count or said.min(initial=0) < 0:
        raise OptionError(f"answers from {said.min(initial=0)} and classes up to {most - 1} do not fit {count} classes")
    return np.bincount(right * count + said, minlength=count * count).reshape(count, count)


def confusion(targets: Any, answers: Any, *, path: PathLike, classes: int | Sequence[str] | None = None) -> Path:
    """The confusion matrix: counts, coloured by their share of the row.

    Parameters
    ----------
    targets, answers
        As for `confusion_matrix`.
    path
        Where to write: `.png`, `.svg` or `.pdf`.
    classes
        How many classes there are, or their names.

    Returns
    -------
    Path
        Where the picture is.

    Raises
    ------
    ShapeError, DTypeError, OptionError
        As `confusion_matrix` does.
    MissingLibraryError
        If matplotlib is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from wengert import plots
    >>> plots.confusion([0, 1, 1], [0, 1, 0], classes=["no", "yes"], path=tempfile.mkdtemp() + "/c.png").name
    'c.png'
    """
    names = None if classes is None or isinstance(classes, int) else list(classes)
    matrix = confusion_matrix(targets, answers, len(names) if names is not None else classes)  # type: ignore[arg-type]
    count, total = len(matrix), int(matrix.sum())
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = min(3.2 + 0.42 * count, 12.0)
    figure = _figure.figure(size + 0.9, size, layout="constrained")
    accuracy = f"{np.trace(matrix) / total:.1%} of {total} right" if total else "nothing to count"
    axes = figure.add_subplot()
    axes.set(xlabel="answer", ylabel="target", title=accuracy)
    image = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.8)
    ticks = range(0, count, max(1, -(-count // _MOST_NUMBERS)))
    shown = names if names is not None else [str(k) for k in range(count)]
    axes.set_xticks(list(ticks), [shown[k] for k in ticks], rotation=90 if max(map(len, shown), default=0) > 3 else 0)
    axes.set_yticks(list(ticks), [shown[k] for k in ticks])
    if count <= _MOST_NUMBERS:
        for row, column in np.argwhere(matrix).tolist():
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=8)
    return _saved(figure, path)


def gradient_flow(norms: Any, *, path: PathLike, title: str = "Gradient flow through time") -> Path:
    """Norms of the adjoint by time step, on a logarithmic scale: where they fall to nothing, gradients vanish.

    Parameters
    ----------
    norms
        One array of shape (T,), or several by label: a mapping. `wengert.gradient_flow` computes them.
    path
        Where to write: `.png`, `.svg` or `.pdf`.
    title
        The heading.

    Returns
    -------
    Path
        Where the picture is.

    Raises
    ------
    ShapeError
        If a curve is not one-dimensional.
    MissingLibraryError
        If matplotlib is not installed.

    Notes
    -----
    Y. Bengio, P. Simard & P. Frasconi, *Learning long-term dependencies with gradient descent is difficult*, IEEE
    Trans. Neural Networks 5 (1994).

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from wengert import plots
    >>> decays = {"tanh": 0.8 ** np.arange(50)[::-1], "LSTM": 0.99 ** np.arange(50)[::-1]}
    >>> plots.gradient_flow(decays, path=tempfile.mkdtemp() + "/flow.png").name
    'flow.png'
    """
    curves: Mapping[str, Any] = norms if isinstance(norms, Mapping) else {"": norms}
    figure = _figure.figure(7.0, 4.0, layout="constrained")
    axes = _axes(figure, (1, 1, 1), xlabel="step t", ylabel="norm of the adjoint of the carry", title=title)
    for name, values in curves.items():
        y = _curve(name or "norms", values)
        axes.semilogy(np.arange(1, len(y) + 1), np.where(y > 0, y, np.nan), label=name, linewidth=1.5)
    if any(curves):
        axes.legend()
    return _saved(figure, path)


# --- what they share -------------------------------------------------------------------------------------------


def _curve(name: str, values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One number a step."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ShapeError(f"{name} have shape {found.shape}; one number a step is needed, shape (T,)")
    return found


def _running_mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The mean of each value and its neighbours; values that are not finite count for nothing."""
    width = max(1, len(values) // _SMOOTH) | 1
    fine = np.isfinite(values)
    ones = np.ones(width)
    total = np.convolve(np.where(fine, values, 0.0), ones, "same")
    count = np.convolve(fine.astype(float), ones, "same")
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)[: len(values)]


def _axes(figure: Any, place: tuple[int, int, int], **texts: str) -> Any:
    axes = figure.add_subplot(*place)
    axes.set(**texts)
    axes.title.set_fontsize(10.5)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _saved(figure: Any, path: PathLike) -> Path:
    figure.savefig(path, dpi=130)
    return Path(path)
