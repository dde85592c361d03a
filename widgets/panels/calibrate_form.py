"""What a calibration is asked: the data, how images become inputs, how many samples, and the first method."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from graftwerk.backend.fault import Fault
from graftwerk.backend.quantize.calibration import DEFAULT
from graftwerk.backend.quantize.data import DataOptions
from graftwerk.backend.quantize.images import SUFFIXES, ImageOptions
from graftwerk.backend.quantize.methods import METHODS, PERCENTILE, Method
from graftwerk.widgets.panels.parts import fit_height, note, scrolling, section
from graftwerk.widgets.theme import mono_font

_RESIZES = {
    "crop": "Shorter side resized, middle cropped", "stretch": "Stretched", "fit": "Fitted, the rest filled",
}  # fmt: skip


class CalibrateDialog(QDialog):
    """`options`, `batch`, `method` and `percentile` are what was chosen."""

    def __init__(self, paths: tuple[str, ...] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Calibrate")
        usual = ImageOptions()
        self.paths = QPlainTextEdit("\n".join(paths))
        self.paths.setFont(mono_font())
        self.paths.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.paths.setPlaceholderText("calibration/\nloader.py:batches")
        self.paths.setTabChangesFocus(True)
        self.paths.setFixedHeight(84)
        self.paths.setAccessibleName("Data")
        self.files, self.folder = QPushButton("Add files…"), QPushButton("Add folder…")
        self.method_box = QComboBox()
        for method in METHODS:
            self.method_box.addItem(method.replace("_", " "), method)
        self.method_box.setCurrentIndex(METHODS.index(DEFAULT))
        self.percent = QDoubleSpinBox(minimum=50, maximum=100, decimals=4, value=PERCENTILE, suffix=" %")
        self.batches = _number(1, 4096, 1)
        self.most = _number(0, 1_000_000, 0)
        self.most.setSpecialValueText("All")
        self.resize_box = QComboBox()
        for key, words in _RESIZES.items():
            self.resize_box.addItem(words, key)
        self.shorter = _number(0, 8192, usual.shorter)
        self.high, self.wide = (_number(1, 8192, size) for size in usual.size)
        self.factor = QLineEdit(f"{usual.factor:.9g}")
        self.mean, self.std = (QLineEdit(", ".join(map(str, value))) for value in (usual.mean, usual.std))
        self.order = QComboBox()
        self.order.addItems(["RGB", "BGR"])
        self.fill = _number(0, 255, usual.fill)
        self.reason = note(role="warning")
        self.start = QPushButton("Calibrate")
        self.start.setProperty("primary", True)
        self.start.setDefault(True)
        self._lay_out()
        self.start.clicked.connect(self._accept)
        self.files.clicked.connect(self._add_files)
        self.folder.clicked.connect(self._add_folder)
        for change in (self.paths.textChanged, self.factor.textChanged, self.mean.textChanged, self.std.textChanged):
            change.connect(self.check)
        self.check()

    @property
    def batch(self) -> int:
        return self.batches.value()

    @property
    def method(self) -> Method:
        method: Method = self.method_box.currentData()
        return method

    @property
    def percentile(self) -> float:
        return self.percent.value()

    def options(self) -> DataOptions:
        """Raises Fault where something doesn't fit."""
        paths = tuple(line.strip() for line in self.paths.toPlainText().splitlines() if line.strip())
        if not paths:
            raise Fault("Name the data first", "", "Files, a folder, or file.py:function")
        for text in paths:
            file, colon, _ = text.rpartition(":")
            path = Path(file) if colon and file.endswith(".py") else Path(text)
            if not path.exists():
                raise Fault("There is no such file or folder", str(path))
        (factor,) = _numbers(self.factor, "The factor")
        images = ImageOptions(
            self.resize_box.currentData(), self.shorter.value(), (self.high.value(), self.wide.value()), factor,
            _numbers(self.mean, "The mean"), _numbers(self.std, "The deviation"),
            "BGR" if self.order.currentText() == "BGR" else "RGB", self.fill.value(),
        )  # fmt: skip
        if not all(images.std):
            raise Fault("The deviation is divided by: it can't be 0")
        return DataOptions(paths, images, self.most.value())

    def check(self) -> bool:
        """Whether it can be run as it stands; says why not."""
        text = ""
        try:
            self.options()
        except Fault as fault:
            text = ". ".join(filter(None, [str(fault), fault.hint]))
        self.reason.setText(text)
        self.start.setEnabled(not text)
        return not text

    def add_paths(self, paths: list[str]) -> None:
        known = self.paths.toPlainText().splitlines()
        self.paths.setPlainText("\n".join([*filter(None, known), *(path for path in paths if path not in known)]))

    def _add_files(self) -> None:
        kinds = " ".join(f"*{suffix}" for suffix in (".npz", ".npy", ".json", *SUFFIXES))
        self.add_paths(QFileDialog.getOpenFileNames(self, "Calibration data", "", f"Data ({kinds})")[0])

    def _add_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of calibration data")
        self.add_paths([chosen] if chosen else [])

    def _accept(self) -> None:
        if self.check():
            self.accept()

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(20, 18, 20, 8)
        title = QLabel("Calibrate")
        title.setProperty("role", "title")
        column.addWidget(title)
        column.addWidget(note("Measures the ranges of all float tensors on data, with ONNX Runtime."))
        column.addWidget(section("Data"))
        column.addWidget(note(
            "One per line: .npz, .npy, images, inputs that Polygraphy saved, a folder of those, or file.py:function "
            "that yields dicts of arrays."
        ))  # fmt: skip
        column.addWidget(self.paths)
        row = QHBoxLayout()
        row.addWidget(self.files)
        row.addWidget(self.folder)
        row.addStretch(1)
        column.addLayout(row)
        column.addLayout(_form({"Batch": self.batches, "Samples": self.most}))
        column.addWidget(section("Ranges"))
        column.addWidget(note("Can be changed afterwards, for single tensors too."))
        column.addLayout(_form({"Method": self.method_box, "Percentile": self.percent}))
        column.addWidget(section("Images"))
        column.addWidget(note("Layout (NCHW, NHWC) and size are the input's; where its size is free, the one below."))
        size = QWidget()
        both = QHBoxLayout(size)
        both.setContentsMargins(0, 0, 0, 0)
        both.addWidget(self.high)
        both.addWidget(QLabel("×"))
        both.addWidget(self.wide)
        both.addStretch(1)
        column.addLayout(_form({
            "Resize": self.resize_box, "Shorter side": self.shorter, "Height × width": size, "Factor": self.factor,
            "Mean": self.mean, "Deviation": self.std, "Channels": self.order, "Fill": self.fill,
        }))  # fmt: skip
        column.addStretch(1)
        cancel = QPushButton("Cancel")
        cancel.clicked.connect(self.reject)
        for button in (cancel, self.files, self.folder):
            button.setAutoDefault(False)
        foot = QHBoxLayout()
        foot.setContentsMargins(20, 4, 20, 16)
        foot.addWidget(self.reason, 1)
        foot.addWidget(cancel)
        foot.addWidget(self.start)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(inside), 1)
        outer.addLayout(foot)
        fit_height(self, inside, foot, 560)


def _number(low: int, high: int, value: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    return box


def _form(fields: dict[str, QWidget]) -> QFormLayout:
    form = QFormLayout()
    for label, field in fields.items():
        field.setAccessibleName(label)
        form.addRow(label, field)
    return form


def _numbers(field: QLineEdit, what: str) -> tuple[float, ...]:
    words = field.text().replace(",", " ").split()
    try:
        found = tuple(float(word) for word in words)
    except ValueError:
        found = ()
    if not found or (what == "The factor" and len(found) != 1):
        raise Fault(f"{what} is {field.text()!r}", "", "Numbers, one for each channel or one for all")
    return found
