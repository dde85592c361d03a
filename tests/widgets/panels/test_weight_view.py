"""The parts of the weight viewer: what they read, what they say of it, and how fast they draw."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.new import new_model
from graftwerk.backend.graph.plane import Plane, Values
from graftwerk.backend.graph.statistics import Statistics, statistics
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.widgets.panels import weight_histogram
from graftwerk.widgets.panels.weight_histogram import WeightHistogram, read_text
from graftwerk.widgets.panels.weight_image import WeightImage
from graftwerk.widgets.panels.weight_slice import SliceChooser
from graftwerk.widgets.panels.weight_table import PAGE_ROWS, WeightTable
from graftwerk.widgets.panels.weight_view import WeightView
from tests.clock import timed


def view_of(array: object, qtbot: QtBot) -> WeightView:
    edit = Edit(new_model("n", []))
    edit.set_initializer(Initializer.from_array(np.asarray(array), "w"))
    view = WeightView("w")
    qtbot.addWidget(view)
    view.set_graph(edit.commit())
    return view


def test_millions_of_elements_in_a_bin_are_drawn_at_once(qtbot: QtBot) -> None:
    histogram = WeightHistogram()
    qtbot.addWidget(histogram)
    histogram.statistics = Statistics(10**9, 0, 0, 0, 0.0, 1.0, 0.5, 0.1, 0.0, 1.0, (10**9 - 1, 1), 10**9)
    for logarithmic in (False, True):
        histogram.log.setChecked(logarithmic)
        _, seconds = timed(histogram._draw)
        assert seconds < 0.5


def test_a_sample_says_so_and_the_rest_can_be_read(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_histogram, "LARGE", 1 << 16)
    monkeypatch.setattr(weight_histogram, "SAMPLE", 1 << 15)
    weight = Initializer.from_array(np.arange(1 << 18, dtype=np.float32), "w")
    histogram = WeightHistogram()
    qtbot.addWidget(histogram)
    histogram.show()
    with qtbot.waitSignal(histogram.found):
        histogram.show_weight(weight)
    assert histogram.note.text().startswith("Sampled: 32")
    with qtbot.waitSignal(histogram.found):
        QTest.mouseClick(histogram.whole, Qt.MouseButton.LeftButton)
    assert histogram.statistics == statistics(weight)
    assert histogram.statistics is not None
    assert read_text(histogram.statistics).startswith("All 262")
    assert not histogram.whole.isVisible()


def test_an_image_reads_anew_what_is_zoomed_into(qtbot: QtBot) -> None:
    array = np.arange(5000 * 5000, dtype=np.float32).reshape(5000, 5000)
    image = WeightImage()
    qtbot.addWidget(image)
    image.show()
    with qtbot.waitSignal(image.reader.answered):
        image.show_plane(Plane(Values(Initializer.from_array(array, "w")), array.shape))
    assert image.values is not None
    assert image.values.shape == (250, 250)  # every 20th of 5000
    assert "every 20th row and every 20th column" in image.note.text()
    with qtbot.waitSignal(image.reader.answered):
        image.view.setRange(xRange=(100, 140), yRange=(200, 230), padding=0)
    rows, columns = image._window
    np.testing.assert_array_equal(image.values, array[rows.start : rows.stop, columns.start : columns.stop])
    assert "Every value" in image.note.text()


def test_values_that_are_not_finite_are_said(qtbot: QtBot) -> None:
    image = WeightImage()
    qtbot.addWidget(image)
    with qtbot.waitSignal(image.reader.answered):
        image.show_plane(Plane(Values(Initializer.from_array(np.array([[np.nan, 1], [np.inf, 2]]), "w")), (2, 2)))
    assert "2 shown values are NaN or infinite" in image.note.text()
    with qtbot.waitSignal(image.reader.answered):
        image.show_plane(Plane(Values(Initializer.from_array(np.full((2, 2), np.nan), "w")), (2, 2)))
    image.show_plane(None)
    assert "nothing to show" in image.note.text()


def test_long_tables_have_pages_and_edits_know_their_place(qtbot: QtBot) -> None:
    array = np.arange(3 * PAGE_ROWS * 2).reshape(-1, 2)
    table = WeightTable()
    qtbot.addWidget(table)
    table.show_plane(Plane(Values(Initializer.from_array(array, "w")), array.shape), 7)
    table.row_page.setValue(3)
    assert table.model.index(0, 1).data() == str(array[2 * PAGE_ROWS, 1])
    assert table.model.headerData(0, Qt.Orientation.Vertical) == str(2 * PAGE_ROWS)
    assert table.model.setData(table.model.index(5, 0), "0x10")
    assert dict(table.edits) == {f"{2 * PAGE_ROWS + 5},0": 16}
    table.row_page.setValue(1)
    assert table.model.index(5, 0).data() == str(array[5, 0])
    assert table.model.setData(table.model.index(5, 0), str(array[5, 0])) is False  # nothing new


@pytest.mark.parametrize("array", [
    np.array(True), np.array(["a", "b"], object), np.array([1 + 2j]), np.zeros((0, 3), np.float32),
    np.zeros((2, 3, 4, 5), np.int8), np.full(3, np.nan, np.float16),
])  # fmt: skip
def test_every_kind_of_weight_can_be_looked_at(array: object, qtbot: QtBot) -> None:
    view = view_of(array, qtbot)
    view.show()
    qtbot.waitUntil(lambda: not view.histogram.reader.busy)
    for at in range(3):
        if view.tabs.isTabEnabled(at):
            view.tabs.setCurrentIndex(at)
            qtbot.waitUntil(lambda: not view.image.reader.busy)
            assert not view.grab().isNull()


def test_axes_of_size_one_are_not_shown_first(qtbot: QtBot) -> None:
    slices = SliceChooser()
    qtbot.addWidget(slices)
    slices.set_dims((32, 8, 1, 1))
    assert slices.axes() == (0, 1)
    slices.set_dims((32, 8, 3, 3))
    assert slices.axes() == (2, 3)
    slices.set_dims((1, 1, 1))
    assert slices.axes() == (1, 2)
