"""The palette finds what was meant, quickly, is worked from the keyboard, and takes only what can be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMainWindow
from pytestqt.qtbot import QtBot

from graftwerk.widgets.panels.fuzzy import MOST, Fuzzy
from graftwerk.widgets.panels.palette import Palette, PaletteItem
from tests.clock import timed

Open = Callable[[list[PaletteItem]], Palette]


@pytest.fixture
def open_palette(qtbot: QtBot) -> Iterator[Open]:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.resize(900, 600)
    window.show()

    def opened(items: list[PaletteItem]) -> Palette:
        palette = Palette(window)
        palette.open_with(items, "Search")
        return palette

    yield opened
    window.close()


def llm(layers: int) -> list[str]:
    parts = ("self_attn/q_proj/MatMul", "self_attn/Softmax", "mlp/gate_proj/MatMul", "input_layernorm/Mul", "Shape")
    return [f"/model/layers.{layer}/{part}" for layer in range(layers) for part in parts]


@pytest.mark.parametrize(("query", "expected"), [
    ("/model/layers.7/Shape", "/model/layers.7/Shape"),
    ("layers.7/shape", "/model/layers.7/Shape"),
    ("shape layers.12", "/model/layers.12/Shape"),
    ("layers.3 sofmtax", "/model/layers.3/self_attn/Softmax"),
    ("layers.3/slf_attn/softmx", "/model/layers.3/self_attn/Softmax"),
    ("gateproj", "/model/layers.0/mlp/gate_proj/MatMul"),
])  # fmt: skip
def test_the_first_match_is_what_was_meant(query: str, expected: str) -> None:
    texts = llm(40)
    assert texts[Fuzzy(texts).search(query)[0]] == expected


def test_equal_comes_before_beginning_before_inside() -> None:
    texts = ["Rebuild", "Build Settings…", "Build", "Engine build", "Xbuildx"]
    assert [texts[row] for row in Fuzzy(texts).search("build")] == [
        "Build", "Build Settings…", "Engine build", "Rebuild", "Xbuildx",
    ]  # fmt: skip
    assert list(Fuzzy(texts).search("")) == list(range(5))
    assert list(Fuzzy(texts).search("qqqq")) == []


def test_nodes_come_before_tensors(open_palette: Open) -> None:
    nodes = [("/conv1/Conv", "Conv"), ("/layer1/conv1/Conv", "Conv"), ("/GlobalAveragePool", "GlobalAveragePool"),
             ("/convert/Cast", "Cast")]  # fmt: skip
    tensors = ["conv1.bias", "conv1.weight", "/GlobalAveragePool_output_0", "/conv1/Conv_output_0", "conv"]
    palette = open_palette([PaletteItem(*item) for item in [*((name, "tensor") for name in tensors), *nodes]])

    def found(query: str) -> list[str]:
        palette.search.setText(query)
        return [palette.model.index(row).data() for row in range(palette.model.rowCount())]

    assert found("Conv")[:4] == ["/conv1/Conv", "/layer1/conv1/Conv", "conv", "/convert/Cast"]
    assert found("conv1")[:2] == ["/conv1/Conv", "/layer1/conv1/Conv"]
    assert found("GlobalAveragePool") == ["/GlobalAveragePool", "/GlobalAveragePool_output_0"]
    assert found("conv1.w") == ["conv1.weight"]
    assert found("conv1.bias")[0] == "conv1.bias"


def test_a_key_stroke_among_a_hundred_thousand_names_takes_under_50_ms() -> None:
    texts = llm(20_000)
    assert len(texts) == 100_000
    fuzzy = Fuzzy(texts)
    fuzzy.prepare()
    for query in ("m", "ma", "matmul", "layers.19999", "layers.19999 q_proj", "sofmtax", "nothing like this", "zzz"):
        spent = []
        for _ in range(5):
            found, seconds = timed(fuzzy.search, query)
            spent.append(seconds)
            assert len(found) <= MOST
        assert min(spent) < 0.05, query


def test_arrows_and_enter_choose(open_palette: Open, qtbot: QtBot) -> None:
    palette = open_palette([PaletteItem(name, payload=name) for name in ("Open", "Save", "Build", "Save As")])
    QTest.keyClicks(palette.search, "save")
    assert palette.model.rowCount() == 2
    QTest.keyClick(palette.search, Qt.Key.Key_Down)
    with qtbot.waitSignal(palette.chosen) as taken:
        QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert taken.args == ["Save As"]
    assert not palette.isVisible()


def test_arrows_go_round_and_pages_stop_at_the_ends(open_palette: Open) -> None:
    palette = open_palette([PaletteItem(str(number)) for number in range(30)])
    for key, row in ((Qt.Key.Key_Up, 29), (Qt.Key.Key_Down, 0), (Qt.Key.Key_PageDown, 12), (Qt.Key.Key_PageDown, 24),
                     (Qt.Key.Key_PageDown, 29), (Qt.Key.Key_PageUp, 17)):  # fmt: skip
        QTest.keyClick(palette.search, key)
        assert palette.list.currentIndex().row() == row


def test_what_cannot_be_done_says_why_and_is_not_taken(open_palette: Open, qtbot: QtBot) -> None:
    palette = open_palette([PaletteItem("Build", enabled=False, reason="Open a model first", payload=1)])
    index = palette.model.index(0)
    assert index.data(Qt.ItemDataRole.ToolTipRole) == "Open a model first"
    with qtbot.assertNotEmitted(palette.chosen):
        QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert palette.isVisible()


def test_escape_closes_and_opening_again_starts_anew(open_palette: Open) -> None:
    palette = open_palette([PaletteItem("Build"), PaletteItem("Save")])
    QTest.keyClicks(palette.search, "nothing of this kind")
    assert palette.model.rowCount() == 0
    assert palette.empty.isVisible()
    QTest.keyClick(palette.search, Qt.Key.Key_Escape)
    assert not palette.isVisible()
    palette.open_with([PaletteItem("Other")], "Search")
    assert palette.search.text() == ""
    assert palette.model.rowCount() == 1
    assert not palette.empty.isVisible()
