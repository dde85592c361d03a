#!/usr/bin/env python3
"""Sets this working tree up, and runs Graftwerk, its tests and its benchmarks in it.

    python3 dev.py run [MODEL...]       open the window; with no display, do its main job unattended into out/
    python3 dev.py test [ARGUMENTS]     lint, types and all tests (the arguments go to pytest)
    python3 dev.py lint                 lint and types alone
    python3 dev.py bench [NAME...]      the benchmarks, or those named
    python3 dev.py docs-shots           render the documentation's pictures

Every command first installs what is missing: Qt's system libraries with apt-get (as root or through sudo), the rest
into .venv at the versions of constraints.txt. What was done is not done again until one of its inputs changes.
Exit code: that of the program that ran; 2 for a wrong command line, 3 where the set-up failed.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - older Pythons get this far: nothing in this file that 3.6 can't parse
    print("dev.py: needs Python 3.11 or newer, this is " + sys.version.split()[0], file=sys.stderr)
    print("hint: install one and call it by name, as in: python3.11 dev.py", file=sys.stderr)
    sys.exit(3)

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import venv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

Command = Sequence[str | Path]

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
INSTALLED = VENV / "graftwerk-installed"  # what was installed here last, as a digest
CHECKED = VENV / "graftwerk-checked"  # the sources that passed lint and types last, as a digest

# What Qt's wheels load from the system: each library as the loader knows it, and its package on Debian and Ubuntu.
OFFSCREEN = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libfontconfig.so.1": "libfontconfig1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libgthread-2.0.so.0": "libglib2.0-0",
}
X11 = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
WAYLAND = {"libwayland-cursor.so.0": "libwayland-cursor0"}


class Fault(Exception):
    """The set-up can't go on: what is wrong, and what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def say(text: str) -> None:
    print(f"dev.py: {text}", file=sys.stderr, flush=True)


def call(command: Command, quiet: bool = False) -> int:
    """Run one step in the tree and return its exit code; `quiet` leaves it only its stderr."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL if quiet else None)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()  # Ctrl+C reached it too: let apt-get and pip end in order, where subprocess.call would kill them
        raise


def become(command: Command) -> int:
    """Turn into the program: its exit code, signals and terminal are its own."""
    if os.name != "nt":
        os.execv(command[0], [str(part) for part in command])
    return subprocess.call(command)


# ---- setting up


def set_up(libraries: Mapping[str, str] | None = None, programs: Mapping[str, str] | None = None) -> None:
    """See to all that a command needs: system libraries and programs (with their Debian packages), and .venv."""
    missing = []
    if sys.platform == "linux":
        missing += [package for name, package in (libraries or {}).items() if not loads(name)]
        missing += [package for name, package in (programs or {}).items() if shutil.which(name) is None]
    current = INSTALLED.is_file() and PYTHON.exists() and INSTALLED.read_text() == environment_digest()
    make = not current and not environment_works()
    if make and importlib.util.find_spec("ensurepip") is None:  # Debian ships this half of venv apart
        missing.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    if missing:
        install_packages([debian_name(package) for package in missing])
    if make:
        make_environment()
    if not current:
        install_dependencies()


def loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def debian_name(package: str) -> str:
    """The package's name in this release: libraries that met the 64-bit time_t change were renamed."""
    release = Path("/etc/os-release").read_text() if Path("/etc/os-release").is_file() else ""
    fields = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    number = fields.get("VERSION_ID", "").strip('"')
    since = {"debian": 13.0, "ubuntu": 24.04}.get(fields.get("ID", "").strip('"'))
    renamed = package == "libglib2.0-0" and since is not None and (not number or float(number) >= since)
    return f"{package}t64" if renamed else package


def install_packages(packages: Sequence[str]) -> None:
    """Install Debian packages, or say which ones somebody else has to install."""
    command = "apt-get install " + " ".join(packages)
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if shutil.which("apt-get") is None:
        raise Fault("system packages are missing, and there is no apt-get to install them with",
                    "install what this system calls Debian's " + " ".join(packages))
    if sudo and (shutil.which("sudo") is None or call(["sudo", "true"]) != 0):
        raise Fault("system packages are missing, and this user may not install them", f"as root: {command}")
    say(f"installing system packages: {command}")
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
    if any(Path("/var/lib/apt/lists").glob("*_Packages*")) and call(install, quiet=True) == 0:
        return  # otherwise the lists of packages are missing or too old
    if call([*apt, "update"], quiet=True) != 0 or call(install, quiet=True) != 0:
        raise Fault("system packages are missing, and apt-get could not install them",
                    f"its reason stands above; to try by hand, as root: {command}")


