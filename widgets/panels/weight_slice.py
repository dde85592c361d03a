"""Which two axes of a weight are shown as rows and columns, and where on the others."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSpinBox, QWidget

from graftwerk.widgets.panels.readout import number_text


class SliceChooser(QWidget):
    """Boxes for the axes of rows and columns, and one for the place on every other axis; hidden up to rank 2."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dims: tuple[int, ...] = ()
        self.rows, self.columns = QComboBox(), QComboBox()
        self.places: dict[int, QSpinBox] = {}
        self._line = QHBoxLayout(self)
        self._line.setContentsMargins(0, 0, 0, 0)
        for text, box in (("Rows", self.rows), ("Columns", self.columns)):
            box.setAccessibleName(f"Axis of the {text.lower()}")
            self._line.addWidget(QLabel(text))
            self._line.addWidget(box)
            box.currentIndexChanged.connect(self._on_axis)
        self._rest = QHBoxLayout()
        self._line.addLayout(self._rest)
        self._line.addStretch(1)

    def set_dims(self, dims: Sequence[int]) -> None:
        """Starts anew for other dimensions; the same ones keep what is chosen."""
        if tuple(dims) == self._dims:
            return
        self._dims = tuple(dims)
        # Pointwise convolutions are all channels: the axes that have something on them.
        wide = [axis for axis, size in enumerate(dims) if size > 1]
        last = wide[-2:] if len(wide) > 1 else [len(dims) - 2, len(dims) - 1]
        for box, chosen in ((self.rows, last[0]), (self.columns, last[-1])):
            box.blockSignals(True)
            box.clear()
            box.addItems([f"axis {axis} ({number_text(size)})" for axis, size in enumerate(dims)])
            box.setCurrentIndex(max(chosen, 0))
            box.blockSignals(False)
        self._make_places()
        self.setVisible(len(dims) > 2)

    def axes(self) -> tuple[int, int]:
        return self.rows.currentIndex(), self.columns.currentIndex()

    def fixed(self) -> tuple[int, ...]:
        """A place on every axis; 0 on those of rows and columns."""
        return tuple(self.places[axis].value() if axis in self.places else 0 for axis in range(len(self._dims)))

    def _on_axis(self) -> None:
        if self.rows.currentIndex() == self.columns.currentIndex():
            # The other box gives way, to the last axis that is left.
            other = self.columns if self.sender() is self.rows else self.rows
            free = max(axis for axis in range(len(self._dims)) if axis != self.rows.currentIndex())
            other.blockSignals(True)
            other.setCurrentIndex(free)
            other.blockSignals(False)
        self._make_places()
        self.changed.emit()

    def _make_places(self) -> None:
        kept = {axis: box.value() for axis, box in self.places.items()}
        while (item := self._rest.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.places = {}
        for axis, size in enumerate(self._dims):
            if len(self._dims) > 2 and axis not in self.axes():
                box = QSpinBox()
                box.setRange(0, max(0, size - 1))
                box.setValue(kept.get(axis, 0))
                box.setSuffix(f" of 0–{number_text(max(0, size - 1))}")
                box.setKeyboardTracking(False)
                box.setAccessibleName(f"Place on axis {axis}")
                box.valueChanged.connect(self.changed)
                self.places[axis] = box
                self._rest.addWidget(QLabel(f"axis {axis}"))
                self._rest.addWidget(box)
