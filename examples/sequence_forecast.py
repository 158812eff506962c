"""A chaotic series forecast by a recurrent network that feeds on its own forecasts.

The Mackey-Glass equation (1977, tau = 17) has a feedback with a delay; two solutions that start close to each other
part for good after some hundred time units. A GRU learns to forecast the next value from the first 2000. Then it runs
freely: it is shown 100 values of the rest and goes on alone, every forecast its next input. A linear autoregression of
order 20 does the same. Errors are relative to the spread of the series: at 1 a forecast is worth no more than the mean.

    python examples/sequence_forecast.py --out pictures
"""

import numpy as np
from common import options, panels, save

import wengert
from wengert import nn, optim, tasks, train

SEEN, AHEAD, ORDER, LEARNED = 100, 200, 20, 2000


class Forecaster(nn.Module):
    memory: nn.GRU
    change: nn.Dense

    @classmethod
    def init(cls, rng, hidden):
        sizes = {"dtype": np.float64}
        return cls(nn.GRU.init(rng, 1, hidden, **sizes), nn.Dense.init(rng, hidden, 1, **sizes))

    def onward(self, carry, xs):
        """The value after each of xs, of shape (time, batch, 1), as a change, and the carry."""
        carry, ys = self.memory.over_time(xs, carry)
        return carry, xs + self.change(ys)

    def alone(self, xs, steps):
        """Shown xs, what comes then: the network's own forecasts are its inputs."""
        carry, first = self.onward(None, xs)

        def step(state, _):
            carry, x = state
            carry, y = self.onward(carry, x[None])
            return (carry, y[0]), x

        _, ys = wengert.scan(step, (carry, first[-1]), length=steps)
        return ys


def loss(model, batch):
    _, ys = model.onward(None, batch[:-1])
    return nn.mse(ys[20:], batch[21:])  # the first steps know too little


def windows(values, length, every):
    """Pieces of a series, of shape (length, how many, 1)."""
    starts = np.arange(0, len(values) - length + 1, every)
    return values[starts + np.arange(length)[:, None]][:, :, None]


def learn(asked, values):
    model = Forecaster.init(np.random.default_rng(asked.seed), asked.hidden)
    steps = 150 if asked.quick else asked.steps
    pieces = windows(values, SEEN + 1, 5)
    training, validation = pieces[:, :320], pieces[:, 340:]
    return train.fit(
        loss,
        model,
        training,
        optim.adam(optim.cosine(1e-2, steps=steps)),
        batch_size=32,
        batch_axis=1,
        steps=steps,
        clip_norm=1.0,
        seed=asked.seed,
        validation=validation,
        progress=False,
    )


def linear(values, xs, steps):
    """Linear autoregression by least squares, running freely as well."""
    rows = np.lib.stride_tricks.sliding_window_view(values, ORDER + 1)
    weights = np.linalg.lstsq(np.column_stack([rows[:, :-1], np.ones(len(rows))]), rows[:, -1])[0]
    known = list(xs[-ORDER:, :, 0])
    for _ in range(steps):
        known.append(np.stack(known[-ORDER:], axis=1) @ weights[:-1] + weights[-1])
    return np.stack(known[ORDER:])[:, :, None]


def draw(forecasts, truth, errors):
    figure, (left, right) = panels(2, width=6)
    shown = truth.shape[1] // 2
    before = np.arange(-60, 0)
    left.plot(before, truth[SEEN - 60 : SEEN, shown], color="black", linewidth=2, alpha=0.3)
    left.plot(np.arange(AHEAD), truth[SEEN:, shown], color="black", linewidth=2, alpha=0.3, label="truth")
    for (name, ys), colour in zip(forecasts.items(), ("tab:blue", "tab:orange")):
        left.plot(np.arange(AHEAD), ys[:, shown], color=colour, label=name)
        right.plot(1 + np.arange(AHEAD), errors[name], color=colour, label=name)
    left.axvline(0, color="grey", linestyle=":")
    left.set(xlabel="steps from the last value shown", ylabel="x / spread", ylim=(-3, 3), title="running freely")
    right.axhline(1, color="grey", linestyle=":", label="the mean")
    right.set(xlabel="steps ahead", ylabel="root mean squared error / spread", yscale="log", ylim=(1e-4, 3))
    right.set_title(f"mean of {truth.shape[1]} starts")
    for axes in (left, right):
        axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0, steps=3000, hidden=32)
    values = tasks.mackey_glass(4118)[118:]
    values = (values - values.mean()) / values.std()
    found = learn(asked, values[:LEARNED])
    root = np.sqrt(found.validation)
    print(f"{found.steps} steps in {found.seconds:.1f} s: one step ahead off by {root:.5f} of the spread")
    truth = windows(values[LEARNED:], SEEN + AHEAD, 25)
    alone = wengert.jit(lambda model, xs: model.alone(xs, AHEAD))
    forecasts = {"GRU": alone(found.params, truth[:SEEN]), "linear": linear(values[:LEARNED], truth[:SEEN], AHEAD)}
    errors = {name: np.sqrt(np.mean((ys - truth[SEEN:]) ** 2, axis=(1, 2))) for name, ys in forecasts.items()}
    print("steps ahead      1      6     20     50    100    200")
    for name, error in errors.items():
        print(f"{name:11}" + "".join(f"{error[k - 1]:7.4f}" for k in (1, 6, 20, 50, 100, 200)))
    save(draw(forecasts, truth, errors), asked.out, "sequence_forecast.png")


if __name__ == "__main__":
    main()
