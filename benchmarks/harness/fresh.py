"""Measures whole processes: a script in a fresh interpreter, timed or weighed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.model import Case, ProcessSuite
from harness.peers import environment
from harness.pool import WorkerError

MARK = "# --- measured ---"
_HEAD = """import os, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-{threads}:])
_start = time.perf_counter()
def _peak():
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
_before = 0.0
"""
_TAIL = """
_taken = time.perf_counter() - _start
_grown = _peak() - _before
import json
print("RESULT " + json.dumps({"seconds": _taken, "MB": _grown, "result": [float(_v) for _v in result]}))
"""


def run_script(text: str, threads: int, cache_dir: str | None, timeout: float) -> dict[str, Any]:
    """Run one script in a fresh process; what it measured, and the process's own wall time."""
    text = text.replace(MARK, "_before = _peak()")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.py"
        path.write_text(_HEAD.format(threads=threads) + text + _TAIL, encoding="utf-8")
        start = time.perf_counter()
        try:
            done = subprocess.run(
                [sys.executable, str(path)], env=environment(threads, cache_dir), capture_output=True, text=True,
                timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise WorkerError(f"no result after {timeout:.0f} s") from None
        wall = time.perf_counter() - start
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines()
        raise WorkerError(said[-1][:300] if said else f"exit code {done.returncode}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return found | {"process": wall}


def sample(
    suite: ProcessSuite, case: Case, peer: str, threads: int, timeout: float, warm: str | None
) -> tuple[float, Any]:
    """One measurement and its result. `warm` is the kernel cache of cases that do not ask for an empty one."""
    text = suite.scripts[peer](case)
    if case.params.get("cache") == "empty":
        with tempfile.TemporaryDirectory() as empty:
            found = run_script(text, threads, empty, timeout)
    else:
        found = run_script(text, threads, warm, timeout)
    key = "MB" if suite.unit == "MB" else "process" if suite.whole_process else "seconds"
    return found[key], found["result"]
