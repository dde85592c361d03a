"""The rules of the rooms (CONTRIBUTING.md), held against every import statement of the package."""

from __future__ import annotations

import ast
import builtins
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeGuard

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the top: each room imports itself, any room to its right, and resources, which imports none.
ROOMS = ("app", "widgets", "plugins", "backend")
QT = {"PySide6", "shiboken6", "qtpy", "superqt", "qtawesome", "pyqtgraph", "pytestqt"}
COMPILERS = ("tensorrt", "tensorrt_rtx", "onnxruntime")

# What a process that runs jobs needs: it may be another Python, that of a Jetson or of an older container.
WORKER = ("backend/fault.py", "backend/jobs/protocol.py", "backend/jobs/worker.py", "backend/jobs/context.py")
WORKER_MAY_IMPORT = {"numpy", "onnx", "google", "polygraphy", *COMPILERS}  # google: protobuf, which onnx brings


class Import(NamedTuple):
    module: str  # the dotted name, as absolute as the statement has it
    line: int
    level: int  # of a relative import, 0 otherwise
    deferred: bool  # stands inside a function
    types_only: bool  # stands under `if TYPE_CHECKING`: never executed


def imports_of(source: Path) -> list[Import]:
    return list(_imports(ast.parse(source.read_text(encoding="utf-8"), str(source)), deferred=False, types_only=False))


