"""What the inspector says of a node, and of a Q/DQ pair. No Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from onnx import AttributeProto, FunctionProto, NodeProto

from graftwerk.backend.graph.attributes import json_value
from graftwerk.backend.graph.graph import Graph, NodeId
from graftwerk.backend.graph.schema import TYPE_WORDS, schema_of
from graftwerk.backend.graph.standin import stand_in
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES, TensorType
from graftwerk.backend.operations.registry import Selection
from graftwerk.backend.quantize.pairs import (
    DEQUANTIZE,
    QUANTIZE,
    UNCALIBRATED,
    QdqPair,
    calibrated,
    pair_at,
    per_channel,
    quantized_dtype,
)  # fmt: skip
from graftwerk.backend.quantize.scales import weight
from graftwerk.widgets.panels.compiled_rows import Compiled, Timed, compiled, timed
from graftwerk.widgets.panels.inspector_page import (
    FEW,
    Page,
    Row,
    Section,
    bounded,
    few_values,
    node_row,
    tensor_row,
    trimmed,
)  # fmt: skip
from graftwerk.widgets.panels.readout import count_text

#: Metadata that is shown in words of its own.
_OURS = "graftwerk."
_DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "stash_type")


def node_page(graph: Graph, node: NodeId, report: Compiled | None, profile: Timed | None) -> Page:
    """One node: its attributes, what it reads and makes, what it was compiled as, how long it takes, its weight."""
    record = graph.nodes[node]
    schema = schema_of(graph, record.op_type, record.domain)
    found = Page(record.op_type, record.name, "node", (schema.doc or "") if schema is not None else "")
    found.sections.append(Section("Operator", tuple(_operator(graph, record))))
    names = [formal.name for formal in schema.inputs] if schema is not None else []
    results = [formal.name for formal in schema.outputs] if schema is not None else []
    add = found.sections.append
    add(Section("Attributes", tuple(_attribute(attribute) for attribute in record.attribute)))
    add(Section("Inputs", _tensors(graph, record.input, names)))
    add(Section("Outputs", _tensors(graph, record.output, results)))
    ref = graph.ref(node)
    if report is not None:
        title, rows = compiled(graph, node, ref, report)
        add(Section(title, tuple(Row(*row) for row in rows)))
    if profile is not None:
        title, rows = timed(ref, profile)
        add(Section(title, tuple(Row(*row) for row in rows)))
    add(_weight_of(graph, record, names))
    shown = [entry for entry in record.metadata_props if not entry.key.startswith(_OURS)]
    add(Section("Metadata", tuple(Row(entry.key, entry.value) for entry in shown)))
    if record.doc_string:
        add(Section("Note", (Row("", record.doc_string),)))
    return trimmed(found)


def _operator(graph: Graph, record: NodeProto) -> Iterator[Row]:
    """Where an operator comes from, if it is not one of the standard's."""
    if record.domain not in ("", "ai.onnx"):
        yield Row("domain", record.domain)
    function = graph.function(record)
    if function is not None:
        kinds = Counter(inner.op_type for inner in function.node)
        tip = "\n".join(f"{kind} ×{count}" for kind, count in kinds.most_common())
        yield Row("function of", f"{len(function.node)} nodes", tip)
    original = stand_in(graph, record)
    if original is not None:
        tip = "The subgraph that this node took the place of; it runs and compiles in its stead"
        yield Row("stand-in", _contents(original), tip)
    made = record if record.op_type == QUANTIZE else _quantize_before(graph, record)
    if made is not None and any(entry.key == UNCALIBRATED for entry in made.metadata_props):
        yield Row("scale", "a guess, not calibrated", tone="warning")


def _contents(function: FunctionProto) -> str:
    """"22 nodes and 5 constants": small constants go into a stand-in with the nodes that it was made of."""
    constants = sum(node.op_type == "Constant" for node in function.node)
    parts = ((len(function.node) - constants, "node"), (constants, "constant"))
    return " and ".join(count_text(count, word) for count, word in parts if count)


def _quantize_before(graph: Graph, record: NodeProto) -> NodeProto | None:
    """The QuantizeLinear that makes what a DequantizeLinear reads."""
    made = graph.producer(record.input[0]) if record.op_type == DEQUANTIZE and record.input else None
    return graph.nodes[made] if made is not None else None


