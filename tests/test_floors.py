"""The floors of the library: imports only go down, and each foreign library has one door."""

import ast
from pathlib import Path

import pytest

import wengert

ROOT = Path(wengert.__file__).parent

# From the bottom up; names on one row are neighbours that do not know each other unless listed again below.
FLOORS = (
    ("errors", "_version", "syntax"),
    ("_straight",),
    ("_jit.language", "_jit.blas"),
    ("_jit.compiler",),
    ("_jit.cache", "_jit.entry"),
    ("_jit", "_figure"),
    ("shapes", "tree", "threads"),
    ("names",),
    ("ops.spec",),
    ("ops.table",),
    ("ops.vecmath",),
    ("ops.strided", "ops.loopcode"),
    ("ops.elementwise",),
    ("ops",),
    ("tape",),
    ("tapefile",),
    ("plan",),
    ("vm", "hot"),
    ("record.state", "record.held", "record.refusals"),
    ("record.tracer",),
    ("record.recorder", "record.indexing"),
    ("record.noting",),
    ("record.following",),
    ("record.rules",),
    ("record.numbers",),
    ("record",),
    ("transform",),
    ("loops.split", "loops.schedule"),
    ("loops.lowering",),
    ("loops.op",),
    ("loops.revolve", "loops.body", "loops.memory"),
    ("loops.checkpointed",),
    (
        "loops.bptt",
        "loops.hoist",
    ),
    ("loops.scan",),
    ("loops.turns",),
    ("loops",),
    ("draw",),
    ("signature", "branches", "captures"),
    ("history",),
    ("function", "recorded"),
    ("flow", "compiled", "explained"),
    ("check",),
    ("__init__",),
    ("nn", "optim", "tasks", "plots"),
    ("train", "show"),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, row in enumerate(FLOORS) for name in row}
ROOMS = {"ops", "plan", "vm", "record", "transform", "loops", "draw", "check", "nn", "optim", "train", "tasks", "cli"}
"""Packages, or files that may become packages, whose parts on one floor may use each other."""
USERS = ("nn", "optim", "tasks", "plots", "train", "show", "cli", "__main__")
"""Rooms that use the library as everybody does: by its public names."""


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


FILES = {module_name(p): p for p in sorted(ROOT.rglob("*.py"))}


def level(name):
    """The floor of a module: its own row, or that of its package."""
    while name not in LEVEL:
        assert "." in name, f"{name} has no floor; give it one in FLOORS"
        name = name.rpartition(".")[0]
    return LEVEL[name]


def room(name):
    return name.partition(".")[0]


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(path):
    """(module, name or None, inside a function, line) of every import that is executed."""
    found = []

    def walk(node, inside):
        if isinstance(node, ast.Import):
            found.extend((a.name, None, inside, node.lineno) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: relative import"
            found.extend((node.module, a.name, inside, node.lineno) for a in node.names)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if is_type_checking(node):
            for child in node.orelse:
                walk(child, inside)
            return
        for child in ast.iter_child_nodes(node):
            walk(child, inside)

    walk(ast.parse(path.read_text()), False)
    return found


def target(module, name):
    """The module of ours that an import reads, or None for a foreign one."""
    if module == "wengert":
        return name if name in FILES else "__init__"
    if not module.startswith("wengert."):
        return None
    inner = module.removeprefix("wengert.")
    return f"{inner}.{name}" if f"{inner}.{name}" in FILES else inner


def upward(inside_functions):
    found = []
    for name, path in FILES.items():
        for module, what, inside, line in imports(path):
            to = target(module, what)
            if to is None or inside is not inside_functions:
                continue
            mine, other = level(name), level(to)
            same_room = mine == other and room(name) == room(to) and room(name) in ROOMS
            if not (other < mine or same_room):
                found.append(f"{name}:{line} imports {to}")
    return found


def test_every_file_has_a_floor():
    assert {"errors", "_jit", "ops.elementwise", "plan.lower", "record.tracer", "function"} <= set(FILES)
    for name in FILES:
        level(name)


def test_the_reader_sees_imports():
    assert any(m == "numba" and inside for m, _, inside, _ in imports(FILES["_jit.language"]))
    assert any(m == "wengert.errors" and not inside for m, _, inside, _ in imports(FILES["shapes"]))
    assert all(m != "wengert.record.recorder" for m, *_ in imports(FILES["record.state"]))


def test_imports_of_modules_go_down():
    assert upward(inside_functions=False) == []


def test_imports_inside_functions_go_down():
    assert upward(inside_functions=True) == []


@pytest.mark.parametrize(
    ("library", "doors"),
    # nn registers its modules as users register their own containers
    [("numba", {"_jit"}), ("llvmlite", {"_jit"}), ("optree", {"tree", "nn.module"}), ("matplotlib", {"_figure"})],
)
def test_doors(library, doors):
    users = {n for n, p in FILES.items() if any(m.partition(".")[0] == library for m, *_ in imports(p))}
    assert {"_jit" if room(n) == "_jit" else n for n in users} == doors


def test_upper_rooms_use_public_names_only():
    for name, path in FILES.items():
        if room(name) in USERS:
            below = {(to, what) for m, what, *_ in imports(path) if (to := target(m, what)) and room(to) not in USERS}
            inner = {
                f"{to}.{what}"
                for to, what in below
                if to not in ("__init__", "_version", "errors", "tree", "check", "_figure")
            }
            assert {n.rpartition(".")[2] for n in inner} <= set(wengert.__all__), name


def test_everything_below_ops_and_vm_knows_nothing_of_recording():
    for name, path in FILES.items():
        if level(name) < LEVEL["record.state"]:
            text = {m for m, *_ in imports(path)}
            assert not any(m.startswith(("wengert.record", "wengert.transform", "wengert.loops")) for m in text), name
