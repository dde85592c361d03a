"""What the inspector says of a selection, as sections of rows. No Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import AttributeProto, NodeProto

from graftwerk.backend.fault import Fault
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
from graftwerk.widgets.panels.compiled_rows import Compiled, Timed, compiled, selected_layers, timed

#: Rows of one section; a tensor such as a mask may be read by thousands of nodes.
MOST = 300
#: Weights up to so many elements are shown by their values.
_FEW = 4
#: Metadata that is shown in words of its own.
_OURS = "graftwerk."
_DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "stash_type")


@dataclass(frozen=True, slots=True)
class Row:
    """A key with its value. `target` is what a click selects, `attribute` names the attribute that it edits, `tone` is
    a precision whose colour it shows, or "warning"."""

    key: str
    value: str
    tip: str = ""
    target: Selection | None = None
    attribute: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under a heading. Where there is a `weight`, its statistics go above them once they are known."""

    title: str
    rows: tuple[Row, ...] = ()
    weight: Initializer | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Everything about one selection. `named` says what `name` belongs to: a node, a tensor, or nothing that can be
    renamed."""

    title: str
    name: str = ""
    named: str = ""
    doc: str = ""
    sections: list[Section] = field(default_factory=list)


def page(graph: Graph, selection: Selection, report: Compiled | None, profile: Timed | None) -> Page:
    """What there is to say of a selection; of the model where nothing is selected."""
    if len(selection.nodes) == 1 and not selection.tensors:
        return _node(graph, selection.nodes[0], report, profile)
    if len(selection.tensors) == 1 and not selection.nodes:
        return _tensor(graph, selection.tensors[0])
    pair = _whole_pair(graph, selection)
    if pair is not None:
        return _pair(graph, pair)
    if selection.nodes or selection.tensors:
        return _several(graph, selection, report)
    return _model(graph)


def _node(graph: Graph, node: NodeId, report: Compiled | None, profile: Timed | None) -> Page:
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
    return _trimmed(found)


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
        yield Row("stand-in", f"{len(original.node)} nodes", tip)
    made = record if record.op_type == QUANTIZE else _quantize_before(graph, record)
    if made is not None and any(entry.key == UNCALIBRATED for entry in made.metadata_props):
        yield Row("scale", "a guess, not calibrated", tone="warning")


def _quantize_before(graph: Graph, record: NodeProto) -> NodeProto | None:
    """The QuantizeLinear that makes what a DequantizeLinear reads."""
    made = graph.producer(record.input[0]) if record.op_type == DEQUANTIZE and record.input else None
    return graph.nodes[made] if made is not None else None


def _trimmed(found: Page) -> Page:
    kept = [section for section in found.sections if section.rows or section.weight is not None]
    return Page(found.title, found.name, found.named, found.doc, kept)


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
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _opaque(attribute: AttributeProto) -> str:
    if attribute.type == AttributeProto.TENSOR:
        kind = TensorType(attribute.t.data_type, tuple(attribute.t.dims))
        return few_values(Initializer(attribute.t)) or str(kind)
    if attribute.type == AttributeProto.GRAPH:
        return f"graph, {len(attribute.g.node)} nodes"
    return TYPE_WORDS.get(attribute.type, "unknown")


def few_values(stored: Initializer) -> str:
    """The values of a small weight, empty for others and for such as can't be read."""
    if stored.size > _FEW or stored.missing:
        return ""
    try:
        values = stored.array().reshape(-1)
    except Fault:
        return ""
    if values.dtype.kind in "iub":
        return ", ".join(str(value) for value in values.tolist())
    if values.dtype.kind in "fV":
        return ", ".join(f"{value:.5g}" for value in values.astype(np.float64).tolist())
    return ""


def _tensors(graph: Graph, names: Sequence[str], formal: Sequence[str]) -> tuple[Row, ...]:
    rows = []
    for position, name in enumerate(names):
        if not name:
            continue  # an optional input that is left out
        key = formal[min(position, len(formal) - 1)] if formal else str(position)
        if position >= len(formal) > 0:
            key = f"{key} {position}"
        rows.append(tensor_row(graph, key, name))
    return _bounded(rows)


def tensor_row(graph: Graph, key: str, name: str) -> Row:
    """A tensor by its type, or by its values where it is a small weight; a click selects it."""
    kind = graph.type_of(name)
    stored = graph.initializers.get(name)
    value = few_values(stored) if stored is not None else ""
    shown = value or str(kind or "") or name
    tip = "\n".join(filter(None, [name, str(kind or "type not known"), "weight" if stored is not None else ""]))
    return Row(key, shown, tip, Selection((), (name,)))


def _bounded(rows: Sequence[Row]) -> tuple[Row, ...]:
    if len(rows) <= MOST:
        return tuple(rows)
    return (*rows[:MOST], Row(f"and {len(rows) - MOST} more", ""))


def _weight_of(graph: Graph, record: NodeProto, formal: Sequence[str]) -> Section:
    """The largest weight that a node reads, also through a Q/DQ pair."""
    best: tuple[str, Initializer, QdqPair | None] | None = None
    for position, tensor in enumerate(record.input):
        made = graph.producer(tensor) if tensor else None
        pair = pair_at(graph, made) if made is not None else None
        found = weight(graph, pair.source if pair is not None else tensor) if tensor else None
        if found is not None and found.stored.size > (best[1].size if best is not None else _FEW):
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


