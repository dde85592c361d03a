"""A model without the values of its weights, and putting them back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from onnx import TensorProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.check import stripped_reason
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import load
from graftwerk.backend.graph.graph import Graph, TensorName
from graftwerk.backend.graph.numpy_files import look, members
from graftwerk.backend.graph.placing import SMALL, plain
from graftwerk.backend.graph.tensors import STRIPPED, STRIPPED_HASH, Initializer
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.operations.registry import FilePath, Operation, Selection, operation, param
from graftwerk.backend.operations.weight_values import no_values, selected_weights, weight_of
from graftwerk.backend.operations.weights_file import misfit, taken
from graftwerk.backend.operations.weights_merge import content_hash

_SHOWN = 5


@operation("weights.strip", title="Strip weights", menu="Weights", slow=True)
@dataclass(frozen=True)
class Strip(Operation):
    """Remove the values of weights, so that a model can be passed on without them; *Put stripped weights back*
    returns them.

    Datatype, shape, the name of the file that the values were in and the SHA-256 of their bytes stay. Without
    weights it is all of them that have at least as many bytes as the smallest size: what shapes are computed from is
    smaller. The model can't run until its weights are back.
    """

    tensors: tuple[TensorName, ...] = param((), label="Weights", help="None: all of them")
    smallest: int = param(SMALL, label="Smallest size", minimum=1, help="Bytes; smaller weights keep their values")
    source: str = param("", label="Source", help="What is noted as the file of the values; empty: as far as is known")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> Strip | Reason:
        return cls(selected_weights(graph, selection), source=_own_file(graph))

    def blocked(self, graph: Graph) -> Reason | None:
        chosen = self._chosen(graph)
        if not chosen:
            return Reason(f"No weight with its values has {self.smallest} bytes or more", "Choose a smaller size")
        return next(filter(None, map(no_values, chosen)), None)

    def _chosen(self, view: Graph | Edit) -> list[Initializer]:
        named = [weight_of(view, name) for name in self.tensors] or list(view.initializers.values())
        return [w for w in named
                if w.nbytes >= self.smallest and w.dtype != TensorProto.STRING and w.stripped is None]  # fmt: skip

    def apply(self, edit: Edit) -> None:
        source = self.source or _own_file(edit.base)
        for weight in self._chosen(edit):
            edit.set_initializer(_stripped(weight, source))
        reason = stripped_reason(edit.initializers.values())
        assert reason is not None
        edit.mark_incomplete(reason)

    def for_job(self, graph: Graph) -> Strip:
        return replace(self, source=self.source or _own_file(graph))

    def summary(self) -> str:
        return f"Strip {len(self.tensors) or 'all'} weights"


def _own_file(graph: Graph) -> str:
    """The name of the model's own file, as far as a weight still lies in it."""
    own = (weight.span.source.path.name for weight in graph.initializers.values()
           if weight.span is not None and weight.span.source is not None and not weight.external)  # fmt: skip
    return next(own, "")


def _stripped(weight: Initializer, source: str) -> Initializer:
    proto = TensorProto(name=weight.name, data_type=weight.dtype, dims=weight.dims, doc_string=weight.proto.doc_string)
    proto.metadata_props.extend(weight.proto.metadata_props)
    if weight.external and weight.span is not None:
        source = weight.span.location
    proto.metadata_props.add(key=STRIPPED, value=source)
    proto.metadata_props.add(key=STRIPPED_HASH, value=content_hash(weight))
    return Initializer(proto)


@operation("weights.put_back", title="Put stripped weights back", menu="Weights", slow=True)
@dataclass(frozen=True)
class PutBack(Operation):
    """Give stripped weights their values again, from the model that they were stripped from, or from an .npz file.

    Every stripped weight must be there under its name with its datatype and shape, and its bytes must be those that
    were stripped, by their SHA-256; with *Other values* they may differ, as those of the next training do.
    """

    file: FilePath = param(help="The original model, or an .npz or .npy file")
    other_values: bool = param(False, help="Take values other than those that were stripped")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> PutBack | Reason:
        return cls(FilePath("")) if _missing(graph) else Reason("No weight is stripped")

    def blocked(self, graph: Graph) -> Reason | None:
        if not _missing(graph):
            return Reason("No weight is stripped")
        if not Path(self.file).is_file():
            raise Fault("There is no such file", self.file, "The original model, or an .npz file")
        return None

    def apply(self, edit: Edit) -> None:
        path, wanted = Path(self.file), _missing(edit)
        found = _from_numpy(path, wanted) if path.suffix.lower() in (".npz", ".npy") else _from_model(path, wanted)
        for weight in wanted:
            made = found[weight.name]
            noted = next((e.value for e in weight.proto.metadata_props if e.key == STRIPPED_HASH), "")
            if noted and not self.other_values and content_hash(made) != noted:
                hint = "Take the file that they were stripped from, or turn on Other values (--other-values)"
                raise Fault(f"{path.name} has other values than those that were stripped", weight.name, hint)
            edit.set_initializer(made)

    def summary(self) -> str:
        return f"Put stripped weights back from {Path(self.file).name}"


def _missing(view: Graph | Edit) -> list[Initializer]:
    return [weight for weight in view.initializers.values() if weight.stripped is not None]


def _all_there(wanted: list[Initializer], there: object, path: Path) -> None:
    absent = [weight.name for weight in wanted if weight.name not in there]  # type: ignore[operator]
    if absent:
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        names = ", ".join(absent[:_SHOWN]) + more
        raise Fault(f"It lacks {names}", str(path), "Take the file that they were stripped from")


def _from_model(path: Path, wanted: list[Initializer]) -> dict[str, Initializer]:
    weights = load(path).initializers
    _all_there(wanted, weights, path)
    found = {}
    for weight in wanted:
        other = weights[weight.name]
        old, new = TensorType(weight.dtype, weight.dims), TensorType(other.dtype, other.dims)
        if old != new:
            raise Fault(f"{path.name} has it as {new}; it was stripped as {old}", weight.name, "Is it another export?")
        reason = no_values(other)
        if reason is not None:
            raise reason.fault(path.name)
        found[weight.name] = plain(other, weight.file)
    return found


def _from_numpy(path: Path, wanted: list[Initializer]) -> dict[str, Initializer]:
    if path.suffix.lower() == ".npz":
        _all_there(wanted, frozenset(members(path)), path)
    elif len(wanted) != 1:
        raise Fault(f"A .npy file holds one array; {len(wanted)} weights are stripped", str(path), "Take an .npz file")
    found = {}
    for weight in wanted:
        stored = look(path, weight.name if path.suffix.lower() == ".npz" else "")
        reason = misfit(stored, weight.dtype, weight.dims, cast=None, reshape=None)
        if reason is not None:
            raise Fault(reason.text, weight.name, "It is not what was stripped")
        found[weight.name] = taken(stored, weight)
    return found
