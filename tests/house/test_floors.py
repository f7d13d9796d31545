"""The floors of the house: who may import whom, and that the native module is what its stub says."""

import ast
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import workbench.engine
from workbench import _engine

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "workbench"


def imports(file: Path) -> set[str]:
    """Every module that a file imports, wherever in it, and everything it imports from one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def test_only_the_engine_imports_the_native_module() -> None:
    native = "workbench._engine"
    users = {
        file.relative_to(PACKAGE).parts[0]
        for file in PACKAGE.rglob("*.py")
        if any(name == native or name.startswith(f"{native}.") for name in imports(file))
    }
    assert users == {"engine"}


def test_the_report_and_the_results_run_nothing() -> None:
    for floor, forbidden in {
        "report": ("workbench.sim", "workbench.bench", "workbench.engine", "workbench.model", "simpy", "asyncio"),
        "results": ("workbench.engine", "workbench.scenario", "simpy", "asyncio"),
        "scenario": ("workbench.engine", "workbench.results", "simpy", "asyncio"),
    }.items():
        for file in (PACKAGE / floor).rglob("*.py"):
            wrong = {
                name for name in imports(file) if any(name == one or name.startswith(f"{one}.") for one in forbidden)
            }
            assert wrong == set(), file


def test_the_applications_do_not_know_their_world() -> None:
    """No clock, luck, thread or descriptor but those that the seam gives, and neither of the two worlds."""
    forbidden = {"asyncio", "time", "random", "socket", "threading", "secrets", "uuid", "os", "simpy", "datetime"}
    worlds = {"workbench.engine.real", "workbench.engine.virtual", "workbench.engine.socket"}
    for file in (PACKAGE / "apps").rglob("*.py"):
        assert {name for name in imports(file) if name.split(".")[0] in forbidden or name in worlds} == set(), file


def test_the_floors_hold() -> None:
    done = tool("lint-imports", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def test_every_package_has_its_floor() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    floors = {name.strip(" ()") for layer in contract["layers"] for name in layer.split("|")}
    packages = {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()}
    assert packages <= floors
    assert contract["exhaustive"] is True


def test_the_stub_is_what_the_native_module_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "workbench._engine", "--ignore-missing-stub"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_in_the_stub_is_documented() -> None:
    stub = ast.parse((PACKAGE / "_engine.pyi").read_text(encoding="utf-8"))
    documented = 0
    for node in ast.walk(stub):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            assert ast.get_docstring(node), getattr(node, "name", "the module")
            documented += 1
    assert documented > 50


@pytest.mark.parametrize("name", workbench.engine.__all__)
def test_every_public_name_of_the_engine_is_documented(name: str) -> None:
    thing = getattr(workbench.engine, name)
    assert thing.__doc__
    assert inspect.getmodule(thing) is not None
    for method, value in vars(thing).items():
        if callable(value) and not method.startswith("_"):
            assert value.__doc__, f"{name}.{method}"


def test_the_versions_agree() -> None:
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cargo = tomllib.loads((ROOT / "engine" / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert python == cargo == _engine.__version__


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a development tool from beside the interpreter; that it is missing is a failure."""
    program = Path(sys.executable).parent / name
    assert program.exists(), f"{name} is missing: pip install -e '.[dev]'"
    return subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=110)
