"""Where gradients go on their way back through time: an Elman network loses them, an LSTM keeps them.

The adding problem over 200 steps (Hochreiter & Schmidhuber 1997): two numbers of 200 are marked, one in each half, and
their sum is asked at the end. Drawn is the norm of the loss's derivative by the state at every step: what of the
answer's error arrives there (Hochreiter 1991; Bengio, Simard & Frasconi 1994). An Elman network passes it on times its
recurrent matrix and the slope of tanh; the cell of an LSTM times its forget gate, which a bias opens (Gers, Schmidhuber
& Cummins 2000). Training opens it further: an LSTM that has learned the task passes on all of the error.

    python examples/vanishing_gradients.py --out pictures
"""

import numpy as np
from common import options, panels, save

import wengert
from wengert import nn, optim, tasks, train

STEPS, BATCH, HIDDEN = 200, 16, 32
TASK = tasks.get("adding")
CELLS = {"Elman": nn.rnn_cell, "LSTM": nn.lstm_cell}
RATES = {"Elman": 2e-3, "LSTM": 1e-2}


def starts(rng):
    """Networks before training, by name."""
    found = {}
    for radius in (0.8, 1.0):
        cell = nn.rnn_init(rng, TASK.n_in, HIDDEN)
        found[f"Elman, radius {radius:g}"] = cell | {"u": np.float32(radius) * cell["u"]}  # it was orthogonal
    for bias in (0.0, 1.0):
        found[f"LSTM, forget bias {bias:g}"] = nn.lstm_init(rng, TASK.n_in, HIDDEN, forget_bias=bias)
    return {name: {"cell": cell, "out": nn.Dense.init(rng, HIDDEN, 1)} for name, cell in found.items()}


def kind(name):
    return name.partition(",")[0]


def loss_of(name):
    cell, is_lstm = CELLS[kind(name)], kind(name) == "LSTM"

    def loss(params, batch):
        zeros = np.zeros((batch.xs.shape[1], HIDDEN), np.float32)
        carry = (zeros, zeros) if is_lstm else zeros
        carry, _ = wengert.scan(lambda carry, x: (cell(params["cell"], carry, x)[0], None), carry, batch.xs)
        return nn.mse(params["out"](carry[0] if is_lstm else carry), batch.targets)

    return loss


def flow(name, params, batch):
    """Norms of the adjoint of the state, from the first step to the last; of an LSTM's cell, not its output."""
    return train.gradient_flow(loss_of(name), params, batch).norms[0][-1]


def learn(name, params, seed, steps):
    """Train until the task is solved, on fresh sequences, or the steps are over."""
    return train.fit(
        loss_of(name),
        params,
        lambda rng: TASK.batch(rng, BATCH, STEPS),
        optim.adam(RATES[kind(name)]),
        steps=steps,
        clip_norm=1.0,
        seed=seed,
        validation=lambda rng: TASK.batch(rng, 256, STEPS),
        check_every=max(steps // 40, 1),
        target=TASK.solved,
        progress=False,
    )


def report(when, networks, batch):
    """Print and return the flow of every network."""
    flows = {name: flow(name, params, batch) for name, params in networks.items()}
    print(f"{when}: norm of the derivative by the state, as a share of that at the last step")
    print(f"steps before it        {50:10} {100:10} {150:10} {STEPS - 1:10}")
    for name, norms in flows.items():
        print(f"{name:22} " + " ".join(f"{norms[-1 - k] / norms[-1]:10.1e}" for k in (50, 100, 150, STEPS - 1)))
    return flows


def draw(before, after, runs):
    figure, (left, middle, right) = panels(3, width=4.8)
    for axes, flows, when in ((left, before, "before training"), (middle, after, "after training")):
        for k, (name, norms) in enumerate(flows.items()):
            shown = np.where(norms > 0, norms / norms[-1], np.nan)
            axes.plot(np.arange(STEPS) - STEPS + 1, shown, "-" if "LSTM" in name else "--", color=f"C{k}", label=name)
        axes.set(xlabel="step, seen from the last", yscale="log", ylim=(1e-20, 1e3), title=f"what arrives, {when}")
    left.set_ylabel("norm / norm at the last step")
    for k, (name, run) in enumerate(runs.items()):
        steps, losses = run.checks["step"], run.checks["validation"]
        right.plot(steps, losses, "-" if "LSTM" in name else "--", color=f"C{k}", label=name)
    right.axhline(TASK.trivial(), color="grey", linestyle=":", label="without learning")
    right.set(xlabel="training step", ylabel="mean squared error", yscale="log", title="what is learned")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def main():
    asked = options(__doc__.splitlines()[0], seed=0, steps=2400)
    steps = 6 if asked.quick else asked.steps
    rng = np.random.default_rng(asked.seed)
    begun, batch = starts(rng), TASK.batch(rng, BATCH, STEPS)
    before = report("before training", begun, batch)
    runs = {}
    for name, params in begun.items():
        runs[name] = learn(name, params, asked.seed, steps)
        state = "solved" if runs[name].solved else "not solved"
        told = f"{state} after {runs[name].steps} steps, mean squared error {runs[name].validation:.4f}"
        print(f"{name:22} {told}", flush=True)
    after = report("after training", {name: run.params for name, run in runs.items()}, batch)
    save(draw(before, after, runs), asked.out, "vanishing_gradients.png")


if __name__ == "__main__":
    main()
