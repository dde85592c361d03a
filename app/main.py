"""The command `graftwerk`: a window on models, or one of the commands for scripts.

Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 a Fault (one line and a hint on stderr).
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from graftwerk.app.ending import orderly_end
from graftwerk.app.output import prepare_streams, print_fault, silence_stdout
from graftwerk.backend.fault import Fault

COMMANDS = (
    "info", "ops", "run", "apply", "export", "build", "profile", "verify", "retype", "sparsity", "prune", "diff",
    "shot", "extract", "split", "new", "weights", "find", "patterns",
    "calibrate", "quantize", "sensitivity", "errors", "coach", "opsets",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    prepare_streams()
    code = 0
    try:
        _check_folder()
        if not arguments or not (arguments[0] in COMMANDS or arguments[0].startswith("-")):
            return _mistyped(arguments[0]) if arguments and _is_no_model(arguments[0]) else _window(arguments)
        from graftwerk.app.commands import command

        with orderly_end():
            code = command(arguments)
        sys.stdout.flush()  # here, where it can still be told that it fails
        return code
    except Fault as fault:
        print_fault(fault)
        return 3
    except BrokenPipeError:  # the reader of our output has gone: `graftwerk ops | head`
        silence_stdout()
        return code
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # the system's refusal, of a write to stdout most of all
        silence_stdout()
        where = str(error.filename) if error.filename else ""
        hint = "Is there space left, and may you read and write there?"
        print_fault(Fault(error.strerror or str(error), where, hint))
        return 3


def _is_no_model(argument: str) -> bool:
    """Whether an argument is neither a file nor looks like the name of one."""
    return not (os.path.dirname(argument) or os.path.splitext(argument)[1] or os.path.exists(argument))


def _mistyped(argument: str) -> int:
    from graftwerk.backend.graph.schema import close_names

    near = close_names(argument, COMMANDS)
    hint = f"{near} `graftwerk --help` lists the commands".strip()
    print_fault(Fault("There is no such command or file", argument, hint))
    return 2


def _window(arguments: list[str]) -> int:
    _check_display(arguments)
    gc.disable()  # nothing is garbage before the first picture; `run` turns collection on after it
    import graftwerk.backend.document  # before Qt: PySide6 reads the source of every module that is imported after it
    import graftwerk.backend.graph.diagram_picture  # noqa: F401
    from graftwerk.app.gui import run

    return run(arguments)


def _check_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise Fault("The folder that this was started in is gone", hint="Change to another folder first.") from None


def _check_display(models: Sequence[str]) -> None:
    """Raises Fault where there is no display: Qt aborts the process there."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        missing = next((model for model in models if not os.path.exists(model)), None)
        if missing is not None:
            raise Fault("There is no such file", missing)
        hint = "Make a picture with `graftwerk shot`, or set QT_QPA_PLATFORM where Qt has a display of another kind."
        raise Fault("There is no display to open a window on", hint=hint)


if __name__ == "__main__":
    sys.exit(main())
