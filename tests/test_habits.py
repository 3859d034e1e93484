"""The commands of Makefile, README.md and .ci/run are the same, and each of them names things that exist."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import PROJECT, product_files
from tests.test_architecture import FLOORS

README = (PROJECT / "README.md").read_text()
CI = (PROJECT / ".ci" / "run").read_text().splitlines()
MAKEFILE = (PROJECT / "Makefile").read_text()


def recipes() -> dict[str, list[str]]:
    """Return the commands of each target of the Makefile, without make's own marks."""
    found: dict[str, list[str]] = {}
    for line in MAKEFILE.splitlines():
        if head := re.match(r"([a-z]+):", line):
            found[head[1]] = []
        elif line.startswith("\t"):
            found[list(found)[-1]].append(line.strip().lstrip("-@"))
    return found


RECIPES = recipes()
CI_COMMANDS = [line.removesuffix(" || true") for line in CI if line.startswith(".venv/bin/")]


def test_makefile_lists_its_targets() -> None:
    """Each target is phony and explained, and the first one, which `make` alone runs, is the list."""
    assert next(iter(RECIPES)) == "help"
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert phony[1].split() == list(RECIPES)
    assert re.findall(r"^([a-z]+):.* ## \S", MAKEFILE, re.MULTILINE) == list(RECIPES)


def test_make_setup_and_test_are_readme_test_command() -> None:
    """README's one line that sets up and tests is these two targets, joined."""
    assert f"\n    {' && '.join(RECIPES['setup'] + RECIPES['test'])}\n" in README


def test_make_run_ends_readme_run_command() -> None:
    """README's one line that sets up and starts the page ends with the command of `make run`."""
    assert [line for line in README.splitlines() if line.startswith("    ") and line.endswith(*RECIPES["run"])]


@pytest.mark.skipif(shutil.which("sed") is None, reason=".ci/run needs sed")
def test_ci_begins_with_readme_test_command() -> None:
    """What .ci/run reads out of README with sed is the whole command, to the letter."""
    script = next(match[1] for line in CI if (match := re.search(r"sed -n '(.+)' README\.md", line)))
    command = ["sed", "-n", script, str(PROJECT / "README.md")]
    read = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert read[0] == " && ".join(RECIPES["setup"] + RECIPES["test"])


def test_ci_runs_what_make_runs() -> None:
    """CI does not call make, which a clean machine may lack; its commands are those of the targets, in this order."""
    wanted = [command for target in ("browser", "lint", "types", "coverage") for command in RECIPES[target]]
    assert [command for command in CI_COMMANDS if command in wanted] == wanted


def test_readme_has_the_commands_of_every_check() -> None:
    """Whoever has no make finds each command in README, the benchmarks by their module."""
    for target in ("browser", "mutations", "bench"):
        for command in RECIPES[target]:
            assert command.removeprefix(".venv/bin/python -m ") in README, command


def test_ci_runs_every_example() -> None:
    """An example that CI does not run may rot."""
    examples = sorted(f".venv/bin/python examples/{path.name}" for path in (PROJECT / "examples").glob("*.py"))
    assert sorted(command for command in CI_COMMANDS if "examples/" in command) == examples


@pytest.mark.parametrize("command", [command for commands in RECIPES.values() for command in commands] + CI_COMMANDS)
def test_command_names_what_exists(command: str) -> None:
    """Files, and modules of the benchmarks, are where a command looks for them."""
    files = re.findall(r"(?<![\w./-])([\w/]+\.(?:py|txt))", command)
    files += [f"benchmarks/{name}.py" for name in re.findall(r"-m benchmarks\.(\w+)", command)]
    assert [name for name in files if not (PROJECT / name).is_file()] == []


def functions(path: Path) -> list[ast.FunctionDef]:
    """Every function of a file."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def test_coverage_leaves_out_compiled_functions_alone() -> None:
    """The pattern in pyproject.toml matches every decorator of numerics/jit.py that is used, and no other one."""
    report = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]
    (pattern,) = report["exclude_also"]
    compilers = {function.name for function in functions(PROJECT / "numerics" / "jit.py")}
    used = {
        ast.unparse(decorator)
        for path in product_files()
        for function in functions(path)
        for decorator in function.decorator_list
    }
    assert used & compilers
    assert {name for name in used if re.search(pattern, f"@{name}")} == used & compilers


DECISIONS = sorted((PROJECT / "docs" / "decisions").glob("[0-9]*.md"))


def test_decisions_are_numbered_and_indexed() -> None:
    """The numbers run from 1 without a gap, and the index lists every record, in order, by its title and date."""
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    lines = []
    for path in DECISIONS:
        head, _, date = path.read_text().splitlines()[:3]
        lines.append(f"- [{path.name[:4]}]({path.name}) {head[8:]} ({date.removeprefix('- Date: ')})")
    index = (PROJECT / "docs" / "decisions" / "README.md").read_text().splitlines()
    assert [line for line in index if line.startswith("- ")] == lines


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name[:4])
def test_decision_has_the_form_of_a_record(path: Path) -> None:
    """Number and title, an ISO date, a status, and the three sections, none of them empty."""
    form = (
        rf"# {path.name[:4]}\. .+\n\n- Date: \d{{4}}-\d\d-\d\d\n- Status: (accepted|replaced by \d{{4}})\n"
        r"\n## Context\n\n\S[^#]+\n\n## Decision\n\n\S[^#]+\n\n## Consequence\n\n\S[^#]+\n"
    )
    assert re.fullmatch(form, path.read_text())


DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_of_documents_lead_to_files(path: Path) -> None:
    """A link within the project names a file or folder that is there."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_paths_in_guides_exist(name: str) -> None:
    """A guide that names a file or a folder of the project names one that is there; the example's venue is not."""
    named = re.findall(r"`([\w./-]+(?:/|\.(?:py|js|md|toml|txt|css)))`", (PROJECT / name).read_text())
    assert named
    assert [path for path in named if "toy" not in path and not (PROJECT / path).exists()] == []


def test_architecture_has_every_floor_and_thread() -> None:
    """The page lists the floors of the architecture test, and every kind of thread that the product starts."""
    text = (PROJECT / "docs" / "architecture.md").read_text()
    for number, rooms in enumerate(reversed(FLOORS), 1):
        row = next(line for line in text.splitlines() if line.startswith(f"| {number} |"))
        named = {name.removesuffix(".py").removesuffix("/") for name in re.findall(r"`([\w.]+/?)`", row)}
        assert rooms <= named
    starters = [path for path in product_files() if re.search(r"\bthreading\.Thread\(", path.read_text())]
    assert [path for path in starters if f"`{path.relative_to(PROJECT).as_posix()}`" not in text] == []
