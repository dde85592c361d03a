"""The layers of a report as rows of a table: sorted and filtered here, for a proxy would ask Python for every pair."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import cached_property, lru_cache
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QFont, QIcon

from graftwerk.backend.engines.report import Layer, LayerTensor, Report
from graftwerk.widgets.panels.frame import swatch
from graftwerk.widgets.panels.readout import time_text
from graftwerk.widgets.theme import mono_font, precision_color

Index = QModelIndex | QPersistentModelIndex

NUMBER, NAME, KIND, PRECISION, NODES, INPUTS, OUTPUTS, TACTIC, TIME = range(9)
TITLES = ("#", "Layer", "Kind", "Precision", "ONNX nodes", "Inputs", "Outputs", "Tactic", "Time")
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_NOWHERE = QModelIndex()


def tensor_text(tensor: LayerTensor) -> str:
    """`FP16 8×512×28×28 NHWC`. TensorRT writes a format as "(NHWC) Channel major format"."""
    return _type_text(tensor.dtype, tensor.shape, tensor.format)


@lru_cache(maxsize=4096)  # an engine has far fewer types than tensors
def _type_text(dtype: str, shape: tuple[int, ...], layout: str) -> str:
    sizes = "×".join("?" if size < 0 else str(size) for size in shape)
    short = re.match(r"\(([^)]+)\)", layout)
    return " ".join(part for part in (dtype, sizes, short[1] if short else layout) if part)


def _tensors_tip(tensors: Sequence[LayerTensor]) -> str:
    lines = [f"{tensor.name}: {tensor_text(tensor)}" for tensor in tensors[:20]]
    return "\n".join([*lines, *(["…"] if len(tensors) > 20 else [])])


_TEXTS: dict[int, Callable[[Layer], str]] = {
    NAME: lambda layer: layer.name,
    KIND: lambda layer: layer.kind,
    PRECISION: lambda layer: layer.precision,
    NODES: lambda layer: ", ".join(layer.onnx_nodes),
    INPUTS: lambda layer: ", ".join(map(tensor_text, layer.inputs)),
    OUTPUTS: lambda layer: ", ".join(map(tensor_text, layer.outputs)),
    TACTIC: lambda layer: layer.tactic,
}


class LayerModel(QAbstractTableModel):
    """Rows are the layers that pass the filters, in the order asked for. `times` are milliseconds by layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: tuple[Layer, ...] = ()
        self.times: dict[int, float] = {}
        self.shown: list[int] = []  # places in `layers`
        self._words = ""
        self._precisions: frozenset[str] = frozenset()
        self._sorted = (NUMBER, Qt.SortOrder.AscendingOrder)
        self._icons: dict[str, QIcon] = {}
        self.pointed = ""
        self.pointed_color = QColor()

    def set_report(self, report: Report | None, times: dict[int, float]) -> None:
        self.beginResetModel()
        self.layers = report.layers if report is not None else ()
        self.times = times
        for name in ("_haystacks", "_mono"):
            self.__dict__.pop(name, None)
        self.shown = self._arranged()
        self.endResetModel()

    def set_pointed(self, name: str) -> None:
        """Marks the rows of a layer that is pointed at elsewhere; "" for none."""
        if name != self.pointed:
            rows = [row for row, at in enumerate(self.shown) if self.layers[at].name in (name, self.pointed)]
            self.pointed = name
            for row in rows:
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(TITLES) - 1))

    def set_filter(self, words: str, precisions: Collection[str]) -> None:
        """Shows the layers that hold all the words, of one of the precisions (all of them where there are none)."""
        self.beginResetModel()
        self._words, self._precisions = words.lower(), frozenset(precisions)
        self.shown = self._arranged()
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self.beginResetModel()
        self._sorted = (column, order)
        self.shown = self._arranged()
        self.endResetModel()

    def _arranged(self) -> list[int]:
        words = self._words.split()
        found = [
            at for at, layer in enumerate(self.layers)
            if (not self._precisions or layer.precision in self._precisions)
            and (not words or all(word in self._haystacks[at] for word in words))
        ]  # fmt: skip
        column, order = self._sorted
        if (column, order) != (NUMBER, Qt.SortOrder.AscendingOrder):
            found.sort(key=self._key(column), reverse=order == Qt.SortOrder.DescendingOrder)
        return found

    @cached_property
    def _haystacks(self) -> list[str]:
        return ["\n".join([text(layer) for text in _TEXTS.values()]).lower() for layer in self.layers]

    @cached_property
    def _mono(self) -> QFont:
        return mono_font()

    def _key(self, column: int) -> Callable[[int], Any]:
        if column == NUMBER:
            return lambda at: at
        if column == TIME:
            return lambda at: self.times.get(at, -1.0)
        return lambda at: natural(self.text(at, column))

    def layer(self, row: int) -> Layer:
        return self.layers[self.shown[row]]

    def text(self, at: int, column: int) -> str:
        """What a cell holds of the layer at a place in the report, in full."""
        if column == NUMBER:
            return str(at)
        if column == TIME:
            return time_text(self.times[at]) if at in self.times else ""
        return _TEXTS[column](self.layers[at])

    def _short_text(self, at: int, column: int) -> str:
        """What a cell shows: of all nodes but the first only the last part of their names."""
        nodes = self.layers[at].onnx_nodes
        if column == NODES and len(nodes) > 1:
            return " + ".join([nodes[0], *(name.rstrip("/").rpartition("/")[2] for name in nodes[1:])])
        return self.text(at, column)

    # What Qt asks

    def rowCount(self, parent: Index = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.shown)

    def columnCount(self, parent: Index = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(TITLES)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return TITLES[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        at, column = self.shown[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._short_text(at, column)
        if role == Qt.ItemDataRole.BackgroundRole and self.pointed and self.layers[at].name == self.pointed:
            return self.pointed_color
        if role == Qt.ItemDataRole.DecorationRole and column == PRECISION and self.layers[at].precision:
            return self._icon(self.layers[at].precision)
        if role == Qt.ItemDataRole.FontRole and column not in (NUMBER, KIND, PRECISION):
            return self._mono
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (NUMBER, TIME):
            return _RIGHT
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(at, column)
        return None

    def _icon(self, precision: str) -> QIcon:
        color = precision_color(precision)
        if color not in self._icons:
            self._icons[color] = swatch(color)
        return self._icons[color]

    def _tip(self, at: int, column: int) -> str:
        layer = self.layers[at]
        if column == INPUTS:
            return _tensors_tip((*layer.inputs, *layer.constants))
        if column == OUTPUTS:
            return _tensors_tip(layer.outputs)
        if column == NODES:
            return "\n".join(layer.onnx_nodes[:40])
        return self.text(at, column)


def natural(text: str) -> list[str | int]:
    """A key that sorts numbers in texts by value: layer2 before layer10."""
    return [int(part) if at % 2 else part for at, part in enumerate(re.split(r"(\d+)", text.lower()))]
