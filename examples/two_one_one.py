"""Backpropagation by hand, in three ways: two inputs, one hidden and one output neuron.

Both neurons are sigmoids, the loss is the binary cross entropy. The script records the network on a tape, walks it
forward (every value and every local derivative), walks it backward (the chain rule, product by product), writes down
the same chain rule with SymPy's formulas, and compares both with wengert.grad.

    python examples/two_one_one.py --out pictures
"""

import sys

import numpy as np
from common import options, panels, save

import wengert

X1, X2, TARGET = 0.5, -1.0, 1.0
WEIGHTS = {"w1": 0.8, "w2": -0.4, "b": 0.1, "v": 1.2, "c": -0.3}
STAGES = ("z", "h", "s", "y", "L")
ARROWS = ("w1 z", "w2 z", "b z", "z h", "h s", "v s", "c s", "s y", "y L")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def network(w1, w2, b, v, c):
    """Everything between the weights and the loss, in the order it is computed."""
    z = w1 * X1 + w2 * X2 + b
    h = sigmoid(z)
    s = v * h + c
    y = sigmoid(s)
    loss = -(TARGET * np.log(y) + (1 - TARGET) * np.log(1 - y))
    return z, h, s, y, loss


def loss_alone(*weights):
    return network(*weights)[-1]


# What the names on the tape mean: NumPy's own functions. Their local derivatives are asked for one op at a time.
OPS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "exp": np.exp,
       "log": np.log}  # fmt: skip


def walk_forward(tape):
    """Value of every slot, and for every instruction the derivative of its result by each operand but constants."""
    constants = {slot: float(value) for slot, value in tape.consts}
    values, local = constants | dict(zip(tape.inputs, WEIGHTS.values())), []
    for name, slot in zip(WEIGHTS, tape.inputs):
        print(f"  %{slot:<3} = {name:12} = {values[slot]:+.6f}")
    for op, (out,), operands, _ in tape.instructions:
        at = [values[s] for s in operands]
        values[out] = float(OPS[op.name](*at))
        slopes = {
            slot: float(wengert.grad(OPS[op.name], argnums=k)(*at))
            for k, slot in enumerate(operands)
            if slot not in constants
        }
        local.append((out, slopes))
        text = " ".join([op.name, *(f"{constants[s]:g}" if s in constants else f"%{s}" for s in operands)])
        derivatives = "  ".join(f"d%{out}/d%{slot} = {slope:+.6f}" for slot, slope in slopes.items())
        print(f"  %{out:<3} = {text:12} = {values[out]:+.6f}    {derivatives}")
    return values, local


def walk_backward(tape, local):
    """The adjoint of every slot: the derivative of the loss by it. Sums where a value was used more than once."""
    bars, names = {tape.outputs[-1]: 1.0}, dict(zip(tape.inputs, WEIGHTS))
    for out, slopes in reversed(local):
        for slot, slope in slopes.items():
            before = f"{bars[slot]:+.6f} + " if slot in bars else ""
            product = f"{before}{bars[out]:+.6f} * {slope:+.6f}"
            bars[slot] = bars.get(slot, 0.0) + bars[out] * slope
            print(f"  dL/d%{slot:<3} = {product:33} = {bars[slot]:+.6f}  {names.get(slot, '')}".rstrip())
    return bars


def by_sympy():
    """The factors of the chain rule as formulas, and the gradient they make at our numbers."""
    try:
        import sympy
    except ModuleNotFoundError:
        sys.exit("this example compares with SymPy: pip install sympy, or pip install 'wengert[examples]'")
    w1, w2, b, v, c = weights = sympy.symbols("w1 w2 b v c")
    z, h, s, y = sympy.symbols("z h s y")
    steps = [  # every stage as a formula of the one before it, as far as the loss
        (z, w1 * X1 + w2 * X2 + b),
        (h, 1 / (1 + sympy.exp(-z))),
        (s, v * h + c),
        (y, 1 / (1 + sympy.exp(-s))),
        (sympy.Symbol("L"), -(TARGET * sympy.log(y) + (1 - TARGET) * sympy.log(1 - y))),
    ]
    numbers = dict(zip(weights, WEIGHTS.values()))
    for name, formula in steps:
        numbers[name] = formula.subs(numbers).evalf()
    (_, of_z), (_, of_h), (_, of_s), (_, of_y), (_, of_loss) = steps
    back = [(of_loss, y), (of_y, s), (of_s, h), (of_h, z)]
    chains = {w1: [*back, (of_z, w1)], w2: [*back, (of_z, w2)], b: [*back, (of_z, b)]}
    chains |= {v: [*back[:2], (of_s, v)], c: [*back[:2], (of_s, c)]}
    found = {}
    for weight, chain in chains.items():
        factors = [float(formula.diff(by).subs(numbers)) for formula, by in chain]
        found[str(weight)] = float(np.prod(factors))
        print(f"  dL/d{weight!s:2} = {' * '.join(f'{f:+.6f}' for f in factors)} = {found[str(weight)]:+.6f}")
    return found


