"""Nodes by mouse: from the palette onto edges and free space, ports connected and disconnected, forms of nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from graftwerk.app.tab import Tab
from graftwerk.app.window import Window
from graftwerk.backend.graph.diagram import Kind
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.operations.add import AddNode
from graftwerk.backend.operations.insert import InsertNode
from graftwerk.backend.operations.rewire import RewireInput
from graftwerk.backend.operations.swap import SwapOperator
from graftwerk.widgets.canvas.ports import Inlet, ports_of
from graftwerk.widgets.panels.form import OperationDialog
from graftwerk.widgets.panels.node_form import AttributesDialog, NewNodeDialog, SwapDialog
from graftwerk.widgets.panels.palette import Palette
from graftwerk.widgets.panels.rename_form import RenameDialog
from tests.app import driving
from tests.app.driving import click, context_menu, dialog_of, entry, point_of, wait_until
from tests.backend.operations.law_models import parsed

Open = Callable[[Path], Tab]
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def tab(open_model: Open, tmp_path: Path) -> Tab:
    """x → Relu → Clip(min, max) → Add(Clip, Relu) → Cast → Abs → y, and an integer branch."""
    model = parsed(
        """g (float[2,3] x, int64[2,3] i) => (float[2,3] y, int64[2,3] n) <float low = {0}, float high = {6}> {
            r = Relu(x) c = Clip(r, low, high) s = Add(c, r) t = Cast<to = 1>(s) y = Abs(t) n = Neg(i)
        }"""
    )
    path = tmp_path / "nodes.onnx"
    onnx.save(model, path)
    found = open_model(path)
    found.canvas.zoom_fit()
    return found


def named(tab: Tab, op_type: str) -> NodeId:
    return driving.nodes_of(tab.graph, op_type)[0]


def operators(graph: Graph) -> list[str]:
    return [record.op_type for record in graph.nodes.values()]


def on_edge(tab: Tab, tensor: str, reader: NodeId) -> QPoint:
    """The middle of the edge of a tensor to one of its readers, in pixels of the canvas."""
    canvas = tab.canvas
    diagram = canvas.picture.diagram
    (edge,) = [edge for edge in diagram.edges_of(tensor).tolist() if diagram.target[edge] == diagram.box(reader)]
    (x0, y0), (x1, y1) = canvas.picture.starts[edge], canvas.picture.ends[edge]
    assert abs(x0 - x1) < 1, "the middle of a bent edge lies elsewhere"
    return pixel(tab, float(x0), float(y0 + y1) / 2)


def pixel(tab: Tab, x: float, y: float) -> QPoint:
    return QPoint(*map(round, tab.canvas.camera.to_view(x, y)))


def port(tab: Tab, node: NodeId, index: int, output: bool = False) -> QPoint:
    """The place of a node's input or output."""
    picture = tab.canvas.picture
    box = picture.diagram.box(node)
    assert box is not None
    found = ports_of(picture, box)
    if output:
        return pixel(tab, found.outlets[index].x, float(picture.bottom[box]))
    return pixel(tab, found.inlets[index].x, float(picture.top[box]))


