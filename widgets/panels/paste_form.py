"""Pasting nodes that read what has no fitting tensor here: a line for each, with what it has to be."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QWidget

from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.operations.paste import PasteNodes
from graftwerk.backend.operations.registry import FilePath, Operation
from graftwerk.widgets.panels.name_edit import NameEdit, Names
from graftwerk.widgets.panels.node_form import NodeDialog
from graftwerk.widgets.panels.parts import mark_invalid, note, section

_DOC = (
    "What the nodes read from outside is bound to the tensor of the same name, where there is one that fits. Name a "
    "tensor for the others, or let them become inputs of the model."
)


class PasteDialog(NodeDialog):
    """`bound` are the inputs of the fragment `other` with the tensors that they would read, "" for those without."""

    def __init__(self, file: str, other: Graph, bound: Mapping[str, str], graph: Graph,
                 parent: QWidget | None = None) -> None:  # fmt: skip
        count = len(other.nodes)
        super().__init__("Paste nodes", f"Paste {count} node{'s' * (count != 1)}", _DOC, graph, parent)
        self._file, self._bound = file, dict(bound)
        self.inputs: dict[str, NameEdit] = {}
        self.as_inputs = QCheckBox("Make graph inputs of those without a tensor")
        self.as_inputs.toggled.connect(self._timer.start)
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        names = Names.of_tensors(graph)
        for name in sorted(bound, key=lambda one: bool(bound[one])):
            edit = NameEdit(names)
            edit.setText(bound[name])
            edit.setPlaceholderText("a tensor")
            edit.setAccessibleName(name)
            edit.textChanged.connect(self._timer.start)
            self.inputs[name] = edit
            label = QLabel(name)
            label.setContentsMargins(0, 6, 0, 0)
            row = grid.rowCount()
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(edit, row, 1)
            grid.addWidget(note(f"read as {other.type_of(name) or 'any type'}"), row + 1, 1)
        self.column.addWidget(section("Reads"))
        self.column.addLayout(grid)
        self.column.addWidget(self.as_inputs)
        self.column.addStretch(1)
        self.check()

    def operation(self) -> Operation:
        typed = {name: edit.text().strip() for name, edit in self.inputs.items()}
        given = {name: text for name, text in typed.items() if text and text != self._bound[name]}
        return PasteNodes(FilePath(self._file), given, self.as_inputs.isChecked())

    def mark(self, where: str) -> None:
        super().mark(where)
        for edit in self.inputs.values():
            mark_invalid(edit, bool(where) and edit.text().strip() == where)