def environment_works() -> bool:
    program = "import importlib.util, sys; sys.exit(sys.version_info < (3, 11) or not importlib.util.find_spec('pip'))"
    return (VENV / "pyvenv.cfg").is_file() and PYTHON.exists() and call([PYTHON, "-c", program]) == 0


def make_environment() -> None:
    say(f"making .venv with Python {sys.version.split()[0]}")
    try:
        venv.EnvBuilder(clear=True, symlinks=os.name != "nt", with_pip=True).create(VENV)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Fault(f"the virtual environment could not be made: {error}", f"remove {VENV}, try again") from None


def install_dependencies() -> None:
    say("installing the pinned dependencies into .venv (once: under a minute, 330 MB to fetch)")
    # tensorrt-rtx is a source package that fetches its wheels while it is built: no --only-binary, isolation stays on.
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if call([*pip, "--constraint", "constraints.txt", "--editable", ".[dev]"]) != 0:
        raise Fault("the dependencies could not be installed", "pip's reason stands above; mend it and run this again")
    INSTALLED.write_text(environment_digest())


def environment_digest() -> str:
    """Of all that .venv depends on: what to install, the interpreter behind it, the tree that it points to."""
    inputs = [ROOT / "pyproject.toml", ROOT / "constraints.txt", VENV / "pyvenv.cfg"]
    return digest(inputs, f"{ROOT} {PYTHON.resolve()}")


def digest(files: Iterable[Path], more: str) -> str:
    total = hashlib.sha256(more.encode())
    for file in files:
        content = file.read_bytes()
        total.update(f"{file} {len(content)}\n".encode() + content)
    return total.hexdigest()


# ---- commands


def sources() -> Iterator[Path]:
    for folder in ("app", "widgets", "backend", "plugins", "resources", "tests", "docs"):
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield ROOT / "dev.py"


def lint(arguments: Sequence[str] = ()) -> int:
    """Lint and types over every source; both speak before either fails."""
    if arguments:
        raise Fault("lint takes no arguments", "call it as: python3 dev.py lint")
    set_up()
    subject = digest(sources(), environment_digest())  # before the checks: an edit made meanwhile has not passed
    ruff = call([PYTHON, "-m", "ruff", "check"])
    mypy = call([PYTHON, "-m", "mypy"])
    if ruff == mypy == 0:
        CHECKED.write_text(subject)
    return ruff or mypy


def test(arguments: Sequence[str]) -> int:
    set_up(OFFSCREEN | X11, {"Xvfb": "xvfb"})  # one test opens a window on a display of its own
    if CHECKED.is_file() and CHECKED.read_text() == digest(sources(), environment_digest()):
        say("lint and types passed on these very sources before: skipped")
    else:
        code = lint()
        if code != 0:
            return code
    return offscreen(["-m", "pytest", *arguments])


def run(models: Sequence[str]) -> int:
    x11, wayland = bool(os.environ.get("DISPLAY")), bool(os.environ.get("WAYLAND_DISPLAY"))
    set_up(OFFSCREEN | (X11 if x11 else {}) | (WAYLAND if wayland else {}))
    if sys.platform == "linux" and not (x11 or wayland):
        say(f"no display here: doing the main job unattended, results in {ROOT / 'out'}")
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        return become([PYTHON, "-m", "graftwerk.app.unattended", ROOT / "out", *models])
    return become([SCRIPTS / "graftwerk", *(models or [str(ROOT / "resources" / "models" / "digits.onnx")])])


def bench(names: Sequence[str]) -> int:
    set_up(OFFSCREEN)
    return offscreen(["tests/bench/run.py", *names])


def docs_shots(arguments: Sequence[str]) -> int:
    set_up(OFFSCREEN)
    return offscreen(["docs/make_shots.py", *arguments])


def offscreen(arguments: Sequence[str]) -> int:
    """Turn into .venv's Python, in the tree, with a Qt that needs no display."""
    os.chdir(ROOT)
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    return become([PYTHON, *arguments])


COMMANDS = {"run": run, "test": test, "lint": lint, "bench": bench, "docs-shots": docs_shots}


def main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return COMMANDS[arguments[0]](arguments[1:])
    except Fault as fault:
        say(f"{fault}\nhint: {fault.hint}")
        return 3
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
