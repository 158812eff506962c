"""Measures whole processes: a script in a fresh interpreter, timed or weighed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.agree import disagreements
from harness.machine import cores
from harness.measure import REFERENCE, Method, Report, contestants, row_of
from harness.model import MARK, Case, NotHere, ProcessSuite
from harness.peers import PEERS, environment
from harness.pool import WorkerError
from harness.stats import spread

_HEAD = """import os, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-{threads}:])
_start = time.perf_counter()
def _peak():
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024 / 1e6
    except OSError:
        pass
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


def measure_processes(
    suite: ProcessSuite,
    asked: Iterable[str],
    method: Method,
    report: Report,
    cache: str | None,
    say: Callable[[str], None],
) -> None:
    """All cases of a suite of whole processes. The first run of each is compared; it counts with --quick only."""
    peers = contestants(suite.scripts, asked, method, report, suite.name)
    for case in suite.cases(method.quick):
        say(f"{suite.name}: {case.name}")
        first = _round(suite, case, peers, method, report, cache, at_once=cores() if method.quick else 1)
        if not first:
            continue
        parts = {name: _parts(suite, values) for name, (_, values) in first.items()}
        reference, distances, lines = disagreements(parts, case.tolerance, REFERENCE + tuple(PEERS))
        if lines:
            report.mismatches += [{"suite": suite.name, "case": case.name, "what": line} for line in lines]
            continue
        samples = {name: [once] if method.quick else [] for name, (once, _) in first.items()}
        for _ in range(0 if method.quick else suite.rounds):
            for name, (once, _) in _round(suite, case, list(samples), method, report, cache).items():
                samples[name].append(once)
        report.results += [
            row_of(suite.name, case, name, suite.unit, spread(found))
            | {"rounds": len(found), "calls": 1, "against": reference, "distance": distances.get(name, 0.0)}
            for name, found in samples.items()
            if found
        ]


def _parts(suite: ProcessSuite, values: list[float]) -> list[list[float]]:
    """What is compared: the value and all the rest; each number by itself where they are norms."""
    return [[v] for v in values] if suite.unit == "MB" else [values[:1], values[1:]]


def _round(
    suite: ProcessSuite,
    case: Case,
    peers: list[str],
    method: Method,
    report: Report,
    cache: str | None,
    at_once: int = 1,
) -> dict[str, tuple[float, list[float]]]:
    """One process for each peer; (figure, result) of those that finished."""
    found = {}
    with ThreadPoolExecutor(at_once) as executor:
        jobs = {
            name: executor.submit(sample, suite, case, name, method.threads, method.timeout, cache) for name in peers
        }
        for name, job in jobs.items():
            try:
                found[name] = job.result()
            except NotHere as why:
                report.skip(suite.name, case.name, name, str(why))
            except WorkerError as error:
                report.fail(suite.name, case.name, name, str(error))
    return found
