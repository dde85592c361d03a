"""What the panels about compilers and runtimes have in common: header line, switch, legend, empty state."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHelpEvent, QIcon, QPainter, QPaintEvent, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from graftwerk.widgets.panels.parts import ElidedLabel, note

_SWATCH, _SPACE, _BETWEEN = 10, 6, 14


class DetailLabel(ElidedLabel):
    """A line that gives way to a shorter one where it doesn't fit. Its tooltip is the whole line, and more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self.setProperty("role", "muted")
        self._lines: tuple[str, ...] = ("",)
        self._details = ""

    def set_texts(self, lines: Sequence[str], details: str) -> None:
        """The line, then shorter forms of it."""
        self._lines = tuple(lines)
        self._details = details
        self._fit()

    def _fit(self) -> None:
        room = self.contentsRect().width()
        fitting = (line for line in self._lines if self.fontMetrics().horizontalAdvance(line) <= room)
        self.setText(next(fitting, self._lines[-1]))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), "\n".join(filter(None, (self._lines[0], self._details))), self)
            return True
        return super().event(event)


class Switch(QFrame):
    """Buttons of which one is down. `chosen` carries the key of the one that was clicked."""

    chosen = Signal(str)

    def __init__(self, choices: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "segments")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for key, title in choices:
            button = QToolButton(self)
            button.setText(title)
            button.setCheckable(True)
            button.setChecked(not self.buttons)
            button.clicked.connect(lambda _=False, name=key: self.chosen.emit(name))
            group.addButton(button)
            row.addWidget(button)
            self.buttons[key] = button

    @property
    def current(self) -> str:
        return next(key for key, button in self.buttons.items() if button.isChecked())

    def choose(self, key: str) -> None:
        """As a click does, where it isn't chosen yet."""
        if key != self.current:
            self.buttons[key].setChecked(True)
            self.chosen.emit(key)


class Legend(QWidget):
    """Swatches with names, on one line; those that don't fit are in the tooltip, and an ellipsis says so."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: list[tuple[str, str]] = []
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def set_entries(self, entries: Sequence[tuple[str, str]]) -> None:
        """Colours with their names."""
        self._entries = list(entries)
        self.setToolTip("\n".join(name for _, name in entries))
        self.updateGeometry()
        self.update()

    def _width(self, name: str) -> int:
        return _SWATCH + _SPACE + self.fontMetrics().horizontalAdvance(name)

    def sizeHint(self) -> QSize:
        width = sum(self._width(name) + _BETWEEN for _, name in self._entries)
        return QSize(max(width - _BETWEEN, 0), self.fontMetrics().height() + 4)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ellipsis = self.fontMetrics().horizontalAdvance("…")
        left, middle = 0, self.height() / 2
        for at, (color, name) in enumerate(self._entries):
            width = self._width(name)
            rest = 0 if at == len(self._entries) - 1 else _BETWEEN + ellipsis
            if left + width + rest > self.width():
                painter.drawText(left, 0, ellipsis + 2, self.height(), Qt.AlignmentFlag.AlignVCenter, "…")
                break
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(color))
            painter.drawRoundedRect(QRectF(left, middle - _SWATCH / 2, _SWATCH, _SWATCH), 2.5, 2.5)
            painter.setPen(self.palette().color(self.foregroundRole()))
            text = left + _SWATCH + _SPACE
            painter.drawText(text, 0, width, self.height(), Qt.AlignmentFlag.AlignVCenter, name)
            left += width + _BETWEEN


def swatch(color: str) -> QIcon:
    """A small rounded square, sharp on dense screens."""
    made = QIcon()
    for scale in (1, 2, 3):
        pixmap = QPixmap(QSize(12, 12) * scale)
        pixmap.setDevicePixelRatio(scale)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(color))
        painter.drawRoundedRect(QRectF(1, 1, 10, 10), 2.5, 2.5)
        painter.end()
        for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):  # a selected row does not tint it
            made.addPixmap(pixmap, mode)
    return made


def empty_state(text: str) -> QWidget:
    """A panel with nothing to show: says in its middle what to do."""
    page = QWidget()
    column = QVBoxLayout(page)
    label = note(text)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    column.addWidget(label)
    return page
