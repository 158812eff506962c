"""XOR, the problem that one layer cannot solve, learned by two (Rumelhart, Hinton & Williams 1986).

A network of 2 inputs, 3 hidden units (tanh) and 1 output (sigmoid), trained on all four cases by gradient descent
until every answer is within 0.05 of its target. The whole step, gradient and update, is one compiled replay.
Some starts (--seed 2) end in a local minimum, as in 1986; with more hidden units (--hidden 6) that is rarer.

    python examples/xor.py --out pictures
"""

import numpy as np
from common import options, panels, save

import wengert

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([0.0, 1.0, 1.0, 0.0])
RATE, TOLERANCE = 0.5, 0.05


def network(w, x):
    """The logit: what goes into the output's sigmoid."""
    return np.tanh(x @ w["hidden"] + w["bias"]) @ w["out"] + w["shift"]


def answer(w, x):
    return 1 / (1 + np.exp(-network(w, x)))


def loss(w):
    """Cross entropy of a sigmoid: log(1 + exp(z)) - target z."""
    z = network(w, X)
    return np.mean(np.logaddexp(0, z) - TARGETS * z)


@wengert.jit
def step(w):
    value, slope = wengert.value_and_grad(loss)(w)
    return {k: w[k] - RATE * slope[k] for k in w}, value


def train(seed, hidden, most):
    rng = np.random.default_rng(seed)
    w = {"hidden": rng.normal(size=(2, hidden)), "bias": np.zeros(hidden), "out": rng.normal(size=hidden), "shift": 0.0}
    losses = []
    while len(losses) < most and np.abs(answer(w, X) - TARGETS).max() > TOLERANCE:
        w, value = step(w)
        losses.append(float(value))
    return w, losses


def draw(w, losses):
    figure, (left, right) = panels(2)
    left.plot(losses, color="tab:blue")
    left.set(xlabel="epoch", ylabel="cross entropy", title=f"loss of {len(losses)} epochs", ylim=0, xlim=0)
    left.grid(alpha=0.3)

    side = np.linspace(-0.5, 1.5, 200)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    surface = answer(w, grid)
    shades = right.contourf(side, side, surface, levels=np.linspace(0, 1, 21), cmap="RdBu_r")
    right.contour(side, side, surface, levels=[0.5], colors="black", linewidths=1.5)
    colours = np.where(TARGETS == 1, "tab:red", "tab:blue")
    right.scatter(*X.T, c=colours, s=140, edgecolors="white", linewidths=2, zorder=3)
    right.set(xlabel="$x_1$", ylabel="$x_2$", title="answer; black: one half", aspect="equal")
    right.set(xticks=[-0.5, 0, 0.5, 1, 1.5], yticks=[-0.5, 0, 0.5, 1, 1.5])
    figure.colorbar(shades, ax=right, ticks=[0, 0.25, 0.5, 0.75, 1], shrink=0.9)
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0, hidden=3)
    w, losses = train(asked.seed, asked.hidden, most=2_000 if asked.quick else 20_000)
    answers = answer(w, X)
    error = np.abs(answers - TARGETS).max()
    print(f"{'converged' if error <= TOLERANCE else 'not converged'} after {len(losses)} epochs, loss {losses[-1]:.4f}")
    print("x1 x2  target  answer  rounded")
    for (x1, x2), target, a in zip(X, TARGETS, answers):
        print(f" {x1:.0f}  {x2:.0f}  {target:6.0f}  {a:6.3f}  {a:7.0f}")
    save(draw(w, losses), asked.out, "xor.png")


if __name__ == "__main__":
    main()
