"""Nodes in the window: the palette of operators, what is dropped on the canvas, and the forms of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPoint

from graftwerk.app.actions import Action, needs_tab
from graftwerk.backend.operations.registry import Operation, Selection, why_blocked

if TYPE_CHECKING:
    from graftwerk.app.tab import Tab
    from graftwerk.app.window import Window
    from graftwerk.backend.graph.graph import Graph, NodeId
    from graftwerk.backend.graph.operators import Operator
    from graftwerk.backend.operations.paste import PasteNodes
    from graftwerk.widgets.panels.form import OperationDialog
    from graftwerk.widgets.panels.node_form import NodeDialog

    Sets = tuple[tuple[tuple[str, int], ...], tuple[str, ...]]


def node_actions() -> Iterator[Action]:
    """The palette, for the menu Edit."""
    yield Action(
        "edit.operators", "Operator Palette", "Edit", lambda w: w.nodes.show_palette(), "Ctrl+Shift+O", needs_tab,
    )  # fmt: skip


class NodeControl:
    """Lists operators for the palette, and makes operations of what is dropped, drawn and chosen."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self._listed: Sets | None = None

    def watch(self, tab: Tab) -> None:
        """Listens to a tab's canvas."""
        canvas = tab.canvas
        canvas.operator_dropped.connect(lambda *drop: self.drop(tab, *drop))
        canvas.operator_wanted.connect(lambda *wish: self.offer(tab, *wish))
        canvas.refused.connect(lambda text: self.window.say(text, error=True))

    # The palette

    def connect(self) -> None:
        """Joins the palette with the canvas of the shown tab."""
        panel = self.window.docks.operators
        panel.dragged.connect(self._drag)
        panel.dropped.connect(lambda operator: self._let_go())
        panel.drag_cancelled.connect(self._cancel)
        panel.add_requested.connect(self.add)

    def show_palette(self) -> None:
        self.window.docks.show("operators")
        self.window.docks.operators.search.setFocus()

    def list_operators(self) -> None:
        """Gives the palette the operators of the shown model, which it lists in a thread: ONNX Runtime is asked too."""
        tab, panel = self.window.tab, self.window.docks.operators
        if tab is None:
            self._listed = None
            panel.set_operators(())
            return
        from graftwerk.plugins.operators import all_operators

        graph, sets = tab.document.graph, _sets(tab.document.graph)
        if sets == self._listed:
            return
        self._listed = sets

        def take(found: Future[list[Operator]]) -> None:
            if self._listed == sets:
                panel.set_operators(found.result())

        self.window.jobs.compute(lambda: all_operators(graph), take)

    def _drag(self, operator: Operator, at: QPoint) -> None:
        if self.window.tab is not None:
            self.window.tab.canvas.place_operator(operator, at)

    def _let_go(self) -> None:
        if self.window.tab is not None:
            self.window.tab.canvas.drop_operator()

    def _cancel(self) -> None:
        if self.window.tab is not None:
            self.window.tab.canvas.cancel_operator()

    # What becomes of an operator

    def add(self, operator: Operator) -> None:
        """Asks for a new node that reads the selected tensors."""
        tab = self.window.need_tab()
        self._ask_new(tab, operator, tab.selection.tensors)

    def drop(self, tab: Tab, operator: Operator, tensor: str, before: tuple[NodeId, ...],
             place: tuple[float, float]) -> None:  # fmt: skip
        """Inserts what was dropped on an edge, at once where nothing has to be asked; adds what was dropped beside."""
        if tensor:
            self._insert(tab, operator, tensor, before)
        elif operator.inputs or any(one.required for one in operator.attributes):
            self._ask_new(tab, operator, (), place)
        else:
            from graftwerk.backend.operations.add import AddNode

            self._apply(tab, AddNode(operator.name, domain=operator.domain), place)

    def offer(self, tab: Tab, tensor: str, before: tuple[NodeId, ...], at: QPoint) -> None:
        """Lets the user choose among the operators that take a tensor: to be put before some of its readers, or, with
        none given, added at a place of the screen."""
        from graftwerk.backend.graph.sockets import why_unfit
        from graftwerk.plugins.operators import all_operators

        graph, local = tab.graph, tab.canvas.mapFromGlobal(at)
        place = tab.canvas.camera.to_scene(local.x(), local.y())
        fitting = [one for one in all_operators(graph) if one.inputs and not one.deprecated
                   and why_unfit(graph, _record(one), 0, tensor) is None]  # fmt: skip

        def take(operator: Operator) -> None:
            if before:
                self._insert(tab, operator, tensor, before)
            else:
                self._new_or_ask(tab, operator, tensor, place)

        self._choose(fitting, f"An operator that reads {tensor}", take)

    def _new_or_ask(self, tab: Tab, operator: Operator, tensor: str, place: tuple[float, float]) -> None:
        """A node that reads one tensor: at once where it needs nothing else."""
        from graftwerk.backend.graph.graph import TensorName
        from graftwerk.backend.operations.add import AddNode

        alone = sum(port.option == "single" for port in operator.inputs) <= 1
        if alone and not any(one.required for one in operator.attributes):
            self._apply(tab, AddNode(operator.name, (TensorName(tensor),), domain=operator.domain), place)
        else:
            self._ask_new(tab, operator, (tensor,), place)

    def _insert(self, tab: Tab, operator: Operator, tensor: str, before: tuple[NodeId, ...]) -> None:
        from graftwerk.backend.graph.graph import TensorName
        from graftwerk.backend.operations.insert import InsertNode

        graph = tab.graph
        towards = tuple(graph.ref(node) for node in before if node in graph.nodes)

        def build(inputs: list[str], attributes: dict[str, Any], name: str) -> Operation:
            return InsertNode(
                TensorName(tensor), operator.name, attributes, tuple(map(TensorName, inputs[1:])), towards,
                operator.domain, name,
            )  # fmt: skip

        plain = build([tensor], {}, "")
        needs = any(one.required for one in operator.attributes)
        needs |= sum(port.option == "single" for port in operator.inputs) > 1
        if not needs and why_blocked(plain, graph) is None:
            self._apply(tab, plain)
        else:
            self._dialog(tab, operator, build, (tensor,), fixed=1, may_be_open=False)

    def _ask_new(self, tab: Tab, operator: Operator, inputs: Sequence[str],
                 place: tuple[float, float] | None = None) -> None:  # fmt: skip
        from graftwerk.backend.graph.graph import TensorName
        from graftwerk.backend.graph.schema import schema_of
        from graftwerk.backend.operations.add import AddNode

        def build(inputs: list[str], attributes: dict[str, Any], name: str) -> Operation:
            return AddNode(operator.name, tuple(map(TensorName, inputs)), attributes, operator.domain, name)

        known = schema_of(tab.graph, operator.name, operator.domain) is not None
        self._dialog(tab, operator, build, inputs, place=place, may_be_open=known)

    def _dialog(
        self, tab: Tab, operator: Operator, build: Callable[[list[str], dict[str, Any], str], Operation],
        inputs: Sequence[str], *, fixed: int = 0, may_be_open: bool = True,
        place: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        from graftwerk.widgets.panels.node_form import NewNodeDialog

        dialog = NewNodeDialog(operator, tab.graph, build, inputs, fixed=fixed, may_be_open=may_be_open,
                               parent=self.window)  # fmt: skip
        self._show(tab, dialog, place)

    def _show(self, tab: Tab, dialog: NodeDialog, place: tuple[float, float] | None = None) -> None:
        path = tab.path
        dialog.accepted_operation.connect(lambda made: self._apply(tab, made, place, path))
        tab.destroyed.connect(dialog.close)
        dialog.show()

    def _apply(self, tab: Tab, operation: Operation, place: tuple[float, float] | None = None,
               path: tuple[str, ...] | None = None) -> None:  # fmt: skip
        """Applies it, selects what it added, and puts that where it was dropped."""
        before = tab.graph
        self.window.edits.apply_to(tab, operation, tab.path if path is None else path)
        fresh = [node for node in tab.graph.nodes if node not in before.nodes] if tab.graph is not before else []
        if not fresh:
            return
        canvas = tab.canvas
        box = canvas.picture.diagram.box(fresh[0])
        if place is not None and box is not None:
            picture = canvas.picture
            x, y = (picture.left[box] + picture.right[box]) / 2, (picture.top[box] + picture.bottom[box]) / 2
            canvas.shift([box], place[0] - float(x), place[1] - float(y))
        tab.select(Selection(tuple(fresh)), reveal=True)

    # Forms

    def dialog_for(self, tab: Tab, operation: Operation) -> NodeDialog | OperationDialog | None:
        """The form of an operation that has one of its own, None for the others."""
        from graftwerk.backend.operations.attributes import SetAttributes
        from graftwerk.backend.operations.paste import PasteNodes
        from graftwerk.backend.operations.rename_pattern import RenamePattern
        from graftwerk.backend.operations.swap import SwapOperator

        if isinstance(operation, SetAttributes):
            return self._attributes_dialog(tab, operation.node)
        if isinstance(operation, SwapOperator):
            return self._swap_dialog(tab, operation)
        if isinstance(operation, PasteNodes) and operation.file:
            return self._paste_dialog(tab, operation)
        if isinstance(operation, RenamePattern):
            from graftwerk.widgets.panels.rename_form import RenameDialog

            return RenameDialog(operation, tab.graph, self.window.theme, self.window)
        return None

    def _paste_dialog(self, tab: Tab, operation: PasteNodes) -> NodeDialog:
        from graftwerk.widgets.panels.paste_form import PasteDialog

        other = operation.fragment(tab.graph)
        return PasteDialog(operation.file, other, operation.bound(tab.graph, other), tab.graph, self.window)

    def begin(self, operation: Operation) -> bool:
        """Lets an operator be chosen first, where an operation on nodes lacks one; whether it did."""
        from graftwerk.backend.operations.add import AddNode
        from graftwerk.backend.operations.insert import InsertNode

        tab = self.window.need_tab()
        if isinstance(operation, AddNode) and not operation.op_type:
            self._choose(self._known(tab), "An operator to add", lambda one: self._ask_new(tab, one, operation.inputs))
            return True
        if isinstance(operation, InsertNode) and not operation.op_type:
            self._offer_on(tab, operation.tensor, tuple(tab.graph.find(ref) for ref in operation.before))
            return True
        return False

    def _offer_on(self, tab: Tab, tensor: str, before: tuple[NodeId, ...]) -> None:
        from graftwerk.backend.graph.sockets import why_unfit

        fitting = [one for one in self._known(tab) if one.inputs
                   and why_unfit(tab.graph, _record(one), 0, tensor) is None]  # fmt: skip
        self._choose(fitting, f"An operator to insert on {tensor}", lambda one: self._insert(tab, one, tensor, before))

    def _known(self, tab: Tab) -> list[Operator]:
        from graftwerk.plugins.operators import all_operators

        return [one for one in all_operators(tab.graph) if not one.deprecated]

    def _choose(self, operators: Sequence[Operator], text: str, take: Callable[[Operator], None]) -> None:
        from graftwerk.widgets.panels.palette import Palette, PaletteItem

        palette = Palette(self.window)
        palette.set_theme(self.window.theme)
        palette.chosen.connect(lambda one: self.window.attempt(lambda: take(one)))
        palette.open_with([PaletteItem(one.title, one.group, "", True, "", one) for one in operators], text)

    def _attributes_dialog(self, tab: Tab, node: str) -> NodeDialog:
        from graftwerk.backend.graph.attributes import json_value
        from graftwerk.plugins.operators import described
        from graftwerk.widgets.panels.node_form import AttributesDialog

        graph = tab.graph
        record = graph.nodes[graph.find(node)]
        before = {one.name: json_value(one) for one in record.attribute if json_value(one) is not None}
        return AttributesDialog(node, described(graph, record.op_type, record.domain), graph, before, self.window)

    def _swap_dialog(self, tab: Tab, operation: Any) -> NodeDialog:
        from graftwerk.plugins.operators import described
        from graftwerk.widgets.panels.node_form import SwapDialog

        graph, known = tab.graph, self._known(tab)
        title = f"{operation.domain}::{operation.op_type}" if operation.domain else operation.op_type

        def describe(text: str) -> Operator | None:
            domain, _, name = text.rpartition("::")
            return described(graph, name, domain)

        return SwapDialog(operation.nodes, graph, describe, lambda: [one.title for one in known], title, self.window)


def _sets(graph: Graph) -> Sets:
    """What decides which operators there are."""
    imports = tuple((entry.domain, int(entry.version)) for entry in graph.model.opset_import)
    return imports, tuple(f"{one.domain}::{one.name}" for one in graph.functions)


def _record(operator: Operator) -> Any:
    from onnx import NodeProto

    return NodeProto(op_type=operator.name, domain=operator.domain)
