"""One graph into another: nodes, weights and functions of a model become part of an edit, under names of their own.

Weights are not read: they stay in the file that they came from until the result is saved, external data stays external.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain, count
from pathlib import Path, PurePosixPath

import onnx
from onnx import FunctionProto, NodeProto, TensorProto

from graftwerk.backend.fault import Fault
from graftwerk.backend.graph.edit import Edit
from graftwerk.backend.graph.external import external_location, node_tensors
from graftwerk.backend.graph.functions import Key, all_records, call_key, function_key
from graftwerk.backend.graph.graph import Graph
from graftwerk.backend.graph.records import declared_as
from graftwerk.backend.graph.rename_all import Names, every_name, renamed_all
from graftwerk.backend.graph.standin import DOMAIN as STAND_INS
from graftwerk.backend.graph.standin import KEY as STAND_IN
from graftwerk.backend.graph.tensors import Initializer, Source, Span


def graft(edit: Edit, other: Graph, given: Mapping[str, str], prefix: str = "") -> dict[str, str]:
    """Adds all of `other` to an edit. `given` are its tensors that are to have a certain name: inputs that read what
    is there already, outputs that take the place of what is gone. All others keep theirs behind `prefix`, with a
    number where it is taken. Gives what each is called now.

    Raises Fault for another version of an operator, sparse weights, and missing external data.
    """
    if other.skeleton.sparse_initializer:
        name = other.skeleton.sparse_initializer[0].values.name
        raise Fault("The other model has sparse weights, which can't be taken over", name, "Make them dense first")
    check_opsets(edit, other)
    free = Names(edit)
    names = dict(given)
    for name in dict.fromkeys(_tensors(other)):
        if name not in names:
            names[name] = free.fresh(prefix + name)
    places = _locations(edit, other)
    calls = _add_functions(edit, other, prefix)
    for weight in other.initializers.values():
        edit.set_initializer(_moved(weight.renamed(names[weight.name]), places))
    for record in other.nodes.values():
        edit.add_record(_prepared(edit, record, names, calls, places, prefix))
    _declare(edit, other, names, given)
    for entry in other.model.opset_import:
        edit.require_opset(entry.domain, entry.version)
    edit.require_ir(other.model.ir_version)
    return names


def real_inputs(graph: Graph) -> list[str]:
    """The inputs that have to be given: those without a weight as their default."""
    return [info.name for info in graph.inputs if info.name not in graph.initializers]


def _tensors(other: Graph) -> Iterator[str]:
    yield from (info.name for info in (*other.inputs, *other.outputs))
    yield from other.initializers
    yield from every_name(other.nodes.values())


def check_opsets(edit: Edit | Graph, other: Graph) -> None:
    """Raises Fault where a node of the other graph means another version of its operator than the edit imports."""
    for record in all_records(other.nodes.values()):
        theirs, ours = other.opset(record.domain), edit.opset(record.domain)
        if theirs is None or ours is None or theirs == ours:
            continue
        domain = "" if record.domain == "ai.onnx" else record.domain
        if onnx.defs.has(record.op_type, domain) and _since(record, theirs) == _since(record, ours):
            continue
        hint = "Convert one of the two first, or turn on Convert (--convert)"
        where = f" of {domain}" if domain else ""
        raise Fault(f"{record.op_type} of opset {theirs}{where} differs from this model's {ours}", "file", hint)


def _since(record: NodeProto, version: int) -> int:
    """The version in which an operator came to be what it is in a version; -1 where there is none."""
    try:
        domain = "" if record.domain == "ai.onnx" else record.domain
        return int(onnx.defs.get_schema(record.op_type, version, domain).since_version)
    except onnx.defs.SchemaError:
        return -1


# External data


def _locations(edit: Edit, other: Graph) -> dict[str, str]:
    """What each of the other model's files of external data is called from now on; names them to the edit."""
    places: dict[str, str] = {}
    for location, source in sorted(other.sources.items()):
        if source is None:
            raise Fault("The external data of the other model is missing", location, "Put the file beside that model")
        for name in _numbered(location):
            if name not in places.values() and _may_be(edit, name, source):
                places[location] = name
                edit.add_source(name, source)
                break
    return places


