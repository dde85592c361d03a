"""Parts of the shown model as models of their own, in tabs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graftwerk.backend.document import Document
from graftwerk.backend.fault import Fault, Reason

if TYPE_CHECKING:
    from graftwerk.app.window import Window
    from graftwerk.backend.graph.crop import Crop


class SubgraphControl:
    """The window's commands that make new models of the shown one, which stays as it is. Nothing is read from disk."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def extract(self) -> None:
        """Opens the selected nodes, or what lies between or before the selected tensors, in a tab."""
        from graftwerk.backend.operations.keep import Keep

        tab = self.window.need_tab()
        wanted = Keep.suggest(tab.graph, tab.selection)
        if isinstance(wanted, Reason):
            raise wanted.fault()
        self._open([wanted.crop(tab.graph)], ["part"])

    def split(self) -> None:
        """Opens what computes the selected tensors, or what the selected nodes make, and the rest in two tabs."""
        from graftwerk.backend.graph.crop import cut_at

        tab = self.window.need_tab()
        chosen = [*tab.selection.tensors]
        for node in tab.selection.nodes:
            chosen += [name for name in tab.graph.nodes[node].output if name]
        if not chosen:
            raise Fault("Nothing is selected", "", "Select the tensors to cut at, or the nodes that make them")
        first, second = cut_at(tab.graph, chosen, complete=True)
        cut = [name for name in second.inputs if name in first.outputs]
        self._open([first, second], ["1", "2"])
        more = f", {len(cut) - len(chosen)} of them needed besides" if len(cut) > len(chosen) else ""
        self.window.say(f"Split at {len(cut)} tensors{more}: {', '.join(cut)}")

    def _open(self, crops: Sequence[Crop], endings: Sequence[str]) -> None:
        from graftwerk.backend.operations.keep import extracted

        tab = self.window.need_tab()
        graph, title = tab.graph, Path(tab.title)
        parts = [extracted(graph, crop) for crop in crops]  # all of them, before the first is shown
        for part, ending in zip(parts, endings, strict=True):
            self.window.add_tab(Document(part, name=f"{title.stem}.{ending}.onnx"))