def free_place(tab: Tab) -> QPoint:
    """Somewhere on the canvas with no box and no edge near."""
    canvas = tab.canvas
    for y in range(40, canvas.height() - 40, 20):
        for x in range(canvas.width() // 2, canvas.width() - 260, 20):
            sx, sy = canvas.camera.to_scene(x, y)
            near = 60 / canvas.camera.zoom
            picture = canvas.picture
            clear = (picture.right < sx - near) | (picture.left > sx + near)
            clear |= (picture.bottom < sy - near) | (picture.top > sy + near)
            if clear.all() and picture.edge_at(sx, sy, near) is None:
                return QPoint(x, y)
    raise AssertionError("the canvas is full")


class PaletteDrag:
    """The mouse that takes an operator from the palette."""

    def __init__(self, window: Window, name: str) -> None:
        window.nodes.show_palette()
        self.panel = window.docks.operators
        wait_until(lambda: self.panel.tree.rows(), "for the operators")
        self.panel.search.setText(name)
        (item, *_) = [row for row in self.panel.tree.rows() if row.text(0) == name]
        self.window = window
        self.view = self.panel.tree.viewport()
        self.start = self.panel.tree.visualItemRect(item).center()
        QTest.mousePress(self.view, LEFT, NONE, self.start)

    def move(self, tab: Tab, at: QPoint) -> QPoint:
        end = self.view.mapFromGlobal(tab.canvas.mapToGlobal(at))
        for step in range(1, 9):
            QTest.mouseMove(self.view, self.start + (end - self.start) * step / 8)
        return end

    def drop(self, tab: Tab, at: QPoint) -> None:
        QTest.mouseRelease(self.view, LEFT, NONE, self.move(tab, at))


def popup() -> Palette:
    wait_until(lambda: isinstance(QApplication.activePopupWidget(), Palette), "for the list of operators")
    found = QApplication.activePopupWidget()
    assert isinstance(found, Palette)
    return found


def titles(palette: Palette) -> list[str]:
    return [palette.model.index(row).data() for row in range(palette.model.rowCount())]


# Palette


def test_the_palette_has_every_operator_with_its_page(window: Window, tab: Tab) -> None:
    window.nodes.show_palette()
    panel = window.docks.operators
    wait_until(lambda: panel.tree.rows(), "for the operators")
    names = {row.text(0) for row in panel.tree.rows()}
    assert {"Conv", "FastGelu", "EfficientNMS_TRT", "TRT_FP8QuantizeLinear"} <= names
    panel.search.setText("nms efficient")
    assert panel.tree.rows()[0].text(0) == "EfficientNMS_TRT"
    page = panel.page.toPlainText()
    assert "score_threshold" in page
    assert "Boxes with a lower score are dropped" in page
    panel.show_operator("Resize")
    page = panel.page.toPlainText()
    assert "since version 13" in page
    assert "one of half_pixel, half_pixel_symmetric, pytorch_half_pixel" in page
    assert "T1: BF16, BOOL" in page
    panel.show_operator("Scatter")
    assert "deprecated" in panel.page.toPlainText()


def test_an_operator_is_dragged_onto_an_edge(window: Window, tab: Tab) -> None:
    at = on_edge(tab, "t", named(tab, "Abs"))
    PaletteDrag(window, "Sigmoid").drop(tab, at)
    assert isinstance(tab.document.revisions[-1].operation, InsertNode)
    sigmoid, abs_ = named(tab, "Sigmoid"), named(tab, "Abs")
    assert tab.graph.nodes[sigmoid].input[0] == "t"
    assert tab.graph.nodes[abs_].input[0] == tab.graph.nodes[sigmoid].output[0]
    assert tab.selection.nodes == (sigmoid,)
    tab.document.undo()
    assert "Sigmoid" not in operators(tab.graph)


def test_towards_one_reader_of_several(window: Window, tab: Tab) -> None:
    PaletteDrag(window, "Sigmoid").drop(tab, on_edge(tab, "r", named(tab, "Clip")))
    made = tab.graph.nodes[named(tab, "Sigmoid")].output[0]
    assert tab.graph.nodes[named(tab, "Clip")].input[0] == made
    assert tab.graph.nodes[named(tab, "Add")].input[1] == "r"


def test_an_edge_that_does_not_take_it_refuses(window: Window, tab: Tab) -> None:
    before = tab.document.graph
    drag = PaletteDrag(window, "Sigmoid")
    drag.drop(tab, on_edge(tab, "i", named(tab, "Neg")))
    assert tab.document.graph is before
    assert "Sigmoid doesn't take INT64" in window.status._message.text()


def test_escape_gives_a_drag_up(window: Window, tab: Tab) -> None:
    before = tab.document.graph
    drag = PaletteDrag(window, "Sigmoid")
    end = drag.move(tab, on_edge(tab, "t", named(tab, "Abs")))
    assert tab.canvas.look.marks.hovered_edge >= 0
    QTest.keyClick(drag.panel.tree, Qt.Key.Key_Escape)
    assert tab.canvas.look.marks.hovered_edge < 0
    QTest.mouseRelease(drag.view, LEFT, NONE, end)
    assert tab.document.graph is before


def test_an_operator_that_needs_more_asks_on_an_edge(window: Window, tab: Tab) -> None:
    PaletteDrag(window, "Mul").drop(tab, on_edge(tab, "t", named(tab, "Abs")))
    dialog = dialog_of(window, NewNodeDialog)
    assert [edit.text() for edit in dialog.inputs] == ["t", ""]
    assert not dialog.apply_button.isEnabled()
    dialog.inputs[1].setText("i")
    wait_until(lambda: "INT64" in dialog.reason.text(), "for the datatype to be refused")
    dialog.inputs[1].setText("high")
    wait_until(dialog.apply_button.isEnabled)
    QTest.mouseClick(dialog.apply_button, LEFT)
    assert list(tab.graph.nodes[named(tab, "Mul")].input) == ["t", "high"]


def test_an_operator_is_dragged_to_free_space_and_may_stay_open(window: Window, tab: Tab) -> None:
    at = free_place(tab)
    PaletteDrag(window, "Mul").drop(tab, at)
    dialog = dialog_of(window, NewNodeDialog)
    dialog.inputs[0].setText("r")
    wait_until(lambda: "B stays open" in dialog.reason.text())
    QTest.mouseClick(dialog.apply_button, LEFT)
    mul = named(tab, "Mul")
    assert isinstance(tab.document.revisions[-1].operation, AddNode)
    assert tab.graph.incomplete is not None
    assert any("reads nothing at B" in problem.message for problem in tab.problems)
    assert (point_of(tab, mul) - at).manhattanLength() < 4
    # What is missing is led to it by mouse.
    driving.drag(tab, port(tab, named(tab, "Clip"), 0, output=True), port(tab, mul, 1))
    assert list(tab.graph.nodes[mul].input) == ["r", "c"]
    assert tab.graph.incomplete is None


def test_the_form_has_defaults_choices_and_bounds_of_the_schema(window: Window, tab: Tab) -> None:
    window.menus.shown["operation.node.add"].trigger()
    palette = popup()
    palette.search.setText("Resize")
    assert titles(palette)[0] == "Resize"
    QTest.keyClick(palette.search, Qt.Key.Key_Return)
    dialog = dialog_of(window, NewNodeDialog)
    mode = dialog.form.editors["coordinate_transformation_mode"].box
    assert mode is not None
    assert mode.itemText(0) == "default: half_pixel"
    assert "align_corners" in [mode.itemText(row) for row in range(mode.count())]
    cubic = dialog.form.editors["cubic_coeff_a"].line
    assert cubic is not None
    assert cubic.placeholderText() == "-0.75"
    cubic.setText("steep")
    wait_until(lambda: "cubic_coeff_a is a number, not 'steep'" in dialog.reason.text())
    assert not dialog.apply_button.isEnabled()
    dialog.reject()


def test_an_operator_of_a_plugin_is_added_with_its_attributes(window: Window, tab: Tab) -> None:
    tab.canvas.select((), ("r",))
    window.nodes.show_palette()
    panel = window.docks.operators
    wait_until(lambda: panel.tree.rows(), "for the operators")
    panel.show_operator("TopkLastDim", "trt.plugins")
    QTest.keyClick(panel.tree, Qt.Key.Key_Return)
    dialog = dialog_of(window, NewNodeDialog)
    assert dialog.inputs[0].text() == "r"
    wait_until(lambda: "is needed" in dialog.reason.text())
    for name, text in (("k", "2"),):
        line = dialog.form.editors[name].line
        assert line is not None
        line.setText(text)
    for name in ("type_id", "is_largest"):
        box = dialog.form.editors[name].box
        assert box is not None
        box.setCurrentIndex(1)
    wait_until(dialog.apply_button.isEnabled)
    QTest.mouseClick(dialog.apply_button, LEFT)
    record = tab.graph.nodes[named(tab, "TopkLastDim")]
    assert (record.domain, list(record.input)) == ("trt.plugins", ["r"])
    assert {one.name: one.i for one in record.attribute} == {"type_id": 0, "k": 2, "is_largest": 0}
    assert tab.graph.opset("trt.plugins") == 1


# Ports


def test_an_input_is_disconnected_by_dragging_it_off(window: Window, tab: Tab) -> None:
    clip = named(tab, "Clip")
    driving.drag(tab, port(tab, clip, 2), free_place(tab))
    assert list(tab.graph.nodes[clip].input) == ["r", "low"]
    assert isinstance(tab.document.revisions[-1].operation, RewireInput)


def test_an_input_that_is_needed_offers_operators_in_its_place(window: Window, tab: Tab) -> None:
    clip = named(tab, "Clip")
    driving.drag(tab, port(tab, clip, 0), free_place(tab))
    assert list(tab.graph.nodes[clip].input) == ["r", "low", "high"]
    palette = popup()
    palette.search.setText("Tanh")
    QTest.keyClick(palette.search, Qt.Key.Key_Return)
    tanh = tab.graph.nodes[named(tab, "Tanh")]
    assert tab.graph.nodes[clip].input[0] == tanh.output[0]
    assert tab.graph.nodes[named(tab, "Add")].input[1] == "r"


def test_an_output_let_go_over_free_space_offers_what_reads_it(window: Window, tab: Tab) -> None:
    driving.drag(tab, port(tab, named(tab, "Cast"), 0, output=True), free_place(tab))
    palette = popup()
    palette.search.setText("Not")
    assert "Not" not in titles(palette), "that takes BOOL alone"
    palette.search.setText("Floor")
    QTest.keyClick(palette.search, Qt.Key.Key_Return)
    assert list(tab.graph.nodes[named(tab, "Floor")].input) == ["t"]
    assert tab.graph.nodes[named(tab, "Abs")].input[0] == "t"


def test_an_input_is_led_to_another_output(window: Window, tab: Tab) -> None:
    add = named(tab, "Add")
    driving.drag(tab, port(tab, add, 1), point_of(tab, named(tab, "Clip")) + QPoint(0, 4))
    assert list(tab.graph.nodes[add].input) == ["c", "c"]


def test_an_open_input_is_connected_from_either_side(window: Window, tab: Tab) -> None:
    clip = named(tab, "Clip")
    tab.document.apply(RewireInput(tab.graph.ref(clip), 2))
    box = tab.canvas.picture.diagram.find((int(Kind.INPUT), "x"))
    assert box is not None
    x = driving.point_of_box(tab, box)
    driving.drag(tab, port(tab, clip, 2), x)
    assert list(tab.graph.nodes[clip].input) == ["r", "low", "x"]
    tab.document.undo()
    tab.document.undo()
    tab.document.apply(RewireInput(tab.graph.ref(clip), 2))
    picture = tab.canvas.picture
    out = pixel(tab, float(picture.left[box] + picture.right[box]) / 2, float(picture.bottom[box]))
    driving.drag(tab, out, port(tab, clip, 2))
    assert list(tab.graph.nodes[clip].input) == ["r", "low", "x"]


@pytest.mark.parametrize(
    ("start", "end", "why"), [("Abs", "Relu", "cycle"), ("Neg", "Abs", "doesn't take"), ("Neg", "Add", "one datatype")]
)
def test_a_connection_that_can_not_be_says_why_and_is_not_made(
    window: Window, tab: Tab, start: str, end: str, why: str
) -> None:
    if why == "doesn't take":
        tab.document.apply(SwapOperator((tab.graph.ref(named(tab, "Abs")),), "Sigmoid"))
        end = "Sigmoid"
    before = tab.document.graph
    canvas = tab.canvas
    canvas.zoom_fit()
    at, to = port(tab, named(tab, start), 0, output=True), port(tab, named(tab, end), 0)
    QTest.mousePress(canvas, LEFT, NONE, at)
    for step in range(1, 9):
        QTest.mouseMove(canvas, at + (to - at) * step / 8)
    gesture = canvas._input._gesture
    assert gesture is not None
    assert why in gesture.reason  # type: ignore[attr-defined]
    assert canvas.grab().toImage().size().width() > 0  # it is painted with the ports
    QTest.mouseRelease(canvas, LEFT, NONE, to)
    assert tab.document.graph is before


def test_escape_leaves_a_connection_as_it_was(window: Window, tab: Tab) -> None:
    before = tab.document.graph
    at = port(tab, named(tab, "Clip"), 2)
    QTest.mousePress(tab.canvas, LEFT, NONE, at)
    QTest.mouseMove(tab.canvas, at + QPoint(150, -40))
    QTest.keyClick(tab.canvas, Qt.Key.Key_Escape)
    QTest.mouseRelease(tab.canvas, LEFT, NONE, at + QPoint(150, -40))
    assert tab.document.graph is before


def test_ports_are_named_where_they_are_pointed_at(window: Window, tab: Tab) -> None:
    QTest.mouseMove(tab.canvas, port(tab, named(tab, "Clip"), 1))
    found = tab.canvas._input._port
    assert isinstance(found, Inlet)
    assert (found.name, found.tensor, found.required) == ("min", "low", False)


# Forms of nodes that are there


def test_all_attributes_of_a_node_in_one_step(window: Window, tab: Tab) -> None:
    click(tab, named(tab, "Cast"))
    driving.press_key(window, Qt.Key.Key_Return, driving.CONTROL)
    dialog = dialog_of(window, AttributesDialog)
    to = dialog.form.editors["to"].box
    assert to is not None
    assert to.currentText() == "FP32"
    assert not dialog.apply_button.isEnabled()
    to.setCurrentText("FP16")
    wait_until(dialog.apply_button.isEnabled)
    QTest.mouseClick(dialog.apply_button, LEFT)
    assert [one.i for one in tab.graph.nodes[named(tab, "Cast")].attribute] == [onnx.TensorProto.FLOAT16]


def test_another_operator_says_what_becomes_of_the_attributes(window: Window, tab: Tab) -> None:
    node = named(tab, "Cast")
    click(tab, node)
    with context_menu(tab, point_of(tab, node)) as menu:
        entry(menu, "Change operator").trigger()
    dialog = dialog_of(window, SwapDialog)
    dialog.op_type.setText("Tanh")
    assert "Goes: to, Tanh has no such attribute" in dialog.fate.text()
    wait_until(dialog.apply_button.isEnabled)
    QTest.mouseClick(dialog.apply_button, LEFT)
    record = tab.graph.nodes[node]
    assert (record.op_type, len(record.attribute), list(record.input)) == ("Tanh", 0, ["s"])


def test_nodes_are_bypassed_and_become_identities(window: Window, tab: Tab) -> None:
    click(tab, named(tab, "Clip"))
    window.menus.shown["operation.node.bypass"].trigger()
    QTest.mouseClick(dialog_of(window, OperationDialog).apply_button, LEFT)
    assert list(tab.graph.nodes[named(tab, "Add")].input) == ["r", "r"]
    assert "Clip" in operators(tab.graph)
    click(tab, named(tab, "Cast"))
    window.menus.shown["operation.node.to_identity"].trigger()
    QTest.mouseClick(dialog_of(window, OperationDialog).apply_button, LEFT)
    identity = tab.graph.nodes[named(tab, "Identity")]
    assert (list(identity.input), list(identity.output)) == (["s"], ["t"])


def test_names_are_changed_by_a_pattern_after_a_look_at_them(window: Window, digits: Tab) -> None:
    window.menus.shown["operation.graph.rename_pattern"].trigger()
    dialog = dialog_of(window, RenameDialog)
    dialog.form.editors["pattern"].set_value("^/(\\w+)/")
    dialog.form.editors["replacement"].set_value("\\1.")
    wait_until(lambda: dialog.apply_button.isEnabled())
    rows = {one.old: one.new for one in dialog.model.rows}
    assert rows["/stem/conv/Conv"] == "stem.conv/Conv"
    assert f"{len(rows):,} names would change" in dialog.count.text()
    dialog.form.editors["replacement"].set_value("")
    dialog.form.editors["pattern"].set_value("^.*$")
    wait_until(lambda: not dialog.apply_button.isEnabled())
    assert "no name would be left" in dialog.model.rows[0].wrong
    assert "can't" in dialog.count.text()
    dialog.form.editors["pattern"].set_value("(")
    wait_until(lambda: "Not a regular expression" in dialog.reason.text())
    dialog.form.editors["pattern"].set_value("^/(\\w+)/")
    dialog.form.editors["replacement"].set_value("\\1.")
    wait_until(lambda: dialog.apply_button.isEnabled())
    before = digits.document.graph
    QTest.mouseClick(dialog.apply_button, LEFT)
    assert digits.graph.find("stem.conv/Conv") == before.find("/stem/conv/Conv")
    assert [info.name for info in digits.graph.inputs] == [info.name for info in before.inputs]
