"""Who may import whom: the two wings, market data and costs, meet only where a page or a backtest joins them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]

COSTS_FLOOR_1 = {"fee_schedules", "fee_file", "fee_calculator", "calibration", "scorecard", "estimators", "models"}
BATCH = {"batch_walk", "batch_moments", "batch_costs", "batch_pricing", "batch_hindsight"}
LEARNING = {"features", "ladder", "labels", "knowledge", "learning", "outcomes", "pricing", "hindsight"}

ALLOWED: dict[str, set[str]] = {
    # floor 0: how a function becomes machine code
    "compiled": {"numba"},
    # floor 1: values and formulas
    "book_sides": {"compiled", "numpy"},
    "orderbook": {"book_sides", "numpy"},
    "fee_schedules": set(),
    "fee_file": {"fee_schedules"},
    "fee_calculator": {"fee_file", "fee_schedules"},
    "calibration": {"compiled", "numpy"},
    "scorecard": {"compiled", "numpy"},
    "estimators": {"compiled", "numpy", "sklearn"},
    "models": {"estimators", "numpy", "scipy"},
    # floor 2: what a market says; what an order costs
    "feeds": {"compiled", "orderbook", "numpy", "msgspec"},
    "simulated_market": {"orderbook", "numpy", "msgspec"},
    "features": {"orderbook", "numpy"},
    "ladder": {"compiled", "orderbook", "numpy"},
    "labels": {"compiled", "ladder", "numpy"},
    "knowledge": {"calibration", "estimators", "features", "scorecard", "numpy"},
    "lessons": {"features", "knowledge", "labels", "ladder", "numpy"},
    "recent": {"compiled", "numpy"},
    "learning": {
        "calibration", "compiled", "estimators", "features", "knowledge", "ladder", "lessons", "recent", "scorecard",
        "numpy",
    },
    "outcomes": {"features", "knowledge", "ladder", "learning", "orderbook", "numpy"},
    "pricing": {"features", "knowledge", "orderbook"},
    "hindsight": {"orderbook"},
    "order": {"calibration", "fee_calculator", "orderbook"},
    "calculations": COSTS_FLOOR_1 | LEARNING | {"order", "orderbook", "numpy"},
    # floor 3: the same for many books at once
    "batch_walk": {"compiled", "ladder", "orderbook", "numpy"},
    "batch_moments": {"compiled", "features", "ladder", "orderbook", "numpy"},
    "batch_costs": {"calibration", "models", "numpy"},
    "batch_pricing": COSTS_FLOOR_1 | LEARNING | {"batch_costs", "batch_walk", "calculations", "orderbook", "numpy"},
    "batch_hindsight": {"batch_walk", "calculations", "labels", "ladder", "orderbook", "numpy"},
    # floor 3: sockets and files
    "rest": {"websockets"},
    "connection": {"feeds", "rest", "orderbook", "websockets"},
    "reconnect": {"connection", "feeds", "rest"},
    "websocket_client": {"connection", "reconnect", "rest", "feeds", "orderbook", "websockets"},
    "tardis": {"feeds", "orderbook", "msgspec"},
    "recording": {"tardis", "msgspec"},
    "playback": {"recording", "websockets"},
    "engine": {"playback", "recording"},
    "replay": {
        "engine", "playback", "recording", "tardis", "feeds", "orderbook", "simulated_market", "websocket_client",
        "msgspec",
    },
    "survey": {"feeds", "orderbook", "recording", "replay"},
    "player": {"engine", "feeds", "survey"},
    "profiling": {"calculations", "export_file", "export_table", "pandas", "psutil", "pyarrow"},
    "export_file": set(),
    "export_table": {"export_file", "pandas", "pyarrow", "numpy"},
    "export_rows": COSTS_FLOOR_1 | LEARNING | {"calculations", "orderbook", "numpy", "pandas", "pyarrow"},
    "export_manager": COSTS_FLOOR_1 | LEARNING | {"export_rows"}
    | {"calculations", "export_file", "export_table", "orderbook", "profiling", "numpy", "pandas", "pyarrow"},
    # floor 4: pictures, words, and one viewer's wiring, where the wings meet
    "timeline": {"charts"},
    "trail": set(),
    "charts": {"calculations", "orderbook", "words", "numpy"},
    "charts_cost": {"calculations", "charts", "orderbook", "trail", "numpy"},
    "charts_models": {"calculations", "charts", "hindsight", "scorecard", "numpy"},
    "advice": {"calculations", "orderbook", "words"},
    "provenance": {"calculations", "outcomes", "pricing", "scorecard", "words"},
    "comparison": {"calculations", "fee_calculator", "feeds", "session", "websocket_client"},
    "words": {
        "calculations", "comparison", "fee_calculator", "orderbook", "profiling", "session", "websocket_client",
    },
    "book_cache": {"feeds", "ladder", "orderbook", "replay", "numpy"},
    "backtest_blocks": COSTS_FLOOR_1 | LEARNING | BATCH | {"book_cache", "calculations", "orderbook", "numpy"},
    "backtest_summary": {"batch_pricing", "calculations", "scorecard", "numpy"},
    "backtest_run": {
        "backtest_blocks", "backtest_summary", "book_cache", "calculations", "export_rows", "export_table",
        "distributed", "joblib", "numpy", "pyarrow",
    },
    "backtest": {
        "backtest_blocks", "backtest_run", "backtest_summary", "book_cache", "calculations", "export_rows",
        "fee_calculator", "feeds", "orderbook", "replay", "pandas", "pyarrow",
    },
    "backtest_job": {
        "backtest_blocks", "backtest_run", "backtest_summary", "book_cache", "calculations", "export_table", "pandas",
        "pyarrow",
    },
    "backtest_words": {"backtest_job", "backtest_summary", "calculations", "fee_calculator", "provenance", "words"},
    "charts_backtest": {"backtest_summary", "charts", "numpy"},
    "session": {
        "calculations", "export_manager", "feeds", "orderbook", "player", "profiling", "recording", "replay", "rest",
        "trail", "websocket_client",
    },
}  # fmt: skip


def modules() -> dict[str, list[Path]]:
    """Our own modules and the files they are made of; a package is one."""
    found = {path.stem: [path] for path in PROJECT.glob("*.py")}
    for package in ("feeds", "page"):
        found[package] = sorted((PROJECT / package).glob("*.py"))
    return found


def imports(path: Path) -> set[str]:
    """The top-level names a file imports, anywhere in it, standard library left out."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_only_what_its_floor_allows(module: str) -> None:
    """A module imports what the table names and nothing else; the page may import everything."""
    if module in ("app", "page"):
        return
    assert module in ALLOWED, f"{module}.py is not in the table: say what it may import"
    used = set().union(*(imports(path) for path in modules()[module])) - {module}
    assert used <= ALLOWED[module], f"{module} imports {sorted(used - ALLOWED[module])}"


def test_only_the_page_imports_streamlit() -> None:
    """Everything else can be used and tested without a page."""
    users = {name for name, paths in modules().items() if any("streamlit" in imports(path) for path in paths)}
    assert users == {"app", "page"}


@pytest.mark.parametrize("module", sorted(modules()))
def test_nothing_happens_at_import(module: str) -> None:
    """A module's top level only defines: no call stands there as a statement of its own."""
    for path in modules()[module]:
        for node in ast.parse(path.read_text()).body:
            bare_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
            assert not bare_call, f"{path.name}:{node.lineno} calls something at import"


@pytest.mark.parametrize("module", sorted(modules()))
def test_machine_code_is_made_of_its_own_file_alone(module: str) -> None:
    """Nothing that a compiled function names comes from another file of ours: numba would not see it change."""
    ways = {"compiled", "compiled_brief"}
    for path in modules()[module]:
        tree = ast.parse(path.read_text())
        ours = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in modules()
            for alias in node.names
        }
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and ways & set(map(ast.unparse, node.decorator_list)):
                named = {each.id for part in node.body for each in ast.walk(part) if isinstance(each, ast.Name)}
                assert not named & ours, f"{path.name}: {node.name} uses {sorted(named & ours)} of another file"
