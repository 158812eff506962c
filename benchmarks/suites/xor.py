"""xor: a beginner's whole program, from starting Python to its exit: 2000 steps of gradient descent on XOR."""

from __future__ import annotations

from harness.model import Case, ProcessSuite

DATA = """
rng = np.random.default_rng(0)
x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([[0.0], [1.0], [1.0], [0.0]])
w = [rng.normal(size=(2, 8)), np.zeros(8), rng.normal(size=(8, 1)), np.zeros(1)]
"""
LOSS = """
def loss(w, x, y):
    return {xp}.mean(({xp}.tanh(x @ w[0] + w[1]) @ w[2] + w[3] - y) ** 2)
"""
RESULT = "result = [float(v) for a in w for v in np.ravel(np.asarray(a))]\n"


def cases(quick: bool) -> list[Case]:
    return [Case(f"{n} steps", {"steps": n}, rtol=1e-6) for n in ((20,) if quick else (2000,))]


def wengert(case: Case) -> str:
    return (
        "import numpy as np\nimport wengert\n"
        + DATA
        + LOSS.format(xp="np")
        + f"""
@wengert.jit
def step(w, x, y):
    return [a - 0.1 * g for a, g in zip(w, wengert.grad(loss)(w, x, y))]
for _ in range({case.steps}):
    w = step(w, x, y)
"""
        + RESULT
    )


def jax(case: Case) -> str:
    head = "import numpy as np\nimport jax\nimport jax.numpy as jnp\njax.config.update('jax_enable_x64', True)\n"
    return (
        head
        + DATA
        + LOSS.format(xp="jnp")
        + f"""
@jax.jit
def step(w, x, y):
    return [a - 0.1 * g for a, g in zip(w, jax.grad(loss)(w, x, y))]
w, x, y = [jnp.asarray(a) for a in w], jnp.asarray(x), jnp.asarray(y)
for _ in range({case.steps}):
    w = step(w, x, y)
"""
        + RESULT
    )


def torch(case: Case) -> str:
    """The update by hand, as for the others: making a torch.optim.SGD imports its compiler, which takes 2 s."""
    return (
        "import numpy as np\nimport torch\n"
        + DATA
        + LOSS.format(xp="torch")
        + f"""
w, x, y = [torch.from_numpy(a).requires_grad_() for a in w], torch.from_numpy(x), torch.from_numpy(y)
for _ in range({case.steps}):
    slopes = torch.autograd.grad(loss(w, x, y), w)
    with torch.no_grad():
        for a, g in zip(w, slopes):
            a.sub_(g, alpha=0.1)
w = [a.detach().numpy() for a in w]
"""
        + RESULT
    )


def autograd(case: Case) -> str:
    return (
        "import autograd\nimport autograd.numpy as np\n"
        + DATA
        + LOSS.format(xp="np")
        + f"""
slope = autograd.grad(loss)
for _ in range({case.steps}):
    w = [a - 0.1 * g for a, g in zip(w, slope(w, x, y))]
"""
        + RESULT
    )


def limit(case: Case) -> str:
    """NumPy by hand."""
    return (
        "import numpy as np\n"
        + DATA
        + f"""
a, b, c, d = w
for _ in range({case.steps}):
    h = np.tanh(x @ a + b)
    e = (h @ c + d - y) * (2.0 / len(y))
    z = (e @ c.T) * (1.0 - h * h)
    a, b, c, d = a - 0.1 * (x.T @ z), b - 0.1 * z.sum(0), c - 0.1 * (h.T @ e), d - 0.1 * e.sum(0)
w = [a, b, c, d]
"""
        + RESULT
    )


SUITE = ProcessSuite(
    "xor", __doc__, cases,
    {"wengert": wengert, "jax": jax, "torch": torch, "autograd": autograd, "limit": limit},
    whole_process=True,
)  # fmt: skip
