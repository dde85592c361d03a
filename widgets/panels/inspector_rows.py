"""What the inspector says of a selection, as sections of rows. No Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.tensors import Initializer
from graftwerk.backend.graph.types import DTYPE_NAMES, TensorType
from graftwerk.backend.operations.registry import Selection
from graftwerk.widgets.panels.compiled_rows import Compiled, Timed, selected_layers
from graftwerk.widgets.panels.inspector_page import (
    MOST,
    Page,
    Row,
    Section,
    bounded,
    few_values,
    node_row,
    size_text,
    tensor_row,
    trimmed,
)  # fmt: skip
from graftwerk.widgets.panels.node_page import node_page, pair_page, whole_pair
from graftwerk.widgets.panels.readout import count_text, number_text


def page(graph: Graph, selection: Selection, report: Compiled | None, profile: Timed | None) -> Page:
    """What there is to say of a selection; of the model where nothing is selected."""
    if len(selection.nodes) == 1 and not selection.tensors:
        return node_page(graph, selection.nodes[0], report, profile)
    if len(selection.tensors) == 1 and not selection.nodes:
        return _tensor(graph, selection.tensors[0])
    pair = whole_pair(graph, selection)
    if pair is not None:
        return pair_page(graph, pair)
    if selection.nodes or selection.tensors:
        return _several(graph, selection, report)
    return _model(graph)


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
    found.sections.append(Section(f"Read by {len(readers)}" if len(readers) > 1 else "Read by", bounded(readers)))
    if stored is not None:
        found.sections.append(Section("Stored", tuple(_stored(stored))))
        small = few_values(stored)
        found.sections.append(
            Section("Values", (Row("values", small),)) if small else Section("Values", (), stored)
        )
    return trimmed(found)


def _stored(stored: Initializer) -> Iterator[Row]:
    whole = f"{count_text(stored.nbytes, 'byte')}, {count_text(stored.size, 'element')}"
    yield Row("size", size_text(stored.nbytes), whole)
    span = stored.span
    if stored.file:
        yield Row("goes to", stored.file, "A save writes its values to this file of external data")
    if stored.stripped is not None:
        yield Row("where", f"stripped; was in {stored.stripped or 'another file'}", tone="warning")
        return
    if span is None:
        yield Row("where", "in memory, changed since it was opened or stored in fields")
        return
    if stored.missing:
        yield Row("where", f"{span.location} is missing", tone="warning")
        return
    assert span.source is not None
    yield Row("file", span.location or span.source.path.name, str(span.source.path))
    yield Row("offset", number_text(span.offset))


def _several(graph: Graph, selection: Selection, report: Compiled | None) -> Page:
    nodes, tensors = len(selection.nodes), len(selection.tensors)
    words = [f"{count} {word}{'s' * (count > 1)}" for count, word in ((nodes, "node"), (tensors, "tensor")) if count]
    found = Page(", ".join(words))
    counts = Counter(graph.nodes[node].op_type for node in selection.nodes)
    rows = [Row(op_type, str(count)) for op_type, count in counts.most_common()]
    found.sections.append(Section("Operators", bounded(rows)))
    refs = [graph.ref(node) for node in selection.nodes]
    if report is not None:
        title, pairs = selected_layers(refs, report.report)
        found.sections.append(Section(title, tuple(Row(*pair) for pair in pairs)))
    listed = [tensor_row(graph, name, name) for name in selection.tensors[: MOST + 1]]
    found.sections.append(Section("Tensors", bounded(listed)))
    return trimmed(found)


def _model(graph: Graph) -> Page:
    model = graph.model
    found = Page(graph.skeleton.name or "Model")
    rows = [Row("nodes", number_text(len(graph.nodes)))]
    if graph.initializers:
        total = sum(stored.size for stored in graph.initializers.values())
        whole = f"{number_text(total)} in {count_text(len(graph.initializers), 'weight')}"
        rows.append(Row("parameters", _millions(total), whole))
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
        rows = [tensor_row(graph, name, name) for name in names[:MOST]]  # a language model has a thousand
        found.sections.append(Section(title, bounded(rows, len(names))))
    metadata: Iterable[Row] = (Row(entry.key, entry.value) for entry in model.metadata_props)
    found.sections.append(Section("Metadata", tuple(metadata)))
    return trimmed(found)


def _millions(count: int) -> str:
    for size, letter in ((10**9, " B"), (10**6, " M"), (10**3, " k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)

