"""Small things that several panels are made of."""

from __future__ import annotations

import inspect
import re

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QLabel,
    QLayout,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

from graftwerk.backend.fault import Reason
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.registry import Operation, why_blocked


def doc_html(text: str) -> str:
    """A docstring as rich text: its paragraphs and lists, with what stands in backticks as code."""
    parts = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if block.lstrip().startswith("- "):
            items = re.split(r"(?:^|\n)\s*- ", block)[1:]
            parts.append("<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>")
        else:
            parts.append(f"<p>{_inline(block)}</p>")
    return "".join(parts)


def _inline(text: str) -> str:
    import html  # here: the first picture of a graph needs no rich text

    plain = html.escape(" ".join(text.split()), quote=False)
    plain = re.sub(r"`([^`]+)`", r"<code>\1</code>", plain)
    return re.sub(r"(?<![\w*])\*([^*]+)\*(?![\w*])", r"<i>\1</i>", plain)


def blocked_at(operation: Operation, graph: Graph) -> tuple[str, Reason | None]:
    """Why an operation can't be done, and the parameter that is to blame where that is known."""
    reason = why_blocked(operation, graph)
    if reason is not None:
        place, colon, rest = reason.text.partition(": ")  # as a Fault says where it is wrong
        if colon and any(parameter.name == place for parameter in operation.info.parameters):
            return place, Reason(rest, reason.hint)
    return "", reason


def mark_invalid(widget: QWidget, invalid: bool) -> None:
    """Gives an input the style sheet's border of something that can't be taken, or its own one back."""
    if bool(widget.property("invalid")) != invalid:
        widget.setProperty("invalid", invalid)
        repolish(widget)


def set_role(widget: QWidget, role: str) -> None:
    """Changes the look that the style sheet gives a widget."""
    if widget.property("role") != role:
        widget.setProperty("role", role)
        repolish(widget)


def repolish(widget: QWidget) -> None:
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def note(text: str = "", role: str = "muted") -> QLabel:
    """A text that wraps, in one of the style sheet's roles; it can be selected and copied."""
    label = QLabel(text)
    label.setProperty("role", role)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def section(title: str, above: int = 8) -> QLabel:
    """A heading inside a form."""
    heading = QLabel(title)
    heading.setProperty("role", "section")
    heading.setContentsMargins(0, above, 0, 0)
    return heading


def scrolling(inside: QWidget) -> QScrollArea:
    """What doesn't fit into a dialog or a dock scrolls, up and down only."""
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setWidget(inside)
    return scroll


def fit_height(dialog: QWidget, inside: QWidget, foot: QLayout, width: int) -> None:
    """Makes a dialog of a scrolling part and a foot as high as they are, if the screen is."""
    layout = inside.layout()
    assert layout is not None
    content = layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else layout.sizeHint().height()
    wanted = content + foot.sizeHint().height() + 16
    dialog.resize(width, min(wanted, int(dialog.screen().availableGeometry().height() * 0.85)))


def clear(layout: QLayout) -> None:
    """Removes everything from a layout and deletes the widgets."""
    while (item := layout.takeAt(0)) is not None:
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif inner is not None:
            clear(inner)


class Empty(QLabel):
    """What a panel says while it has nothing to show: what to do."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setProperty("role", "muted")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setMargin(24)


class ElidedLabel(QLabel):
    """One line that gives way: what doesn't fit is left out of its middle, and then the whole is its tooltip."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        area = self.contentsRect()
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, area.width())
        self.setToolTip(self.text() if shown != self.text() else "")
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(area, self.alignment() | Qt.TextFlag.TextSingleLine, shown)
