"""The warning before a model is saved that is not valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QMessageBox

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window

#: How long a save waits for the check of what was edited last, milliseconds.
PATIENCE = 10_000
_LISTED = 8


def may_save(window: Window, tab: Tab) -> bool:
    """Asks where the shown revision is not valid; False where the user would rather not save it."""
    if tab.document.at == 0 and not tab.document.dirty:
        return True  # nothing was edited: it is as valid as it came
    _wait(window, tab)
    errors = tab.validation.errors()
    if not errors:
        return True
    box = QMessageBox(window)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle("Not a valid model")
    box.setText(f"{tab.title} is not a valid model" + (f": {len(errors)} errors." if len(errors) > 1 else "."))
    lines = [": ".join(filter(None, [one.where, one.message])) for one in errors]
    more = [f"… and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    box.setInformativeText("\n".join([*lines[:_LISTED], *more, "", "Other programs may refuse it."]))
    save = box.addButton("Save Anyway", QMessageBox.ButtonRole.AcceptRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(cancel)
    box.exec()
    if box.clickedButton() is not save:
        window.docks.show("problems")
        return False
    return True


def _wait(window: Window, tab: Tab) -> None:
    """Lets the window live until the shown revision has been checked, or patience ends: then it is saved unchecked."""
    if tab.validation.known:
        return
    window.say("Checking the model …")
    tab.validation.check()
    loop, look = QEventLoop(), QTimer()
    look.timeout.connect(lambda: loop.quit() if tab.validation.known else None)
    look.start(10)
    QTimer.singleShot(PATIENCE, loop.quit)
    loop.exec()
    if not tab.validation.known:
        window.say("The model is saved unchecked: the check takes too long", error=True)
