"""Where wengert stands: times it against other libraries and against derivatives written by hand.

    python benchmarks/run.py                        everything, about ten minutes
    python benchmarks/run.py --quick                under a minute; asserts only that results agree
    python benchmarks/run.py --suite rnn,gru --threads 1 --json out.json

Each peer works in a process of its own. Before anything is timed, every peer's value and gradient are compared
with the others'; a difference ends the run with exit code 1. Then the peers take turns, A B C A B C.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import machine
from harness.fresh import measure_processes
from harness.measure import Method, Report, measure
from harness.peers import PEERS, installed
from harness.pool import Pool
from suites import ORDER, load

SCHEMA = 1


def names(known: Any, what: str) -> Any:
    """An argparse type: a comma-separated list of known names."""

    def parse(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in found if name not in known]
        if unknown or not found:
            raise argparse.ArgumentTypeError(f"no {what} {', '.join(unknown) or '?'}; there are {', '.join(known)}")
        return found

    return parse


def thread_count(text: str) -> int:
    """An argparse type: from 1 to the number of cores."""
    if not text.isdecimal() or not 1 <= int(text) <= machine.cores():
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {machine.cores()}, the cores there are")
    return int(text)


def old_run(text: str) -> dict[str, Any]:
    """An argparse type: a file that --json has written."""
    try:
        found = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise argparse.ArgumentTypeError(f"{text} was not written by --json of this version")
    return found


def writable(text: str) -> Path:
    """An argparse type: a file in a folder that exists."""
    path = Path(text)
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} cannot be written: no folder {path.parent}")
    return path


class Parser(argparse.ArgumentParser):
    """One clear line for a bad value, and exit code 2."""

    def error(self, message: str) -> Any:
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = Parser(prog="benchmarks/run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--suite", type=names(ORDER, "suite"), default=list(ORDER), help="which suites: " + ", ".join(ORDER))
    p.add_argument("--peers", type=names(PEERS, "peer"), default=list(PEERS), help="which peers: " + ", ".join(PEERS))
    p.add_argument("--quick", action="store_true", help="smallest cases, few repeats, under a minute")
    p.add_argument("--slow", action="store_true", help="also torch.compile and compilations that take minutes")
    p.add_argument("--threads", type=thread_count, help="threads for every peer (default: all cores; 1 with --quick)")
    p.add_argument("--json", type=writable, metavar="FILE", help="write everything that was measured")
    p.add_argument("--markdown", action="store_true", help="print Markdown instead of the terminal table")
    p.add_argument("--plot", type=writable, metavar="FILE.png", help="draw bars and lines (needs matplotlib)")
    p.add_argument("--compare", type=old_run, metavar="OLD.json", help="mark what changed beyond the spread")
    return p


def run(options: argparse.Namespace, method: Method, report: Report, say: Any) -> None:
    """Every suite that was asked for."""
    peers = [p for p in options.peers if not (method.quick and PEERS[p].ponderous)]
    with tempfile.TemporaryDirectory(prefix="kernels-") as folder, contextlib.ExitStack() as stack:
        shared = stack.enter_context(Pool(method.threads, method.timeout)) if method.quick else None
        for name in options.suite:
            suite = load(name)
            absent = [package for package in getattr(suite, "requires", ()) if not installed(package)]
            if suite.kind == "missing" or absent:
                report.skip(name, "", "", f"needs {', '.join(absent)}" if absent else suite.reason)
                continue
            # Kernels are compiled anew for each suite, so that `first call` shows what a new installation costs.
            cache = None if method.quick else str(Path(folder) / name)
            if suite.kind == "process":
                measure_processes(suite, peers, method, report, cache, say)
            elif shared is not None:
                measure(suite, peers, method, report, shared, say)
            else:
                with Pool(method.threads, method.timeout, cache) as pool:
                    measure(suite, peers, method, report, pool, say)


def document(options: argparse.Namespace, method: Method, report: Report, before: dict[str, Any]) -> dict[str, Any]:
    """What --json writes."""
    return {
        "schema": SCHEMA,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "method": asdict(method),
        "machine": before,
        "versions": machine.versions(),
        "commit": machine.commit(),
        "workers": report.workers,
        "results": report.results,
        "skipped": report.skipped,
        "mismatches": report.mismatches,
        "failures": report.failures,
    }


def explain(found: dict[str, Any], console: Any) -> None:
    """The small print above the table."""
    m, method = found["machine"], found["method"]
    commit = found["commit"]["hash"][:10] + (" with changes" if found["commit"]["dirty"] else "")
    console.print(
        f"{m['processor']}; {m['usable_cores']} cores; Python {m['python']}; commit {commit}", highlight=False
    )
    console.print(", ".join(f"{k} {v}" for k, v in found["versions"].items()), highlight=False)
    console.print(
        f"threads: {method['threads']} for every peer. {method['rounds']} rounds in turns (fewer where calls "
        f"take long), about {method['batch'] * 1e3:.0f} ms a turn, {method['settle'] * 1e3:.0f} ms of warm-up, a tenth "
        "of each turn untimed, garbage collector off, results waited for. Median and quartiles of seconds a call.",
        highlight=False,
    )
    if m["load_before"] is not None and m["load_before"] > 0.5:
        console.print(f"WARNING: the load was {m['load_before']} at the start: others were busy here", style="yellow")
    chosen: dict[str, list[str]] = {}
    for name, facts in found["workers"].items():
        for line in facts.get("blas", []):
            chosen.setdefault(line, []).append(name)
    for line, users in chosen.items():
        console.print(f"BLAS {line} (in {', '.join(users)})", highlight=False)
    console.print(
        "first call: build, record or trace, compile, run. For wengert, `compile` is what an empty kernel cache adds "
        "(paid once an installation) and `record` is a new function's first call without it.\n"
        "break-even: up to (or from) how many calls wengert has spent less time than JAX, first calls included.\n",
        highlight=False,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run, show, write; the exit code."""
    options = parser().parse_args(arguments)
    from rich.console import Console

    out = Console(width=None if sys.stdout.isatty() else 190)
    progress = Console(stderr=True, style="dim")
    if options.plot and not installed("matplotlib"):
        parser().error("--plot needs matplotlib")
    quick = {"rounds": 3, "batch": 0.001, "settle": 0.005, "budget": 0.2, "timeout": 60.0} if options.quick else {}
    threads = options.threads or (1 if options.quick else machine.cores())
    method = Method(threads=threads, slow=options.slow, quick=options.quick, **quick)
    report = Report()
    before = machine.machine()
    interrupted = False
    try:
        run(options, method, report, lambda text: progress.print(text, highlight=False))
    except KeyboardInterrupt:  # what has been measured so far is shown and written
        interrupted = True
    found = document(options, method, report, before)
    show(found, options, out)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, default=float) + "\n", encoding="utf-8")
    return 130 if interrupted else 1 if report.failed else 0


