"""The command `graftwerk`: a window on models, or one of the commands for scripts.

Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 a Fault (one line and a hint on stderr).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from graftwerk.backend.fault import Fault

COMMANDS = ("info", "ops", "run", "apply", "build", "profile", "verify", "shot")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and (arguments[0] in COMMANDS or arguments[0].startswith("-")):
            from graftwerk.app.commands import command

            return command(arguments)
        gc.disable()  # nothing is garbage before the first picture; `run` turns collection on after it
        from graftwerk.app.gui import run

        return run(arguments)
    except Fault as fault:
        print(f"graftwerk: {fault}", file=sys.stderr)
        if fault.hint:
            print(f"hint: {fault.hint}", file=sys.stderr)
        return 3
    except BrokenPipeError:  # the reader of our output has gone: `graftwerk ops | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
