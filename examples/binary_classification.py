"""Two moons, told apart by a small network: layers in a list, momentum in the step, one compiled replay an epoch.

The network is 2 - 16 - 16 - 1 with tanh; the loss is the binary cross entropy of its logit. Three sets of points are
drawn: one to train on, one to stop by, where its loss falls no more (validation), and one to tell the accuracy by.

    python examples/binary_classification.py --out pictures
"""

from itertools import pairwise

import numpy as np
from common import options, panels, save

import wengert

RATE, MOMENTUM, PATIENCE = 0.1, 0.9, 200


def two_moons(rng, n, noise=0.2):
    """n points of each moon, mixed: coordinates (2n, 2) and labels (2n,)."""
    angle = rng.uniform(0, np.pi, (2, n))
    upper = np.stack([np.cos(angle[0]), np.sin(angle[0])], axis=1)
    lower = np.stack([1 - np.cos(angle[1]), 0.5 - np.sin(angle[1])], axis=1)
    points = np.concatenate([upper, lower]) + rng.normal(scale=noise, size=(2 * n, 2))
    order = rng.permutation(2 * n)
    return points[order], np.repeat([0.0, 1.0], n)[order]


def start(rng, sizes):
    return [(rng.normal(size=(i, o)) / np.sqrt(i), np.zeros(o)) for i, o in pairwise(sizes)]


def logit(layers, x):
    for w, b in layers[:-1]:
        x = np.tanh(x @ w + b)
    w, b = layers[-1]
    return (x @ w + b)[..., 0]


def loss(layers, x, labels):
    z = logit(layers, x)
    return np.mean(np.logaddexp(0, z) - labels * z)


@wengert.jit
def step(layers, speeds, x, labels):
    value, slopes = wengert.value_and_grad(loss)(layers, x, labels)
    speeds = wengert.tree.map(lambda v, g: MOMENTUM * v - RATE * g, speeds, slopes)
    return wengert.tree.map(lambda w, v: w + v, layers, speeds), speeds, value


def train(rng, train_set, validation_set, most):
    """Until the validation loss has not fallen for a while: the best layers, and both losses of every epoch."""
    layers = best = start(rng, [2, 16, 16, 1])
    speeds = wengert.tree.map(np.zeros_like, layers)
    loss_of = wengert.jit(loss)
    losses, lowest, when = [], np.inf, 0
    for epoch in range(most):
        found = float(loss_of(layers, *validation_set))
        if found < lowest:
            best, lowest, when = layers, found, epoch
        if epoch - when > PATIENCE:
            break
        layers, speeds, value = step(layers, speeds, *train_set)
        losses.append((float(value), found))
    return best, np.array(losses), when


def accuracy(layers, x, labels):
    return np.mean((logit(layers, x) > 0) == labels)


def draw(layers, losses, when, points, labels):
    figure, (left, right) = panels(2)
    left.plot(losses[:, 0], label="training")
    left.plot(losses[:, 1], label="validation")
    left.axvline(when, color="grey", linestyle=":", label="lowest validation loss")
    left.set(xlabel="epoch", ylabel="cross entropy", title="loss", xlim=0, ylim=0)
    left.legend()
    left.grid(alpha=0.3)

    x, y = np.linspace(-1.8, 2.8, 240), np.linspace(-1.4, 1.9, 180)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    chance = 1 / (1 + np.exp(-logit(layers, grid)))
    shades = right.contourf(x, y, chance, levels=np.linspace(0, 1, 21), cmap="RdBu_r", alpha=0.8)
    right.contour(x, y, chance, levels=[0.5], colors="black")
    right.scatter(*points.T, c=labels, cmap="RdBu_r", s=16, edgecolors="white", linewidths=0.5)
    right.set(title="test points and the chance of red", aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    figure.colorbar(shades, ax=right, ticks=[0, 0.25, 0.5, 0.75, 1], shrink=0.8)
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0, points=400)
    rng = np.random.default_rng(asked.seed)
    sets = {name: two_moons(rng, asked.points // 2) for name in ("training", "validation", "test")}
    layers, losses, when = train(rng, sets["training"], sets["validation"], most=300 if asked.quick else 5000)
    print(f"{len(losses)} epochs, lowest validation loss {losses[when, 1]:.4f} after {when}")
    print("accuracy:", ", ".join(f"{name} {accuracy(layers, *points):.3f}" for name, points in sets.items()))
    save(draw(layers, losses, when, *sets["test"]), asked.out, "binary_classification.png")


if __name__ == "__main__":
    main()