def show(found: dict[str, Any], options: argparse.Namespace, out: Any) -> None:
    """Everything for the eye."""
    from harness import compare, table

    if options.markdown:
        print(table.markdown(found["results"]))
    else:
        explain(found, out)
        table.show(found["results"], out)
    reasons: dict[str, list[str]] = {}
    for skip in found["skipped"]:
        where = " ".join(part for part in (skip["suite"], skip["case"], skip["peer"]) if part)
        reasons.setdefault(skip["reason"], []).append(where)
    for reason, places in reasons.items():
        out.print(f"left out: {reason}: {'; '.join(places)}", highlight=False, markup=False)
    for failure in found["failures"]:
        text = f"FAILED: {failure['suite']} {failure['case']} {failure['peer']}: {failure['reason']}"
        out.print(text, style="red", highlight=False, markup=False)
    for line in found["mismatches"]:
        text = f"RESULTS DIFFER: {line['suite']} {line['case']}: {line['what']}"
        out.print(text, style="bold red", highlight=False, markup=False)
    if options.compare:
        compare.show(compare.changes(found["results"], options.compare["results"]), out)
    if options.plot and found["results"]:
        from harness.plot import plot

        plot(found["results"], str(options.plot))


if __name__ == "__main__":
    sys.exit(main())
