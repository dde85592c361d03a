"""What a crash has left: which models, from when, how many steps; restored, discarded, or left for later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QHeaderView, QLabel, QTreeWidget, QTreeWidgetItem, QVBoxLayout

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from graftwerk.backend.recovery import Saved

_STATES = {
    "same": "",
    "changed": "The file has changed since: the steps are done to it as it is now",
    "missing": "The file is gone: put it back to restore the edits",
}


class RecoveryDialog(QDialog):
    """`restore` and `discard` carry the path of an entry, once for each that is ticked."""

    restore = Signal(object)
    discard = Signal(object)

    def __init__(self, entries: Mapping[Path, Saved], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Restore unsaved edits")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(760, 300)
        text = QLabel("Graftwerk did not end well the last time. These edits were not saved:")
        self.list = QTreeWidget()
        self.list.setHeaderLabels(["Model", "Edited", "Steps", "Folder"])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        for path, entry in sorted(entries.items(), key=lambda item: -item[1].time):
            self._add(path, entry)
        self.list.setColumnWidth(0, 220)
        for column in (1, 2):
            self.list.header().setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.buttons = QDialogButtonBox()
        restore = self.buttons.addButton("Restore", QDialogButtonBox.ButtonRole.AcceptRole)
        discard = self.buttons.addButton("Discard", QDialogButtonBox.ButtonRole.DestructiveRole)
        later = self.buttons.addButton("Not now", QDialogButtonBox.ButtonRole.RejectRole)
        later.setToolTip("They are offered again at the next start")
        restore.setDefault(True)
        restore.clicked.connect(lambda: self._take(self.restore))
        discard.clicked.connect(lambda: self._take(self.discard))
        later.clicked.connect(self.reject)
        column_box = QVBoxLayout(self)
        column_box.setSpacing(12)
        column_box.addWidget(text)
        column_box.addWidget(self.list, 1)
        column_box.addWidget(self.buttons)

    def _add(self, path: Path, entry: Saved) -> None:
        state = _STATES[entry.base.state()]
        when = datetime.fromtimestamp(entry.time).strftime("%Y-%m-%d %H:%M:%S")
        place = str(Path(entry.model).parent) if entry.model else "not saved yet"
        row = QTreeWidgetItem([entry.title, when, str(entry.at), place])
        row.setData(0, Qt.ItemDataRole.UserRole, path)
        row.setCheckState(0, Qt.CheckState.Checked)
        row.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.list.addTopLevelItem(row)
        if state:
            note = QTreeWidgetItem([f"⚠ {state}"])
            note.setFlags(Qt.ItemFlag.ItemIsEnabled)
            row.addChild(note)
            row.setExpanded(True)
            self.list.setFirstColumnSpanned(0, self.list.indexFromItem(row), True)
        for column in range(4):
            row.setToolTip(column, state or entry.model)

    def text(self) -> str:
        """All rows as lines, with what is said about them."""
        rows = [row for index in range(self.list.topLevelItemCount()) if (row := self.list.topLevelItem(index))]
        return "\n".join("\t".join([row.text(column) for column in range(4)] + [row.toolTip(0)]) for row in rows)

    def _take(self, signal: SignalInstance) -> None:
        rows = [row for index in range(self.list.topLevelItemCount()) if (row := self.list.topLevelItem(index))]
        chosen = [row for row in rows if row.checkState(0) == Qt.CheckState.Checked]
        for row in chosen:
            signal.emit(row.data(0, Qt.ItemDataRole.UserRole))
            self.list.takeTopLevelItem(self.list.indexOfTopLevelItem(row))
        if not self.list.topLevelItemCount():
            self.accept()
