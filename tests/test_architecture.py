"""Check the floors of the house: a file imports from its own room and from lower floors only."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

from numerics.jit import COMPILED_SOURCES
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
JIT_DECORATORS = {"jit", "jit_holding_gil"}
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Pow)


COST_ROOMS = {"estimation", "models"}
"""Where costs are worked out."""
BPS_ARITHMETIC = {
    "backtest._choose_tier": "a fee rate that was typed in bps",
    "backtest._format_tier": "a fee rate for the command line, which counts in bps",
    "calculations.filled_or_not_bps": "the two ends of a waiting order, of which an estimate holds only the mean",
    "exporting.rows": "net_cost_pct: bps to percent",
    "exporting.rows._in_quote": "bps to money: times the notional",
    "backtesting.summary._average_by_hour": "a mean over books",
    "fee_calculator.FeeCalculator.next_tier": "what the next tier would save, for all fees are worked out there",
    "fee_calculator.fee_bps": "the fee itself: a rate to bps",
    "orderbook.book.OrderBook.spread_bps": "the book's own spread, for the page",
    "sessions.comparison.all_in_price": "net cost to a price, by which venues are compared",
    "ui.charts.backtest.over_time_chart": "the height of a drawn range",
    "ui.charts.base.min_axis_length": "the length of an axis",
    "ui.charts.cost.cost_history_chart": "the height of a drawn range",
    "ui.charts.cost.stack_components": "the places of stacked bars",
    "ui.charts.depth._cumulative": "how far a level lies from the mid",
    "ui.charts.depth._within": "how far a level lies from the mid",
    "ui.charts.depth.depth_chart": "how far levels and the worst price lie from the mid",
    "ui.charts.models.frontier": "a model's costs to bps, for schedules that no order asks for",
    "ui.estimate_panel.cost_bar": "bps to percent of the bar's width",
    "ui.estimate_panel.estimate_view": "bps to money, and fee rates to bps",
    "ui.text.advice._in_quote": "bps to money",
    "ui.text.captions._fee_words": "fee rates to bps",
    "ui.text.captions.fee_words": "bps to money",
    "ui.text.captions.net_band": "the slippage's band, shifted by the two parts that have none",
}
"""All else that computes with numbers in bps, and why it is no formula of a cost."""


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


def is_compiled_source(module: str) -> bool:
    """Whether a change of this file is noticed before kept machine code is used."""
    return bool({room_of(module), f"{module.replace('.', '/')}.py"} & set(COMPILED_SOURCES))


def compiled_functions(module: str) -> list[ast.FunctionDef]:
    """Return the functions of a file that are compiled."""
    return [
        node
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef) and JIT_DECORATORS & set(map(ast.unparse, node.decorator_list))
    ]


@cache
def imported_names(module: str) -> dict[str, tuple[str, str]]:
    """Return each name that a file imports from a file of ours: that file, and the name there."""
    names = {}
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: (alias.name, "") for alias in node.names if alias.name in FILES}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                source = (submodule, "") if submodule in FILES else (str(node.module), alias.name)
                if source[0] in FILES:
                    names[alias.asname or alias.name] = source
    return names


@cache
def sources_behind(module: str, name: str) -> frozenset[str]:
    """Return the files of ours that a module-level name's value comes from, constants of constants included."""
    if name in imported_names(module):
        source, original = imported_names(module)[name]
        return frozenset({source}) | sources_behind(source, original)
    values = [
        node.value
        for node in tree_of(module).body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
        if name
        in {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)}
    ]
    names = {leaf.id for value in values for leaf in ast.walk(value) if isinstance(leaf, ast.Name)} - {name}
    return frozenset().union(*(sources_behind(module, each) for each in names))


@files
def test_user_of_the_compiler_is_a_compiled_source(module: str) -> None:
    """Machine code is kept for the sources of COMPILED_SOURCES as they are; code of another file could be stale."""
    if "numerics.jit" in own_imports(module) or compiled_functions(module):
        assert is_compiled_source(module)


@files
def test_compiled_function_uses_names_of_compiled_sources_only(module: str) -> None:
    """What a compiled function takes from another file of ours counts in the digest of its kept machine code."""
    for function in compiled_functions(module):
        for name in {leaf.id for leaf in ast.walk(function) if isinstance(leaf, ast.Name)}:
            outside = {source for source in sources_behind(module, name) if not is_compiled_source(source)}
            assert not outside, f"{module}: {function.name} uses {name} of {sorted(outside)}"


def test_compiled_sources_are_those_with_compiled_functions() -> None:
    """None is digested in vain, and the decorators are those that compile."""
    compiling = {f"{module.replace('.', '/')}.py" for module in FILES if compiled_functions(module)}
    assert all(any(file.startswith(source) for file in compiling) for source in COMPILED_SOURCES)
    compilers = {node.name for node in tree_of("numerics.jit").body if isinstance(node, ast.FunctionDef)}
    assert {name for name in compilers if name.startswith("jit")} == JIT_DECORATORS


def is_bps(node: ast.AST) -> bool:
    """Whether this is a number in bps by its name, or the factor from a share to bps."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.endswith("bps")
        case ast.Constant(value=value):
            return value == 1e4 or (isinstance(value, str) and value.endswith("_bps"))
    return False


def users_of_bps(module: str) -> set[str]:
    """Return the functions of a file that compute with numbers in bps; the file itself for what stands outside them."""
    found = set()

    def visit(node: ast.AST, place: str) -> None:
        for child in ast.iter_child_nodes(node):
            inside = f"{place}.{child.name}" if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else place
            computes = isinstance(child, (ast.BinOp, ast.AugAssign)) and isinstance(child.op, ARITHMETIC)
            counted = {
                leaf
                for call in ast.walk(child)
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "len"
                for leaf in ast.walk(call)
            }
            if computes and any(is_bps(leaf) for leaf in ast.walk(child) if leaf not in counted):
                found.add(inside)
            visit(child, inside)

    visit(tree_of(module), module)
    return found


def test_costs_are_computed_in_estimation_and_models_alone() -> None:
    """Each formula of a cost stands once. Elsewhere its numbers are converted, averaged and drawn, as listed."""
    elsewhere = (users_of_bps(module) for module in FILES if room_of(module) not in COST_ROOMS)
    assert set().union(*elsewhere) == set(BPS_ARITHMETIC)


def test_room_names_hide_no_standard_library_module() -> None:
    """The exception is profiling, whose name is given: Python 3.15 has a package of that name."""
    assert not (set(FLOOR) - {"profiling"}) & sys.stdlib_module_names