def _tensor(graph: Graph, name: str) -> Page:
    stored = graph.initializers.get(name)
    made = graph.producer(name)
    ends = [word for word, there in (("graph input", graph.is_input(name)), ("graph output", graph.is_output(name)))
            if there]  # fmt: skip
    title = "Weight" if stored is not None else ends[0].capitalize() if ends else "Tensor"
    found = Page(title, name, "tensor")
    kind = graph.type_of(name)
    known = kind is not None and kind.dtype != 0
    rows = [Row("datatype", DTYPE_NAMES.get(kind.dtype, str(kind.dtype)) if kind and known else "not known")]
    rows.append(Row("shape", str(TensorType(0, kind.shape)) if kind and kind.shape is not None else "not known"))
    if ends:
        rows.append(Row("is a", " and a ".join(ends)))
    found.sections.append(Section("Type", tuple(rows)))
    if made is not None:
        found.sections.append(Section("Made by", (node_row(graph, made),)))
    readers = [node_row(graph, node) for node in graph.consumers(name)]
    found.sections.append(Section(f"Read by {len(readers)}" if len(readers) > 1 else "Read by", _bounded(readers)))
    if stored is not None:
        found.sections.append(Section("Stored", tuple(_stored(stored))))
        small = few_values(stored)
        found.sections.append(
            Section("Values", (Row("values", small),)) if small else Section("Values", (), stored)
        )
    return _trimmed(found)


def node_row(graph: Graph, node: NodeId) -> Row:
    """A node by its operator and name; a click selects it."""
    record = graph.nodes[node]
    ref = graph.ref(node)
    return Row(record.op_type, record.name or ref, f"{record.op_type}  {ref}", Selection((node,)))


def _whole_pair(graph: Graph, selection: Selection) -> QdqPair | None:
    """The Q/DQ pair whose two nodes are what is selected: the canvas draws it as one pill."""
    if len(selection.nodes) != 2 or selection.tensors:
        return None
    for node in selection.nodes:
        pair = pair_at(graph, node) if graph.nodes[node].op_type == DEQUANTIZE else None
        if pair is not None and set(pair.nodes) == set(selection.nodes):
            return pair
    return None


def _pair(graph: Graph, pair: QdqPair) -> Page:
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
    found.sections.append(Section("Read by", _bounded(readers)))
    found.sections.append(Section("Nodes", tuple(node_row(graph, node) for node in pair.nodes)))
    return _trimmed(found)


def _stored(stored: Initializer) -> Iterator[Row]:
    yield Row("size", size_text(stored.nbytes), f"{stored.nbytes:,} bytes, {stored.size:,} elements")
    span = stored.span
    if span is None:
        yield Row("where", "in memory, changed since it was opened or stored in fields")
        return
    if stored.missing:
        yield Row("where", f"{span.location} is missing", tone="warning")
        return
    assert span.source is not None
    yield Row("file", span.location or span.source.path.name, str(span.source.path))
    yield Row("offset", f"{span.offset:,}".replace(",", "\u202f"))


def size_text(count: int) -> str:
    """`1.5 MB`, decimal units, three figures."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


def _several(graph: Graph, selection: Selection, report: Compiled | None) -> Page:
    nodes, tensors = len(selection.nodes), len(selection.tensors)
    words = [f"{count} {word}{'s' * (count > 1)}" for count, word in ((nodes, "node"), (tensors, "tensor")) if count]
    found = Page(", ".join(words))
    counts = Counter(graph.nodes[node].op_type for node in selection.nodes)
    rows = [Row(op_type, str(count)) for op_type, count in counts.most_common()]
    found.sections.append(Section("Operators", _bounded(rows)))
    refs = [graph.ref(node) for node in selection.nodes]
    if report is not None:
        title, pairs = selected_layers(refs, report.report)
        found.sections.append(Section(title, tuple(Row(*pair) for pair in pairs)))
    listed = [tensor_row(graph, name, name) for name in selection.tensors[: MOST + 1]]
    found.sections.append(Section("Tensors", _bounded(listed)))
    return _trimmed(found)


def _model(graph: Graph) -> Page:
    model = graph.model
    found = Page(graph.skeleton.name or "Model")
    rows = [Row("nodes", f"{len(graph.nodes):,}".replace(",", "\u202f"))]
    if graph.initializers:
        total = sum(stored.size for stored in graph.initializers.values())
        rows.append(Row("parameters", _millions(total), f"{total:,} in {len(graph.initializers):,} weights"))
        rows.append(Row("weights", size_text(sum(stored.nbytes for stored in graph.initializers.values()))))
    if graph.functions:
        rows.append(Row("local functions", str(len(graph.functions))))
    rows += [Row(f"opset {entry.domain or 'ai.onnx'}", str(entry.version)) for entry in model.opset_import]
    if model.ir_version:
        rows.append(Row("IR version", str(model.ir_version)))
    made = " ".join(filter(None, [model.producer_name, model.producer_version]))
    if made:
        rows.append(Row("made by", made))
    found.sections.append(Section("Model", tuple(rows)))
    for title, infos in (("Inputs", graph.inputs), ("Outputs", graph.outputs)):
        names = [info.name for info in infos if title == "Outputs" or info.name not in graph.initializers]
        found.sections.append(Section(title, _bounded([tensor_row(graph, name, name) for name in names])))
    metadata: Iterable[Row] = (Row(entry.key, entry.value) for entry in model.metadata_props)
    found.sections.append(Section("Metadata", tuple(metadata)))
    return _trimmed(found)


def _millions(count: int) -> str:
    for size, letter in ((10**9, " B"), (10**6, " M"), (10**3, " k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)
