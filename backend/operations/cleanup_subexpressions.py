"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from graftwerk.backend.fault import Settled
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.operations.delete import drop_constant
from graftwerk.backend.operations.registry import Operation, operation

#: Random, or kept apart on purpose: precision is placed by Q/DQ, edge by edge.
_APART = frozenset({
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout",
    "QuantizeLinear", "DequantizeLinear",
})  # fmt: skip
_COMMUTATIVE = frozenset({"Add", "Mul", "And", "Or", "Xor", "Equal"})
#: Bytes of a weight that is compared by its values.
_SMALL = 1024


@operation("cleanup.common_subexpressions", title="Merge common subexpressions", menu="Clean up", preserves=True)
@dataclass(frozen=True)
class MergeSubexpressions(Operation):
    """Nodes that compute the same from the same tensors become one.

    Operators and attributes have to be equal, the inputs the same tensors or small constants of equal values; Add and
    Mul take theirs in any order. Random operators, operators of other domains, Q/DQ, and nodes that make an output of
    the graph stay.
    """

    def apply(self, edit: Edit) -> None:
        first: dict[object, NodeProto] = {}
        constants: dict[str, object] = {}
        for name, weight in edit.initializers.items():
            if weight.nbytes <= _SMALL and weight.span is None and weight.wrong() is None and not edit.is_input(name):
                if weight.proto.string_data:
                    continue
                constants[name] = (weight.dtype, weight.dims, weight.raw().tobytes())
        for node in list(edit.nodes):
            record = edit.nodes[node]
            if record.op_type in _APART or record.domain not in ("", "ai.onnx"):
                continue
            known = first.setdefault(_key(record, constants), record)
            if known is not record and _covers(edit, known, record):
                edit.remove_node(node)
                for old, new in zip(record.output, known.output, strict=False):
                    if old:
                        edit.rewire(old, new)
                        edit.value_infos.pop(old, None)
                for tensor in record.input:
                    drop_constant(edit, tensor)
        if not edit.touched:
            raise Settled("Nothing is computed twice")


def _key(record: NodeProto, constants: dict[str, object]) -> object:
    inputs = [constants.get(name, name) for name in record.input]
    if record.op_type in _COMMUTATIVE:
        inputs.sort(key=repr)
    attributes = sorted(one.SerializeToString(deterministic=True) for one in record.attribute)
    return record.op_type, record.overload, tuple(inputs), tuple(attributes)


def _covers(edit: Edit, known: NodeProto, record: NodeProto) -> bool:
    """Whether one node makes all that another does, which may go."""
    if len(record.output) > len(known.output) or any(edit.is_output(output) for output in record.output):
        return False
    return all(new or not old for old, new in zip(record.output, known.output, strict=False))