def _imports(tree: ast.AST, deferred: bool, types_only: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        for module, level in _modules(node):
            yield Import(module, getattr(node, "lineno", 0), level, deferred, types_only)
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        is_check = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING") and not node.orelse
        yield from _imports(node, deferred or is_function, types_only or is_check)


def _modules(node: ast.AST) -> list[tuple[str, int]]:
    if isinstance(node, ast.Import):
        return [(alias.name, 0) for alias in node.names]
    if isinstance(node, ast.ImportFrom):  # `from graftwerk.backend import graph` names a module too
        return [(f"{node.module or ''}.{alias.name}", node.level) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        return [(str(name.value), 0) for name in node.args[:1] if isinstance(name, ast.Constant)]
    return []


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, f"no sources under {folders}"
    return found


def place(source: Path, found: Import) -> str:
    return f"{source.relative_to(ROOT)}:{found.line} imports {found.module}"


def ours(found: Import) -> str | None:
    """The room that an import leads to, where it is one of ours."""
    parts = found.module.split(".")
    if parts[0] != "graftwerk":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in (*ROOMS, "resources") else "api"


def package_file(module: str) -> Path | None:
    """The file behind a dotted name of ours, the name of something inside that module included."""
    parts = module.split(".")[1:] or ["api"]
    while parts:
        stem = ROOT.joinpath(*parts)
        for candidate in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
            if candidate.is_file():
                return candidate
        parts.pop()
    return None


@pytest.mark.parametrize("room", [*ROOMS, "resources"])
def test_imports_point_downwards(room: str) -> None:
    allowed = {"resources"} if room == "resources" else {*ROOMS[ROOMS.index(room):], "resources"}
    wrong = [place(source, found) for source in files(room) for found in imports_of(source)
             if ours(found) is not None and ours(found) not in allowed]
    assert not wrong, f"{room} may import {sorted(allowed)} of ours"


def test_every_import_of_ours_leads_to_a_file() -> None:
    """Which is what the other rules rely on: an import under any other name (`import backend`) would slip past them."""
    wrong = [place(source, found) for source in files(*ROOMS, "resources", "tests") for found in imports_of(source)
             if (ours(found) is not None and package_file(found.module) is None)
             or found.module.split(".")[0] in (*ROOMS, "resources")]
    assert not wrong


def test_no_import_is_relative() -> None:
    """Type checkers would see the classes twice, as graftwerk.backend and as backend."""
    wrong = [place(source, found) for source in files(*ROOMS, "resources", "tests") for found in imports_of(source)
             if found.level]
    assert not wrong


def test_the_package_itself_loads_nothing() -> None:
    """Every program of ours starts by importing it."""
    wrong = [place(source, found) for source in files("api") for found in imports_of(source)
             if not (found.deferred or found.types_only or found.module.split(".")[0] in ("__future__", "typing"))]
    assert not wrong
    assert not [one for source in files("api") for one in imports_of(source) if ours(one) not in (None, "backend")]


def test_no_qt_below_widgets() -> None:
    wrong = [place(source, found) for source in files("api", "backend", "plugins", "resources")
             for found in imports_of(source) if found.module.split(".")[0] in QT]
    assert not wrong


def test_compilers_are_imported_by_their_own_file_and_late() -> None:
    """The window opens without them, and nobody else learns their types."""
    wrong = []
    for source in files(*ROOMS, "resources"):
        for found in imports_of(source):
            compiler = found.module.split(".")[0]
            if compiler in COMPILERS:
                own = source == ROOT / "backend" / "engines" / f"{compiler}.py"
                if not (own and found.deferred):
                    wrong.append(place(source, found))
    assert not wrong, "only backend/engines/<compiler>.py may, and only inside a function"


def worker_files() -> list[Path]:
    """The worker's sources and all of ours that they import, however indirectly."""
    waiting = [*(ROOT / name for name in WORKER), *files("backend/engines")]
    found: set[Path] = set()
    while waiting:
        source = waiting.pop()
        if source in found:
            continue
        found.add(source)
        waiting += [ROOT / package / "__init__.py" for package in source.relative_to(ROOT).parents[:-1]]
        modules = [each.module for each in imports_of(source) if ours(each) is not None and not each.types_only]
        waiting += [file for module in modules if (file := package_file(module)) is not None]
    return sorted(found)


def test_worker_imports_only_what_an_old_container_has() -> None:
    """msgspec may stand inside a function: a file that both sides share then has one for the program alone."""
    allowed = sys.stdlib_module_names - {"tomllib"} | WORKER_MAY_IMPORT | {"graftwerk"}
    wrong = [place(source, found) for source in worker_files() for found in imports_of(source)
             if found.module.split(".")[0] not in (allowed | {"msgspec"} if found.deferred else allowed)
             and not found.types_only]
    assert not wrong


def test_worker_runs_on_python_3_9() -> None:
    sources = worker_files()
    for source in sources:
        tree = ast.parse(source.read_text(encoding="utf-8"), str(source), feature_version=(3, 9))
        future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        code = [node for node in tree.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        assert future or not code, f"{source.relative_to(ROOT)} lacks `from __future__ import annotations`"
        unions = [node.lineno for node in executed(tree) if is_union(node)]
        assert not unions, f"{source.relative_to(ROOT)}: `X | Y` of types is evaluated at lines {unions}"
    # vermin knows in which version every function, keyword and module of the standard library came.
    command = [sys.executable, "-c", "import vermin; vermin.main()", "--target=3.9-", "--no-tips", "--violations"]
    checked = subprocess.run([*command, *sources], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    """The tree's nodes but for annotations, which `from __future__ import annotations` leaves unevaluated."""
    yield tree
    for field, value in ast.iter_fields(tree):
        if field not in ("annotation", "returns"):
            for node in value if isinstance(value, list) else [value]:
                if isinstance(node, ast.AST):
                    yield from executed(node)


def is_union(node: ast.AST) -> TypeGuard[ast.BinOp]:
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)):
        return False
    return any((isinstance(side, ast.Constant) and side.value is None)
               or (isinstance(side, ast.Name) and isinstance(getattr(builtins, side.id, None), type))
               for side in (node.left, node.right))


def test_dev_py_needs_nothing_but_python() -> None:
    wrong = [place(ROOT / "dev.py", found) for found in imports_of(ROOT / "dev.py")
             if found.module.split(".")[0] not in sys.stdlib_module_names]
    assert not wrong
    ast.parse((ROOT / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 6))


def test_every_folder_of_sources_is_a_listed_package() -> None:
    """One that is missing works in an editable install, and is absent from the wheel without a word."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {source.parent.relative_to(ROOT) for source in files(*ROOMS, "resources")}
    expected = {"graftwerk", *(".".join(("graftwerk", *folder.parts)) for folder in folders)}
    assert set(project["tool"]["setuptools"]["packages"]) == expected
    assert all((ROOT / folder / "__init__.py").is_file() for folder in folders)
    assert [path.name for path in files("api")] == ["__init__.py"], "it is graftwerk itself, and the rooms stand in it"
    assert all((ROOT / room / "py.typed").is_file() for room in (*ROOMS, "resources")), "a room's covers what is below"
    assert not (ROOT / "__init__.py").exists(), "graftwerk itself is api/: the tree's root is no package"


def test_links_lead_type_checkers_to_the_rooms() -> None:
    links = ROOT / "tests" / "links" / "graftwerk"
    places = {room: ROOT / room for room in (*ROOMS, "resources")} | {"__init__.py": ROOT / "api" / "__init__.py"}
    assert {link.name: link.resolve() for link in links.iterdir() if link.is_symlink()} == places
