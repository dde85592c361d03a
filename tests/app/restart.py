"""The real program for tests that kill it: opens models, does steps, says what it holds, and waits.

    python -m tests.app.restart OUT STEPS MODEL…      edits, writes OUT once the edits are kept, and runs until killed
    python -m tests.app.restart OUT restore           restores what is offered, writes OUT and ends

OUT gets the model that the window shows, and OUT.ready stands there when all is done.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from functools import partial
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QMessageBox

from graftwerk.app.gui import make_application, run
from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.graph.encode import to_model
from graftwerk.backend.operations.registry import make
from graftwerk.backend.recovery import folder
from tests.app.driving import wait_until


def main(out: Path, what: str, models: list[str]) -> int:
    application = make_application()

    def window() -> Window:
        return next(one for one in application.topLevelWidgets() if isinstance(one, Window))

    def work() -> None:
        wait_until(lambda: any(isinstance(one, Window) for one in application.topLevelWidgets()))
        wait_until(lambda: window().recovery.started, "for the start")
        try:
            restored(window(), out) if what == "restore" else edited(window(), out, json.loads(what))
        except BaseException:
            traceback.print_exc()
            for box in window().findChildren(QMessageBox):
                print(box.text(), box.informativeText(), box.detailedText(), file=sys.stderr)
            os._exit(1)  # a test waits for us

    QTimer.singleShot(0, work)
    return run(models)


def edited(window: Window, out: Path, steps: list[dict[str, object]]) -> None:
    tab = window.need_tab()
    wait_until(lambda: tab.inference.known)
    for step in steps:
        if step.get("do") == "undo":
            window.edits.undo()
        elif step.get("do") == "save":
            window.files.save()
        else:
            operation = make(str(step["operation"]), {key: step[key] for key in step if key != "operation"})
            revision = tab.document.graph.revision
            window.edits.apply(operation)
            wait_until(partial(_is_other, tab, revision), "for the edit")
        wait_until(lambda: tab.inference.known)
    wait_until(lambda: window.recovery.settled and list(folder().glob("*/*.json")), "for the edits to be kept")
    write(window, out)


def _is_other(tab: Tab, revision: int) -> bool:
    return tab.document.graph.revision != revision


def restored(window: Window, out: Path) -> None:
    dialog = window.recovery.dialog
    if dialog is None:
        write(window, out)
    else:
        count = dialog.list.topLevelItemCount()
        out.with_name(f"{out.name}.dialog").write_text(dialog.text())
        dialog.buttons.buttons()[0].click()
        wait_until(lambda: len(window.tabs()) == count, "for the models")
        wait_until(lambda: window.recovery.settled, "for the edits to be kept again")
        write(window, out)
    window.files.may_close = lambda tab: True  # type: ignore[method-assign]
    window.close()


def write(window: Window, out: Path) -> None:
    if window.tab is not None:
        out.write_bytes(to_model(window.tab.document.graph).SerializeToString(deterministic=True))
    out.with_name(f"{out.name}.ready").touch()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
