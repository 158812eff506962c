"""Computation graphs: the tape of a function, drawn with every value, and every adjoint in red.

Three pictures, each an SVG file that opens in any browser: two neurons one behind the other and their loss; a
recurrent network, whose loop over time is one box with its step inside; and a pendulum in a Python loop of 500
instructions, folded into one pass. The adjoint in a box is the derivative of the result by the value in that box: in
the boxes of the inputs it is what wengert.grad returns, which is printed.

    python examples/computation_graph.py --out pictures
"""

import numpy as np
from common import options

import wengert

WEIGHTS = {"w1": 0.8, "w2": -0.4, "b": 0.1, "v": 1.2, "c": -0.3}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loss(w1, w2, b, v, c):
    """Cross entropy of two neurons at the inputs 0.5 and -1, whose answer should be 1."""
    h = sigmoid(0.5 * w1 - w2 + b)
    y = sigmoid(v * h + c)
    return -np.log(y)


def recurrent(params, xs, targets):
    """Mean squared error of an Elman network's last answer."""

    def step(h, x):
        return np.tanh(x @ params["in"] + h @ params["hidden"] + params["bias"]), None

    h, _ = wengert.scan(step, np.zeros((xs.shape[1], len(params["bias"]))), xs)
    return np.mean((h @ params["out"] - targets) ** 2)


def pendulum(angle, speed, steps):
    """Where a pendulum is after some steps of symplectic Euler."""
    for _ in range(steps):
        speed = speed - 0.05 * np.sin(angle)
        angle = angle + 0.05 * speed
    return angle


def draw(name, function, args, folder):
    """Record, draw and say what is in the picture."""
    tape = wengert.record(function, *args)
    path = tape.draw(folder / f"computation_graph_{name}.svg")
    print(f"{name}: {len(tape)} instructions, {path}")
    return tape


def main():
    asked = options(__doc__.splitlines()[0], steps=100, seed=0)
    asked.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(asked.seed)

    tape = draw("neurons", loss, WEIGHTS.values(), asked.out)
    gradient = wengert.grad(loss, argnums=range(5))(*WEIGHTS.values())
    for (name, value), slope in zip(WEIGHTS.items(), gradient):
        print(f"  {name:2} = {value:4}    dL/d{name:2} = {float(slope):.5g}")

    units, length, batch = (3, 4, 2) if asked.quick else (16, 50, 8)
    shapes = {"in": (2, units), "hidden": (units, units), "bias": (units,), "out": (units, 1)}
    params = {name: rng.normal(size=shape) / np.sqrt(shape[0]) for name, shape in shapes.items()}
    data = rng.normal(size=(length, batch, 2)), rng.normal(size=(batch, 1))
    draw("recurrent", recurrent, (params, *data), asked.out)

    def swing(angle, speed):
        return pendulum(angle, speed, asked.steps)

    draw("pendulum", swing, (1.0, 0.0), asked.out)
    by_angle, by_speed = wengert.grad(swing, argnums=(0, 1))(1.0, 0.0)
    print(f"  after {asked.steps} steps: {float(by_angle):.5g} by the first angle, {float(by_speed):.5g} by the speed")
    print(f"picture: {tape.draw(asked.out / 'computation_graph.png')}")


if __name__ == "__main__":
    main()
