"""External data: values of tensors in files beside the model, wherever in the model the tensor stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, SparseTensorProto, TensorProto, TrainingInfoProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.tensors import Source, Span


def external_path(location: str, tensor: str, folder: Path | None) -> Path | None:
    """Where a file of external data lies. Raises Fault where that is not under the model's folder: a model must not
    be able to name any file of the machine (onnx's rule for external data: a relative path without `..`). A link that
    lies in the folder is followed: a model can't have made it."""
    parts = PurePosixPath(location.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in location:
        raise Fault(
            f"The external data of {tensor} points outside the model's folder: {location!r}",
            tensor,
            "External data must lie beside the model or below; export it again",
        )
    return folder / location if folder is not None else None


def external_location(proto: TensorProto) -> str | None:
    """The file that a record refers to, None for one that has its values in it."""
    if proto.data_location != TensorProto.EXTERNAL:
        return None
    location = next((entry.value for entry in proto.external_data if entry.key == "location"), "")
    if not isinstance(location, str):  # protobuf gives bytes where a text is none
        raise Fault("Damaged: the name of a file of external data is no text", proto.name, "Export the model again")
    return location


def external_span(proto: TensorProto, sources: Mapping[str, Source | None], tensor: str = "") -> Span | None:
    """Where the bytes of a record lie; None for one that has its values in it.

    `sources` has the files by location as they were when the model was opened. Raises Fault where offset and length
    are no numbers, or the bytes lie past the end of the file.
    """
    location = external_location(proto)
    if location is None:
        return None
    name = tensor or proto.name
    entries = {entry.key: entry.value for entry in proto.external_data}
    source = sources.get(location)
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or (source.size - offset if source else 0))
    except ValueError:
        raise Fault("Offset or length of the external data is not a number", name) from None
    if source is not None and not 0 <= offset <= offset + length <= source.size:
        raise Fault(
            f"The external data of {name} lies past the end of its file ({source.size} bytes)",
            str(source.path),
            "The file is cut short, or belongs to another export: copy it again",
        )
    return Span(source, offset, length, location)


def node_tensors(nodes: Iterable[NodeProto]) -> Iterator[tuple[str, TensorProto]]:
    """Every tensor that stands in nodes, in their bodies too, with a name to speak of it by."""
    for node in nodes:
        label = node.name or next(iter(node.output), "") or node.op_type
        for attribute in node.attribute:
            yield from _attribute_tensors(attribute, label)


def function_tensors(function: FunctionProto) -> Iterator[tuple[str, TensorProto]]:
    yield from node_tensors(function.node)
    for attribute in function.attribute_proto:
        yield from _attribute_tensors(attribute, function.name)


def body_tensors(body: GraphProto) -> Iterator[tuple[str, TensorProto]]:
    yield from ((tensor.name, tensor) for tensor in body.initializer)
    yield from sparse_tensors(body.sparse_initializer)
    yield from node_tensors(body.node)


def sparse_tensors(tensors: Iterable[SparseTensorProto]) -> Iterator[tuple[str, TensorProto]]:
    for sparse in tensors:
        yield sparse.values.name, sparse.values
        yield sparse.values.name, sparse.indices


def training_tensors(infos: Iterable[TrainingInfoProto]) -> Iterator[tuple[str, TensorProto]]:
    for info in infos:
        yield from body_tensors(info.initialization)
        yield from body_tensors(info.algorithm)


def _attribute_tensors(attribute: AttributeProto, label: str) -> Iterator[tuple[str, TensorProto]]:
    match attribute.type:
        case AttributeProto.TENSOR:
            yield label, attribute.t
        case AttributeProto.TENSORS:
            yield from ((label, tensor) for tensor in attribute.tensors)
        case AttributeProto.SPARSE_TENSOR:
            yield from ((label, tensor) for _, tensor in sparse_tensors([attribute.sparse_tensor]))
        case AttributeProto.SPARSE_TENSORS:
            yield from ((label, tensor) for _, tensor in sparse_tensors(attribute.sparse_tensors))
        case AttributeProto.GRAPH:
            yield from body_tensors(attribute.g)
        case AttributeProto.GRAPHS:
            for body in attribute.graphs:
                yield from body_tensors(body)