def _may_be(edit: Edit, name: str, source: Source) -> bool:
    """Whether a file may have this name beside the model: no other one has it."""
    known = edit.sources.get(name)
    if name in edit.sources:
        return known is not None and known.path.resolve() == source.path.resolve()
    there = edit.base.folder / name if edit.base.folder is not None else None
    return there is None or not there.exists() or there.resolve() == source.path.resolve()


def _numbered(location: str) -> Iterator[str]:
    yield location
    path = PurePosixPath(location.replace("\\", "/"))
    for number in count(1):
        yield str(path.with_name(f"{path.stem}_{number}{path.suffix}"))


def _moved(weight: Initializer, places: Mapping[str, str]) -> Initializer:
    span = weight.span
    if span is None or not weight.external or places.get(span.location, span.location) == span.location:
        return weight
    _move(weight.proto, places)  # `renamed` has made this record
    return Initializer(weight.proto, Span(span.source, span.offset, span.length, places[span.location]))


def _move(proto: TensorProto, places: Mapping[str, str]) -> None:
    for entry in proto.external_data:
        if entry.key == "location":
            entry.value = places.get(entry.value, entry.value)


# Functions


def _add_functions(edit: Edit, other: Graph, prefix: str) -> dict[Key, str]:
    """Adds the other model's functions; gives new names of those whose own is taken by another function."""
    mine = {function_key(function): function for function in edit.functions}
    taken = {(function.domain, function.name) for function in edit.functions}
    calls: dict[Key, str] = {}
    for function in other.functions:
        key = function_key(function)
        if key in mine and mine[key] != function:
            names = chain([f"{prefix}{function.name}"] if prefix else [], (f"{function.name}_{n}" for n in count(1)))
            calls[key] = next(name for name in names if (function.domain, name) not in taken)
            taken.add((function.domain, calls[key]))
    for function in other.functions:
        if function_key(function) in calls or function_key(function) not in mine:
            edit.functions.append(_function(function, calls))
    return calls


def _function(function: FunctionProto, calls: Mapping[Key, str]) -> FunctionProto:
    copy = FunctionProto()
    copy.CopyFrom(function)
    copy.name = calls.get(function_key(function), function.name)
    for record in all_records(copy.node):
        _call(record, calls)
    return copy


def _call(record: NodeProto, calls: Mapping[Key, str]) -> None:
    record.op_type = calls.get(call_key(record), record.op_type)
    for entry in record.metadata_props:
        if entry.key == STAND_IN:
            entry.value = calls.get((STAND_INS, entry.value, ""), entry.value)


def _prepared(
    edit: Edit, record: NodeProto, names: Mapping[str, str], calls: Mapping[Key, str], places: Mapping[str, str],
    prefix: str,
) -> NodeProto:  # fmt: skip
    copy = renamed_all(record, names)
    if copy.name:
        copy.name = edit.fresh_node(prefix + copy.name)
    for inner in all_records([copy]):
        _call(inner, calls)
    for _, tensor in node_tensors([copy]):
        if external_location(tensor) is not None:
            _move(tensor, places)
    return copy


def _declare(edit: Edit, other: Graph, names: Mapping[str, str], given: Mapping[str, str]) -> None:
    """What was declared and inferred of the tensors in between goes along."""
    for info in other.value_infos.values():
        if info.name not in given and info.name in names:
            edit.declare(declared_as(info, names[info.name]))
    for info in other.outputs:
        if info.name not in given and info.name not in other.value_infos and info.type.WhichOneof("value"):
            edit.declare(declared_as(info, names[info.name]))
    for name, kind in other.types.items():
        if name not in given and name in names:
            edit.set_type(names[name], kind)


def opened(path: str) -> Graph:
    """The model in a file that an operation names, with what can be inferred of its types. Raises Fault as `load`."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise Fault(f"Can't read the model: {error.strerror}", path, "Does it exist, and may you read it?") from error
    return _opened(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _opened(path: str, modified: int, size: int) -> Graph:
    """Kept while a form asks again and again whether it can be done; `modified` and `size` tell files apart."""
    from graftwerk.backend.graph.files import load
    from graftwerk.backend.graph.shapes import typed

    return typed(load(Path(path)), symbolic=False)