def draw(values, bars):
    figure, axes = panels(1, width=11, height=4.4)
    axes.set(xlim=(-0.6, 10.6), ylim=(-2.6, 2.6))
    axes.axis("off")
    places = {"w1": (0, 2), "w2": (0, 0.4), "b": (0, -1.6), "z": (2.5, 0.4), "h": (4.5, 0.4), "v": (4.5, 2),
              "c": (4.5, -1.6), "s": (6.5, 0.4), "y": (8.3, 0.4), "L": (10, 0.4)}  # fmt: skip
    for start, end in map(str.split, ARROWS):
        (x0, y0), (x1, y1) = places[start], places[end]
        arrow = {"arrowstyle": "->", "color": "grey", "shrinkA": 26, "shrinkB": 26, "lw": 1.5}
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
        label = f"{bars[start] / bars[end]:+.3f}"  # the chain rule: what lies between two adjoints is a factor
        box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"}
        axes.text(0.52 * x0 + 0.48 * x1, 0.52 * y0 + 0.48 * y1, label, ha="center", va="center", fontsize=9, bbox=box)
    for name, (x, y) in places.items():
        colour = "tab:green" if name in WEIGHTS else "tab:orange" if name == "L" else "tab:blue"
        axes.scatter(x, y, s=1500, color=colour, alpha=0.25, zorder=3)
        axes.text(x, y, f"{name}\n{values[name]:.3f}", ha="center", va="center", fontsize=9, zorder=4)
        axes.text(x, y - 0.75, f"{bars[name]:+.4f}", ha="center", va="center", color="tab:red", fontsize=10, zorder=4)
    axes.set_title("values in the circles, local derivatives on the arrows; red: derivative of the loss L")
    return figure


def main():
    asked = options(__doc__.splitlines()[0])
    tape = wengert.record(network, *WEIGHTS.values())
    print(f"inputs {X1} and {X2}, target {TARGET:g}")
    print("forward: the tape, its values, and the derivative of every result by its operands")
    values, local = walk_forward(tape)
    print("backward: every adjoint is the adjoint of the result times the local derivative")
    bars = walk_backward(tape, local)
    print("the same chain rule with SymPy's derivatives: dL/dy * dy/ds * ds/dh * dh/dz * dz/dw")
    symbolic = by_sympy()
    gradient = wengert.grad(loss_alone, argnums=range(5))(*WEIGHTS.values())
    print("weight   by the tape     by SymPy  wengert.grad")
    for name, slot, slope in zip(WEIGHTS, tape.inputs, gradient):
        print(f"{name:6} {bars[slot]:+12.9f} {symbolic[name]:+12.9f}  {slope:+12.9f}")
    worst = max(abs(slope - symbolic[name]) for name, slope in zip(WEIGHTS, gradient))
    worst = max(worst, *(abs(bars[slot] - slope) for slot, slope in zip(tape.inputs, gradient)))
    print(f"largest difference {worst:.1e}: {'they agree' if worst < 1e-12 else 'they disagree'}")

    slots = dict(zip([*WEIGHTS, *STAGES], [*tape.inputs, *tape.outputs]))
    picture = draw({name: values[s] for name, s in slots.items()}, {name: bars[s] for name, s in slots.items()})
    save(picture, asked.out, "two_one_one.png")


if __name__ == "__main__":
    main()
