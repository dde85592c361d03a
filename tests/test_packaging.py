"""What an ordinary user installs: the wheel, built as for a release, where nothing else of ours is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("app", "widgets", "plugins", "backend", "resources")


def output_of(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def tree_files() -> list[Path]:
    """Every file that git tracks or would (new ones), relative to the root."""
    listed = output_of("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    return sorted(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file())


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a source archive, and that from a clean copy: no leftover of the working tree hides an omission."""
    copy, dist = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for file in tree_files():
        if not (ROOT / file).is_symlink():
            (copy / file.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, copy / file)
    # Without isolation: its build environment would be fetched from the network.
    output_of(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, copy, cwd=copy)
    (found,) = dist.glob("graftwerk-*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment where `graftwerk` is the wheel, and the other packages are those of this one."""
    home = tmp_path_factory.mktemp("empty")
    venv.create(home, with_pip=False)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--quiet"]
    output_of(*pip, "--no-deps", "--no-index", wheel, cwd=home)
    # A path in a .pth file is searched last, and the .pth files found there (our editable install) are not followed.
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = Path(output_of(scripts / "python", "-c", where, cwd=home).strip())
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
    inside = {name.relative_to("graftwerk") for name in names if name.parts[0] == "graftwerk"}
    expected = {file for file in tree_files() if file.parts[0] in ROOMS}
    expected |= {file.relative_to("api") for file in tree_files() if file.parts[0] == "api"}
    assert not expected - inside, "absent from the wheel: see packages and package-data in pyproject.toml"
    assert not inside - expected, "in the wheel, and not in the tree"
    beside = {name for name in names if name.parts[0] != "graftwerk"}
    (information,) = {name.parts[0] for name in beside}
    assert information.endswith(".dist-info")
    assert information / Path("licenses/LICENSE") in beside


def test_installed_wheel_is_not_the_source_tree(installed: Path, tmp_path: Path) -> None:
    program = "import graftwerk.backend.graph.files as files; print(files.__file__)"
    place = Path(output_of(installed / "python", "-c", program, cwd=tmp_path).strip())
    assert place.is_relative_to(installed.parent)


@pytest.mark.parametrize("model", ["digits", "encoder"])
def test_installed_wheel_opens_a_model(installed: Path, tmp_path: Path, model: str) -> None:
    program = ("from graftwerk.backend.graph.files import load; from graftwerk.resources import model; "
               f"print(len(load(model('{model}')).nodes))")
    assert int(output_of(installed / "python", "-c", program, cwd=tmp_path)) > 5


def test_installed_command_describes_a_model(installed: Path, tmp_path: Path, models: Path) -> None:
    assert "Conv" in output_of(installed / "graftwerk", "info", models / "digits.onnx", cwd=tmp_path)
