"""One sigmoid neuron learns by gradient descent; and why the quadratic cost makes it slow.

The neuron of Nielsen, *Neural Networks and Deep Learning* (2015), chapter 3: one weight, one bias; for the input 1
it is to answer 0. Every printed line is one update: parameter - learning rate * gradient. From a bad start (w = b = 2)
the quadratic cost hardly moves at first, for the sigmoid is flat there; the cross entropy does not have this fault.

    python examples/single_neuron.py --out pictures
"""

import numpy as np
from common import options, panels, save

import wengert

INPUT, TARGET, RATE = 1.0, 0.0, 0.15


def answer(w, b):
    return 1 / (1 + np.exp(-(w * INPUT + b)))


def quadratic(w, b):
    return (answer(w, b) - TARGET) ** 2 / 2


def cross_entropy(w, b):
    a = answer(w, b)
    return -(TARGET * np.log(a) + (1 - TARGET) * np.log(1 - a))


def descend(cost, w, b, epochs):
    """The path of (w, b), one row an epoch, and the gradients."""
    slope = wengert.jit(wengert.grad(cost, argnums=(0, 1)))
    path, slopes = [(w, b)], []
    for _ in range(epochs):
        w_bar, b_bar = slope(w, b)
        w, b = w - RATE * w_bar, b - RATE * b_bar
        path.append((w, b))
        slopes.append((w_bar, b_bar))
    return np.array(path), np.array(slopes)


def report(path, slopes, epochs):
    print("epoch       w        b    answer     dC/dw    dC/db   change of w   change of b")
    for k in epochs:
        (w, b), (w_bar, b_bar) = path[k], slopes[k]
        print(f"{k:5d} {w:8.4f} {b:8.4f} {answer(w, b):8.4f}  {w_bar:8.5f} {b_bar:8.5f}", end="  ")
        print(f"{-RATE * w_bar:+12.5f}  {-RATE * b_bar:+12.5f}")


def draw(runs):
    figure, (left, right) = panels(2, height=4.6)
    for (name, start), (path, style) in runs.items():
        left.plot(answer(*path.T), style, label=f"{name}, start w = {start[0]}, b = {start[1]}")
    left.set(xlabel="epoch", ylabel="answer to the input 1", ylim=(0, 1), title="the answer on its way to 0")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    left.grid(alpha=0.3)

    side = np.linspace(-2.2, 2.4, 150)
    w, b = np.meshgrid(side, side)
    shades = right.contourf(w, b, quadratic(w, b), levels=20, cmap="Blues")
    for (name, _), (path, style) in runs.items():
        if name == "quadratic":
            right.plot(*path.T, style, linewidth=2)
            right.plot(*path[::50].T, "o", color=style[0], markersize=4)
            right.annotate("start", path[0], textcoords="offset points", xytext=(-34, 4), color=style[0])
    right.set(xlabel="w", ylabel="b", title="quadratic cost, a dot every 50 epochs", aspect="equal")
    figure.colorbar(shades, ax=right, shrink=0.9)
    return figure


def main():
    asked = options(__doc__.splitlines()[0])
    epochs = 300
    runs = {}
    for cost, name, line in ((quadratic, "quadratic", "-"), (cross_entropy, "cross entropy", "--")):
        for start, colour in (((0.6, 0.9), "k"), ((2.0, 2.0), "r")):
            path, slopes = descend(cost, *start, epochs)
            runs[name, start] = path, colour + line
            if name == "quadratic" and start == (0.6, 0.9):
                report(path, slopes, [0, 1, 2] if asked.quick else [0, 1, 2, 3, 4, 5, 50, 100, 200, 299])
    for (name, start), (path, _) in runs.items():
        w, b = path[-1]
        print(
            f"{name:13} from w = {start[0]}, b = {start[1]}: answer {answer(*start):.2f} -> {answer(w, b):.2f}", end=""
        )
        print(f" after {epochs} epochs, w = {w:.2f}, b = {b:.2f}")
    save(draw(runs), asked.out, "single_neuron.png")


if __name__ == "__main__":
    main()
