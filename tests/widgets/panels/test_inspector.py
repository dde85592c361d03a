"""The inspector agrees with graph, report and profile, and what is typed into it becomes operations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx.helper import make_node
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

import graftwerk.backend.operations.all  # noqa: F401
from graftwerk.backend.engines.report import Layer, NodeOutcome, NodeTime, Profile, Report
from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph, NodeId, NodeRef, TensorName
from graftwerk.backend.graph.operators import Attribute
from graftwerk.backend.graph.schema import TYPE_WORDS
from graftwerk.backend.graph.statistics import PIECE, Statistics
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.attributes import RemoveAttribute, SetAttribute
from graftwerk.backend.operations.plugin import ReplaceWithPlugin
from graftwerk.backend.operations.qdq_insert import InsertQdq, InsertQdqLayer
from graftwerk.backend.operations.registry import Selection, apply
from graftwerk.backend.operations.rename import RenameNode, RenameTensor
from graftwerk.widgets.panels.attribute_form import typed
from graftwerk.widgets.panels.inspector import Inspector
from graftwerk.widgets.panels.inspector_page import MOST, Row, size_text
from graftwerk.widgets.panels.node_page import attribute_text


@pytest.fixture
def digits(models: Path) -> Graph:
    return load(models / "digits.onnx")


@pytest.fixture
def inspector(qtbot: QtBot) -> Inspector:
    made = Inspector()
    qtbot.addWidget(made)
    made.resize(310, 900)
    made.show()
    return made


def sections(inspector: Inspector) -> dict[str, dict[str, Row]]:
    """The rows by heading and key; a histogram counts as the row "histogram"."""
    found: dict[str, dict[str, Row]] = {}
    model = inspector.rows.lines
    for number in range(model.rowCount()):
        line = inspector.rows.line(model.index(number))
        if isinstance(line, str):
            found[line] = {}
        elif isinstance(line, Row):
            found[list(found)[-1]][line.key] = line
        else:
            assert isinstance(line, Statistics)
            found[list(found)[-1]]["histogram"] = Row("histogram", "")
    return found


def first(graph: Graph, op_type: str) -> NodeId:
    return next(node for node, record in graph.nodes.items() if record.op_type == op_type)


def click(inspector: Inspector, wanted: Callable[[Row], bool]) -> None:
    model = inspector.rows.lines
    for number in range(model.rowCount()):
        line = inspector.rows.line(model.index(number))
        if isinstance(line, Row) and wanted(line):
            inspector.rows.scrollTo(model.index(number))
            place = inspector.rows.visualRect(model.index(number)).center()
            QTest.mouseClick(inspector.rows.viewport(), Qt.MouseButton.LeftButton, pos=place)
            return
    raise AssertionError("no such row")


def test_a_node(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    conv = first(digits, "Conv")
    record = digits.nodes[conv]
    inspector.inspect(digits, Selection((conv,)), None, None)
    assert inspector.title.text() == "Conv"
    assert inspector.name.text() == record.name
    found = sections(inspector)
    assert set(found["Attributes"]) == {attribute.name for attribute in record.attribute}
    assert found["Attributes"]["kernel_shape"].value == "3, 3"
    assert list(found["Inputs"]) == ["X", "W", "B"][: len(record.input)]
    assert found["Inputs"]["W"].value == str(digits.type_of(record.input[1]))
    assert "Compiled as" not in found
    with qtbot.waitSignal(inspector.selected) as chosen:
        click(inspector, lambda row: row.key == "W")
    assert chosen.args == [Selection((), (record.input[1],))]
    qtbot.waitUntil(lambda: "histogram" in sections(inspector)["Weight W"])


def report_of(graph: Graph, conv: NodeId, relu: NodeId, precision: str) -> Report:
    refs: tuple[str, ...] = (graph.ref(conv), graph.ref(relu))
    layers = (Layer("reformat", "Reformat"), Layer("conv+relu", "CaskConvolution", precision, tactic="i8i8_k1",
                                                   onnx_nodes=refs, milliseconds=0.061))  # fmt: skip
    nodes = dict.fromkeys(refs, NodeOutcome("conv+relu", precision, ("reformat",)))
    nodes["gone"] = NodeOutcome(state="folded")
    return Report("tensorrt-rtx", "1.7.1", ("sm89", "sm120"), 1.0, 1, layers, nodes)


def test_what_a_compiler_made_of_it(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    conv, relu = first(digits, "Conv"), first(digits, "Relu")
    report = report_of(digits, conv, relu, "FP32")
    inspector.inspect(digits, Selection((conv,)), report, None)
    found = sections(inspector)["Compiled as"]
    shown = {key: row.value for key, row in found.items()}
    assert shown == {
        "layer": "1 CaskConvolution", "fused with": "Relu", "requested / achieved": "FP32 / FP32", "tactic": "i8i8_k1",
        "layer time": "61 µs", "also in": "0 Reformat", "by": "TensorRT-RTX 1.7.1 · SM89, SM120",
    }  # fmt: skip
    assert found["requested / achieved"].tone == "FP32"
    with qtbot.waitSignal(inspector.selected) as chosen:
        click(inspector, lambda row: row.key == "fused with")
    assert chosen.args == [Selection((conv, relu))]
    quantized = apply(InsertQdqLayer(digits.ref(conv)), digits)
    inspector.inspect(quantized, Selection((conv,)), report, None)
    row = sections(inspector)["Compiled as"]["requested / achieved"]
    assert (row.value, row.tone) == ("INT8 / FP32", "warning")
    added = next(node for node in quantized.nodes if node not in digits.nodes)
    inspector.inspect(quantized, Selection((added,)), report, None)
    assert "not in the model that was compiled" in sections(inspector)["Compiled as"][""].value


def test_times_say_whose_they_are(inspector: Inspector, digits: Graph) -> None:
    conv, relu = first(digits, "Conv"), first(digits, "Relu")
    layers = (NodeTime("a", "Conv", (0.3, 0.1, 0.2), onnx_nodes=(digits.ref(conv),), dtype="FP32"),
              NodeTime("b", "Relu", (0.6, 0.6, 0.6), onnx_nodes=(digits.ref(relu),)))  # fmt: skip
    profile = Profile("onnxruntime", "1.23", "CPU (test)", 3, layers, (0.5,), not_run=("x",))
    inspector.inspect(digits, Selection((conv,)), None, profile)
    shown = {key: row.value for key, row in sections(inspector)["Time"].items()}
    assert shown == {
        "median": "200 µs", "of all layers": "25.0%", "computed in": "FP32", "by": "ONNX Runtime 1.23",
        "on": "CPU (test)",
    }  # fmt: skip


def test_a_plugins_kernels_have_one_time(inspector: Inspector, digits: Graph) -> None:
    ref = digits.ref(node := first(digits, "Conv"))
    inner = [NodeTime(f"_inlfunc {at}", kind, (1.0 + at, 1.0 + at), (), (ref,), "FP32")
             for at, kind in enumerate(("Mul", "Add"))]  # fmt: skip
    layers = (*inner, NodeTime("x", "Relu", (1.0, 1.0)))
    profile = Profile("onnxruntime", "1", "CPU", 2, layers, (9.0,), stand_ins=(ref,))
    inspector.inspect(digits, Selection((node,)), None, profile)
    rows = sections(inspector)["Time"]
    assert rows["stand-in"].value == "original subgraph"
    assert rows["median, 2 kernels"].value == "3 ms"
    assert rows["median, 2 kernels"].tip.splitlines()[1:] == ["Add  2 ms", "Mul  1 ms"]
    assert rows["of all layers"].value == "75.0%"
    assert rows["computed in"].tone == "FP32"


def test_a_stand_in_counts_its_constants_apart(inspector: Inspector, models: Path) -> None:
    encoder = load(models / "encoder.onnx")
    replaced = apply(ReplaceWithPlugin((NodeRef("/Unsqueeze"), NodeRef("/Unsqueeze_1")), "P"), encoder)
    inspector.inspect(replaced, Selection((first(replaced, "P"),)), None, None)
    assert sections(inspector)["Operator"]["stand-in"].value == "2 nodes and 2 constants"


@pytest.mark.parametrize(("value", "text"), [(1.0, "1.0"), (0.5, "0.5"), (1, "1"), ([1.0, 2.5], "1.0, 2.5"),
                                             (1e-12, "1e-12"), (float("inf"), "inf"), (1e20, "1e+20")])  # fmt: skip
def test_floats_are_told_from_integers(value: object, text: str) -> None:
    assert attribute_text(value) == text


def test_a_weight_says_where_it_lies_and_what_it_holds(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    name, stored = next((name, one) for name, one in digits.initializers.items() if one.size > 100)
    inspector.inspect(digits, Selection((), (name,)), None, None)
    assert inspector.title.text() == "Weight"
    qtbot.waitUntil(lambda: "histogram" in sections(inspector)["Values"])
    found = sections(inspector)
    assert found["Stored"]["size"].value == size_text(stored.nbytes)
    mean = np.asarray(stored.array(), np.float64).mean()
    assert found["Values"]["mean ± σ"].value.startswith(f"{mean:.4g} ±")
    assert [row.target for row in found["Read by"].values()] == [Selection(digits.consumers(name))]


def test_a_weight_that_is_left_is_not_read_to_its_end(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    edit = Edit(digits)
    big = Initializer.from_array(np.zeros(40 * PIECE, np.int8), "big")
    small = Initializer.from_array(np.arange(9, dtype=np.float32), "small")
    edit.set_initializer(big)
    edit.set_initializer(small)
    graph = edit.commit()
    inspector.inspect(graph, Selection((), ("big",)), None, None)
    assert "Reading" in sections(inspector)["Values"][""].value
    inspector.inspect(graph, Selection((), ("small",)), None, None)
    qtbot.waitUntil(lambda: "histogram" in sections(inspector)["Values"])
    assert inspector.loader.known(big) is None
    assert not inspector.loader.busy


def test_a_weight_that_cannot_be_read_says_why(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    edit = Edit(digits)
    broken = Initializer(TensorProto(name="broken", data_type=TensorProto.FLOAT, dims=[10], raw_data=b"123"))
    edit.set_initializer(broken)
    inspector.inspect(edit.commit(), Selection((), ("broken",)), None, None)
    qtbot.waitUntil(lambda: isinstance(inspector.loader.known(broken), Fault))
    assert "3 bytes" in sections(inspector)["Values"][""].value


def test_a_tensor_between_nodes(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    conv = first(digits, "Conv")
    tensor = digits.nodes[conv].output[0]
    inspector.inspect(digits, Selection((), (tensor,)), None, None)
    found = sections(inspector)
    assert found["Made by"]["Conv"].target == Selection((conv,))
    assert {row.target for row in found["Read by"].values()} == {Selection((n,)) for n in digits.consumers(tensor)}
    inspector.inspect(digits, Selection((), (digits.inputs[0].name,)), None, None)
    assert inspector.title.text() == "Graph input"


def test_a_quantized_weight_shows_its_scales(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    conv = first(digits, "Conv")
    quantized = apply(InsertQdqLayer(digits.ref(conv)), digits)
    inspector.inspect(quantized, Selection((conv,)), None, None)
    found = sections(inspector)["Weight W"]
    channels = quantized.initializers[digits.nodes[conv].input[1]].dims[0]
    assert found["scale"].value == f"{channels} values, per channel"
    assert "histogram" in found
    pair = next(node for node, record in quantized.nodes.items() if record.output[0] == quantized.nodes[conv].input[0])
    inspector.inspect(quantized, Selection((pair,)), None, None)
    row = sections(inspector)["Operator"]["scale"]
    assert (row.value, row.tone) == ("a guess, not calibrated", "warning")


def test_a_pair_that_is_selected_as_one_is_shown_as_one(inspector: Inspector, digits: Graph) -> None:
    conv = first(digits, "Conv")
    source = digits.nodes[conv].input[0]
    quantized = apply(InsertQdq(TensorName(source), 0.03125), digits)
    (quantize,) = (n for n, record in quantized.nodes.items() if record.op_type == "QuantizeLinear")
    (dequantize,) = (n for n, record in quantized.nodes.items() if record.op_type == "DequantizeLinear")
    inspector.inspect(quantized, Selection((quantize, dequantize)), None, None)
    assert inspector.title.text() == "Q/DQ pair"
    found = sections(inspector)
    assert (found["Quantization"]["datatype"].value, found["Quantization"]["scale"].value) == ("INT8", "0.03125")
    assert "calibration" not in found["Quantization"]
    assert found["Quantizes"]["tensor"].target == Selection((), (source,))
    assert found["Read by"]["Conv"].target == Selection((conv,))


def test_several_nodes_and_the_model(inspector: Inspector, digits: Graph) -> None:
    inspector.inspect(digits, Selection(tuple(digits.nodes)), None, None)
    assert inspector.title.text() == f"{len(digits.nodes)} nodes"
    counts = {key: int(row.value) for key, row in sections(inspector)["Operators"].items()}
    assert sum(counts.values()) == len(digits.nodes)
    assert not inspector.name.isVisible()
    inspector.inspect(digits, Selection(), None, None)
    found = sections(inspector)
    assert found["Model"]["opset ai.onnx"].value == str(digits.opset())
    assert list(found["Inputs"]) == [info.name for info in digits.inputs]
    inspector.show_nothing()
    assert not inspector.title.isVisible()


def test_an_attribute_is_edited_in_place(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    conv = first(digits, "Conv")
    inspector.inspect(digits, Selection((conv,)), None, None)
    click(inspector, lambda row: row.key == "dilations")
    qtbot.waitUntil(lambda: "histogram" in sections(inspector)["Weight W"])  # and the editor is still open
    editor = inspector.rows.findChild(QLineEdit)
    assert isinstance(editor, QLineEdit)
    editor.setText("2, 2")
    with qtbot.waitSignal(inspector.operation_requested) as asked:
        QTest.keyClick(editor, Qt.Key.Key_Return)
    assert asked.args == [SetAttribute(digits.ref(conv), "dilations", [2, 2])]
    with qtbot.assertNotEmitted(inspector.operation_requested):
        inspector.rows.edited.emit("group", "many")
    assert "integer" in inspector.reason.text()
    assert inspector.reason.isVisible()
    with qtbot.waitSignal(inspector.operation_requested) as asked:
        inspector.rows.removal.emit("dilations")
    assert asked.args == [RemoveAttribute(digits.ref(conv), "dilations")]
    assert not inspector.reason.isVisible()


def editor_of(inspector: Inspector) -> QLineEdit | None:
    return inspector.rows.rows_delegate.open_editor


def test_what_an_attribute_can_not_have_stays_in_its_editor(
    inspector: Inspector, digits: Graph, qtbot: QtBot, qtlog: Any
) -> None:
    conv = first(digits, "Conv")
    inspector.inspect(digits, Selection((conv,)), None, None)
    click(inspector, lambda row: row.key == "group")
    editor = editor_of(inspector)
    assert editor is not None
    with qtbot.assertNotEmitted(inspector.operation_requested):
        editor.setText("many")
        QTest.keyClick(editor, Qt.Key.Key_Return)
        click(inspector, lambda row: row.key == "dilations")
    assert editor_of(inspector) is editor
    assert (editor.text(), editor.property("invalid"), editor.isVisible()) == ("many", True, True)
    assert "integer" in inspector.reason.text()
    assert inspector.reason.isVisible()
    editor.selectAll()
    QTest.keyClicks(editor, "2")
    assert not editor.property("invalid")
    with qtbot.waitSignal(inspector.operation_requested) as asked:
        QTest.keyClick(editor, Qt.Key.Key_Return)
    assert asked.args == [SetAttribute(digits.ref(conv), "group", 2)]
    qtbot.waitUntil(lambda: editor_of(inspector) is None)
    click(inspector, lambda row: row.key == "group")
    again = editor_of(inspector)
    assert again is not None
    again.setText("many")
    QTest.keyClick(again, Qt.Key.Key_Return)
    QTest.keyClick(again, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: editor_of(inspector) is None)
    assert not inspector.reason.isVisible()
    assert not any("editing failed" in record.message for record in qtlog.records)


def test_a_long_name_is_cut_in_its_middle(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    """Two names that differ at their ends only look different."""
    node = first(digits, "Conv")
    pictures = []
    for end in ("query", "value"):
        named = apply(RenameNode(digits.ref(node), "/model/encoder/layers.0/attention/self/projections/" + end), digits)
        inspector.inspect(named, Selection((node,)), None, None)
        inspector.rows.setFocus()
        pictures.append(inspector.name.grab().toImage())
        assert inspector.name.toolTip() == named.ref(node)
    assert pictures[0] != pictures[1]


def test_names_are_edited_in_place(inspector: Inspector, digits: Graph, qtbot: QtBot) -> None:
    conv = first(digits, "Conv")
    inspector.inspect(digits, Selection((conv,)), None, None)
    inspector.name.setText("mine")
    with qtbot.waitSignal(inspector.operation_requested) as asked:
        QTest.keyClick(inspector.name, Qt.Key.Key_Return)
    assert asked.args == [RenameNode(digits.ref(conv), "mine")]
    taken = digits.nodes[first(digits, "Relu")].name
    inspector.inspect(digits, Selection((conv,)), None, None)
    inspector.name.setText(taken)
    QTest.keyClick(inspector.name, Qt.Key.Key_Return)
    assert "Another node" in inspector.reason.text()
    tensor = digits.inputs[0].name
    inspector.inspect(digits, Selection((), (tensor,)), None, None)
    assert inspector.reason.text() == ""
    inspector.name.setText("pixels")
    with qtbot.waitSignal(inspector.operation_requested) as asked:
        QTest.keyClick(inspector.name, Qt.Key.Key_Return)
    assert asked.args == [RenameTensor(TensorName(tensor), "pixels")]


def test_values_are_copied(inspector: Inspector, digits: Graph) -> None:
    conv = first(digits, "Conv")
    inspector.inspect(digits, Selection((conv,)), None, None)
    click(inspector, lambda row: row.key == "W")
    inspector.rows.copy()
    assert QGuiApplication.clipboard().text() == str(digits.type_of(digits.nodes[conv].input[1]))


@pytest.mark.parametrize(("value", "text", "read"), [
    ([1, 1], "2, 3", [2, 3]), ([1, 1], "[2,3]", [2, 3]), ([1], "x", Fault("a is integers with commas between them")),
    (3, "4", 4), (0.5, "1e-3", 0.001), ("a", "SAME", "SAME"), (["a"], "b, c", ["b", "c"]),
    (1, "many", Fault("a is an integer, not 'many'")), (0.5, "", Fault("a is a number")),
])  # fmt: skip
def test_attributes_are_typed_without_brackets_and_quotes(value: object, text: str, read: object) -> None:
    attribute = Attribute("a", TYPE_WORDS[make_node("X", [], [], a=value).attribute[0].type])
    if isinstance(read, Fault):
        with pytest.raises(Fault, match=read.message):
            typed(attribute, text)
    else:
        assert typed(attribute, text) == read


def test_long_lists_end(inspector: Inspector, digits: Graph) -> None:
    tensors = tuple(digits.tensors()) * 20
    inspector.inspect(digits, Selection((), tensors), None, None)
    assert inspector.rows.lines.rowCount() == MOST + 2
