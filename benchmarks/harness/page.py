"""What a run shows: small print, table, what was left out, what went wrong. From the JSON document alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness import table
from harness.stats import in_words

Document = Mapping[str, Any]


def small_print(found: Document) -> list[str]:
    """Machine, versions, method, and how to read the columns."""
    m, method = found["machine"], found["method"]
    commit = found["commit"]["hash"][:10] + (" with changes" if found["commit"]["dirty"] else "")
    lines = [
        f"{m['processor']}; {m['usable_cores']} cores; Python {m['python']}; commit {commit}",
        ", ".join(f"{k} {v}" for k, v in found["versions"].items()),
        f"threads: {method['threads']} for every peer. Up to {method['rounds']} rounds in turns (fewer, but at least "
        f"{method['least']}, where calls take long; from 5 on a peer stops when its quartiles lie within "
        f"{method['enough']:.0%}), about {method['batch'] * 1e3:.0f} ms a turn, {method['settle'] * 1e3:.0f} ms of "
        "warm-up, a tenth of each turn untimed, garbage collector off, results waited for. Median and quartiles of "
        "seconds a call.",
    ]
    chosen: dict[str, list[str]] = {}
    for name, facts in found["workers"].items():
        for line in facts.get("blas", []):
            chosen.setdefault(line, []).append(name)
    lines += [f"BLAS {line} (in {', '.join(users)})" for line, users in chosen.items()]
    lines += [
        "first call: build, record or trace, compile, run. For wengert, `compile` is what an empty kernel cache adds "
        "(paid once an installation) and `record` is a new function's first call without it; `in background` is what a "
        "thread compiles for each function that is called often (after 30 ms of calls; here after the second call, and "
        "waited for).",
        "break-even: up to (or from) how many calls wengert has spent less time than JAX, first calls included.",
    ]
    return lines


def warnings(found: Document) -> list[str]:
    """Why the figures may not be worth much."""
    load = found["machine"]["load_before"]
    return [
        *([f"the load was {load} at the start: others were busy here"] if load is not None and load > 0.5 else []),
        *(["a --quick run: results are compared, times mean nothing"] if found["quick"] else []),
    ]


def left_out(found: Document) -> list[str]:
    """Each reason with the places where it held."""
    reasons: dict[str, list[str]] = {}
    for skip in found["skipped"]:
        where = " ".join(part for part in (skip["suite"], skip["case"], skip["peer"]) if part)
        reasons.setdefault(skip["reason"], []).append(where)
    return [f"left out: {reason}: {'; '.join(places)}" for reason, places in reasons.items()]


def went_wrong(found: Document) -> list[str]:
    """Mismatches and failures."""
    lines = [f"RESULTS DIFFER: {line['suite']} {line['case']}: {line['what']}" for line in found["mismatches"]]
    return lines + [f"FAILED: {f['suite']} {f['case']} {f['peer']}: {f['reason']}" for f in found["failures"]]


def spent(found: Document) -> list[str]:
    """Where the time of the run went, and which suites took most of it."""
    whole: dict[str, float] = {}
    for parts in found["spent"].values():
        for what, seconds in parts.items():
            whole[what] = whole.get(what, 0.0) + seconds
    suites = {suite: sum(parts.values()) for suite, parts in found["spent"].items()}

    def listed(book: Mapping[str, float]) -> str:
        return ", ".join(f"{name} {seconds:.0f}" for name, seconds in sorted(book.items(), key=lambda x: -x[1]))

    return [f"The run took {in_words(found['seconds'])}: {listed(whole)}.", f"By suite: {listed(suites)}."]


def markdown(found: Document) -> str:
    """The whole page as Markdown."""

    def items(lines: Iterable[str]) -> str:
        return "\n".join(f"- {line}" for line in lines)

    notes = [f"**{line}**" for line in (*went_wrong(found), *warnings(found))]
    parts = [items(notes), table.markdown(found["results"]), items(small_print(found)), items(left_out(found))]
    return "\n\n".join(part for part in [*parts, items(spent(found))] if part)


def terminal(found: Document, console: Any) -> None:
    """The whole page on a terminal; what went wrong comes last, where it is seen."""

    def show(lines: Iterable[str], style: str = "") -> None:
        for line in lines:
            console.print(line, style=style, highlight=False, markup=False)

    steps: list[tuple[Callable[[Document], list[str]], str]] = [
        (small_print, ""), (warnings, "yellow"), (left_out, ""), (spent, ""), (went_wrong, "bold red")
    ]  # fmt: skip
    for k, (lines, style) in enumerate(steps):
        if k == 2:
            console.print()
            table.show(found["results"], console)
        show(lines(found), style)
