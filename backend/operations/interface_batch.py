"""The batch of a model: made dynamic, through every node that has its size built in, and made static again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, ValueInfoProto

from graftwerk.backend.fault import Fault, Reason
from graftwerk.backend.graph.attributes import find_attribute
from graftwerk.backend.graph.constants import constant
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.graph import Graph, NodeId, TensorName
from graftwerk.backend.graph.reinfer import Verdict, named, reinfer, sizes
from graftwerk.backend.graph.types import Dim, TensorType
from graftwerk.backend.operations.batch_concat import expand_constants
from graftwerk.backend.operations.batch_reshape import batch_axis, open_shape
from graftwerk.backend.operations.interface_dimensions import NAME, substitute
from graftwerk.backend.operations.interface_shapes import dims_of, fed, infer_into, with_dims
from graftwerk.backend.operations.registry import Operation, Selection, operation, param

#: Sizes that the batch is tried with: primes, which no other dimension is likely to be a multiple of.
_TRIALS = (7, 11)
#: Rounds of fixing Reshapes, each of which may show the next ones.
_ROUNDS = 200
_RECURRENT = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}
_STANDARD = ("", "ai.onnx")


@operation("interface.dynamic_batch", title="Make the batch dynamic", menu="Interface", slow=True)
@dataclass(frozen=True)
class DynamicBatch(Operation):
    """Let the first dimension of inputs be of any size, and with it every dimension of outputs that follows from it.

    Without inputs it is all of them that have the same first size. Reshape nodes whose constant shape holds the batch
    get another constant, and what a Concat joins to each element of a batch of 1, such as a class token, is repeated.
    Nodes that have the size built in and can't be changed so are named, and the edit is refused unless it is to be
    done all the same. To find them, shapes are inferred with another size of the batch.
    """

    name: str = param("batch")
    inputs: tuple[TensorName, ...] = param((), help="None: all whose first dimension is the same")
    force: bool = param(False, help="Do it although nodes keep the old size")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> DynamicBatch | Reason:
        return cls(inputs=tuple(TensorName(info.name) for info in fed(graph) if info.name in selection.tensors))

    def blocked(self, graph: Graph) -> Reason | None:
        if not NAME.fullmatch(self.name):
            raise Fault(f"{self.name!r} is no name", "name", "Letters, digits and _, such as batch")
        for tensor in self.inputs:
            info = next((info for info in fed(graph) if info.name == tensor), None)
            dims = dims_of(info) if info is not None else None
            if not dims:
                raise Fault("There is no such graph input with a first dimension", tensor)
            if not isinstance(dims[0], int):
                raise Fault(f"Its first dimension is open already: {dims[0] or '?'}", tensor)
        found = self._batched(graph)
        if not found:
            return Reason("No input has a first dimension that is a number", "The batch is dynamic already", True)
        if len(set(found.values())) > 1:
            listed = ", ".join(f"{name} {size}" for name, size in found.items())
            return Reason(f"The inputs have different first sizes: {listed}", "Name those that have the batch")
        if 0 in found.values():
            return Reason("The first dimension is 0")
        return None

    def _batched(self, graph: Graph | Edit) -> dict[str, int]:
        """The inputs whose first dimension is a number, with it."""
        found = {}
        for info in fed(graph):
            dims = dims_of(info)
            if dims and isinstance(dims[0], int) and (not self.inputs or info.name in self.inputs):
                found[info.name] = dims[0]
        return found

    def apply(self, edit: Edit) -> None:
        inputs = self._batched(edit)
        batch = next(iter(inputs.values()))
        trial = next(size for size in _TRIALS if size % batch or batch == 1)
        before = reinfer(edit.base)
        edit.forget_types(inputs)
        after, refused = _fix_reshapes(edit, inputs, batch, trial, before)
        if refused and not self.force:
            hint = "Change these nodes first, or turn on Force (--force) to leave them as they are"
            raise Fault(f"These keep a batch of {batch}: {named(refused)}", "batch", hint)
        edit.set_inputs(_batch_of(edit, inputs, self.name))
        self._declare_outputs(edit, before, after, batch, trial)
        if refused:
            edit.mark_incomplete(Reason(f"These nodes keep a batch of {batch}: {named(refused)}"))

    def _declare_outputs(self, edit: Edit, before: Verdict, after: Verdict, batch: int, trial: int) -> None:
        infos = []
        for info in edit.outputs:
            old, new = before.type_of(edit.base, info.name), after.types.get(info.name)
            if edit.is_input(info.name):
                new = next(TensorType.of(one.type) for one in edit.inputs if one.name == info.name)
            was, is_now = (kind.shape if kind is not None else None for kind in (old, new))
            if was is not None and is_now is not None and len(was) == len(is_now):
                pairs = zip(was, is_now, strict=True)
                info = with_dims(info, tuple(self._open(one, other, batch, trial) for one, other in pairs))
            infos.append(info)
        edit.set_outputs(infos)

    def _open(self, old: Dim, new: Dim, batch: int, trial: int) -> Dim:
        """A dimension of an output, by what it was and what it is with the batch that was tried."""
        if old == new:
            return old
        if isinstance(old, int) and isinstance(new, int) and old * trial == new * batch:
            times = old // batch
            return self.name if times == 1 else f"{self.name}*{times}"
        return new if isinstance(new, str) and not new.startswith("unk__") else None

    def summary(self) -> str:
        return f"Make the batch dynamic as {self.name}"


def _batch_of(edit: Edit, inputs: dict[str, int], size: Dim) -> Iterator[ValueInfoProto]:
    for info in edit.inputs:
        dims = dims_of(info)
        yield with_dims(info, (size, *dims[1:])) if info.name in inputs and dims else info


def _fix_reshapes(
    edit: Edit, inputs: dict[str, int], batch: int, trial: int, before: Verdict
) -> tuple[Verdict, dict[str, str]]:
    """Gives Reshapes new constants until the shapes hold for the batch that is tried; what was inferred then, and the
    nodes that can't take it."""
    stuck: dict[str, str] = {}
    edit.set_inputs(_batch_of(edit, inputs, trial))
    for _ in range(_ROUNDS):
        trial_graph = edit.commit()
        after = reinfer(trial_graph)
        fixed = False
        for node, record in list(edit.nodes.items()):
            if record.op_type == "Reshape" and record.domain in _STANDARD and len(record.input) > 1:
                done = _fix(edit, node, trial_graph, before, after, (batch, trial))
                fixed |= done is True
                if isinstance(done, str):
                    stuck[trial_graph.ref(node)] = done
            elif record.op_type == "Concat" and batch == 1 and trial_graph.ref(node) in after.refused:
                fixed |= expand_constants(edit, node, next(iter(inputs)), trial_graph, after, trial)
        if not fixed:
            break
    known = before.refused
    refused = {ref: why for ref, why in after.refused.items() if ref not in known}
    return after, {**refused, **stuck, **_states(trial_graph, before, after)}


