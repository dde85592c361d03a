"""A job's log: coloured by level, filtered, and following its end unless somebody reads further up."""

from __future__ import annotations

from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from graftwerk.widgets.panels.job_view import LOG_LINES, JobView
from graftwerk.widgets.theme import LIGHT, Theme, mono_font

LEVELS = ("verbose", "info", "warning", "error")
Line = tuple[str, str]


class JobLog(QPlainTextEdit):
    """Shows the lines of one job from a level on. `follow` takes the lines that were added since."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setFont(mono_font())
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setMaximumBlockCount(LOG_LINES)
        self.setStyleSheet("QPlainTextEdit { border: none; border-radius: 0; padding: 2px 6px; }")
        self._view: JobView | None = None
        self._level = LEVELS.index("info")
        self._last: Line | None = None
        self._formats: dict[str, QTextCharFormat] = {}
        self.set_theme(LIGHT)

    def set_theme(self, theme: Theme) -> None:
        colors = {"verbose": theme.muted, "info": theme.text, "warning": theme.warning, "error": theme.error}
        for level, color in colors.items():
            self._formats[level] = QTextCharFormat()
            self._formats[level].setForeground(QColor(color))
        self.show_job(self._view)

    def set_level(self, level: str) -> None:
        """Shows lines of this level and those above it."""
        self._level = LEVELS.index(level)
        self.show_job(self._view)

    def show_job(self, view: JobView | None) -> None:
        self._view, self._last = view, None
        self.clear()
        self.follow()

    def follow(self) -> None:
        """Appends what was logged since: the lines behind the last one that was taken, which is found by identity
        because old lines fall out of the log."""
        log = self._view.log if self._view is not None else []
        start = next((place + 1 for place in range(len(log) - 1, -1, -1) if log[place] is self._last), 0)
        if start == len(log):
            return
        self._last = log[-1]
        fresh = [line for line in log[start:] if self._rank(line) >= self._level]
        bar = self.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 1
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        cursor.movePosition(QTextCursor.MoveOperation.End)
        for level, text in fresh:
            lead = "" if self.document().isEmpty() else "\n"
            cursor.insertText(lead + text.rstrip("\n"), self._formats.get(level, self._formats["info"]))
        cursor.endEditBlock()
        if at_end:
            bar.setValue(bar.maximum())

    @staticmethod
    def _rank(line: Line) -> int:
        return LEVELS.index(line[0]) if line[0] in LEVELS else 1
