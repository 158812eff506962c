"""What training costs: an epoch of `train.fit` on digits beside PyTorch's eager loop, and fit's own part of a step.

python benchmarks/training.py

The epochs take turns, A B A B; shown are medians and quartiles. Same data, network (64-128-10, tanh, float32), batches
of 128, Adam; the losses after as many epochs must agree before anything is shown. fit's own part: a step of one
multiplication in fit, against the same jitted step called in a bare Python loop.
"""

from __future__ import annotations

import os

os.environ.pop("OPENBLAS_CORETYPE", None)

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import wengert
from wengert import nn, optim, train

EPOCHS, TURNS, BATCH, RATE = 20, 9, 128, 1e-3


class Network(nn.Module):
    hidden: nn.Dense
    out: nn.Dense

    def __call__(self, x: Any) -> Any:
        return self.out(np.tanh(self.hidden(x)))


def loss(model: Network, batch: Any) -> Any:
    images, labels = batch
    return nn.softmax_cross_entropy(model(images), labels)


def ours(images: Any, labels: Any) -> Callable[[int], float]:
    rng = np.random.default_rng(0)
    model = Network(*(nn.Dense.init(rng, *sizes, dtype=np.float32) for sizes in ((64, 128), (128, 10))))

    def epochs(n: int) -> float:
        data = (images, labels)
        found = train.fit(loss, model, data, optim.adam(RATE), batch_size=BATCH, epochs=n, progress=False)
        return float(loss(found.params, data))

    return epochs


def theirs(images: Any, labels: Any) -> Callable[[int], float]:
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(os.cpu_count() or 1)
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)

    def epochs(n: int) -> float:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.Tanh(), torch.nn.Linear(128, 10))
        rule = torch.optim.Adam(model.parameters(), RATE)
        for _ in range(n):
            order = torch.randperm(len(images))
            for rows in torch.split(order, BATCH):
                rule.zero_grad()
                cross_entropy(model(images[rows]), labels[rows]).backward()
                rule.step()
        return cross_entropy(model(images), labels).item()

    return epochs


def seconds(call: Callable[[int], Any], n: int) -> float:
    start = time.perf_counter()
    call(n)
    return time.perf_counter() - start


def overhead() -> tuple[float, float]:
    """Seconds a step in fit, and in a bare loop."""
    data, rule = np.linspace(0.0, 1.0, 5000), optim.sgd(1e-3)

    def small(params: Any, batch: Any) -> Any:
        return np.sum(params["a"] * batch)

    start = {"a": np.float64(1.0)}

    @wengert.jit
    def step(params: Any, state: Any, batch: Any) -> Any:
        value, slopes = wengert.value_and_grad(small)(params, batch)
        return *rule.update(params, slopes, state), value

    def bare(n: int) -> None:
        params, state = start, rule.init(start)
        for _ in range(n):
            for k in range(len(data)):
                params, state, _ = step(params, state, data[k : k + 1])

    def fitted(n: int) -> None:
        train.fit(small, start, data, rule, batch_size=1, epochs=n, shuffle=False, progress=False)

    found = []
    for call in (fitted, bare):
        call(1)
        found.append(min(seconds(call, 3) - seconds(call, 1) for _ in range(5)) / (2 * len(data)))
    return found[0], found[1]


def main() -> None:
    digits = load_digits()
    images, labels = (digits.data / 16).astype(np.float32), digits.target
    contestants = {"wengert, train.fit": ours(images, labels)}
    try:
        contestants["PyTorch, eager"] = theirs(images, labels)
    except ModuleNotFoundError:
        print("PyTorch is not installed: left out")
    losses = {name: call(EPOCHS) for name, call in contestants.items()}
    if max(losses.values()) > 1.25 * min(losses.values()):
        raise SystemExit(f"unequal work: losses after {EPOCHS} epochs are {losses}")
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(TURNS):
        for name, call in contestants.items():
            times[name].append(seconds(call, EPOCHS) / EPOCHS)
    print(f"digits, an epoch of {len(images)} images, batches of {BATCH}, {os.cpu_count()} threads")
    for name, found in times.items():
        low, middle, high = np.percentile(found, [25, 50, 75]) * 1e3
        print(f"  {name:20} {middle:7.2f} ms   ({low:.2f} to {high:.2f}; loss {losses[name]:.4f})")
    fit, bare = overhead()
    print(f"a small step: {1e6 * fit:.1f} us in fit, {1e6 * bare:.1f} us in a bare loop")


if __name__ == "__main__":
    main()
