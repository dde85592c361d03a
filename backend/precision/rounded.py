"""A model as FP16 and BF16 would compute it, for a runtime that has only FP32 arithmetic.

ONNX Runtime on a CPU computes FP16 nodes in FP32, fused ones without rounding in between, and has no BF16 kernels. So a
copy of the model is run in which every node computes in FP32, and every tensor that is FP16 or BF16 in the model goes
through a Cast to its datatype and back: it is rounded once where it is made, and overflows where it would. That is what
a kernel with FP32 accumulators does. One that also accumulates in FP16 is not covered, see `NOT_COVERED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from graftwerk.backend.graph.constants import is_constant_node
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.files import stage
from graftwerk.backend.graph.graph import Graph, NodeId, holds_bodies
from graftwerk.backend.graph.standin import with_stand_ins
from graftwerk.backend.graph.types import TensorType
from graftwerk.backend.precision.ports import ATTRIBUTES, MOVING, PRECISIONS, Ports, float_of, ports

if TYPE_CHECKING:
    from graftwerk.backend.engines.rounding import VerifyRounded

NOT_COVERED = "sums inside a kernel that are accumulated in FP16 or BF16"
_SINGLE = PRECISIONS["FP32"]


@dataclass(frozen=True)
class Rounded:
    """The copy, the number of tensors that are rounded in it, and what it leaves out in words. `names` are the rounded
    tensors by what they are called in the model."""

    graph: Graph
    names: dict[str, str]
    not_covered: tuple[str, ...]


def rounded(graph: Graph) -> Rounded:
    """The copy of a model with known types. Its inputs and outputs have the model's names, and are FP32 where those
    are smaller floats."""
    copier = _Copier(graph)
    copier.run()
    return Rounded(copier.edit.commit(), copier.names, tuple(copier.not_covered))


class _Copier:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.edit = graph, Edit(graph)
        self.names: dict[str, str] = {}
        self.not_covered: list[str] = [NOT_COVERED]
        self._again: dict[str, str] = {}
        # Read by a node that stays as it is: the tensor keeps its datatype, and FP32 readers get a Cast.
        self._stays: set[str] = set()

    def run(self) -> None:
        self._weights()
        self._inputs()
        for node, record in self.graph.nodes.items():
            if self._has_small(record) and not is_constant_node(record):
                self._node(node, record)
        self._outputs()
        for name in list(self.edit.value_infos):
            if self._small(name):
                del self.edit.value_infos[name]

    def _small(self, name: str) -> int:
        dtype = float_of(self.graph, name)
        return dtype if dtype != _SINGLE else 0

    def _has_small(self, record: NodeProto) -> bool:
        return any(self._small(name) for name in (*record.input, *record.output))

    def _weights(self) -> None:
        """Small weights through a Cast to FP32, which is exact; the file is not read here."""
        for name in self.graph.initializers:
            if self._small(name) and not self.graph.is_input(name):
                self._up(name)
        for record in self.graph.nodes.values():
            if is_constant_node(record) and self._small(record.output[0]):
                self._up(record.output[0])

    def _inputs(self) -> None:
        small = {info.name for info in self.graph.inputs if self._small(info.name)}
        if small:
            self.edit.set_inputs(
                TensorType(_SINGLE, known.shape if (known := self.graph.type_of(info.name)) else None)
                .value_info(info.name) if info.name in small else info for info in self.edit.inputs
            )  # fmt: skip
        for name in small:
            self._round(name, name)

    def _up(self, name: str) -> None:
        wide = self.edit.fresh_tensor(f"{name}_wide")
        self.edit.add_node("Cast", [name], [wide], attributes={"to": _SINGLE})
        self._again[name] = wide

    def _round(self, source: str, name: str) -> None:
        """What readers of `name` get: `source`, an FP32 tensor, rounded to the datatype of `name`."""
        small = self.edit.fresh_tensor(f"{name}_small")
        wide = self.edit.fresh_tensor(f"{name}_rounded")
        self.edit.add_node("Cast", [source], [small], attributes={"to": self._small(name)})
        self.edit.add_node("Cast", [small], [wide], attributes={"to": _SINGLE})
        self._again[name] = wide
        self.names[wide] = name

    def _node(self, node: NodeId, record: NodeProto) -> None:
        found = ports(self.graph, node, _SINGLE)
        if record.op_type == "Cast":
            self._cast(node, record)
            return
        if found is None:  # it reads floats of any kind, and makes none
            self.edit.replace_node(node, inputs=[self._again.get(name, name) for name in record.input])
            return
        if holds_bodies(record) or not isinstance(found, Ports):
            self._as_it_is(node, record)
            return
        inputs = [self._again.get(name, name) for name in record.input]
        outputs = [self.edit.fresh_tensor(f"{name}_exact") if name and self._small(name) else name
                   for name in record.output]  # fmt: skip
        self.edit.replace_node(node, inputs=inputs, outputs=outputs, attributes=_wide(record))
        for name, exact in zip(record.output, outputs, strict=True):
            if exact != name:
                # A moved value is one that was rounded already.
                if record.op_type in MOVING - {"Pad", "ConstantOfShape", "EyeLike"}:
                    self._again[name] = exact
                    self.names[exact] = name
                else:
                    self._round(exact, name)

    def _cast(self, node: NodeId, record: NodeProto) -> None:
        source = self._again.get(record.input[0], record.input[0])
        if not self._small(record.output[0]):
            self.edit.replace_node(node, inputs=[source])
            return
        exact = self.edit.fresh_tensor(f"{record.output[0]}_exact")
        self.edit.replace_node(node, inputs=[source], outputs=[exact], attributes={"to": _SINGLE})
        self._round(exact, record.output[0])

    def _as_it_is(self, node: NodeId, record: NodeProto) -> None:
        """A node whose own datatype can't be changed here: it reads and makes the small floats as the runtime does."""
        self.not_covered.append(f"{self.graph.ref(node)} ({record.op_type}), computed as ONNX Runtime does")
        for name in (*record.input,):
            if self._small(name) and name in self._again and name not in self.graph.initializers:
                again = self.edit.fresh_tensor(f"{name}_narrow")
                self.edit.add_node("Cast", [self._again[name]], [again], attributes={"to": self._small(name)})
                self.edit.rewire(name, again, only=[node])
        for name in record.output:
            if name and self._small(name):
                self._up(name)
                self.names[self._again[name]] = name

    def _outputs(self) -> None:
        """Outputs keep their names: the rounded tensor is renamed to the output that it stands for."""
        small = {info.name: info for info in self.graph.outputs if self._small(info.name)}
        if not small:
            return
        wanted = []
        for info in self.graph.outputs:
            if info.name not in small:
                wanted.append(info)
                continue
            known = self.graph.type_of(info.name)
            wanted.append(TensorType(_SINGLE, known.shape if known else None).value_info(info.name))
        self.edit.set_outputs(wanted)
        for name in small:
            if not self.edit.defines(name):
                self.edit.add_node("Identity", [self._again[name]], [name])


