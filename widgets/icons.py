"""Icons from resources/icons, tinted, and sharp on screens of any density.

The drawings are one-colour SVGs on a 16-unit grid. (qtawesome would do the same: it takes 0.1 s to import.)
"""

from __future__ import annotations

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from graftwerk import resources
from graftwerk.widgets.theme import Theme

# Tool buttons are 16, 20 or 24 pixels; each on screens of single and double density.
_SIZES = (16, 20, 24, 32, 40, 48)
_FADED = 0.4


def icon(name: str, color: str, disabled: str | None = None) -> QIcon:
    """The drawing `name` in `color` (`#rrggbb`); where it is disabled, in `disabled` or faded.

    Icons do not follow a change of theme by themselves: make them again. Raises FileNotFoundError for an unknown name.
    """
    source = resources.icon(name).read_text(encoding="utf-8")
    drawing = _drawing(source.replace("currentColor", color))
    other = _drawing(source.replace("currentColor", disabled)) if disabled else drawing
    made = QIcon()
    for size in _SIZES:
        made.addPixmap(_draw(drawing, size), QIcon.Mode.Normal)
        made.addPixmap(_draw(other, size, 1.0 if disabled else _FADED), QIcon.Mode.Disabled)
    return made


def theme_icon(name: str, theme: Theme) -> QIcon:
    """The drawing `name` as buttons of `theme` show it."""
    return icon(name, theme.muted)


def app_icon() -> QIcon:
    """The program's mark, for windows and the task bar."""
    drawing = _drawing(resources.icon("graftwerk").read_text(encoding="utf-8"))
    made = QIcon()
    for size in (16, 24, 32, 48, 64, 128, 256):
        made.addPixmap(_draw(drawing, size))
    return made


def _drawing(source: str) -> QSvgRenderer:
    return QSvgRenderer(QByteArray(source.encode()))


def _draw(drawing: QSvgRenderer, size: int, opacity: float = 1.0) -> QPixmap:
    pixmap = QPixmap(size, size)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    try:
        drawing.render(painter)
        if opacity < 1:  # as a whole: faded stroke by stroke, crossings would stay dark
            painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_DestinationIn)
            painter.fillRect(pixmap.rect(), QColor(0, 0, 0, round(255 * opacity)))
    finally:
        painter.end()
    return pixmap
