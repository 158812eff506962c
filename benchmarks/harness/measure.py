"""Runs one suite of calls: prepare every peer, compare their results, then time them in turns A B C A B C."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.agree import disagreements
from harness.model import Case, NotHere, Suite
from harness.peers import OURS, PEERS, installed
from harness.pool import Pool, Remote, WorkerError
from harness.stats import Spread, break_even, rounds_for, spread

REFERENCE = ("limit", "autograd", "jax", "torch", "wengert")


@dataclass(frozen=True)
class Method:
    """How long and how often."""

    rounds: int = 11
    batch: float = 0.03
    """A turn repeats the call until about so many seconds are filled."""
    settle: float = 0.15
    """Warm-up before the first turn, in seconds."""
    budget: float = 10.0
    """Seconds a peer may take for all its turns at one case; slow calls get fewer turns, never under 3."""
    timeout: float = 240.0
    threads: int = 1
    slow: bool = False
    quick: bool = False


@dataclass
class Report:
    """Everything that one run found."""

    results: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    mismatches: list[dict[str, str]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    workers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def skip(self, suite: str, case: str, peer: str, reason: str) -> None:
        self.skipped.append({"suite": suite, "case": case, "peer": peer, "reason": reason})

    def fail(self, suite: str, case: str, peer: str, reason: str) -> None:
        self.failures.append({"suite": suite, "case": case, "peer": peer, "reason": reason})

    @property
    def failed(self) -> bool:
        """A mismatch of anyone or a failure of wengert makes the run fail."""
        return bool(self.mismatches) or any(f["peer"] in OURS for f in self.failures)


def contestants(names: Iterable[str], asked: Iterable[str], method: Method, report: Report, suite: str) -> list[str]:
    """The peers of a suite that are asked for and installed."""
    found = []
    for name in names:
        peer = PEERS[name]
        if name not in asked:
            continue
        if peer.slow and not method.slow:
            continue
        if not installed(peer.package):
            report.skip(suite, "", name, f"{peer.package} is not installed")
            continue
        found.append(name)
    return sorted(found, key=list(PEERS).index)


def measure(
    suite: Suite, asked: Iterable[str], method: Method, report: Report, pool: Pool, say: Callable[[str], None]
) -> None:
    """All cases of a suite of calls."""
    peers = contestants(suite.builders, asked, method, report, suite.name)
    for case in suite.cases(method.quick):
        say(f"{suite.name}: {case.name}")
        _measure_case(suite, case, peers, method, report, pool)
    for name, remote in pool.remotes.items():
        if remote.alive:
            report.workers[name]["blas"] = remote.ask("blas")


def _measure_case(suite: Suite, case: Case, peers: list[str], method: Method, report: Report, pool: Pool) -> None:
    remotes, prepared = _prepare(suite, case, peers, method, report, pool)
    if not prepared:
        return
    results = {name: facts.pop("result") for name, facts in prepared.items()}
    reference, distances, lines = disagreements(results, case.tolerance, REFERENCE + tuple(PEERS))
    if lines:
        report.mismatches += [{"suite": suite.name, "case": case.name, "what": line} for line in lines]
        return
    samples = _turns(suite.name, case, remotes, method, report)
    rows = []
    for name, (seconds, calls) in samples.items():
        facts = prepared[name]
        rows.append(
            row_of(suite.name, case, name, "s", spread(seconds))
            | {"rounds": len(seconds), "calls": calls, "first": facts["first"], "record": facts.get("record"),
               "compile": facts.get("compile"), "kernels": facts.get("kernels"), "note": facts["note"],
               "against": reference, "distance": distances.get(name, 0.0)}
        )  # fmt: skip
    _add_break_even(rows)
    report.results += rows


def _prepare(
    suite: Suite, case: Case, peers: list[str], method: Method, report: Report, pool: Pool
) -> tuple[dict[str, Remote], dict[str, dict[str, Any]]]:
    """First calls: one peer after the other, or all at once with --quick, where nothing depends on the time."""
    remotes: dict[str, Remote] = {}
    prepared: dict[str, dict[str, Any]] = {}
    if method.quick:
        for name in peers:
            pool.get(name)
    for name in peers:
        if name in case.slow_peers and not method.slow:
            report.skip(suite.name, case.name, name, "takes minutes; with --slow")
            continue
        try:
            remotes[name] = pool.get(name)
            report.workers.setdefault(name, remotes[name].facts)
            remotes[name].post("prepare", suite.name, case, not method.quick)
        except WorkerError as error:
            report.fail(suite.name, case.name, name, str(error))
            remotes.pop(name, None)
            continue
        if not method.quick:
            _collect(suite, case, name, remotes, prepared, report)
    if method.quick:
        for name in list(remotes):
            _collect(suite, case, name, remotes, prepared, report)
    return {name: remotes[name] for name in prepared}, prepared


def _collect(
    suite: Suite, case: Case, name: str, remotes: dict[str, Remote], prepared: dict[str, Any], report: Report
) -> None:
    try:
        prepared[name] = remotes[name].collect()
    except NotHere as why:
        report.skip(suite.name, case.name, name, str(why))
    except WorkerError as error:
        report.fail(suite.name, case.name, name, str(error))


def _turns(
    suite: str, case: Case, remotes: dict[str, Remote], method: Method, report: Report
) -> dict[str, tuple[list[float], int]]:
    """Interleaved turns; per peer the seconds a call in each turn, and the calls a turn."""
    plans: dict[str, tuple[int, int]] = {}
    samples: dict[str, tuple[list[float], int]] = {}
    for name, remote in remotes.items():
        try:
            once = remote.ask("settle", method.settle)
            calls = 1 if once >= method.batch else remote.ask("calibrate", method.batch)
            plans[name] = calls, rounds_for(2 * once * calls, method.rounds, method.budget)
            samples[name] = [], calls
        except WorkerError as error:
            report.fail(suite, case.name, name, str(error))
    for turn in range(method.rounds):
        for name in list(plans):
            calls, rounds = plans[name]
            if turn >= rounds:
                continue
            try:
                samples[name][0].append(remotes[name].ask("turn", calls))
            except WorkerError as error:
                report.fail(suite, case.name, name, str(error))
                del plans[name], samples[name]
    return samples


def row_of(suite: str, case: Case, peer: str, unit: str, found: Spread) -> dict[str, Any]:
    return {"suite": suite, "case": case.name, "params": dict(case.params), "dtype": case.dtype, "sweep": case.sweep,
            "peer": peer, "unit": unit, **asdict(found)}  # fmt: skip


def _add_break_even(rows: list[dict[str, Any]]) -> None:
    """Against JAX: with kernels compiled before (`break_even`) and with an empty kernel cache (`..._cold`)."""
    theirs = next((r for r in rows if r["peer"] == "jax"), None)
    for row in rows:
        if theirs is None or theirs["note"] == "no jit" or row["peer"] not in OURS:
            continue
        for key, first in (("break_even", row["record"]), ("break_even_cold", row["first"])):
            if first is not None:
                row[key] = break_even(first, row["median"], theirs["first"], theirs["median"])
