"""start: a fresh process, from its first line to its first gradient: import, record, compile, run."""

from __future__ import annotations

from harness.model import Case, ProcessSuite

N = 100
BODY = """
def f(x):
    return {sum}(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2) + {sum}({xp}.tanh(x))
"""


def cases(quick: bool) -> list[Case]:
    """With kernels compiled before, and without. Only wengert and JAX have a cache that can be empty."""
    if quick:  # importing PyTorch takes seconds
        return [Case("warm kernel cache", {"cache": "warm"}, without=("torch",))]
    empty = Case("empty kernel cache", {"cache": "empty"}, without=("jax-tuned",))
    return [empty, Case("warm kernel cache", {"cache": "warm"})]


def wengert(case: Case) -> str:
    return (
        "import numpy as np\nimport wengert\n" + BODY.format(xp="np", sum="np.sum")
        + f"value, slope = wengert.value_and_grad(f)(np.linspace(-1.0, 1.0, {N}))\nresult = [value, *slope]\n"
    )  # fmt: skip


def jax(case: Case) -> str:
    return (
        "import numpy as np\nimport jax\nimport jax.numpy as jnp\njax.config.update('jax_enable_x64', True)\n"
        + BODY.format(xp="jnp", sum="jnp.sum")
        + f"value, slope = jax.jit(jax.value_and_grad(f))(np.linspace(-1.0, 1.0, {N}))\n"
        + "result = [float(value), *np.asarray(slope)]\n"
    )


def jax_tuned(case: Case) -> str:
    """With JAX's own compilation cache, which is off unless asked for, where that cache has been filled before."""
    keep = (
        "import os\n"
        "if 'JAX_CACHE' in os.environ:\n"
        "    jax.config.update('jax_compilation_cache_dir', os.environ['JAX_CACHE'])\n"
        "    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
        "    jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)\n"
    )
    return jax(case).replace("import jax.numpy as jnp\n", "import jax.numpy as jnp\n" + keep)


def torch(case: Case) -> str:
    return (
        "import numpy as np\nimport torch\n" + BODY.format(xp="torch", sum="torch.sum")
        + f"x = torch.tensor(np.linspace(-1.0, 1.0, {N}), requires_grad=True)\nvalue = f(x)\n"
        + "slope, = torch.autograd.grad(value, x)\nresult = [value.item(), *slope.numpy()]\n"
    )  # fmt: skip


def autograd(case: Case) -> str:
    return (
        "import autograd\nimport autograd.numpy as np\n" + BODY.format(xp="np", sum="np.sum")
        + f"value, slope = autograd.value_and_grad(f)(np.linspace(-1.0, 1.0, {N}))\nresult = [value, *slope]\n"
    )  # fmt: skip


def limit(case: Case) -> str:
    return f"""
import numpy as np
x = np.linspace(-1.0, 1.0, {N})
d, e, t = x[1:] - x[:-1] ** 2, 1.0 - x[:-1], np.tanh(x)
slope = 1.0 - t * t
slope[:-1] += -400.0 * x[:-1] * d - 2.0 * e
slope[1:] += 200.0 * d
result = [np.sum(100.0 * d ** 2 + e ** 2) + np.sum(t), *slope]
"""


SUITE = ProcessSuite(
    "start", __doc__, cases,
    {"wengert": wengert, "jax": jax, "jax-tuned": jax_tuned, "torch": torch, "autograd": autograd, "limit": limit},
)  # fmt: skip
