"""The little that an engine's report needs to know of the model it was built from.

Runs on Python 3.9 with onnx beside.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from graftwerk.backend.fault import PUT_BACK, Fault

#: Operators whose results differ although all they read is the same.
RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"}
)
_STRIPPED = "graftwerk.stripped"  # in a tensor's metadata, see backend/graph/tensors.py
_SMALL = 4096  # bytes; what is larger is not compared


@dataclass(frozen=True)
class SourceNode:
    """One node: its reference (as `Graph.ref` gives it), its own name (may be empty or shared), and its tensors.

    Nodes with the same `key` and equal inputs compute the same: it stands for the operator and its attributes. It is
    empty where that can't be said: a random operator, a node with bodies.
    """

    ref: str
    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    key: str = ""


@dataclass(frozen=True)
class SourceGraph:
    """The nodes in file order, the initializers, the outputs, and the inputs with their dimensions.

    The value of an initializer is a text that is the same for equal small tensors; a large one has its name. A
    dimension is a size, a symbol, or None where nothing is known; the dimensions are None where the rank is unknown.
    `datatypes` are those of inputs and initializers by name, in ONNX's words, such as FLOAT16. `stripped` are the
    initializers whose values were taken out of the model.
    """

    nodes: tuple[SourceNode, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    inputs: tuple[tuple[str, tuple[int | str | None, ...] | None], ...] = ()
    datatypes: Mapping[str, str] = field(default_factory=dict)
    stripped: tuple[str, ...] = ()


def source_of(model: ModelProto) -> SourceGraph:
    """What reports need to know of a model. Weights are not touched: external data may be absent."""
    graph = model.graph
    constants = {tensor.name: _value(tensor) for tensor in graph.initializer}
    constants.update((tensor.values.name, tensor.values.name) for tensor in graph.sparse_initializer)
    names = Counter(node.name for node in graph.node if node.name)
    nodes = tuple(
        SourceNode(_ref(node, number, names), node.name, node.op_type, _reads(node), tuple(node.output), _key(node))
        for number, node in enumerate(graph.node)
    )
    inputs = tuple((info.name, _dims(info)) for info in graph.input if info.name not in constants)
    numbers = {info.name: info.type.tensor_type.elem_type for info in graph.input}
    numbers.update((tensor.name, tensor.data_type) for tensor in graph.initializer)
    words = {number: word for word, number in TensorProto.DataType.items()}
    datatypes = {name: words.get(number, str(number)) for name, number in numbers.items()}
    outputs = tuple(info.name for info in graph.output)
    return SourceGraph(nodes, constants, outputs, inputs, datatypes, _stripped(graph))


def check_values(source: SourceGraph) -> None:
    """Raises Fault where values were stripped, of which a compiler or runtime says only that a size is wrong."""
    if source.stripped:
        first, count = source.stripped[0], len(source.stripped)
        more = f" and of {count - 1} more" if count > 1 else ""
        raise Fault(f"The values of this weight{more} were stripped", first, PUT_BACK)


def _stripped(graph: GraphProto) -> tuple[str, ...]:
    noted = ((tensor.name, getattr(tensor, "metadata_props", ())) for tensor in graph.initializer)  # of onnx 1.16
    return tuple(name for name, entries in noted if any(entry.key == _STRIPPED for entry in entries))


def _value(tensor: TensorProto) -> str:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.ByteSize() > _SMALL:
        return tensor.name
    copy = TensorProto()
    copy.CopyFrom(tensor)
    copy.ClearField("name")
    return "value:" + hashlib.sha1(copy.SerializeToString()).hexdigest()


def _key(node: NodeProto) -> str:
    if node.op_type in RANDOM or _bodies(node) or node.ByteSize() > _SMALL:
        return ""
    attributes = b"".join(sorted(attribute.SerializeToString() for attribute in node.attribute))
    return f"{node.domain}.{node.op_type} {hashlib.sha1(attributes).hexdigest() if attributes else ''}"


def _ref(node: NodeProto, number: int, names: Counter[str]) -> str:
    """The rule of `Graph.ref`, which a worker's Python may be too old to import; a test holds the two together."""
    if node.name and names[node.name] == 1:
        return node.name
    for output in node.output:
        if output:
            return f"output:{output}" if output in names else output
    return f"#{number}"


def _dims(info: object) -> tuple[int | str | None, ...] | None:
    tensor = info.type.tensor_type  # type: ignore[attr-defined]
    if not tensor.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim)


def _reads(node: NodeProto) -> tuple[str, ...]:
    """What a node needs: its inputs, and what its bodies (If, Loop, Scan) take from outside."""
    found = dict.fromkeys(node.input)
    for body in _bodies(node):
        found.update(dict.fromkeys(sorted(_captures(body))))
    return tuple(found)


def _bodies(node: NodeProto) -> list[GraphProto]:
    found = [attribute.g for attribute in node.attribute if attribute.type == AttributeProto.GRAPH]
    return found + [graph for attribute in node.attribute for graph in attribute.graphs]


def _captures(graph: GraphProto) -> set[str]:
    own = {info.name for info in graph.input} | {tensor.name for tensor in graph.initializer}
    used = {info.name for info in graph.output}
    for node in graph.node:
        own.update(node.output)
        used.update(_reads(node))
    return used - own - {""}
