"""Forecasting tasks: sine waves, the Mackey-Glass equation, sunspots. Knows no model. Uses NumPy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from wengert.tasks.spec import Batch, Reference, Split, Task, installed, numbers, squared

# --- windows of one series ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Series:
    """One series, cut in two: what comes before `cut` is for training, the rest for the test.

    A window gives `seq_len` inputs; wanted at every step is the value `horizon` steps later. The first `warmup`
    steps of a window do not count: nothing can be known yet. A test window may read values before the cut, but
    all values that count come after it.
    """

    values: Any
    cut: int
    horizon: int
    warmup: int

    def starts(self, seq_len: int, split: Split) -> range:
        """Where windows of a length can start."""
        known = self.warmup + self.horizon
        low, high = (0, self.cut) if split == "train" else (max(0, self.cut - known), len(self.values))
        found = range(low, high - self.horizon - seq_len + 1)
        if not found:
            raise ValueError(f"seq_len {seq_len} is too long for the {split} part: at most {high - self.horizon - low}")
        return found

    def windows(self, starts: Any, seq_len: int, dtype: Any) -> Batch:
        """The windows that start there."""
        places = np.asarray(starts) + np.arange(seq_len)[:, None]
        mask = np.zeros(places.shape, dtype)
        mask[self.warmup :] = 1
        values = self.values.astype(dtype)
        return Batch(values[places][:, :, None], values[places + self.horizon][:, :, None], mask)

    def draw(self, rng: np.random.Generator, batch: int, seq_len: int, dtype: Any, split: Split) -> Batch:
        """Windows at random places, uniformly."""
        starts = self.starts(seq_len, split)
        return self.windows(rng.integers(starts.start, starts.stop, batch), seq_len, dtype)

    def persistence(self, seq_len: int) -> Reference:
        """Mean squared error, over all test windows, of the forecast that nothing will change."""
        xs, targets, mask = self.windows(self.starts(seq_len, "test"), seq_len, np.float64)
        return squared(float(np.square(xs - targets)[mask == 1].mean()))


def forecast_row(batch: Batch, outputs: Any, k: int) -> dict[str, str]:
    """The last values of a window and of its forecast."""
    found = {"last inputs": numbers(batch.xs[-4:, k, 0]), "targets": numbers(batch.targets[-4:, k, 0])}
    if outputs is not None:
        found["forecast"] = numbers(outputs[-4:, k, 0])
    return found


def _forecasting(**about: Any) -> Task:
    return Task(
        kind="forecasting", n_in=1, n_out=1, per_step=True, loss="mse", score_name="mse", row=forecast_row, **about
    )


def _series_task(load: Callable[[], Series], **about: Any) -> Task:
    def generate(rng: np.random.Generator, batch: int, seq_len: int, dtype: Any, split: Split) -> Batch:
        return load().draw(rng, batch, seq_len, dtype, split)

    return _forecasting(
        generate=generate,
        reference=lambda seq_len: load().persistence(seq_len),
        count=lambda seq_len, split: len(load().starts(seq_len, split)),
        **about,
    )


# --- sine --------------------------------------------------------------------------------------------------------

PERIODS = (10.0, 50.0)


def sine_task(horizon: int = 5) -> Task:
    """Sine waves of unknown period and phase, forecast `horizon` steps ahead.

    The angular frequency is uniform between those of the two `PERIODS`, the phase uniform. Three values determine
    all others (x[t+1] = 2 cos(w) x[t] - x[t-1]), so the first two steps do not count. The trivial predictor
    answers 0; as the phase is uniform, its mean squared error is 1/2.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks
    >>> x, targets, mask = tasks.get("sine").batch(np.random.default_rng(0), batch=8, seq_len=40)
    >>> bool(np.allclose(x[5:], targets[:-5], atol=1e-6)), mask[:4, 0].tolist()
    (True, [0.0, 0.0, 1.0, 1.0])
    """
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, not {horizon!r}")
    low, high = 2 * np.pi / PERIODS[1], 2 * np.pi / PERIODS[0]

    def generate(rng: np.random.Generator, batch: int, seq_len: int, dtype: Any, split: Split) -> Batch:
        frequency, phase = rng.uniform(low, high, batch), rng.uniform(0, 2 * np.pi, batch)
        values = np.sin(frequency * np.arange(seq_len + horizon)[:, None] + phase)[:, :, None].astype(dtype)
        mask = np.ones((seq_len, batch), dtype)
        mask[:2] = 0
        return Batch(values[:seq_len], values[horizon:], mask)

    return _forecasting(
        name="sine",
        summary=f"forecast sine waves of unknown period, {horizon} steps ahead",
        source="Yule, On a Method of Investigating Periodicities in Disturbed Series, Phil. Trans. A 226 (1927): the "
        "recursion of a harmonic motion",
        published="solved exactly by a recursion of two terms; here with 99 % of the variance forecast",
        seq_len=40,
        min_len=3,
        solved=0.01 / 2,
        generate=generate,
        reference=lambda seq_len: squared(1 / 2),
    )


# --- Mackey-Glass ------------------------------------------------------------------------------------------------


def mackey_glass(count: int, tau: float = 17.0, substeps: int = 10, start: float = 1.2) -> Any:
    """The Mackey-Glass equation x'(t) = 0.2 x(t - tau) / (1 + x(t - tau)**10) - 0.1 x(t) at t = 0, 1, ..., count - 1.

    Mackey & Glass, *Oscillation and Chaos in Physiological Control Systems*, Science 197 (1977). Before t = 0 the
    solution is 0, at 0 it is `start`. Integrated by the classical Runge-Kutta method with `substeps` steps to the
    unit; the delayed value in the middle of a step is interpolated by Hermite's cubic, so the order is four.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks
    >>> x = tasks.mackey_glass(18)                  # no feedback yet: exponential decay
    >>> bool(np.allclose(x, 1.2 * np.exp(-0.1 * np.arange(18)), atol=1e-8))
    True
    """
    lag = round(tau * substeps)
    if lag < 1 or abs(lag - tau * substeps) > 1e-9:
        raise ValueError(f"tau must be a multiple of the step 1/{substeps}, not {tau!r}")
    step = 1 / substeps

    def slope(x: float, delayed: float) -> float:
        return 0.2 * delayed / (1 + delayed**10) - 0.1 * x

    # The solution jumps at 0 and its slope at tau, so a step has both ends of its own: from the right, from the left.
    xs: list[float] = [start]
    bends: list[float] = []
    for k in range((count - 1) * substeps):
        x, j = xs[k], k - lag
        left, right, bend = (xs[j], xs[j + 1], bends[j]) if j >= 0 else (0.0, 0.0, 0.0)
        middle = (left + right) / 2 + step / 8 * bend
        k1 = slope(x, left)
        k2 = slope(x + step / 2 * k1, middle)
        k3 = slope(x + step / 2 * k2, middle)
        k4 = slope(x + step * k3, right)
        xs.append(x + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
        bends.append(k1 - slope(xs[-1], right))
    return np.array(xs[::substeps])


@cache
def _mackey_glass_series() -> Series:
    """Times 118 to 1117, the first half for training, of unit variance: the split of Jang (1993)."""
    values = mackey_glass(1118)[118:]
    values = (values - values.mean()) / values.std()
    values.flags.writeable = False
    return Series(values, cut=500, horizon=6, warmup=18)


def mackey_glass_task() -> Task:
    """The Mackey-Glass series (tau = 17), forecast 6 steps ahead.

    Scaled to unit variance, so the root of the score is the non-dimensional error index of the literature. As in
    the published comparison the times 118 to 617 are for training, 618 to 1117 for the test, and a forecast may use
    the 18 steps before it: the first 18 steps of a sequence do not count. The trivial predictor repeats the last
    value; its error is computed over all test windows.

    Examples
    --------
    >>> import numpy as np
    >>> from wengert import tasks
    >>> task = tasks.get("mackey-glass")
    >>> task.batch(np.random.default_rng(0), batch=4, seq_len=50, split="test").xs.shape
    (50, 4, 1)
    """
    return _series_task(
        _mackey_glass_series,
        name="mackey-glass",
        summary="forecast the chaotic Mackey-Glass series (tau = 17), 6 steps ahead",
        source="Mackey & Glass, Science 197 (1977); as a benchmark Lapedes & Farber 1987, Jang 1993",
        published="root of the score (NDEI) in Jang, ANFIS, IEEE Trans. SMC 23 (1993): autoregression 0.19, cascade "
        "correlation 0.06, polynomial of order 6 0.04, back-propagation 0.02, ANFIS 0.007; here solved from 0.02",
        seq_len=100,
        min_len=19,
        solved=0.02**2,
    )


# --- sunspots ----------------------------------------------------------------------------------------------------

SUNSPOT_VARIANCE = 1535.0
"""By which Weigend et al. divide: the variance of the record."""


@cache
def _sunspot_series() -> Series:
    """The years 1700 to 1955; the test begins in 1921."""
    data = installed("statsmodels.datasets.sunspots", "sunspots", "statsmodels").load().data
    values = np.asarray(data["SUNACTIVITY"], dtype=np.float64)[: 1956 - 1700]
    cut = 1921 - 1700
    values = (values - values[:cut].mean()) / np.sqrt(SUNSPOT_VARIANCE)
    values.flags.writeable = False
    return Series(values, cut=cut, horizon=1, warmup=11)


def sunspots_task() -> Task:
    """The yearly sunspot numbers since 1700, forecast one year ahead.

    As in the published comparison 1700 to 1920 are for training, 1921 to 1955 for the test, the score is divided by
    the variance 1535 of the record (average relative variance), and a forecast may use the twelve years up to it:
    the first eleven steps of a sequence do not count. A test sequence of the default length is the whole published
    test. The trivial predictor repeats the last year.

    Examples
    --------
    >>> from wengert import tasks
    >>> tasks.get("sunspots").requires
    'statsmodels'
    """
    return _series_task(
        _sunspot_series,
        name="sunspots",
        summary="forecast the sunspot number of the next year",
        source="Yule, Phil. Trans. A 226 (1927); record of the National Geophysical Data Center in statsmodels",
        published="average relative variance 1921-1955: linear autoregression of order 12 0.13, Tong & Lim 1980 0.097, "
        "Weigend, Huberman & Rumelhart 1990 0.086",
        seq_len=46,
        min_len=12,
        solved=0.086,
        requires="statsmodels",
    )
