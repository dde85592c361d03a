"""Shapes of a model's dynamic inputs: ranges for an optimization profile, or one shape for a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QLineEdit, QWidget

from graftwerk.backend.engines.shapes import Range, check_range, default_shapes, parse_shapes
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.types import Dim, TensorType
from graftwerk.widgets.panels.parts import ElidedLabel, mark_invalid
from graftwerk.widgets.theme import mono_font

Shape = tuple[int, ...]


def dynamic_inputs(graph: Graph) -> dict[str, tuple[Dim, ...]]:
    """The inputs that a caller feeds and whose shape is not all numbers, with their dimensions."""
    found = {}
    for info in graph.inputs:
        kind = TensorType.of(info.type)
        if info.name not in graph.initializers and kind.shape is not None:
            found[info.name] = kind.shape
    return {name: dims for name, dims in found.items() if not all(isinstance(dim, int) for dim in dims)}


def default_ranges(graph: Graph) -> dict[str, Range]:
    """The ranges that a build takes where the user gives none."""
    return default_shapes(dynamic_inputs(graph))


class ShapeForm(QWidget):
    """One row for each dynamic input, one line of text (`1x3x224x224`) in each column."""

    changed = Signal()

    def __init__(
        self,
        inputs: Mapping[str, Sequence[Dim]],
        columns: Sequence[str],
        shapes: Mapping[str, Sequence[Shape]],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._inputs = dict(inputs)
        self.lines: dict[str, list[QLineEdit]] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(0, 4)
        for column, title in enumerate(columns, 1):
            grid.setColumnStretch(column, 3)
            grid.addWidget(_caption(title), 0, column)
        for name, dims in self._inputs.items():
            row = grid.rowCount()
            grid.addWidget(_input_label(name, dims), row, 0)
            self.lines[name] = []
            for column, shape in enumerate(shapes[name], 1):
                line = QLineEdit("x".join(map(str, shape)))
                line.setFont(mono_font())
                line.setAccessibleName(f"{name} {columns[column - 1]}")
                line.setMinimumWidth(line.fontMetrics().horizontalAdvance("0" * 9))
                line.textChanged.connect(self.changed)
                self.lines[name].append(line)
                grid.addWidget(line, row, column)

    def shapes(self) -> dict[str, tuple[Shape, ...]]:
        """What was typed. Raises Fault that names the input and says what is wrong with it."""
        found: dict[str, tuple[Shape, ...]] = {}
        for name, lines in self.lines.items():
            try:
                each = tuple(_read(name, line.text()) for line in lines)
                ends = each if len(each) == 3 else each * 3
                check_range(name, ends, [dim if isinstance(dim, int) else -1 for dim in self._inputs[name]])
            except Fault as fault:
                self._mark(name)
                raise Fault(fault.message, name, fault.hint) from None
            found[name] = each
        self._mark("")
        return found

    def _mark(self, wrong: str) -> None:
        for name, lines in self.lines.items():
            for line in lines:
                mark_invalid(line, name == wrong)


def _read(name: str, text: str) -> Shape:
    try:
        return parse_shapes(f"{name}:{text.replace('×', 'x').replace(' ', '')}")[1][0]
    except Fault:
        raise Fault(f"{text!r} is not a shape", name, "Write sizes with x between them, e.g. 1x3x224x224") from None


def _caption(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", "muted")
    return label


def _input_label(name: str, dims: Sequence[Dim]) -> QWidget:
    box = QWidget()
    column = QGridLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    column.setVerticalSpacing(0)
    title = ElidedLabel(name)
    title.setFont(mono_font())
    below = ElidedLabel(str(TensorType(0, tuple(dims))))
    below.setProperty("role", "muted")
    for row, label in enumerate((title, below)):
        label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        column.addWidget(label, row, 0)
    return box