def _fix(
    edit: Edit, node: NodeId, graph: Graph, before: Verdict, after: Verdict, counts: tuple[int, int]
) -> bool | str:
    """Whether a Reshape got another constant; a text where it would need one and there is none."""
    record = edit.nodes[node]
    old = sizes(before.type_of(edit.base, record.input[0]))
    new = sizes(after.type_of(graph, record.input[0]))
    result = sizes(before.types.get(record.output[0]))
    if old is None or new is None or result is None or old == new:
        return False
    held = constant(edit, record.input[1])
    if held is None:
        return False  # computed: onnx's inference says whether it follows the batch
    shape = tuple(int(size) for size in held.reshape(-1))
    axis = batch_axis(old, new, counts[0], counts[1])
    made = open_shape(shape, old, axis, result, counts[0], not _all_zero(record)) if axis is not None else None
    if made is None:
        return f"Its shape {list(shape)} mixes the batch with other dimensions"
    if made == shape:
        return False
    name = edit.fresh_tensor(f"{record.input[1]}_batch")
    edit.set_initializer(np.array(made, np.int64), name)
    edit.replace_node(node, inputs=[record.input[0], name, *record.input[2:]])
    old_name = record.input[1]
    if old_name in edit.initializers and not edit.consumers(old_name) and not edit.is_output(old_name):
        edit.remove_initializer(old_name)
    return True


def _all_zero(record: NodeProto) -> bool:
    """With `allowzero`, a 0 in the shape is a size, and nothing is copied."""
    found = find_attribute(record, "allowzero")
    return found is not None and found.i == 1


def _states(graph: Graph, before: Verdict, after: Verdict) -> dict[str, str]:
    """Recurrent nodes that follow the batch and have an initial state of a fixed size, which onnx doesn't compare."""
    found: dict[str, str] = {}
    for node, record in graph.nodes.items():
        places = _RECURRENT.get(record.op_type, ())
        if places and before.type_of(graph, record.input[0]) != after.type_of(graph, record.input[0]):
            states = [record.input[at] for at in places if at < len(record.input) and record.input[at]]
            held = [state for state in states if constant(graph, state) is not None]
            if held:
                found[graph.ref(node)] = f"Its initial state {held[0]} has the batch's size"
    return found


@operation("interface.static_batch", title="Make the batch static", menu="Interface")
@dataclass(frozen=True)
class StaticBatch(Operation):
    """Give the first dimension of all inputs a size, where it is open, and every dimension that has its name.

    Nodes that can't take the size are named, and the edit is refused.
    """

    size: int = param(1, minimum=1)
    force: bool = param(False, help="Do it although nodes can't take the size")

    @classmethod
    def suggest(cls, graph: Graph, selection: Selection) -> StaticBatch | Reason:
        return cls()

    def blocked(self, graph: Graph) -> Reason | None:
        first = [dims[0] for info in fed(graph) if (dims := dims_of(info))]
        if all(isinstance(size, int) for size in first):
            return Reason("No input has an open first dimension", "The batch is static already", True)
        return None

    def apply(self, edit: Edit) -> None:
        first = {dims[0] for info in fed(edit) if (dims := dims_of(info))}
        unnamed = {info.name: 0 for info in fed(edit) if (dims := dims_of(info)) and dims[0] is None}
        substitute(edit, {name: self.size for name in first if isinstance(name, str) and NAME.fullmatch(name)})
        if unnamed:
            edit.set_inputs(_batch_of(edit, unnamed, self.size))
            edit.forget_types(unnamed)
        infer_into(edit, self.force)

    def summary(self) -> str:
        return f"Make the batch static: {self.size}"
