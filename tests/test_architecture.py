"""Check the floors of the house: a file imports from its own room and from lower floors only."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import PROJECT, product_files

FLOORS = (
    {"app"},
    {"ui"},
    {"sessions", "replay", "backtest"},
    {"websocket_client", "backtesting", "export_manager"},
    {"network", "recording", "calculations", "exporting"},
    {"feeds", "estimation"},
    {"orderbook", "models", "fee_calculator"},
    {"numerics", "fees", "profiling"},
)
"""Rooms, the highest floor first: a root module or a package."""

FLOOR = {room: len(FLOORS) - place for place, rooms in enumerate(FLOORS) for room in rooms}
DRAWS = {"app", "ui"}
PLAIN_UI = ("ui.charts", "ui.text")
MOST_LINES = 400


def module_of(path: Path) -> str:
    """Return the dotted name of a file; that of an __init__ file is the package's."""
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in product_files()}
files = pytest.mark.parametrize("module", sorted(FILES))


def room_of(module: str) -> str:
    """Return the room of a module: its first name."""
    return module.split(".", maxsplit=1)[0]


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text())


@cache
def imports(module: str) -> frozenset[str]:
    """Return the modules that a file imports anywhere: ours by their whole name, others as written."""
    names: set[str] = set()
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: imports are absolute here"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (submodules & set(FILES)) or {str(node.module)}
    return frozenset(names)


def own_imports(module: str) -> set[str]:
    """Return the modules of the project that a module imports."""
    return {name for name in imports(module) if name in FILES}


def streamlit_users() -> set[str]:
    """Return the modules that import Streamlit."""
    return {module for module in FILES if any(name.split(".")[0] == "streamlit" for name in imports(module))}


@files
def test_module_imports_only_its_own_room_and_lower_floors(module: str) -> None:
    """Every room has its floor; other rooms on the same floor and on higher ones are out of reach."""
    room = room_of(module)
    assert room in FLOOR, f"{room} has no floor: say where it stands"
    wrong = {name for name in own_imports(module) if room_of(name) != room and FLOOR[room_of(name)] >= FLOOR[room]}
    assert not wrong, f"{module} imports {sorted(wrong)}"


def test_imports_have_no_cycle() -> None:
    """Each file can be read after those it imports."""
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path, module))}"
        if module not in done:
            for name in own_imports(module) - {module}:
                visit(name, (*path, module))
            done.add(module)

    for module in FILES:
        visit(module, ())


def test_longest_import_chain_crosses_at_most_eight_rooms() -> None:
    """From app.py to the lowest floor there are at most eight rooms, and the floors list the rooms that exist."""
    assert {room_of(module) for module in FILES} == set(FLOOR)
    below = {room: {room_of(n) for m in FILES if room_of(m) == room for n in own_imports(m)} - {room} for room in FLOOR}

    @cache
    def longest(room: str) -> int:
        return 1 + max(map(longest, below[room]), default=0)

    assert longest("app") <= len(FLOORS)


def test_only_app_and_ui_import_streamlit() -> None:
    """Everything else, charts and texts included, can be used and tested without a page."""
    users = streamlit_users()
    assert {room_of(module) for module in users} == DRAWS
    assert not {module for module in users if module.startswith(PLAIN_UI)}


def test_root_has_nine_modules_and_no_file_exceeds_400_lines() -> None:
    """The root holds nine modules, and no file of the product has more than four hundred lines."""
    assert (
        len(list(PROJECT.glob("*.py")))
        == sum("." not in module and FILES[module].stem == module for module in FILES)
        == 9
    )
    too_long = {
        module: count for module in FILES if (count := len(FILES[module].read_text().splitlines())) > MOST_LINES
    }
    assert not too_long


@files
def test_module_calls_nothing_at_import(module: str) -> None:
    """A module's top level only defines: no call is a statement of its own there."""
    for node in tree_of(module).body:
        bare_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        assert not bare_call, f"{module}:{node.lineno} calls something at import"


@files
def test_jit_function_uses_names_of_its_own_file_only(module: str) -> None:
    """A compiled function names nothing from another file of ours: numba would not see it change."""
    decorators = {"jit", "jit_holding_gil"}
    tree = tree_of(module)
    foreign_names = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and room_of(node.module) in FLOOR
        for alias in node.names
    }
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and decorators & set(map(ast.unparse, node.decorator_list)):
            names_used = {
                node_inside.id
                for part in node.body
                for node_inside in ast.walk(part)
                if isinstance(node_inside, ast.Name)
            }
            assert not names_used & foreign_names, (
                f"{module}: {node.name} uses {sorted(names_used & foreign_names)} of another file"
            )


def test_room_names_hide_no_standard_library_module() -> None:
    """The exception is profiling, whose name is given: Python 3.15 has a package of that name."""
    assert not (set(FLOOR) - {"profiling"}) & sys.stdlib_module_names