def _attribute(attribute: AttributeProto) -> Row:
    value = json_value(attribute)
    if value is None:
        return Row(attribute.name, _opaque(attribute))
    if attribute.name in _DTYPE_ATTRIBUTES and attribute.type == AttributeProto.INT:
        return Row(attribute.name, DTYPE_NAMES.get(value, str(value)), attribute=attribute.name)
    return Row(attribute.name, attribute_text(value), attribute=attribute.name)


def attribute_text(value: object) -> str:
    """The value of an attribute as it is shown and typed: `1, 1`, `0.5`, `SAME_UPPER`."""
    if isinstance(value, list):
        return ", ".join(map(attribute_text, value)) if value else "[]"
    if isinstance(value, float):
        text = f"{value:.7g}"
        return text if set(text) & set(".ein") else f"{text}.0"  # a whole one is told from an integer
    return str(value)


def _opaque(attribute: AttributeProto) -> str:
    if attribute.type == AttributeProto.TENSOR:
        kind = TensorType(attribute.t.data_type, tuple(attribute.t.dims))
        return few_values(Initializer(attribute.t)) or str(kind)
    if attribute.type == AttributeProto.GRAPH:
        return f"graph, {len(attribute.g.node)} nodes"
    return TYPE_WORDS.get(attribute.type, "unknown")


def _tensors(graph: Graph, names: Sequence[str], formal: Sequence[str]) -> tuple[Row, ...]:
    rows = []
    for position, name in enumerate(names):
        if not name:
            continue  # an optional input that is left out
        key = formal[min(position, len(formal) - 1)] if formal else str(position)
        if position >= len(formal) > 0:
            key = f"{key} {position}"
        rows.append(tensor_row(graph, key, name))
    return bounded(rows)


def _weight_of(graph: Graph, record: NodeProto, formal: Sequence[str]) -> Section:
    """The largest weight that a node reads, also through a Q/DQ pair."""
    best: tuple[str, Initializer, QdqPair | None] | None = None
    for position, tensor in enumerate(record.input):
        made = graph.producer(tensor) if tensor else None
        pair = pair_at(graph, made) if made is not None else None
        found = weight(graph, pair.source if pair is not None else tensor) if tensor else None
        if found is not None and found.stored.size > (best[1].size if best is not None else FEW):
            best = formal[position] if position < len(formal) else tensor, found.stored, pair
    if best is None:
        return Section("Weight")
    name, stored, pair = best
    return Section(f"Weight {name}", _scale(graph, pair) if pair is not None else (), stored)


def _scale(graph: Graph, pair: QdqPair) -> tuple[Row, ...]:
    known = graph.type_of(pair.scale)
    target = Selection((), (pair.scale,))
    if per_channel(graph, pair):
        count = known.shape[0] if known is not None and known.shape else "?"
        return (Row("scale", f"{count} values, per channel", pair.scale, target),)
    stored = graph.initializers.get(pair.scale)
    return (Row("scale", (few_values(stored) if stored is not None else "") or pair.scale, pair.scale, target),)


def whole_pair(graph: Graph, selection: Selection) -> QdqPair | None:
    """The Q/DQ pair whose two nodes are what is selected: the canvas draws it as one pill."""
    if len(selection.nodes) != 2 or selection.tensors:
        return None
    for node in selection.nodes:
        pair = pair_at(graph, node) if graph.nodes[node].op_type == DEQUANTIZE else None
        if pair is not None and set(pair.nodes) == set(selection.nodes):
            return pair
    return None


def pair_page(graph: Graph, pair: QdqPair) -> Page:
    """A Q/DQ pair as the one thing that it is."""
    dtype = DTYPE_NAMES.get(quantized_dtype(graph, pair), "")
    rows = [Row("datatype", dtype or "not known", tone=dtype), *_scale(graph, pair)]
    if per_channel(graph, pair):
        rows.append(Row("axis", str(pair.axis)))
    if pair.zero_point:
        rows.append(tensor_row(graph, "zero point", pair.zero_point))
    if not calibrated(graph, pair):
        rows.append(Row("calibration", "none, the scale is a guess", tone="warning"))
    found = Page("Q/DQ pair")
    found.sections.append(Section("Quantization", tuple(rows)))
    found.sections.append(Section("Quantizes", (Row("tensor", pair.source, "", Selection((), (pair.source,))),)))
    readers = [node_row(graph, node) for node in graph.consumers(pair.output)]
    found.sections.append(Section("Read by", bounded(readers)))
    found.sections.append(Section("Nodes", tuple(node_row(graph, node) for node in pair.nodes)))
    return trimmed(found)