def _wide(record: NodeProto) -> list[AttributeProto]:
    """The attributes with FP32 for the datatype that they name."""
    name = ATTRIBUTES.get(record.op_type, "")
    made = []
    for each in record.attribute:
        if each.name != name:
            made.append(each)
        elif name == "value":
            values = numpy_helper.to_array(each.t).astype(np.float32)
            made.append(helper.make_attribute(name, numpy_helper.from_array(values)))
        else:
            small = each.i in (TensorProto.FLOAT16, TensorProto.BFLOAT16)
            made.append(helper.make_attribute(name, _SINGLE) if small else each)
    return made


def rounded_job(reference: Graph, graph: Graph, folder: Path, **settings: Any) -> VerifyRounded:
    """Writes the reference and the rounded copy of a retyped model, and makes the job that compares them.

    The graphs need their types; `settings` are the parameters of `VerifyRounded`.
    """
    from graftwerk.backend.engines.rounding import VerifyRounded

    runnable, stand_ins = with_stand_ins(graph)
    first, _ = with_stand_ins(reference)
    copy = rounded(runnable.with_types(graph.types))
    one, other = stage(first, folder / "reference"), stage(copy.graph, folder / "model")
    made = {name for record in first.nodes.values() for name in record.output}
    known = tuple(name for name in copy.names.values() if name in made)
    tensors = {name: copied for copied, name in copy.names.items()}
    return VerifyRounded(str(one), str(other), tensors, known=known, stand_ins=tuple(stand_ins), **settings)
