"""Where a save puts the values of weights: into the model, or into files of external data beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from onnx import TensorProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.external import external_path
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.placing import SMALL, plain
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.operations.registry import Operation, Selection, operation, param
from graftwerk.backend.operations.weight_values import no_values, selected_weights, weight_of


@operation("weights.to_external", title="Move to external data", menu="Weights", preserves=True)
@dataclass(frozen=True)
class ToExternal(Operation):
    """Put the values of weights into a file beside the model, or into one file for each, when the model is saved.

    Without weights it is all of them that have at least as many bytes as the smallest size. The location is relative
    to the model, such as `weights.data`; with one file for each weight it names their folder. Until the model is
    saved nothing is written, and the location is a part of the edit: it can be undone.
    """

    tensors: tuple[TensorName, ...] = param((), label="Weights", help="None: all of them")
    location: str = param("weights.data", help="The file, or the folder of the files")
    smallest: int = param(SMALL, label="Smallest size", minimum=0, help="Bytes; smaller weights stay in the model")
    files: Literal["one for all", "one for each"] = param("one for all")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> ToExternal | Reason:
        return cls(selected_weights(graph, selection))

    def blocked(self, graph: Graph) -> Reason | None:
        external_path(self.location, "location", None)
        if self.location.lower().endswith(".onnx"):
            raise Fault("A file of external data is no model", "location", "Such as weights.data")
        chosen = self._chosen(graph)
        if not chosen:
            return Reason(f"No weight has {self.smallest} bytes or more", "Choose a smaller size", not self.tensors)
        places = _places(chosen, self.location, self.files == "one for each")
        taken = next((place for place in places.values() if place in graph.sources), None)
        if taken is not None:
            return Reason(f"{taken} holds weights of the model as it was opened", "Choose another location")
        if all(weight.file == places[weight.name] for weight in chosen):
            return Reason("The weights are to go there already", settled=True)
        return next(filter(None, map(_why_not, chosen)), None)

    def _chosen(self, view: Graph | Edit) -> list[Initializer]:
        if self.tensors:
            return [weight for name in self.tensors if (weight := weight_of(view, name)).nbytes >= self.smallest]
        found = (weight for weight in view.initializers.values() if weight.nbytes >= self.smallest)
        return [weight for weight in found if _why_not(weight) is None]

    def apply(self, edit: Edit) -> None:
        chosen = self._chosen(edit)
        for name, place in _places(chosen, self.location, self.files == "one for each").items():
            edit.set_initializer(plain(edit.initializers[name], place))

    def summary(self) -> str:
        what = f"{len(self.tensors)} weights" if self.tensors else "weights"
        return f"Move {what} to {self.location}"


def _why_not(weight: Initializer) -> Reason | None:
    if weight.dtype == TensorProto.STRING:
        return Reason(f"{weight.name} holds texts", "ONNX keeps texts in the model")
    return no_values(weight)


def _places(weights: list[Initializer], location: str, each: bool) -> dict[str, str]:
    """The file of every weight; names that a file system may refuse are made plain, and kept apart by a number."""
    if not each:
        return {weight.name: location for weight in weights}
    found: dict[str, str] = {}
    taken: set[str] = set()
    for weight in weights:
        base = re.sub(r"[^\w.-]", "_", weight.name).lstrip(".")[:120] or "weight"
        name, number = base, 0
        while name.lower() in taken:  # some file systems don't tell a from A
            number += 1
            name = f"{base}_{number}"
        taken.add(name.lower())
        found[weight.name] = f"{location.rstrip('/')}/{name}.bin"
    return found


@operation("weights.to_model", title="Move into the model", menu="Weights", preserves=True)
@dataclass(frozen=True)
class ToModel(Operation):
    """Put the values of weights that lie in files of external data into the model's own file when it is saved.

    Without weights it is all of them. The files of external data stay where they are. A model that would be larger
    than 2 GiB gets its weights moved to a file beside it at the save all the same: protobuf can't hold more.
    """

    tensors: tuple[TensorName, ...] = param((), label="Weights", help="None: all of them")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> ToModel | Reason:
        return cls(selected_weights(graph, selection))

    def blocked(self, graph: Graph) -> Reason | None:
        chosen = self._chosen(graph)
        if not chosen:
            return Reason("The weights are in the model already", settled=True)
        return next(filter(None, map(no_values, chosen)), None)

    def _chosen(self, view: Graph | Edit) -> list[Initializer]:
        named = [weight_of(view, name) for name in self.tensors] or list(view.initializers.values())
        return [weight for weight in named if weight.file or weight.external]

    def apply(self, edit: Edit) -> None:
        for weight in self._chosen(edit):
            edit.set_initializer(plain(weight))

    def summary(self) -> str:
        return f"Move {len(self.tensors) or 'all'} weights into the model"
